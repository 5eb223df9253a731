public import Units

/// Why a settlement run is made (design, section 8). The raw values are stored.
public enum SettlementKind: String, Sendable, CaseIterable {
    /// By the clock, of an interval: bills what is there, takes nothing back.
    case initial
    /// By the clock, of deliveries whose dispute window is over: books every difference.
    case final
    /// Of deliveries that got work late: books every difference.
    case trueUp
    /// Asked for by a person: bills what is there now.
    case adHoc
}

/// A settlement run: what it read, with which program, and what came of it.
public struct SettlementRun: Hashable, Sendable {
    /// From 1 upwards; 0 until it is begun.
    public var number: Int64 = 0
    public var kind: SettlementKind
    /// Its interval, minutes since 1970, the end excluded; nil: all that was there.
    public var minutes: Range<Int64>?
    public var startedAt: Timestamp
    /// Until when the edges' reports were complete.
    public var watermark: Timestamp
    /// Version of the program and of the rules; nil for runs from before.
    public var program: String?
    /// SHA-256 of what it read, as docs/settlement-runs.md says; nil until it is finished.
    public var inputDigest: [UInt8]?
    /// Looked at.
    public var deliveries: Int64 = 0
    /// Submitted: those with something new.
    public var totals: Int64 = 0
    /// nil: by the clock.
    public var requestedBy: AccountID?
    public var note: String?
    /// nil: it runs, or was broken off.
    public var finishedAt: Timestamp?

    public init(
        kind: SettlementKind, minutes: Range<Int64>? = nil, startedAt: Timestamp, watermark: Timestamp, program: String? = nil,
        requestedBy: AccountID? = nil, note: String? = nil
    ) {
        self.kind = kind
        self.minutes = minutes
        self.startedAt = startedAt
        self.watermark = watermark
        self.program = program
        self.requestedBy = requestedBy
        self.note = note
    }
}

/// How far settlement has come.
public struct SettlementProgress: Hashable, Sendable {
    /// Minutes since 1970: the end of the last finished initial run of an interval.
    public var initialThrough: Int64?
    /// The same of final runs.
    public var finalThrough: Int64?
    /// When the first run by these rules was begun: what ended before is never assessed again.
    public var since: Timestamp?
    /// An initial run of an interval that was broken off.
    public var brokenOff: SettlementRun?

    public init(
        initialThrough: Int64? = nil, finalThrough: Int64? = nil, since: Timestamp? = nil, brokenOff: SettlementRun? = nil
    ) {
        self.initialThrough = initialThrough
        self.finalThrough = finalThrough
        self.since = since
        self.brokenOff = brokenOff
    }
}

/// Work that came after its slots had gone: charged to nobody.
public struct ExpiredWork: Hashable, Sendable {
    /// The batch that brought it.
    public var edge: EdgeID
    public var epoch: Int64
    public var sequence: Int64
    /// nil: unsold work.
    public var delivery: DeliveryID?
    public var rig: RigID
    /// Minutes since 1970, UTC.
    public var minute: Int64
    public var validShares: Int64
    public var validWork: Work
    public var billableWork: Work
    public var appliedAt: Timestamp
    public var acknowledgedBy: AccountID?
    public var acknowledgedAt: Timestamp?

    public init(
        edge: EdgeID, epoch: Int64, sequence: Int64, delivery: DeliveryID?, rig: RigID, minute: Int64, validShares: Int64,
        validWork: Work, billableWork: Work, appliedAt: Timestamp, acknowledgedBy: AccountID?, acknowledgedAt: Timestamp?
    ) {
        self.edge = edge
        self.epoch = epoch
        self.sequence = sequence
        self.delivery = delivery
        self.rig = rig
        self.minute = minute
        self.validShares = validShares
        self.validWork = validWork
        self.billableWork = billableWork
        self.appliedAt = appliedAt
        self.acknowledgedBy = acknowledgedBy
        self.acknowledgedAt = acknowledgedAt
    }
}
