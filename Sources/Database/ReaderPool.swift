internal import Synchronization

/// A fixed number of connections for reading. Whoever finds none idle waits in order; beyond the
/// bound the answer is `busy`.
final class ReaderPool: Sendable {
    /// Work for whichever connection becomes idle.
    typealias Job = @Sendable (ConnectionQueue) -> Void

    private struct State {
        var idle: [ConnectionQueue]
        /// First come, first served; at most `maximumWaiting`.
        var waiting: [Job] = []
    }

    private let connections: [ConnectionQueue]
    private let maximumWaiting: Int
    private let state: Mutex<State>

    init(_ connections: [ConnectionQueue], maximumWaiting: Int) {
        precondition(!connections.isEmpty, "a pool has a connection")
        self.connections = connections
        self.maximumWaiting = maximumWaiting
        state = Mutex(State(idle: connections))
    }

    func perform<T: Sendable>(
        _ body: @escaping @Sendable (any SQLConnection) throws -> T,
        completion: @escaping @Sendable (Result<T, any Error>) -> Void
    ) {
        let job: Job = { connection in
            connection.perform(body) { result in
                self.release(connection)
                completion(result)
            }
        }
        switch admit(job) {
        case .runs(let connection): job(connection)
        case .waits: break
        case .refused: completion(.failure(DatabaseError.busy(detail: "\(maximumWaiting) reads are waiting")))
        }
    }

    /// Ends all connections; reads that still wait get `DatabaseError.closed`.
    func close() async {
        for connection in connections { await connection.close() }
    }

    private enum Admission {
        case runs(ConnectionQueue)
        case waits
        case refused
    }

    private func admit(_ job: @escaping Job) -> Admission {
        state.withLock { state in
            if let connection = state.idle.popLast() { return .runs(connection) }
            guard state.waiting.count < maximumWaiting else { return .refused }
            state.waiting.append(job)
            return .waits
        }
    }

    private func release(_ connection: ConnectionQueue) {
        let next: Job? = state.withLock { state in
            guard state.waiting.isEmpty else { return state.waiting.removeFirst() }
            state.idle.append(connection)
            return nil
        }
        next?(connection)
    }
}
