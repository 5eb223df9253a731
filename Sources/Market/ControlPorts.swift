public import Exchange
public import Settlement
public import Units

// MARK: - Audit trail

/// What a member of staff did, or is about to do.
public struct AuditAct: Hashable, Sendable {
    /// 0: somebody with access to the database.
    public var actor: AccountID
    public var actorName: String
    /// Method and route, or a command.
    public var action: String
    /// Path, or what a command is about.
    public var subject: String
    /// Short form of the request, without secrets.
    public var request: String
    /// SHA-256 of the request; of its form without secrets where it had some.
    public var digest: [UInt8]
    public var requestID: String

    public init(
        actor: AccountID, actorName: String, action: String, subject: String, request: String, digest: [UInt8], requestID: String
    ) {
        self.actor = actor
        self.actorName = actorName
        self.action = action
        self.subject = subject
        self.request = request
        self.digest = digest
        self.requestID = requestID
    }
}

/// What came of it.
public struct AuditOutcome: Hashable, Sendable {
    /// HTTP status; commands: 0 done, 1 failed.
    public var status: Int64
    /// The refusal's code.
    public var code: String?

    public init(status: Int64, code: String? = nil) {
        self.status = status
        self.code = code
    }
}

/// An act with its outcome.
public struct AuditRecord: Hashable, Sendable {
    public var number: Int64
    public var at: Timestamp
    public var act: AuditAct
    public var isRead: Bool
    /// nil: not known (yet); the process may have ended meanwhile.
    public var outcome: AuditOutcome?
    /// SHA-256 of the row before and this one.
    public var chain: [UInt8]

    public init(number: Int64, at: Timestamp, act: AuditAct, isRead: Bool, outcome: AuditOutcome?, chain: [UInt8]) {
        self.number = number
        self.at = at
        self.act = act
        self.isRead = isRead
        self.outcome = outcome
        self.chain = chain
    }
}

public struct AuditFilter: Hashable, Sendable {
    public var actor: AccountID?
    /// Beginning of the action.
    public var action: String?
    public var from: Timestamp?
    /// Excluded.
    public var to: Timestamp?

    public init(actor: AccountID? = nil, action: String? = nil, from: Timestamp? = nil, to: Timestamp? = nil) {
        self.actor = actor
        self.action = action
        self.from = from
        self.to = to
    }
}

/// The record of what staff did. It can only grow.
public protocol AuditTrail: Sendable {
    /// Notes what is about to be done; durable when it returns its number.
    func begin(_ act: AuditAct, at: Timestamp) async throws -> Int64
    /// Notes what came of it, once.
    func end(_ number: Int64, _ outcome: AuditOutcome, at: Timestamp) async throws
    /// Notes what was looked at.
    func read(_ act: AuditAct, _ outcome: AuditOutcome, at: Timestamp) async throws
    /// Records by number, after `cursor`, at most `limit`.
    func trail(_ filter: AuditFilter, after cursor: Int64, limit: Int) async throws -> [AuditRecord]
}

// MARK: - Refusals

/// Why something was not done. Nothing changed.
public enum ControlRefusal: Error, Hashable, Sendable {
    /// The key was used with another request.
    case idempotencyKeyReused
    case dispute(DisputeRefusal)
    case deliveryUnknown
    case lineUnknown
    case breakUnknown
    /// It is resolved or gone.
    case breakClosed
    case accountUnknown
    case importFlawed(ImportFlaws)
    /// There is no statement of that time.
    case nothingToCompare
}

/// The key and digest of a request that may be repeated; nil: it may not.
public typealias Repeatable = CommandEnvelope.Idempotency?

// MARK: - Disputes

public struct NewDispute: Hashable, Sendable {
    /// What it is about: one of these.
    public enum Subject: Hashable, Sendable {
        case line(Int64)
        case interval(DeliveryID, minutes: Range<Int64>)
    }

    public var subject: Subject
    public var by: AccountID
    public var isFinance: Bool
    /// For whom: finance says; a party's own otherwise.
    public var claimant: DisputeParty?
    public var claimed: Satoshis
    public var reason: String

    public init(
        subject: Subject, by: AccountID, isFinance: Bool, claimant: DisputeParty?, claimed: Satoshis, reason: String
    ) {
        self.subject = subject
        self.by = by
        self.isFinance = isFinance
        self.claimant = claimant
        self.claimed = claimed
        self.reason = reason
    }
}

public struct DisputeEvent: Hashable, Sendable {
    public var number: Int64
    public var at: Timestamp
    public var actor: AccountID
    public var role: DisputeRole
    public var kind: Kind
    public var text: String
    public var credited: Satoshis?
    public var bearer: CreditBearer?

    /// The raw values are stored.
    public enum Kind: UInt8, Sendable, CaseIterable {
        case message = 1
        case rejected = 2
        case credited = 3
        case withdrawn = 4

        public var code: String { "\(self)" }
    }

