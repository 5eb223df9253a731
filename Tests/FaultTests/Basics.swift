import Foundation
import Synchronization
import TestSupport

/// What did not hold.
struct Broken: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}

/// Looks every few milliseconds until the condition holds; the bound only ends a test that has failed. Blocks.
func wait(_ what: String, within seconds: Double = 60, _ condition: () throws -> Bool) throws {
    let deadline = ContinuousClock.now + .milliseconds(Int(seconds * 1000))
    while try !condition() {
        guard ContinuousClock.now < deadline else { throw TimedOut(what: what) }
        pause(0.005)
    }
}

func pause(_ seconds: Double) { Thread.sleep(forTimeInterval: seconds) }

/// A line for whoever watches a long run: on standard error, or in the file that HASHSPOT_PROGRESS names, since the test
/// runner keeps output back.
func progress(_ text: String) { progressOutput.write(Data("faults: \(text)\n".utf8)) }

private let progressOutput: FileHandle = {
    guard let path = ProcessInfo.processInfo.environment["HASHSPOT_PROGRESS"] else { return .standardError }
    let descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
    return descriptor < 0 ? .standardError : FileHandle(fileDescriptor: descriptor)
}()

/// Runs a body that blocks on a thread of its own, where it holds up no other test.
func onThread<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
    }
}

/// A thread that can be waited for.
final class Worker: Sendable {
    private let ended = DispatchSemaphore(value: 0)

    init(_ name: String, _ body: @escaping @Sendable () -> Void) {
        let thread = Thread { [ended] in
            body()
            ended.signal()
        }
        thread.name = name
        thread.start()
    }

    /// Returns when the thread has ended. To be called once.
    func join() { ended.wait() }
}

/// How much a run does, from the environment.
enum Effort {
    /// Kills on each engine.
    static let kills = number("HASHSPOT_KILLS") ?? 3
    /// A full run does everything longer and more often.
    static var isFull: Bool { kills >= 50 }
    /// How long Postgres is away in the long outage.
    static var outageSeconds: Double { isFull ? 25 : 4 }

    private static func number(_ name: String) -> Int? { ProcessInfo.processInfo.environment[name].flatMap { Int($0) } }
}

/// Which database a test runs on.
enum Engine: String, CaseIterable, Sendable {
    case sqlite, postgres
}
