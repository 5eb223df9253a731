internal import Database
internal import Exchange
public import Market
public import Settlement
public import Units

extension ControlStore: DisputeRecords {
    public func open(_ dispute: NewDispute, once: Repeatable, at time: Timestamp) async throws -> Int64 {
        let window = policy.disputeWindow
        return try await change { connection in
            try ControlStore.once(once, at: time, connection) {
                try DisputeOpening(dispute, connection).insert(at: time, window: window, connection)
            }
        }
    }

    public func step(
        _ step: DisputeStep, in dispute: Int64, by account: AccountID, isFinance: Bool, once: Repeatable, at time: Timestamp
    ) async throws {
        try await change { connection in
            _ = try ControlStore.once(once, at: time, connection) {
                guard var record = try DisputeRow.find(dispute, connection) else { throw ControlRefusal.dispute(.notConcerned) }
                let effect: DisputeEffect
                do throws(DisputeRefusal) { effect = try record.dispute.take(step, by: account, isFinance: isFinance) } catch {
                    throw ControlRefusal.dispute(error)
                }
                if effect.credit != nil { try CreditBound.check(effect, record, connection) }
                try DisputeRow.insert(step, effect, in: record, by: account, at: time, connection)
                return dispute
            }
        }
    }

    public func dispute(_ number: Int64) async throws -> DisputeRecord? {
        try await database.read { connection in
            guard var record = try DisputeRow.find(number, connection) else { return nil }
            record.events = try DisputeRow.events(number, connection)
            return record
        }
    }

    public func disputes(of account: AccountID?, after cursor: Int64, limit: Int) async throws -> [DisputeRecord] {
        try await database.read { connection in
            try connection.query(
                """
                \(DisputeRow.select) WHERE d.number > $1 AND (CAST($2 AS BIGINT) = 0 OR d.buyer = $2 OR d.seller = $2)
                ORDER BY d.number LIMIT $3
                """, [.integer(cursor), .integer(account?.rawValue ?? 0), .integer(Int64(limit))]
            ).map { try DisputeRow.record($0) }
        }
    }

    public func newestRun() async throws -> Int64 {
        try await database.read { connection in
            try connection.queryOne("SELECT coalesce(max(run), 0) FROM settlement_runs")?.int64(0) ?? 0
        }
    }

    public func credits(after number: Int64, limit: Int) async throws -> [QueuedCredit] {
        try await database.read { connection in
            let rows = try connection.query(
                """
                SELECT number, dispute, delivery, buyer, seller, from_minute, to_minute, charge, borne_by_market, approved_by, reason
                FROM credits WHERE number > $1 ORDER BY number LIMIT $2
                """, [.integer(number), .integer(Int64(limit))])
            return try rows.map { row in
                QueuedCredit(
                    number: try row.int64(0), dispute: try row.int64(1), delivery: DeliveryID(try row.int64(2)),
                    buyer: AccountID(try row.int64(3)), seller: AccountID(try row.int64(4)),
                    interval: try row.int64(5)..<(try row.int64(6)),
                    terms: CreditTerms(charge: Satoshis(try row.int64(7)), isBorneByMarket: try row.bool(8)),
                    approvedBy: AccountID(try row.int64(9)), reason: try row.text(10))
            }
        }
    }
}

/// What is asked for, with what it is about.
private struct DisputeOpening {
    private let dispute: NewDispute
    private let delivery: DeliveryID
    private let line: Int64?
    private let interval: Range<Int64>
    private let claimant: DisputeParty
    private let buyer: AccountID
    private let seller: AccountID
    private let ran: (openedAt: Timestamp, endedAt: Timestamp?)
    /// nil: of an interval.
    private let bookedAt: Timestamp?

