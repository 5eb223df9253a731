internal import Database
internal import Ledger
internal import Settlement
internal import Units

/// Settlement lines in the order of the journal, beside the ledger's entries for them.
///
/// A chunk books one entry, whose postings are summed per account. What a final line frees of a hold moves from held to available funds
/// in the same entry; how much that is no line says, but it is the buyer's own on both sides, and never negative.
struct ChunkPass: AuditPass {
    let invariants = [
        AuditInvariant("line.parts", "a line's sources are its charge and buyer's fee, and its code may charge what it does"),
        AuditInvariant("line.delivery", "every line bills a delivery, for an interval, at a time that the books allow"),
        AuditInvariant("ledger.settlement", "the ledger's settlement entries are their chunks' lines, account by account"),
        AuditInvariant("ledger.valueDate", "nothing counts for a later time than it was booked at"),
    ]

    private static let lineColumns = """
        l.number, l.run, l.chunk, l.at, l.value_at, l.code, l.work, l.charge, l.seller_fee, l.buyer_fee, l.from_hold,
        l.from_available, l.from_loss, l.seller_short, l.credit, l.from_minute, l.to_minute, l.delivery, d.buyer, d.seller
        """

    private var lines: RowPages
    private var entries: RowPages
    private var hasBegun = false

    init() {
        lines = RowPages(
            """
            SELECT \(ChunkPass.lineColumns) FROM settlement_lines l LEFT JOIN deliveries d ON d.id = l.delivery
            WHERE l.number > $1 ORDER BY l.number LIMIT $2
            """, from: [.integer(0)]) { [.integer(try $0.int64(0))] }
        entries = ChunkPass.entries(after: 0)
    }

    private static func entries(after entry: Int64) -> RowPages {
        RowPages(
            """
            SELECT e.id, e.at, e.value_at, e.reference, p.account_kind, p.owner, p.amount, p.line, e.kind
            FROM ledger_entries e JOIN ledger_postings p ON p.entry = e.id
            WHERE (e.id > $1 OR (e.id = $1 AND p.line > $2)) AND e.id >= $1 AND p.entry >= $1 AND e.kind IN (3, 13)
            ORDER BY e.id, p.line LIMIT $3
            """, from: [.integer(entry), .integer(Int64(Int32.max))]) { [.integer(try $0.int64(0)), .integer(try $0.int64(7))] }
    }

    mutating func step(_ connection: any SQLConnection, _ tally: inout AuditTally) throws -> Bool {
        if !hasBegun { try begin(connection, &tally) }
        guard let time = try nextTime(connection) else {
            try checkValueDates(connection, &tally)
            return false
        }
        var booked: [String: Booking] = [:]
        while let row = try lines.peek(connection), try row.int64(3) == time {
            lines.take()
            tally.read()
            add(try Line(row), &booked, &tally)
        }
        while let row = try entries.peek(connection), try row.int64(1) == time {
            entries.take()
            try add(row, &booked)
        }
        for (reference, booking) in booked.sorted(by: { $0.key < $1.key }) { booking.check(reference, &tally) }
        return true
    }

    private mutating func begin(_ connection: any SQLConnection, _ tally: inout AuditTally) throws {
        hasBegun = true
        tally.expected = try connection.count("SELECT count(*) FROM settlement_lines")
        guard let since = tally.since else { return }
        let last = try connection.count("SELECT max(number) FROM settlement_lines")
        let line = try connection.firstNumber(
            "SELECT number, at FROM settlement_lines WHERE number >= $1 ORDER BY number LIMIT 1", reaching: since.microseconds,
            through: last + 1)
        let entry = try connection.firstNumber(
            "SELECT id, at FROM ledger_entries WHERE id >= $1 ORDER BY id LIMIT 1", reaching: since.microseconds,
            through: try connection.count("SELECT max(id) FROM ledger_entries") + 1)
        lines = RowPages(
            """
            SELECT \(ChunkPass.lineColumns) FROM settlement_lines l LEFT JOIN deliveries d ON d.id = l.delivery
            WHERE l.number > $1 ORDER BY l.number LIMIT $2
            """, from: [.integer(line - 1)]) { [.integer(try $0.int64(0))] }
        entries = ChunkPass.entries(after: max(0, entry - 1))
    }

