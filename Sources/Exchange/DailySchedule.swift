public import Units

/// The times of day, UTC, at which an ask is for sale.
public struct DailySchedule: Hashable, Sendable {
    /// From a minute of the day until before another; over midnight when `from` is later than `to`.
    public struct Window: Hashable, Sendable {
        /// 0 ... 1439
        public var from: Int64
        /// 0 ... 1440, not equal to `from`
        public var to: Int64

        public init(from: Int64, to: Int64) {
            self.from = from
            self.to = to
        }

        func contains(_ minute: Int64) -> Bool {
            from < to ? (from..<to).contains(minute) : minute >= from || minute < to
        }
    }

    /// 1 to 8 windows; they may overlap.
    public var windows: [Window]

    public init(windows: [Window]) { self.windows = windows }

    static let minutesPerDay: Int64 = 1440
    private static let minute = Interval.seconds(60)

    var isValid: Bool {
        (1...8).contains(windows.count) && windows.allSatisfy {
            (0..<DailySchedule.minutesPerDay).contains($0.from) && (0...DailySchedule.minutesPerDay).contains($0.to)
                && $0.from != $0.to
        }
    }

    public func isOpen(at time: Timestamp) -> Bool { isOpen(minute: time.minute % DailySchedule.minutesPerDay) }

    private func isOpen(minute: Int64) -> Bool { windows.contains { $0.contains(minute) } }

    /// When it opens or closes next; nil when it never changes. O(windows^2)
    public func nextChange(after time: Timestamp) -> Timestamp? {
        let now = time.minute % DailySchedule.minutesPerDay
        let isOpenNow = isOpen(minute: now)
        let edges = windows.flatMap { [$0.from, $0.to % DailySchedule.minutesPerDay] }
        let waits = edges.filter { isOpen(minute: $0) != isOpenNow }.map { edge in
            let wait = edge - now
            return wait > 0 ? wait : wait + DailySchedule.minutesPerDay
        }
        return waits.min().map {
            Timestamp(microseconds: (time.minute + $0) * DailySchedule.minute.microseconds)
        }
    }
}
