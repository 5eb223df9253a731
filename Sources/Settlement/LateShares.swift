public import Units

/// Work and the interval it was done in: minutes since 1970, the end excluded.
public struct IntervalWork: Hashable, Sendable {
    public var from: Int64
    public var to: Int64
    public var work: Work

    /// - Precondition: `from < to`
    public init(from: Int64, to: Int64, work: Work) {
        precondition(from < to, "an interval has a minute")
        self.from = from
        self.to = to
        self.work = work
    }
}

/// Which intervals late work belongs to.
public enum LateShares {
    /// Lines that a delivery gets for late work at most; the rest is joined in the last one.
    public static let most = 64

    /// Divides work that came late among the intervals it was done in.
    ///
    /// How much is late is known (what the same cut bills now, less what it billed then); this only names its intervals. Each gets at
    /// most what its slots hold beyond what it was billed, the earliest first; what no interval explains (the cap and the limits of
    /// incidents hold for a delivery as a whole) goes to the last. Minutes that were never billed belong to the interval of the grid.
    ///
    /// - Parameters:
    ///   - late: not negative
    ///   - slots: of minutes before the current interval, in order
    ///   - settled: what was billed by interval; work may be negative; intervals may overlap and repeat
    ///   - width: minutes of an interval of the grid
    public static func split(_ late: Work, slots: [SlotWork], settled: [IntervalWork], width: Int64) -> [IntervalWork] {
        precondition(width > 0, "an interval has a minute")
        guard late > .zero else { return [] }
        var left = late
        var parts: [IntervalWork] = []
        let surplus = surplus(slots, joined(settled), width)
        for interval in surplus where interval.work > .zero && left > .zero {
            let part = min(interval.work, left)
            left -= part
            parts.append(IntervalWork(from: interval.from, to: interval.to, work: part))
        }
        if left > .zero {
            if parts.isEmpty, let last = surplus.last { parts = [IntervalWork(from: last.from, to: last.to, work: .zero)] }
            if !parts.isEmpty { parts[parts.count - 1].work += left }
        }
        return bounded(parts)
    }

    /// By interval, in order: work of its slots less what was billed for it.
    private static func surplus(_ slots: [SlotWork], _ settled: [IntervalWork], _ width: Int64) -> [IntervalWork] {
        var all = settled.map { IntervalWork(from: $0.from, to: $0.to, work: .zero - $0.work) }
        let billed = all.count
        var place = 0
        for slot in slots {
            while place < billed, all[place].to <= slot.minute { place += 1 }
            if place < billed, all[place].from <= slot.minute {
                all[place].work += slot.billable
            } else {
                add(slot, of: width, to: &all, after: billed)
            }
        }
        return all.sorted { ($0.from, $0.to) < ($1.from, $1.to) }
    }

    private static func add(_ slot: SlotWork, of width: Int64, to all: inout [IntervalWork], after billed: Int) {
        let from = slot.minute / width * width
        if all.count > billed, all[all.count - 1].from == from {
            all[all.count - 1].work += slot.billable
        } else {
            all.append(IntervalWork(from: from, to: from + width, work: slot.billable))
        }
    }

    /// Intervals that overlap become one, so that each minute lies in one at most.
    private static func joined(_ intervals: [IntervalWork]) -> [IntervalWork] {
        var joined: [IntervalWork] = []
        for next in intervals.sorted(by: { ($0.from, $0.to) < ($1.from, $1.to) }) {
            guard let last = joined.last, next.from < last.to else {
                joined.append(next)
                continue
            }
            joined[joined.count - 1].to = max(last.to, next.to)
            joined[joined.count - 1].work += next.work
        }
        return joined
    }

    private static func bounded(_ parts: [IntervalWork]) -> [IntervalWork] {
        guard parts.count > most else { return parts }
        let rest = parts[(most - 1)...]
        let last = rest.reduce(IntervalWork(from: rest[rest.startIndex].from, to: rest[rest.startIndex].to, work: .zero)) {
            IntervalWork(from: min($0.from, $1.from), to: max($0.to, $1.to), work: $0.work + $1.work)
        }
        return parts[..<(most - 1)] + [last]
    }
}
