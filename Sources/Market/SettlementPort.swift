public import Exchange
public import Settlement
public import Units

/// A delivery's slots, summed by the database.
public struct MeteredSums: Hashable, Sendable {
    /// Of minutes before the cut.
    public var sums: SlotSums
    /// Billable work of minutes before the current interval.
    public var before: Work
    /// Of its last slot before the cut.
    public var lastMinute: Int64

    public static let none = MeteredSums(sums: .none, before: .zero, lastMinute: 0)

    public init(sums: SlotSums, before: Work, lastMinute: Int64) {
        self.sums = sums
        self.before = before
        self.lastMinute = lastMinute
    }
}

/// What a delivery's lines say so far.
public struct SettledLines: Hashable, Sendable {
    /// Billed work by interval, signed.
    public var intervals: [IntervalWork] = []
    /// Noted on lines without a charge.
    public var overDelivery = Work.zero
    public var faultExcess = Work.zero

    public init() {}
}

/// Closed deliveries as one snapshot of the tables has them.
public struct ClosedPage: Sendable {
    /// ``Books/reopenings`` of the same snapshot.
    public var reopenings: Int64
    /// In order of their numbers; without those that are still open there.
    public var deliveries: [ClosedDelivery]
    /// Deliveries some of whose slots may have gone: they can never be assessed again.
    public var unknown: Int

    public init(reopenings: Int64, deliveries: [ClosedDelivery], unknown: Int) {
        self.reopenings = reopenings
        self.deliveries = deliveries
        self.unknown = unknown
    }
}

/// A slot that got work long after its minute.
public struct LateSlot: Hashable, Sendable {
    public var delivery: DeliveryID
    public var rig: RigID
    /// Minutes since 1970, UTC.
    public var minute: Int64
    /// Another one as soon as more comes.
    public var notedAt: Int64

    public init(delivery: DeliveryID, rig: RigID, minute: Int64, notedAt: Int64) {
        self.delivery = delivery
        self.rig = rig
        self.minute = minute
        self.notedAt = notedAt
    }
}

/// What settlement reads and notes, in the database. Lists of deliveries are in order, and of at most 1,000.
public protocol SettlementPort: Sendable {
    /// Until when the reports of every edge are complete that may have work of unsettled deliveries.
    func watermark() async throws -> Timestamp
    /// The same by edge, with the edges that some rigs have been at.
    func reportMarks(of rigs: Set<RigID>) async throws -> ReportMarks

    func progress() async throws -> SettlementProgress
    /// Books a run and returns its number.
    func begin(_ run: SettlementRun) async throws -> Int64
    /// Notes what came of it.
    func finish(_ run: SettlementRun) async throws
    /// Runs by number, the newest first, before `cursor`.
    func runs(before cursor: Int64?, limit: Int) async throws -> [SettlementRun]

    /// Sums of deliveries' slots of minutes before `cut`.
    ///
    /// - Parameter before: start of the current interval
    func sums(of deliveries: [DeliveryID], before: Int64, cut: Int64) async throws -> [DeliveryID: MeteredSums]
    /// All slots of deliveries, in order of their minutes. At most 50 deliveries at a time.
    func slots(of deliveries: [DeliveryID]) async throws -> [DeliveryID: [SlotWork]]
    /// What the tables' lines say of deliveries.
    func settledLines(of deliveries: [DeliveryID]) async throws -> [DeliveryID: SettledLines]

    /// Deliveries that ended in a time, by number.
    func ended(in times: Range<Timestamp>, after cursor: DeliveryID?, limit: Int) async throws -> [DeliveryID]
    func closed(_ deliveries: [DeliveryID]) async throws -> ClosedPage
    /// Notes of late work, in order of deliveries, rigs and minutes.
    func lateSlots(after cursor: LateSlot?, limit: Int) async throws -> [LateSlot]
    /// Takes away notes of slots that got no more since.
    func forget(_ slots: [LateSlot]) async throws

    /// In the order in which it came, but for so many rows.
    func expiredWork(after count: Int64, limit: Int) async throws -> [ExpiredWork]
    /// Somebody takes note of expired work that was applied until some time, inclusive.
    ///
    /// - Returns: how much there was
    func acknowledgeExpired(appliedThrough: Timestamp, by: AccountID, at: Timestamp) async throws -> Int
    /// Value dates of the first and the last ledger entry; nil without any.
    func valueDates() async throws -> ClosedRange<Timestamp>?
}