    init(_ dispute: NewDispute, _ connection: any SQLConnection) throws {
        self.dispute = dispute
        let unknown: ControlRefusal
        let row: SQLRow?
        let columns = "d.id, d.buyer, d.seller, d.opened_at, d.ended_at"
        switch dispute.subject {
        case .line(let number):
            unknown = .lineUnknown
            line = number
            row = try connection.queryOne(
                """
                SELECT \(columns), l.from_minute, l.to_minute, l.at FROM settlement_lines l JOIN deliveries d ON d.id = l.delivery
                WHERE l.number = $1
                """, [.integer(number)])
        case .interval(let id, _):
            unknown = .deliveryUnknown
            line = nil
            row = try connection.queryOne("SELECT \(columns) FROM deliveries d WHERE d.id = $1", [.integer(id.rawValue)])
        }
        guard let row else { throw unknown }
        delivery = DeliveryID(try row.int64(0))
        buyer = AccountID(try row.int64(1))
        seller = AccountID(try row.int64(2))
        ran = (Timestamp(microseconds: try row.int64(3)), try row.optionalInt64(4).map { Timestamp(microseconds: $0) })
        switch dispute.subject {
        case .line:
            interval = try row.int64(5)..<(try row.int64(6))
            bookedAt = Timestamp(microseconds: try row.int64(7))
        case .interval(_, let minutes):
            interval = minutes
            bookedAt = nil
        }
        switch dispute.by {
        case buyer: claimant = .buyer
        case seller: claimant = .seller
        default:
            // Others' deliveries are not there, except for finance, who says for whom.
            guard dispute.isFinance, let party = dispute.claimant else { throw unknown }
            claimant = party
        }
    }

    func insert(at time: Timestamp, window: Interval, _ connection: any SQLConnection) throws -> Int64 {
        do {
            if let bookedAt {
                guard dispute.isFinance || time <= bookedAt + window else { throw DisputeRefusal.windowOver }
            } else {
                try DisputeWindow.check(
                    interval: interval, delivery: ran, end: Timestamp(microseconds: interval.upperBound * 60_000_000), now: time,
                    window: window, isFinance: dispute.isFinance)
            }
            try checkOthers(connection)
        } catch let refusal as DisputeRefusal {
            throw ControlRefusal.dispute(refusal)
        }
        let number = try ControlStore.next("number", of: "disputes", connection)
        try connection.execute(
            """
            INSERT INTO disputes (number, opened_at, opened_by, claimant, delivery, line, from_minute, to_minute, buyer, seller,
                claimed, reason)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
            """, [
                .integer(number), .integer(time.microseconds), .integer(dispute.by.rawValue), .integer(Int64(claimant.rawValue)),
                .integer(delivery.rawValue), ControlStore.optional(line), .integer(interval.lowerBound), .integer(interval.upperBound),
                .integer(buyer.rawValue), .integer(seller.rawValue), .integer(dispute.claimed.rawValue), .text(dispute.reason),
            ])
        return number
    }

    /// The same side does not object to the same work twice at a time, nor to too much at once.
    private func checkOthers(_ connection: any SQLConnection) throws {
        let party = claimant == .buyer ? buyer : seller
        let column = claimant == .buyer ? "d.buyer" : "d.seller"
        let open = try connection.query(
            """
            SELECT d.delivery, d.from_minute, d.to_minute FROM disputes d
            WHERE \(column) = $1 AND d.claimant = $2 AND \(DisputeRow.status) IN (1, 2)
            """, [.integer(party.rawValue), .integer(Int64(claimant.rawValue))])
        guard open.count < DisputeCase.mostOpen else { throw DisputeRefusal.tooManyOpen }
        for row in open where try row.int64(0) == delivery.rawValue {
            guard try !(row.int64(1)..<(row.int64(2))).overlaps(interval) else { throw DisputeRefusal.alreadyOpen }
        }
    }
}

/// What may yet be credited for the work that a dispute is about.
///
/// Credits to the same side of the same delivery count, decided ones too, when their interval overlaps that of the lines in
/// question: whatever is disputed in whatever order, all credits are at most all that was billed.
private struct CreditBound {
    private let record: DisputeRecord
    private let connection: any SQLConnection

    /// Refuses a credit above it.
    static func check(_ effect: DisputeEffect, _ record: DisputeRecord, _ connection: any SQLConnection) throws {
        let bound = CreditBound(record: record, connection: connection)
        let left = try bound.left()
        do throws(DisputeRefusal) { try effect.check(left: left) } catch { throw ControlRefusal.dispute(error) }
    }

