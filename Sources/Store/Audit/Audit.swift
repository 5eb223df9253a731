public import Database
internal import Exchange
public import Units

/// One thing that breaks an invariant, in words for finance staff.
public struct AuditViolation: Hashable, Sendable, CustomStringConvertible {
    /// What it is about, with its numbers: `entry 17 (run:4/0)`, `line 3000000 of delivery 5`.
    public var subject: String
    public var expected: String?
    public var found: String?

    public init(_ subject: String, expected: String? = nil, found: String? = nil) {
        self.subject = subject
        self.expected = expected
        self.found = found
    }

    public var description: String {
        switch (expected, found) {
        case (let expected?, let found?): "\(subject): \(found) instead of \(expected)"
        case (nil, let found?): "\(subject): \(found)"
        case (let expected?, nil): "\(subject): \(expected) is missing"
        case (nil, nil): subject
        }
    }
}

/// One invariant, checked on the tables.
public struct AuditFinding: Hashable, Sendable {
    /// Stable, for programs: `ledger.entrySum`.
    public var code: String
    /// What must hold, in a sentence.
    public var invariant: String
    /// Rows that were looked at.
    public var rows: Int64 = 0
    /// How many things break it; 0 when it holds.
    public var violations: Int64 = 0
    /// The first of them, as many as ``AuditOptions/mostNamed``.
    public var named: [AuditViolation] = []
    /// What was not looked at, and why.
    public var notes: [String] = []

    public init(code: String, invariant: String) {
        self.code = code
        self.invariant = invariant
    }
}

/// What is to be checked.
public struct AuditOptions: Sendable {
    /// Codes of invariants; nil: all.
    public var only: Set<String>?
    /// Entries and lines booked, and shares received, before are not looked at where that can be told; sums over everything still are.
    public var since: Timestamp?
    /// Violations of an invariant that a finding names; all are passed to the observer.
    public var mostNamed = 20

    public init(only: Set<String>? = nil, since: Timestamp? = nil) {
        self.only = only
        self.since = since
    }
}

/// What a running audit tells its observer.
public enum AuditEvent: Sendable {
    /// So many rows of about so many are done, of those that say something about the invariants with these codes.
    case progress(codes: [String], done: Int64, of: Int64)
    case violation(code: String, AuditViolation)
    /// The last word on an invariant.
    case finding(AuditFinding)
}

/// Checks of the books that can be run on live data (design, section 8).
///
/// All that is booked is read in one snapshot. What was metered is read a part at a time, each part in a snapshot of its own, as far back
/// as retention has kept it. Memory does not grow with the tables, but for a sum an account.
public struct Audit: Sendable {
    private let database: Database

    public init(_ database: Database) { self.database = database }

    /// Code and sentence of every invariant, in the order in which they are checked.
    public static var invariants: [(code: String, invariant: String)] {
        ((booked + metered).flatMap(\.invariants) + derived.map(\.invariant)).map { ($0.code, $0.sentence) }
    }

    /// - Parameter observer: is called on the database's queue: it must be quick
    /// - Returns: a finding for each invariant that was to be checked
    public func run(
        _ options: AuditOptions = AuditOptions(), observer: @escaping @Sendable (AuditEvent) -> Void = { _ in }
    ) async throws -> [AuditFinding] {
        var findings: [AuditFinding] = []
        let booked = Audit.booked.filter { $0.isWanted(options) }
        if !booked.isEmpty {
            findings += try await database.read { connection in
                try booked.flatMap { try Audit.run($0, options, connection, observer) }
            }
        }
        for pass in Audit.metered where pass.isWanted(options) { findings += try await run(pass, options, observer) }
        for check in Audit.derived where options.only?.contains(check.invariant.code) ?? true {
            var tally = AuditTally([check.invariant], options, observer)
            try await check.run(database, &tally)
            findings += tally.finished()
        }
        return findings
    }

    /// What derives from the journal: one snapshot.
    private static let booked: [any AuditPass] = [
        LedgerPass(), TreasuryPass(), ChunkPass(), FormulaPass(), DeliveryPass(), MarketPass(), DocumentPass(),
    ]
    /// What edges reported: a snapshot a step.
    private static let metered: [any AuditPass] = [BatchPass(), BilledWorkPass(), SlotPass(), HeaderPass()]
    /// What others check a part at a time.
    private static let derived: [DerivedCheck] = [.chain, .snapshots, .trail]

    private static func run(
        _ pass: any AuditPass, _ options: AuditOptions, _ connection: any SQLConnection,
        _ observer: @escaping @Sendable (AuditEvent) -> Void
    ) throws -> [AuditFinding] {
        var pass = pass
        var tally = AuditTally(pass.invariants, options, observer)
        while try pass.step(connection, &tally) { tally.tellProgress() }
        return tally.finished()
    }

    /// One pass alone.
    func findings(of pass: any AuditPass) async throws -> [AuditFinding] { try await run(pass, AuditOptions()) { _ in } }

    private func run(
        _ pass: any AuditPass, _ options: AuditOptions, _ observer: @escaping @Sendable (AuditEvent) -> Void
    ) async throws -> [AuditFinding] {
        var state = (pass: pass, tally: AuditTally(pass.invariants, options, observer), hasMore: true)
        while state.hasMore {
            state = try await database.read { [state] connection in
                var next = state
                next.hasMore = try next.pass.step(connection, &next.tally)
                return next
            }
            state.tally.tellProgress()
            try Task.checkCancellation()
        }
        return state.tally.finished()
    }
}