    public init(
        number: Int64, at: Timestamp, actor: AccountID, role: DisputeRole, kind: Kind, text: String, credited: Satoshis?,
        bearer: CreditBearer?
    ) {
        self.number = number
        self.at = at
        self.actor = actor
        self.role = role
        self.kind = kind
        self.text = text
        self.credited = credited
        self.bearer = bearer
    }
}

public struct DisputeRecord: Hashable, Sendable {
    public var number: Int64
    public var openedAt: Timestamp
    public var delivery: DeliveryID
    public var line: Int64?
    /// Minutes since 1970.
    public var interval: Range<Int64>
    public var reason: String
    public var dispute: DisputeCase
    public var events: [DisputeEvent]
    /// Number of the credit that it gave, and whether that is booked.
    public var credit: (number: Int64, isBooked: Bool)?

    public init(
        number: Int64, openedAt: Timestamp, delivery: DeliveryID, line: Int64?, interval: Range<Int64>, reason: String,
        dispute: DisputeCase, events: [DisputeEvent], credit: (number: Int64, isBooked: Bool)?
    ) {
        self.number = number
        self.openedAt = openedAt
        self.delivery = delivery
        self.line = line
        self.interval = interval
        self.reason = reason
        self.dispute = dispute
        self.events = events
        self.credit = credit
    }

    public static func == (a: DisputeRecord, b: DisputeRecord) -> Bool {
        a.number == b.number && a.dispute == b.dispute && a.events == b.events && a.credit?.number == b.credit?.number
            && a.credit?.isBooked == b.credit?.isBooked
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(number) }
}

/// A credit that a dispute gave.
public struct QueuedCredit: Hashable, Sendable {
    /// 1, 2, 3 ... without gaps, in the order in which they are booked.
    public var number: Int64
    public var dispute: Int64
    public var delivery: DeliveryID
    public var buyer: AccountID
    public var seller: AccountID
    public var interval: Range<Int64>
    public var terms: CreditTerms
    public var approvedBy: AccountID
    public var reason: String

    public init(
        number: Int64, dispute: Int64, delivery: DeliveryID, buyer: AccountID, seller: AccountID, interval: Range<Int64>,
        terms: CreditTerms, approvedBy: AccountID, reason: String
    ) {
        self.number = number
        self.dispute = dispute
        self.delivery = delivery
        self.buyer = buyer
        self.seller = seller
        self.interval = interval
        self.terms = terms
        self.approvedBy = approvedBy
        self.reason = reason
    }
}

public protocol DisputeRecords: Sendable {
    /// Returns the new dispute's number, or that which the same request made before.
    func open(_ dispute: NewDispute, once: Repeatable, at: Timestamp) async throws -> Int64
    func step(_ step: DisputeStep, in dispute: Int64, by: AccountID, isFinance: Bool, once: Repeatable, at: Timestamp) async throws
    /// nil: there is none. Says nothing about who may see it.
    func dispute(_ number: Int64) async throws -> DisputeRecord?
    /// Those that an account is a party of, or all, without their events; by number, after `cursor`.
    func disputes(of account: AccountID?, after cursor: Int64, limit: Int) async throws -> [DisputeRecord]
    /// Credits by number, after one.
    func credits(after number: Int64, limit: Int) async throws -> [QueuedCredit]
    /// Number of the newest settlement run; 0: there was none.
    func newestRun() async throws -> Int64
}

// MARK: - Reconciliation

/// The raw values are stored.
public enum ReconciliationArea: UInt8, Sendable, CaseIterable {
    case custody = 1
    case pools = 2

    public var code: String { "\(self)" }
}

public struct ReconciliationRequest: Hashable, Sendable {
    public var area: ReconciliationArea
    /// What is looked at: from, and until (excluded).
    public var from: Timestamp
    public var to: Timestamp
    public var tolerance: PartsPerMillion
    /// 0: somebody with access to the database.
    public var by: AccountID

    public init(area: ReconciliationArea, from: Timestamp, to: Timestamp, tolerance: PartsPerMillion, by: AccountID) {
        self.area = area
        self.from = from
        self.to = to
        self.tolerance = tolerance
        self.by = by
    }
}

public struct ReconciliationRun: Hashable, Sendable {
    public var run: Int64
    public var at: Timestamp
    public var request: ReconciliationRequest
    /// Movements, or pools' days.
    public var compared: Int64
    /// Found, known ones included.
    public var breaks: Int64
    /// Of them new, or with another amount.
    public var news: Int64
    /// At the request's end, of custody; ``custody`` nil: no statement says.
    public var custody: Satoshis?
    public var ledger: Satoshis?
    public var liabilities: Satoshis?

    public init(
        run: Int64, at: Timestamp, request: ReconciliationRequest, compared: Int64, breaks: Int64, news: Int64, custody: Satoshis?,
        ledger: Satoshis?, liabilities: Satoshis?
    ) {
        self.run = run
        self.at = at
        self.request = request
        self.compared = compared
        self.breaks = breaks
        self.news = news
        self.custody = custody
        self.ledger = ledger
        self.liabilities = liabilities
    }
}

