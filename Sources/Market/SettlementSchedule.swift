public import Units

/// When settlement runs are made.
public struct SettlementSchedule: Hashable, Sendable {
    /// The shortest dispute window: what comes later than an hour before its end is noted when it comes (``LateSlot``).
    public static let shortestWindow = Interval.day

    /// Between initial runs.
    public var interval: Duration
    /// From a delivery's end to its final run.
    public var disputeWindow: Interval

    /// - Precondition: `interval` is above zero
    public init(interval: Duration = .seconds(300), disputeWindow: Interval = .day) {
        precondition(interval > .zero, "time goes on between runs")
        self.interval = interval
        self.disputeWindow = disputeWindow
    }

    /// Minutes of an interval, which lie on a grid since 1970; nil where they are not whole: then runs are uncut, and bill all that is
    /// there.
    var width: Int64? {
        let (seconds, attoseconds) = interval.components
        return attoseconds == 0 && seconds % 60 == 0 ? seconds / 60 : nil
    }

    /// Edges' reports of a minute have this long to come before its interval is settled.
    static let delay = ReportMarks.margin

    /// The end of the last interval that may be settled; minutes since 1970.
    func cut(at now: Timestamp, width: Int64) -> Int64 { max(0, (now - SettlementSchedule.delay).minute / width * width) }

    /// Where an interval ends that might go on until `cut`: at the day's end (UTC) at the latest, so that it lies in one period.
    static func end(of minute: Int64, _ cut: Int64) -> Int64 { min(cut, (minute / 1440 + 1) * 1440) }

    /// How long to wait until there may be something to do; a clock that jumps is noticed within a minute.
    func pause(from now: Timestamp) -> Duration {
        guard let width else { return interval }
        let next = Timestamp(microseconds: (cut(at: now, width: width) + width) * 60_000_000) + SettlementSchedule.delay
        return .microseconds(min(max((next - now).microseconds, 1_000_000), 60_000_000))
    }
}
