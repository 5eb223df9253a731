import Units

/// How many lines a peer may send unasked: so many at once, and so many a second in the long run.
struct LineBudget {
    private let burst: Int64
    private let perSecond: Int64
    /// In millionths of a line.
    private var left: Int64
    private var filledAt: Timestamp?

    private static let line: Int64 = 1_000_000

    /// Ten jobs and difficulties a second for each of many users is more than any pool needs.
    static var pools: LineBudget { LineBudget(burst: 2000, perSecond: 100) }
    /// Anything but shares.
    static var miners: LineBudget { LineBudget(burst: 500, perSecond: 20) }

    init(burst: Int64, perSecond: Int64) {
        precondition(burst > 0, "one line is always allowed")
        precondition(perSecond > 0, "a budget fills again")
        self.burst = burst
        self.perSecond = perSecond
        left = burst * LineBudget.line
    }

    /// False when there have been too many.
    mutating func take(now: Timestamp) -> Bool {
        // A day fills any budget; more would overflow.
        let elapsed = min(now - (filledAt ?? now), .seconds(86_400))
        filledAt = now
        if elapsed > .zero { left = min(burst * LineBudget.line, left + elapsed.microseconds * perSecond) }
        guard left >= LineBudget.line else { return false }
        left -= LineBudget.line
        return true
    }
}