    private func left() throws -> Satoshis {
        switch record.dispute.claimant {
        case .buyer: return try min(leftOfBill(), leftOfLine() ?? Satoshis.supply)
        case .seller: return try sold() - credited(in: record.interval)
        }
    }

    /// Charges and buyer's fees of all lines that overlap the interval, less the credits that overlap those lines.
    private func leftOfBill() throws -> Satoshis {
        let row = try connection.queryOne(
            """
            SELECT CAST(coalesce(sum(l.charge + l.buyer_fee), 0) AS BIGINT), min(l.from_minute), max(l.to_minute)
            FROM settlement_lines l
            WHERE l.delivery = $1 AND l.from_minute < $3 AND l.to_minute > $2 AND l.code BETWEEN 1 AND 3
            """, place(record.interval))
        guard let row, let first = try row.optionalInt64(1), let end = try row.optionalInt64(2) else { return .zero }
        let around = min(first, record.interval.lowerBound)..<max(end, record.interval.upperBound)
        return Satoshis(try row.int64(0)) - (try credited(in: around))
    }

    /// The disputed line's charge and buyer's fee, less the credits for just this line; nil: an interval is disputed.
    private func leftOfLine() throws -> Satoshis? {
        guard let line = record.line else { return nil }
        let billed = try amount(
            "SELECT charge + buyer_fee FROM settlement_lines WHERE number = $1 AND code BETWEEN 1 AND 3", [.integer(line)])
        let credited = try amount(
            """
            SELECT CAST(coalesce(sum(-c.charge), 0) AS BIGINT) FROM disputes d JOIN credits c ON c.dispute = d.number
            WHERE d.line = $1 AND c.charge < 0
            """, [.integer(line)])
        return billed - credited
    }

    /// The charge of the work that the interval was sold for, with the excess that is billed at most.
    private func sold() throws -> Satoshis {
        let row = try connection.queryOne(
            "SELECT \(TableColumns.delivery.joined(separator: ", ")) FROM deliveries WHERE id = $1", [.integer(record.delivery.rawValue)])
        guard let row, let rules = try connection.marketRules() else { return .zero }
        let delivery = try TableReader.delivery(row)
        let work = Tariff.workCap(
            delivery.hashrate, elapsed: Interval(microseconds: Int64(record.interval.count) * 60_000_000), allowance: .zero,
            algorithm: rules.algorithm)
        var terms = delivery.terms
        terms.buyerFee = PartsPerMillion(0)
        return Tariff.mostDebit(for: work, terms: terms, algorithm: rules.algorithm) ?? Satoshis.supply
    }

    /// To the claimant's side, of disputes whose interval overlaps this one.
    private func credited(in interval: Range<Int64>) throws -> Satoshis {
        let isTo = record.dispute.claimant == .buyer ? "c.charge < 0" : "c.charge > 0"
        return try amount(
            """
            SELECT CAST(coalesce(sum(abs(c.charge)), 0) AS BIGINT) FROM credits c
            WHERE c.delivery = $1 AND c.from_minute < $3 AND c.to_minute > $2 AND \(isTo)
            """, place(interval))
    }

    private func place(_ interval: Range<Int64>) -> [SQLValue] {
        [.integer(record.delivery.rawValue), .integer(interval.lowerBound), .integer(interval.upperBound)]
    }

    private func amount(_ sql: String, _ parameters: [SQLValue]) throws -> Satoshis {
        Satoshis(try connection.queryOne(sql, parameters)?.int64(0) ?? 0)
    }
}

/// A row of the disputes with its events.
private enum DisputeRow {
    /// After the last event.
    static let status = """
        coalesce((SELECT e.status FROM dispute_events e WHERE e.dispute = d.number ORDER BY e.number DESC LIMIT 1), 1)
        """

    static let select = """
        SELECT d.number, d.opened_at, d.opened_by, d.claimant, d.delivery, d.line, d.from_minute, d.to_minute, d.buyer, d.seller,
               d.claimed, d.reason, \(status), (SELECT count(*) FROM dispute_events e WHERE e.dispute = d.number), c.number,
               CASE WHEN EXISTS (SELECT 1 FROM settlement_lines l WHERE l.delivery = d.delivery AND l.credit = c.number) THEN 1 ELSE 0 END
        FROM disputes d LEFT JOIN credits c ON c.dispute = d.number
        """

