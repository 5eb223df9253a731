internal import BinaryCoding
internal import Database
internal import Documents
internal import Exchange
internal import Settlement
internal import Units

/// Reads what documents are made of. Everything within one snapshot of its connection.
struct StatementSource {
    let connection: any SQLConnection

    static let lineColumns = """
        l.number, l.delivery, d.bid, d.ask, d.rig, d.tariff, l.run, d.buyer, d.seller, l.at, l.value_at, l.code, l.from_minute,
        l.to_minute, l.work, d.price, d.price_unit, d.seller_fee_ppm, d.buyer_fee_ppm, l.charge, l.seller_fee, l.buyer_fee,
        l.from_hold, l.from_available, l.from_loss, l.seller_short, l.credit
        """

    static func line(_ row: SQLRow) throws -> StatementLine {
        guard let code = ChargeCode(rawValue: UInt8(clamping: try row.int64(11))) else {
            throw DatabaseError.decoding("an unknown charge code")
        }
        return StatementLine(
            number: try row.int64(0), delivery: try row.int64(1), bid: try row.int64(2), ask: try row.int64(3), rig: try row.int64(4),
            tariff: try row.int64(5), run: try row.int64(6), buyer: try row.int64(7), seller: try row.int64(8),
            at: Timestamp(microseconds: try row.int64(9)), valueAt: Timestamp(microseconds: try row.int64(10)), code: code,
            fromMinute: try row.int64(12), toMinute: try row.int64(13), work: try row.int64(14),
            terms: Terms(
                price: Price(try row.int64(15)), priceUnit: Hashrate(hashesPerSecond: try row.int64(16)),
                sellerFee: PartsPerMillion(try row.int64(17)), buyerFee: PartsPerMillion(try row.int64(18))),
            amounts: LineAmounts(
                charge: Satoshis(try row.int64(19)), sellerFee: Satoshis(try row.int64(20)), buyerFee: Satoshis(try row.int64(21))),
            fromHold: try row.int64(22), fromAvailable: try row.int64(23), fromLoss: try row.int64(24), sellerShort: try row.int64(25),
            credit: try row.optionalInt64(26))
    }

    func algorithm() throws -> Algorithm {
        guard let row = try connection.queryOne("SELECT coding_version, rules FROM market_state WHERE id = 1") else {
            throw DocumentRefusal.marketUndefined
        }
        var reader = BinaryReader(try row.blob(1), version: UInt8(clamping: try row.int64(0)))
        guard let rules = try MarketRules?(from: &reader) else { throw DocumentRefusal.marketUndefined }
        return rules.algorithm
    }

    /// The first instant that books are not closed for; 1970 if they never were.
    func closedThrough() throws -> Timestamp {
        guard let row = try connection.queryOne("SELECT coding_version, books FROM market_state WHERE id = 1"),
            let bytes = try row.optionalBlob(1)
        else { return Timestamp(microseconds: 0) }
        var reader = BinaryReader(bytes, version: UInt8(clamping: try row.int64(0)))
        return try Books(from: &reader).closedThrough
    }

    /// What a customer has before a time, by value.
    func funds(_ account: AccountID, before time: Timestamp) throws -> CustomerFunds {
        var funds = CustomerFunds()
        let rows = try connection.query(
            """
            SELECT p.account_kind, CAST(sum(p.amount) AS BIGINT)
            FROM ledger_postings p JOIN ledger_entries e ON e.id = p.entry
            WHERE p.owner = $1 AND p.account_kind IN (1, 2, 7) AND e.value_at < $2
            GROUP BY p.account_kind
            """, [.integer(account.rawValue), .integer(time.microseconds)])
        for row in rows {
            switch try row.int64(0) {
            case 1: funds.available = try row.int64(1)
            case 2: funds.held = try row.int64(1)
            default: funds.leaving = try row.int64(1)
            }
        }
        return funds
    }

    /// Entries with an effect on what a customer has in all.
    private static let effects = """
        SELECT e.id, e.at, e.value_at, e.kind, e.reference, e.reason, CAST(sum(p.amount) AS BIGINT) AS amount
        FROM ledger_postings p JOIN ledger_entries e ON e.id = p.entry
        WHERE p.owner = $1 AND p.account_kind IN (1, 2, 7) AND e.value_at >= $2 AND e.value_at < $3
        GROUP BY e.id, e.at, e.value_at, e.kind, e.reference, e.reason HAVING sum(p.amount) <> 0
        """

