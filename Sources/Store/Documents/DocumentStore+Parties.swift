internal import Database
public import Settlement
public import Units

extension DocumentStore {
    /// Says who an account is from a time on; what was said for the same time stays in the table, and no longer counts.
    ///
    /// - Precondition: the party has no flaw
    public func record(_ party: EffectiveParty, by: AccountID?, at: Timestamp) async throws {
        precondition(party.party.flaw == nil, "the party is checked")
        try await database.write { connection in
            if party.account != EffectiveParty.market {
                guard try StatementSource(connection: connection).accountExists(party.account) else {
                    throw DocumentRefusal.accountUnknown
                }
            }
            let key: [SQLValue] = [.integer(party.account.rawValue), .integer(party.effectiveAt.microseconds)]
            let last = try connection.queryOne(
                "SELECT coalesce(max(revision), 0) FROM legal_parties WHERE account = $1 AND effective_at = $2", key)
            try connection.execute(
                """
                INSERT INTO legal_parties (account, effective_at, revision, party, recorded_at, recorded_by)
                VALUES ($1, $2, $3, $4, $5, $6)
                """,
                key + [
                    .integer(try (last?.int64(0) ?? 0) + 1), .blob(party.party.json.bytes), .integer(at.microseconds),
                    by.map { .integer($0.rawValue) } ?? .null,
                ])
        }
    }

    /// All that holds or held, by account and time; of one account and the market, or of all.
    public func parties(_ account: AccountID?) async throws -> [EffectiveParty] {
        try await database.read { connection in
            try connection.query(
                """
                SELECT account, effective_at, party FROM legal_parties p
                WHERE (CAST($1 AS BIGINT) = -1 OR account = $1 OR account = 0)
                    AND revision = (SELECT max(q.revision) FROM legal_parties q
                        WHERE q.account = p.account AND q.effective_at = p.effective_at)
                ORDER BY account, effective_at
                """, [.integer(account?.rawValue ?? -1)]
            ).map {
                EffectiveParty(
                    account: AccountID(try $0.int64(0)), effectiveAt: Timestamp(microseconds: try $0.int64(1)),
                    party: try StatementSource.party(try $0.blob(2)))
            }
        }
    }

    // MARK: - Rates

    /// What came of an import: how many rates are new, corrected, or were there already; or all that is wrong, and then nothing is kept.
    public struct RateImport: Hashable, Sendable {
        public var added = 0
        public var corrected = 0
        public var unchanged = 0
        public var flaws: [ImportFlaw] = []
    }

    /// Imports a file of `date,currency,rate`, all of it or nothing.
    ///
    /// - Parameter reason: why rates that are there with other values change; nil: then they are refused
    public func importRates(_ bytes: [UInt8], reason: String?, by: AccountID?, at: Timestamp) async throws -> RateImport {
        let (rates, flaws) = RateFile.read(bytes)
        guard flaws.isEmpty else { return RateImport(flaws: flaws) }
        do {
            return try await database.write { connection in
                var result = RateImport()
                for (line, rate) in rates {
                    try DocumentStore.add(rate, line, &result, reason: reason, by: by, at: at, connection)
                }
                if !result.flaws.isEmpty { throw RateRefusal(result: result) }
                return result
            }
        } catch let refusal as RateRefusal {
            return RateImport(flaws: refusal.result.flaws)
        }
    }

    /// Takes the transaction back.
    private struct RateRefusal: Error { var result: RateImport }

    private static func add(
        _ rate: DailyRate, _ line: Int, _ result: inout RateImport, reason: String?, by: AccountID?, at: Timestamp,
        _ connection: any SQLConnection
    ) throws {
        let known = try connection.queryOne(
            "SELECT rate, revision FROM fiat_rates WHERE day = $1 AND currency = $2 ORDER BY revision DESC LIMIT 1",
            [.text(rate.date.description), .text(rate.currency)])
        if let known, try known.text(0) == rate.rate.description {
            result.unchanged += 1
            return
        }
        if let known, reason == nil {
            guard result.flaws.count < 100 else { return }
            result.flaws.append(ImportFlaw(
                line: line, reason: "\(rate.date) \(rate.currency) is \(try known.text(0)) already: a correction needs a reason"))
            return
        }
        if known == nil { result.added += 1 } else { result.corrected += 1 }
        try connection.execute(
            """
            INSERT INTO fiat_rates (day, currency, revision, rate, imported_at, imported_by, reason)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            """,
            [
                .text(rate.date.description), .text(rate.currency), .integer(try (known?.int64(1) ?? 0) + 1), .text(rate.rate.description),
                .integer(at.microseconds), by.map { .integer($0.rawValue) } ?? .null,
                known == nil ? .null : reason.map { .text($0) } ?? .null,
            ])
    }

    /// Rates that count, by day and currency, from a day on.
    public func rates(from day: AccountingPeriod?, limit: Int) async throws -> [DailyRate] {
        try await database.read { connection in
            try connection.query(
                """
                SELECT day, currency, rate FROM fiat_rates r
                WHERE day >= $1 AND revision = (SELECT max(s.revision) FROM fiat_rates s WHERE s.day = r.day AND s.currency = r.currency)
                ORDER BY day, currency LIMIT $2
                """, [.text(day?.description ?? ""), .integer(Int64(limit))]
            ).map { row in
                guard let date = AccountingPeriod(try row.text(0)), let rate = FiatRate(try row.text(2)) else {
                    throw DatabaseError.decoding("a rate that cannot be read")
                }
                return DailyRate(date: date, currency: try row.text(1), rate: rate)
            }
        }
    }
}
