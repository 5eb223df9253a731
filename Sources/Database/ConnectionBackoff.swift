/// When a connection that could not be made may be tried again: after pauses that double from 50 ms to 2 s. Each is
/// shortened at random by up to a half, so that many do not come back at once. A value; it neither waits nor reads clocks.
struct ConnectionBackoff {
    private enum State {
        /// Next: `pausing`.
        case untroubled
        /// The latest attempt failed, as the `failures`-th in a row. Next: `pausing`, `untroubled`.
        case pausing(until: ContinuousClock.Instant, failures: Int, reason: String)
    }

    private var state = State.untroubled

    static let shortest = Duration.milliseconds(50)
    static let longest = Duration.seconds(2)

    /// Throws `DatabaseError.unavailable` while it is too early to try.
    func check(at now: ContinuousClock.Instant) throws(DatabaseError) {
        switch state {
        case .untroubled: return
        case .pausing(let until, _, let reason):
            guard now >= until else { throw .unavailable(detail: "\(reason) (not tried again yet)") }
        }
    }

    /// An attempt failed.
    mutating func failed(_ reason: String, at now: ContinuousClock.Instant, using random: inout some RandomNumberGenerator) {
        let failures = failuresSoFar + 1
        // 50 ms, 100 ms ... 1.6 s, 2 s.
        let pause = min(Self.shortest * (1 << min(failures - 1, 6)), Self.longest)
        let shortened = pause - pause / 2 * Int.random(in: 0...1000, using: &random) / 1000
        state = .pausing(until: now + shortened, failures: failures, reason: reason)
    }

    mutating func succeeded() { state = .untroubled }

    private var failuresSoFar: Int {
        switch state {
        case .untroubled: 0
        case .pausing(_, let failures, _): failures
        }
    }

    /// Runs an attempt, unless it is too early for one.
    mutating func attempt<T>(_ connect: () throws(DatabaseError) -> T) throws(DatabaseError) -> T {
        try check(at: .now)
        do {
            let connection = try connect()
            succeeded()
            return connection
        } catch {
            if case .unavailable(let reason) = error {
                var random = SystemRandomNumberGenerator()
                failed(reason, at: .now, using: &random)
            }
            throw error
        }
    }
}