    private static func parameters(_ account: AccountID, _ range: Range<Timestamp>) -> [SQLValue] {
        [.integer(account.rawValue), .integer(range.lowerBound.microseconds), .integer(range.upperBound.microseconds)]
    }

    func movements(_ account: AccountID, _ range: Range<Timestamp>) throws -> [StatementFrame.Movement] {
        try connection.query(
            """
            SELECT m.kind, CAST(count(*) AS BIGINT), CAST(sum(m.amount) AS BIGINT)
            FROM (\(StatementSource.effects)) m GROUP BY m.kind ORDER BY m.kind
            """, StatementSource.parameters(account, range)
        ).map { StatementFrame.Movement(kind: try $0.int64(0), entries: try $0.int64(1), amount: try $0.int64(2)) }
    }

    /// Those that no settlement lines explain.
    func forEachEntry(_ account: AccountID, _ range: Range<Timestamp>, _ body: (StatementEntry) throws -> Void) throws {
        let sql = "SELECT * FROM (\(StatementSource.effects)) m WHERE m.kind NOT IN (3, 13) ORDER BY m.id"
        try connection.forEach(sql, StatementSource.parameters(account, range)) { row in
            try body(StatementEntry(
                id: try row.int64(0), at: Timestamp(microseconds: try row.int64(1)), valueAt: Timestamp(microseconds: try row.int64(2)),
                kind: try row.int64(3), reference: try row.text(4), reason: try row.optionalText(5), amount: try row.int64(6)))
        }
    }

    /// Lines of a time by value, in order of their numbers; of one account, as buyer or seller, or of all.
    func forEachLine(_ account: AccountID?, _ range: Range<Timestamp>, _ body: (StatementLine) throws -> Void) throws {
        try connection.forEach(
            """
            SELECT \(StatementSource.lineColumns) FROM settlement_lines l JOIN deliveries d ON d.id = l.delivery
            WHERE l.value_at >= $2 AND l.value_at < $3 AND (CAST($1 AS BIGINT) = 0 OR d.buyer = $1 OR d.seller = $1)
            ORDER BY l.number
            """, StatementSource.parameters(account ?? EffectiveParty.market, range)
        ) { try body(try StatementSource.line($0)) }
    }

    /// All lines of an account up to a number, of whatever time: what the bills of the last ones follow from.
    func forEachLine(of account: AccountID, through number: Int64, _ body: (StatementLine) throws -> Void) throws {
        try connection.forEach(
            """
            SELECT \(StatementSource.lineColumns) FROM settlement_lines l JOIN deliveries d ON d.id = l.delivery
            WHERE l.number <= $2 AND (d.buyer = $1 OR d.seller = $1) ORDER BY l.number
            """, [.integer(account.rawValue), .integer(number)]
        ) { try body(try StatementSource.line($0)) }
    }

    // MARK: - Parties and rates

    /// Who an account is at a time; nil if it was never said.
    func party(_ account: AccountID, at time: Timestamp) throws -> LegalParty? {
        let row = try connection.queryOne(
            """
            SELECT party FROM legal_parties WHERE account = $1 AND effective_at <= $2
            ORDER BY effective_at DESC, revision DESC LIMIT 1
            """, [.integer(account.rawValue), .integer(time.microseconds)])
        return try row.flatMap { try StatementSource.party($0.blob(0)) }
    }

    static func party(_ bytes: [UInt8]) throws -> LegalParty {
        guard let json = try? CanonicalJSON(bytes[...]), let party = LegalParty(json) else {
            throw DatabaseError.decoding("a legal party that cannot be read")
        }
        return party
    }

    func rates(_ currency: String?, _ days: [AccountingPeriod]) throws -> [AccountingPeriod: FiatRate] {
        guard let currency else { return [:] }
        var rates: [AccountingPeriod: FiatRate] = [:]
        for day in days {
            let row = try connection.queryOne(
                "SELECT rate FROM fiat_rates WHERE currency = $1 AND day = $2 ORDER BY revision DESC LIMIT 1",
                [.text(currency), .text(day.description)])
            guard let row else { continue }
            guard let rate = FiatRate(try row.text(0)) else { throw DatabaseError.decoding("a rate that cannot be read") }
            rates[day] = rate
        }
        return rates
    }

