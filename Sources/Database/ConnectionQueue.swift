internal import Dispatch

/// A connection on a serial queue of its own, so that its blocking never holds a thread of the
/// cooperative pool or an event loop. The connection is made at its first use; if it cannot be made, uses throw at once
/// until it is tried again.
///
/// Unchecked: `connection`, `backoff` and `isClosed` are touched on `queue` only.
final class ConnectionQueue: @unchecked Sendable {
    private let location: DatabaseLocation
    private let checksIntegrity: Bool
    private let queue: DispatchQueue
    private var connection: (any SQLConnection)?
    private var backoff = ConnectionBackoff()
    private var isClosed = false

    init(_ location: DatabaseLocation, label: String, checksIntegrity: Bool = false) {
        self.location = location
        self.checksIntegrity = checksIntegrity
        queue = DispatchQueue(label: label)
    }

    /// Runs `body` on the queue, and `completion` after it.
    func perform<T: Sendable>(
        _ body: @escaping @Sendable (any SQLConnection) throws -> T,
        completion: @escaping @Sendable (Result<T, any Error>) -> Void
    ) {
        queue.async { completion(Result { try body(try self.liveConnection()) }) }
    }

    /// The same, blocking. Never to be called from the queue itself.
    func performSync<T: Sendable>(_ body: @Sendable (any SQLConnection) throws -> T) throws -> T {
        dispatchPrecondition(condition: .notOnQueue(queue))
        return try queue.sync { try body(try liveConnection()) }
    }

    /// Ends the connection after what is queued.
    func close() async {
        await withCheckedContinuation { continuation in
            queue.async {
                self.isClosed = true
                self.connection?.close()
                self.connection = nil
                continuation.resume()
            }
        }
    }

    private func liveConnection() throws(DatabaseError) -> any SQLConnection {
        guard !isClosed else { throw .closed }
        if let connection { return connection }
        let connection = try backoff.attempt { () throws(DatabaseError) in
            try Database.openConnection(location, checksIntegrity: checksIntegrity)
        }
        self.connection = connection
        return connection
    }
}