    static func find(_ number: Int64, _ connection: any SQLConnection) throws -> DisputeRecord? {
        try connection.queryOne("\(select) WHERE d.number = $1", [.integer(number)]).map { try record($0) }
    }

    static func record(_ row: SQLRow) throws -> DisputeRecord {
        DisputeRecord(
            number: try row.int64(0), openedAt: Timestamp(microseconds: try row.int64(1)), delivery: DeliveryID(try row.int64(4)),
            line: try row.optionalInt64(5), interval: try row.int64(6)..<(try row.int64(7)), reason: try row.text(11),
            dispute: DisputeCase(
                buyer: AccountID(try row.int64(8)), seller: AccountID(try row.int64(9)),
                claimant: try ControlStore.known(try row.int64(3), DisputeParty.self), openedBy: AccountID(try row.int64(2)),
                claimed: Satoshis(try row.int64(10)), status: try ControlStore.known(try row.int64(12), DisputeStatus.self),
                steps: try row.int(13)),
            events: [], credit: try row.optionalInt64(14).map { (number: $0, isBooked: try row.bool(15)) })
    }

    static func events(_ number: Int64, _ connection: any SQLConnection) throws -> [DisputeEvent] {
        let rows = try connection.query(
            """
            SELECT number, at, actor, role, kind, text, amount, bearer FROM dispute_events WHERE dispute = $1 ORDER BY number
            """, [.integer(number)])
        return try rows.map { row in
            DisputeEvent(
                number: try row.int64(0), at: Timestamp(microseconds: try row.int64(1)), actor: AccountID(try row.int64(2)),
                role: try ControlStore.known(try row.int64(3), DisputeRole.self),
                kind: try ControlStore.known(try row.int64(4), DisputeEvent.Kind.self), text: try row.text(5),
                credited: try row.optionalInt64(6).map { Satoshis($0) },
                bearer: try row.optionalInt64(7).map { try ControlStore.known($0, CreditBearer.self) })
        }
    }

    static func insert(
        _ step: DisputeStep, _ effect: DisputeEffect, in record: DisputeRecord, by account: AccountID, at time: Timestamp,
        _ connection: any SQLConnection
    ) throws {
        let (kind, text, amount, bearer): (DisputeEvent.Kind, String, Satoshis?, CreditBearer?) =
            switch step {
            case .message(let text): (.message, text, nil, nil)
            case .reject(let note): (.rejected, note, nil, nil)
            case .withdraw(let note): (.withdrawn, note, nil, nil)
            case .credit(let amount, let bearer, let note): (.credited, note, amount, bearer)
            }
        try connection.execute(
            """
            INSERT INTO dispute_events (dispute, number, at, actor, role, kind, status, text, amount, bearer)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            """, [
                .integer(record.number), .integer(Int64(record.dispute.steps)), .integer(time.microseconds), .integer(account.rawValue),
                .integer(Int64(effect.role.rawValue)), .integer(Int64(kind.rawValue)), .integer(Int64(effect.status.rawValue)),
                .text(text), ControlStore.optional(amount?.rawValue), ControlStore.optional(bearer.map { Int64($0.rawValue) }),
            ])
        guard let terms = effect.credit else { return }
        try connection.execute(
            """
            INSERT INTO credits (number, dispute, delivery, buyer, seller, from_minute, to_minute, charge, borne_by_market,
                approved_by, approved_at, reason)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
            """, [
                .integer(try ControlStore.next("number", of: "credits", connection)), .integer(record.number),
                .integer(record.delivery.rawValue), .integer(record.dispute.buyer.rawValue), .integer(record.dispute.seller.rawValue),
                .integer(record.interval.lowerBound), .integer(record.interval.upperBound), .integer(terms.charge.rawValue),
                .integer(terms.isBorneByMarket ? 1 : 0), .integer(account.rawValue), .integer(time.microseconds), .text(text),
            ])
    }
}
