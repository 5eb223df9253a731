public import Units

/// What grows with every share, and is kept for so many days.
public enum MeteredTable: String, Sendable, Hashable, CaseIterable {
    case shares
    /// Kept some days longer than the shares, which may refer to a job for as long as a rig works on it.
    case jobs
    case slots = "meter_slots"
}

/// How long metered rows are kept.
public struct RetentionPolicy: Sendable, Hashable {
    /// Days of raw shares besides the current one.
    public var shareDays: Int64 = 30
    /// Days of slots besides the current one; no fewer than of shares.
    public var slotDays: Int64 = 400
    /// Days that partitions are made ahead.
    public var daysAhead: Int64 = 3

    static let jobMargin: Int64 = 2

    public init() {}

    /// What is wrong with it, for an operator; nil when nothing is.
    public var flaw: String? {
        if !(1...36_500).contains(shareDays) { return "shares are kept from 1 to 36500 days" }
        if !(1...36_500).contains(slotDays) { return "slots are kept from 1 to 36500 days" }
        if slotDays < shareDays { return "slots are kept as long as shares, or longer" }
        if !(1...30).contains(daysAhead) { return "partitions are made from 1 to 30 days ahead" }
        return nil
    }

    func days(of table: MeteredTable) -> Int64 {
        switch table {
        case .shares: shareDays
        case .jobs: shareDays + RetentionPolicy.jobMargin
        case .slots: slotDays
        }
    }
}

/// One day of a table, in days since 1970, UTC.
public struct TableDay: Sendable, Hashable {
    public var table: MeteredTable
    public var day: Int64

    public init(_ table: MeteredTable, _ day: Int64) {
        self.table = table
        self.day = day
    }
}

/// What a decision about old rows rests on.
public struct RetentionFacts: Sendable, Hashable {
    public var now: Timestamp
    /// Whatever was received before is settled as far as it is billable.
    public var settledUntil: Timestamp
    /// When the oldest delivery was opened that is not settled to its end.
    public var oldestOpen: Timestamp?
    /// The partitions that there are; none where there are no partitions.
    public var days: Set<TableDay>

    public init(now: Timestamp, settledUntil: Timestamp, oldestOpen: Timestamp? = nil, days: Set<TableDay> = []) {
        self.now = now
        self.settledUntil = settledUntil
        self.oldestOpen = oldestOpen
        self.days = days
    }
}

/// Which days to make and which to let go.
///
/// Days are counted back from what is settled, at most from now: a clock that runs ahead drops nothing by itself.
public struct RetentionPlan: Sendable, Hashable {
    public private(set) var make: [TableDay] = []
    public private(set) var drop: [TableDay] = []
    /// The first day that stays, of each table; 0 while everything does.
    public private(set) var keptFrom: [MeteredTable: Int64] = [:]

    public init(_ policy: RetentionPolicy, _ facts: RetentionFacts) {
        let today = facts.now.day
        for table in MeteredTable.allCases {
            let first = RetentionPlan.firstKept(table, policy, facts)
            keptFrom[table] = first
            let present = facts.days.filter { $0.table == table }.map(\.day)
            drop += present.filter { $0 < first }.sorted().map { TableDay(table, $0) }
            let wanted = max(first, today - 1)...max(first, today + policy.daysAhead)
            make += wanted.filter { !present.contains($0) }.map { TableDay(table, $0) }
        }
    }

    private static func firstKept(_ table: MeteredTable, _ policy: RetentionPolicy, _ facts: RetentionFacts) -> Int64 {
        let settled = min(facts.now, facts.settledUntil).day
        var first = settled - policy.days(of: table)
        // Totals are cumulative: a delivery needs its slots until the last of them is billed. A day's margin for clocks.
        if table == .slots, let oldest = facts.oldestOpen { first = min(first, oldest.day - 1) }
        return max(0, first)
    }
}

extension Timestamp {
    static let dayLength: Int64 = 86_400_000_000

    /// The day it lies in, since 1970, UTC.
    var day: Int64 { microseconds / Timestamp.dayLength }
}
