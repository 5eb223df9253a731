internal import Synchronization

/// Lets one task after the other through, in the order they came.
final class Turns: Sendable {
    private struct State {
        var isTaken = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())
    private let mostWaiting: Int

    init(mostWaiting: Int) { self.mostWaiting = mostWaiting }

    /// - Throws: ``GatewayError/busy`` when too many wait already
    func run<T: Sendable>(_ body: () async throws -> T) async throws -> T {
        try await take()
        defer { give() }
        return try await body()
    }

    private func take() async throws(GatewayError) {
        let isFull = state.withLock { $0.isTaken && $0.waiting.count >= mostWaiting }
        if isFull { throw .busy }
        await withCheckedContinuation { continuation in
            let mayGo = state.withLock { state in
                if state.isTaken {
                    state.waiting.append(continuation)
                    return false
                }
                state.isTaken = true
                return true
            }
            if mayGo { continuation.resume() }
        }
    }

    private func give() {
        let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
            guard !state.waiting.isEmpty else {
                state.isTaken = false
                return nil
            }
            return state.waiting.removeFirst()
        }
        next?.resume()
    }
}