    /// What was booked at one time is looked at together: a batch of commands.
    private mutating func nextTime(_ connection: any SQLConnection) throws -> Int64? {
        let line = try lines.peek(connection)?.int64(3), entry = try entries.peek(connection)?.int64(1)
        guard let line else { return entry }
        return min(line, entry ?? line)
    }

    private func checkValueDates(_ connection: any SQLConnection, _ tally: inout AuditTally) throws {
        guard tally.wants("ledger.valueDate") else { return }
        let since = SQLValue.integer(tally.since?.microseconds ?? .min)
        tally.looked("ledger.valueDate", try connection.count("SELECT count(*) FROM ledger_entries WHERE at >= $1", [since]))
        try connection.forEach(
            "SELECT id, reference, at, value_at FROM ledger_entries WHERE value_at > at AND at >= $1 ORDER BY id", [since]
        ) { row in
            tally.broken(
                "ledger.valueDate", "entry \(try row.int64(0)) (\(try row.text(1)))",
                expected: "\(Timestamp(microseconds: try row.int64(2))) or earlier",
                found: "\(Timestamp(microseconds: try row.int64(3)))")
        }
    }

    // MARK: - Lines

    /// A settlement line as stored, with its delivery's parties.
    private struct Line {
        var number, run, chunk, at, valueAt, code, work: Int64
        var charge, sellerFee, buyerFee, fromHold, fromAvailable, fromLoss, sellerShort: Int128
        var credit: Int64?
        var fromMinute, toMinute, delivery: Int64
        /// nil when the delivery is not there.
        var parties: (buyer: Int64, seller: Int64)?

        init(_ row: SQLRow) throws {
            number = try row.int64(0)
            run = try row.int64(1)
            chunk = try row.int64(2)
            at = try row.int64(3)
            valueAt = try row.int64(4)
            code = try row.int64(5)
            work = try row.int64(6)
            charge = Int128(try row.int64(7))
            sellerFee = Int128(try row.int64(8))
            buyerFee = Int128(try row.int64(9))
            fromHold = Int128(try row.int64(10))
            fromAvailable = Int128(try row.int64(11))
            fromLoss = Int128(try row.int64(12))
            sellerShort = Int128(try row.int64(13))
            credit = try row.optionalInt64(14)
            fromMinute = try row.int64(15)
            toMinute = try row.int64(16)
            delivery = try row.int64(17)
            if let buyer = try row.optionalInt64(18), let seller = try row.optionalInt64(19) { parties = (buyer, seller) }
        }

        var subject: String { "line \(number) of delivery \(delivery)" }

        /// Of the entry that books it.
        var reference: String { credit.map { "credit:\($0)" } ?? "run:\(run)/\(chunk)" }

        var sources: Int128 { fromHold + fromAvailable + fromLoss }
        var debit: Int128 { charge + buyerFee }

        /// What is wrong with it in itself.
        var flaw: (expected: String?, found: String)? {
            guard let known = UInt8(exactly: code).flatMap({ ChargeCode(rawValue: $0) }) else { return (nil, "unknown code \(code)") }
            if sources != debit { return ("\(debit) from its sources", "\(sources)") }
            if fromHold < 0 { return (nil, "a hold is not paid into") }
            if (known == .credit) != (credit != nil) { return (nil, "only a credit has a credit's number") }
            if known.isBilled || known == .credit { return nil }
            if charge != 0 || sellerFee != 0 || buyerFee != 0 { return ("no charge for \(known.code)", "\(charge)") }
            return work < 0 ? (nil, "\(known.code) takes work back") : nil
        }
    }

