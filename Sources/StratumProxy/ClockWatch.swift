public import Units

/// Decides whether an edge's clock is good enough to sell by, from comparisons with the database's clock.
///
/// A value: it neither reads clocks nor waits. "Steady" is a clock that is never set, in microseconds since any time.
public struct ClockWatch: Sendable, Hashable {
    /// Beyond this an edge stops selling (design, section 8).
    public static let farOff = Interval.seconds(2)
    /// Below this it sells again.
    public static let closeAgain = Interval.seconds(1)

    private enum State: Hashable {
        /// Never compared. Next: `good`, `off`.
        case unknown
        /// Next: `off`.
        case good(Comparison)
        /// Next: `good`.
        case off(Comparison)
    }

    private struct Comparison: Hashable {
        /// How far the clock was ahead of the database's, within half of a round trip.
        var ahead: Interval
        var uncertainty: Interval
        /// The clock's time less the steady clock's: changes when the clock is set.
        var base: Int64
    }

    private var state = State.unknown

    public init() {}

    /// An edge that knows nothing of its clock sells.
    public var isSelling: Bool {
        switch state {
        case .unknown, .good: true
        case .off: false
        }
    }

    /// How far the clock was ahead at the last look; nil before the first comparison.
    public var ahead: Interval? { comparison?.ahead }

    private var comparison: Comparison? {
        switch state {
        case .unknown: nil
        case .good(let known), .off(let known): known
        }
    }

    /// The database was asked for its time.
    ///
    /// - Parameter sent: what the clock said when the question went off
    /// - Returns: whether ``isSelling`` changed
    public mutating func compared(sent: Timestamp, sentSteady: Int64, receivedSteady: Int64, database: Timestamp) -> Bool {
        let half = max(0, receivedSteady - sentSteady) / 2
        return judge(Comparison(
            ahead: Interval(microseconds: sent.microseconds + half - database.microseconds),
            uncertainty: Interval(microseconds: half), base: sent.microseconds - sentSteady))
    }

    /// Looks whether the clock was set since the last comparison: the database may be away.
    ///
    /// - Returns: whether ``isSelling`` changed
    public mutating func looked(at now: Timestamp, steady: Int64) -> Bool {
        guard var known = comparison else { return false }
        let base = now.microseconds - steady
        known.ahead = Interval(microseconds: known.ahead.microseconds + base - known.base)
        known.base = base
        return judge(known)
    }

    /// Only what is certain changes anything: a slow answer says little.
    private mutating func judge(_ new: Comparison) -> Bool {
        let distance = abs(new.ahead.microseconds)
        let isOff = isSelling
            ? distance - new.uncertainty.microseconds > ClockWatch.farOff.microseconds
            : distance + new.uncertainty.microseconds >= ClockWatch.closeAgain.microseconds
        let before = isSelling
        state = isOff ? .off(new) : .good(new)
        return isSelling != before
    }
}