    func accountExists(_ account: AccountID) throws -> Bool {
        try connection.queryOne("SELECT 1 FROM accounts WHERE id = $1", [.integer(account.rawValue)]) != nil
    }
}

/// A document before it has a place: its lines in a file, and what its header is made of.
struct PreparedDocument: Sendable {
    enum Content: Sendable {
        case statement(StatementBuilder, StatementFrame)
        case bill(InvoiceBuilder, Algorithm, AccountingPeriod, supplier: LegalParty, customer: LegalParty)
    }

    var content: Content
    var body: SpoolFile
    var digest: [UInt8]
    var rates: [AccountingPeriod: FiatRate]

    /// Canonical bytes of the header, for a place in the chain or, without one, of a draft.
    func header(_ issue: DocumentIssue?) throws(DocumentRefusal) -> [UInt8] {
        do throws(StatementFlaw) {
            switch content {
            case .statement(let builder, var frame):
                frame.issue = issue
                return try builder.header(frame, body: digest, rates: rates)
            case .bill(let builder, let algorithm, let period, let supplier, let customer):
                return try builder.header(
                    algorithm: algorithm, period: period, supplier: supplier, customer: customer, issue: issue, body: digest, rates: rates)
            }
        } catch {
            throw .flaw(error)
        }
    }

    /// Header and lines as a file, at its beginning.
    func draft() throws -> SpoolFile {
        let file = try SpoolFile()
        try file.write(try header(nil))
        try body.rewind()
        while case let bytes = try body.read(), !bytes.isEmpty { try file.write(bytes) }
        try file.rewind()
        return file
    }
}

extension StatementSource {
    func statement(_ account: AccountID, _ range: Range<Timestamp>, period: AccountingPeriod?) throws -> PreparedDocument {
        guard try accountExists(account) else { throw DocumentRefusal.accountUnknown }
        let last = Timestamp(microseconds: range.upperBound.microseconds - 1)
        let frame = StatementFrame(
            account: account, algorithm: try algorithm(), period: period, start: range.lowerBound, end: range.upperBound,
            opening: try funds(account, before: range.lowerBound), closing: try funds(account, before: range.upperBound),
            movements: try movements(account, range), market: try party(EffectiveParty.market, at: last),
            party: try party(account, at: last))
        var builder = StatementBuilder(account: account, algorithm: frame.algorithm, range: range)
        let body = try SpoolFile()
        var digest = Digest256()
        func add(_ make: (inout StatementBuilder) throws(StatementFlaw) -> [UInt8]) throws {
            let bytes: [UInt8]
            do throws(StatementFlaw) { bytes = try make(&builder) } catch { throw DocumentRefusal.flaw(error) }
            digest.update(bytes)
            try body.write(bytes)
        }
        try forEachEntry(account, range) { entry in try add { builder throws(StatementFlaw) in try builder.add(entry) } }
        try forEachLine(account, range) { line in try add { builder throws(StatementFlaw) in try builder.add(line) } }
        return PreparedDocument(
            content: .statement(builder, frame), body: body, digest: digest.value(),
            rates: try rates(frame.currency, builder.movedDays))
    }

    func bill(_ account: AccountID, seller: AccountID?, period: AccountingPeriod) throws -> PreparedDocument {
        for party in [account, seller].compactMap(\.self) {
            guard try accountExists(party) else { throw DocumentRefusal.accountUnknown }
        }
        let last = Timestamp(microseconds: period.end.microseconds - 1)
        let supplierID = seller ?? EffectiveParty.market
        guard let supplier = try party(supplierID, at: last) else { throw DocumentRefusal.partyMissing(supplierID) }
        guard let customer = try party(account, at: last) else { throw DocumentRefusal.partyMissing(account) }
        var builder = InvoiceBuilder(account: account, seller: seller, range: period.start..<period.end)
        try forEachLine(account, period.start..<period.end) { builder.add($0) }
        guard !builder.isEmpty else { throw DocumentRefusal.nothingToBill }
        return PreparedDocument(
            content: .bill(builder, try algorithm(), period, supplier: supplier, customer: customer), body: try SpoolFile(),
            digest: Digest256.of([]), rates: try rates(customer.currency ?? supplier.currency, builder.movedDays))
    }
}