    private func add(_ line: Line, _ booked: inout [String: Booking], _ tally: inout AuditTally) {
        tally.looked("line.parts")
        if let flaw = line.flaw { tally.broken("line.parts", line.subject, expected: flaw.expected, found: flaw.found) }
        tally.looked("line.delivery")
        if line.fromMinute >= line.toMinute { tally.broken("line.delivery", line.subject, found: "its interval is empty") }
        if line.valueAt > line.at { tally.broken("line.delivery", line.subject, found: "it counts for a later time than it was booked at") }
        guard let parties = line.parties else {
            tally.broken("line.delivery", line.subject, found: "there is no such delivery")
            return
        }
        booked[line.reference, default: Booking()].expect(
            [
                (.init(kind: 2, owner: parties.buyer), -line.fromHold), (.init(kind: 1, owner: parties.buyer), -line.fromAvailable),
                (.init(kind: 1, owner: parties.seller), line.charge - line.sellerFee + line.sellerShort),
                (.init(kind: 4, owner: 0), line.sellerFee + line.buyerFee),
                (.init(kind: 5, owner: 0), -line.fromLoss - line.sellerShort),
            ], line: line.number, valueAt: line.valueAt)
    }

    private func add(_ row: SQLRow, _ booked: inout [String: Booking]) throws {
        let account = Booking.Account(kind: try row.int64(4), owner: try row.int64(5))
        booked[try row.text(3), default: Booking()].post(
            account, Int128(try row.int64(6)), entry: try row.int64(0), valueAt: try row.int64(2))
    }
}

/// What the lines of a chunk move, and what its entries did.
private struct Booking {
    struct Account: Hashable, Comparable {
        var kind: Int64
        var owner: Int64

        static func < (a: Account, b: Account) -> Bool { (a.kind, a.owner) < (b.kind, b.owner) }
    }

    /// Posted less what the lines say.
    private var differences: [Account: Int128] = [:]
    private var lines: (first: Int64, last: Int64, count: Int64)?
    private var entry: Int64?
    private var valueTimes: Set<Int64> = []

    mutating func expect(_ amounts: [(Account, Int128)], line: Int64, valueAt: Int64) {
        for (account, amount) in amounts { differences[account, default: 0] -= amount }
        lines = (lines?.first ?? line, line, (lines?.count ?? 0) + 1)
        valueTimes.insert(valueAt)
    }

    mutating func post(_ account: Account, _ amount: Int128, entry: Int64, valueAt: Int64) {
        differences[account, default: 0] += amount
        self.entry = entry
        valueTimes.insert(valueAt)
    }

    func check(_ reference: String, _ tally: inout AuditTally) {
        tally.looked("ledger.settlement")
        let subject = name(reference)
        if valueTimes.count > 1 { tally.broken("ledger.settlement", subject, found: "its lines and its entry count for different times") }
        for account in differences.keys.sorted() {
            guard let flaw = flaw(account) else { continue }
            tally.broken(
                "ledger.settlement", subject,
                found: "\(AuditText.account(kind: account.kind, owner: account.owner)): the entry moves \(flaw) more than the lines")
        }
    }

    /// A hold that is freed goes from the buyer's held to their available funds, and fees that are given back and are not there any
    /// more are the market's loss; nil when it is right.
    private func flaw(_ account: Account) -> Int128? {
        let difference = differences[account] ?? 0
        switch account.kind {
        case 1:
            let both = difference + (differences[Account(kind: 2, owner: account.owner)] ?? 0)
            return both == 0 ? nil : both
        case 2: return difference <= 0 ? nil : difference
        case 4: return difference >= 0 ? nil : difference
        case 5:
            let both = difference + (differences[Account(kind: 4, owner: 0)] ?? 0)
            return both == 0 ? nil : both
        default: return difference == 0 ? nil : difference
        }
    }

    private func name(_ reference: String) -> String {
        var name = reference
        if let entry { name += ", entry \(entry)" }
        guard let lines else { return name + ", no lines" }
        return name + (lines.count == 1 ? ", line \(lines.first)" : ", lines \(lines.first) to \(lines.last)")
    }
}
