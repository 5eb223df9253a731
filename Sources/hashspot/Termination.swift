import Database
import Dispatch
import Foundation

/// A failure that ends a command: one line for people, and exit status 1.
struct CommandFailure: Error, CustomStringConvertible {
    var description: String
}

/// An error as the operator of this machine may read it: with the database's own words, which strangers never see.
func operatorText(_ error: any Error) -> String {
    var text = "\(error)"
    if let detail = (error as? DatabaseError)?.detail, !detail.isEmpty { text += " (\(detail))" }
    return text.split(whereSeparator: \.isNewline).joined(separator: " ")
}

/// Runs `body` until it returns, a number of seconds has passed, or the process is asked to end (SIGINT, SIGTERM); then
/// cancels it and waits for it.
func runUntilTerminated(seconds: Double?, _ body: @escaping @Sendable () async throws -> Void) async throws {
    let (signals, arrived) = AsyncStream<Void>.makeStream()
    let sources = [SIGINT, SIGTERM].map { number in
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler { arrived.yield() }
        source.resume()
        return source
    }
    defer { for source in sources { source.cancel() } }
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await body() }
        group.addTask { for await _ in signals { return } }
        if let seconds { group.addTask { try await Task.sleep(for: .seconds(seconds)) } }
        defer { group.cancelAll() }
        try await group.next()
    }
}