public struct BreakEvent: Hashable, Sendable {
    public var number: Int64
    public var at: Timestamp
    /// nil: a run.
    public var actor: AccountID?
    public var run: Int64?
    public var kind: BreakEventKind
    public var state: BreakState
    public var assignee: AccountID?
    /// Its cause, or a person's note.
    public var text: String

    public init(
        number: Int64, at: Timestamp, actor: AccountID?, run: Int64?, kind: BreakEventKind, state: BreakState, assignee: AccountID?,
        text: String
    ) {
        self.number = number
        self.at = at
        self.actor = actor
        self.run = run
        self.kind = kind
        self.state = state
        self.assignee = assignee
        self.text = text
    }
}

public struct BreakRecord: Hashable, Sendable {
    public var number: Int64
    public var area: ReconciliationArea
    public var name: FoundBreak.Name
    public var at: Timestamp
    public var foundAt: Timestamp
    /// What was said of it when it was last found.
    public var cause: String
    public var last: BreakEvent
    /// All of them; empty in lists.
    public var events: [BreakEvent]

    public init(
        number: Int64, area: ReconciliationArea, name: FoundBreak.Name, at: Timestamp, foundAt: Timestamp, cause: String,
        last: BreakEvent, events: [BreakEvent]
    ) {
        self.number = number
        self.area = area
        self.name = name
        self.at = at
        self.foundAt = foundAt
        self.cause = cause
        self.last = last
        self.events = events
    }
}

public struct BreakFilter: Hashable, Sendable {
    public var area: ReconciliationArea?
    public var status: BreakStatus?
    public var assignee: AccountID?

    public init(area: ReconciliationArea? = nil, status: BreakStatus? = nil, assignee: AccountID? = nil) {
        self.area = area
        self.status = status
        self.assignee = assignee
    }
}

public protocol ReconciliationRecords: Sendable {
    /// Takes all of a file or nothing; returns the statement's number. The same file again is the same statement.
    func importCustody(
        _ file: [UInt8], source: String, by: AccountID, once: Repeatable, at: Timestamp
    ) async throws -> (number: Int64, items: Int64)
    /// Takes all of a file or nothing; returns how many days it gave. Values that are known already change nothing.
    func importPools(_ file: [UInt8], by: AccountID, once: Repeatable, at: Timestamp) async throws -> Int64
    func reconcile(_ request: ReconciliationRequest, once: Repeatable, at: Timestamp) async throws -> ReconciliationRun
    func runs(after cursor: Int64, limit: Int) async throws -> [ReconciliationRun]
    func breaks(_ filter: BreakFilter, after cursor: Int64, limit: Int) async throws -> [BreakRecord]
    func breakRecord(_ number: Int64) async throws -> BreakRecord?
    func assign(_ number: Int64, to: AccountID, note: String, by: AccountID, once: Repeatable, at: Timestamp) async throws
    func resolve(_ number: Int64, note: String, by: AccountID, once: Repeatable, at: Timestamp) async throws
}

// MARK: - Index

/// The published price of a minute or a day.
public struct IndexValue: Hashable, Sendable {
    /// Minutes, or days, since 1970, UTC.
    public var place: Int64
    public var value: Price
    public var price: VolumeWeightedPrice
    public var deliveries: Int64
    /// With work; nil for a minute.
    public var minutes: Int64?
    /// SHA-256 of what it was made from.
    public var inputs: [UInt8]
    public var publishedAt: Timestamp

    public init(
        place: Int64, value: Price, price: VolumeWeightedPrice, deliveries: Int64, minutes: Int64?, inputs: [UInt8],
        publishedAt: Timestamp
    ) {
        self.place = place
        self.value = value
        self.price = price
        self.deliveries = deliveries
        self.minutes = minutes
        self.inputs = inputs
        self.publishedAt = publishedAt
    }
}

/// The raw values are minutes.
public enum IndexSpan: Int64, Sendable, CaseIterable {
    case minute = 1
    case day = 1440

    /// In minutes.
    public var length: Int64 { rawValue }
}

public protocol IndexRecords: Sendable {
    /// The first minute that is not published; nil: nothing ever was.
    func indexPosition() async throws -> Int64?
    /// Publishes at most `limit` minutes from the position on, all of them before `end`, and the days that they complete.
    ///
    /// - Returns: the new position; nil: there was never work
    func publishIndex(before end: Int64, limit: Int64, at: Timestamp) async throws -> Int64?
    /// By place, after one; oldest first.
    func index(_ span: IndexSpan, after place: Int64, limit: Int) async throws -> [IndexValue]
    func newestIndex(_ span: IndexSpan) async throws -> IndexValue?
}

/// All of it.
public typealias ControlRecords = AuditTrail & DisputeRecords & IndexRecords & ReconciliationRecords
