import Database
import Exchange
import Ledger
import MarketTestSupport
import Metering
import Store
import Testing
import TestSupport
import Units

/// The views for people, on a random history.
@Suite("Views")
struct ViewTests {
    /// A case's name in words: `rigOffline` is "rig offline".
    private func words(_ name: some Any) -> String {
        "\(name)".reduce(into: "") { $0 += $1.isUppercase ? " " + $1.lowercased() : String($1) }
    }

    private func texts(_ storage: Storage, _ sql: String) throws -> [String] { try storage.query(sql).map { try $0.text(0) } }

    /// As text with so many decimals, on both engines.
    private func decimals(_ engine: Engine, _ column: String, _ places: Int) -> String {
        switch engine {
        case .sqlite: "printf('%.\(places)f', \(column))"
        case .postgres: "CAST(CAST(\(column) AS NUMERIC(40, \(places))) AS TEXT)"
        }
    }

    /// A time as both engines can show it.
    private func time(_ engine: Engine, _ column: String) -> String {
        switch engine {
        case .sqlite: column
        case .postgres: "to_char(\(column) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
        }
    }

    private func milliseconds(_ time: Timestamp) -> String { time.description.prefix(23) + "Z" }

    private func btc(_ satoshis: Int64) -> String {
        let (whole, rest) = satoshis.magnitude.quotientAndRemainder(dividingBy: 100_000_000)
        return (satoshis < 0 ? "-" : "") + "\(whole)." + String(String(rest + 100_000_000).dropFirst())
    }

    @Test(arguments: Engine.allCases)
    func codesHaveNames(_ engine: Engine) async throws {
        try await Books.with(engine, seed: 11) { books in
            let storage = books.storage
            for reason in SuspensionReason.allCases {
                try storage.script("UPDATE orders SET status = 1, reason = \(reason.rawValue)")
                #expect(try texts(storage, "SELECT DISTINCT status || ': ' || reason FROM report_orders") == ["suspended: " + words(reason)])
            }
            for reason in CloseReason.allCases {
                try storage.script("UPDATE orders SET status = 2, reason = \(reason.rawValue)")
                #expect(try texts(storage, "SELECT DISTINCT status || ': ' || reason FROM report_orders") == ["closed: " + words(reason)])
            }
            for cause in EndCause.allCases {
                try storage.script("UPDATE deliveries SET ended_at = expires_at, end_cause = \(cause.rawValue)")
                #expect(try texts(storage, "SELECT DISTINCT end_cause FROM report_deliveries") == [words(cause)])
            }
            for verdict in Verdict.allCases {
                try storage.script("UPDATE shares SET verdict = \(verdict.rawValue)")
                #expect(try texts(storage, "SELECT DISTINCT verdict FROM report_shares") == [words(verdict)])
            }
            for reply in [PoolReply.accepted, .rejected, .unanswered] {
                try storage.script("UPDATE shares SET pool_reply = \(reply.rawValue)")
                #expect(try texts(storage, "SELECT DISTINCT pool_reply FROM report_shares") == [words(reply)])
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func ordersAndDeliveriesAreTheMarkets(_ engine: Engine) async throws {
        try await Books.with(engine, seed: 12) { books in
            let storage = books.storage, state = books.history.state
            #expect(try storage.query("SELECT count(*) FROM report_orders") == storage.query("SELECT count(*) FROM orders"))
            #expect(try storage.query("SELECT count(*) FROM report_deliveries") == storage.query("SELECT count(*) FROM deliveries"))
            try storage.script("INSERT INTO accounts VALUES (1, 'alice', 'buyer', 0)")
            for order in state.orders.values {
                let row = try #require(try storage.query(
                    """
                    SELECT side, status, reason, \(decimals(engine, "price_btc", 8)), lots, \(time(engine, "placed_at")), account_name
                    FROM report_orders WHERE id = \(order.id.rawValue)
                    """).first)
                #expect(try row.text(0) == (order.bid == nil ? "ask" : "bid"))
                switch order.status {
                case .active: #expect(try [row.text(1), row.optionalText(2)] == ["active", nil])
                case .suspended(let reason): #expect(try [row.text(1), row.optionalText(2)] == ["suspended", words(reason)])
                case .closed(let reason): #expect(try [row.text(1), row.optionalText(2)] == ["closed", words(reason)])
                }
                #expect(try row.text(3) == btc(order.price.rawValue))
                #expect(try row.int64(4) == order.lots.rawValue)
                #expect(try row.text(5) == milliseconds(order.placedAt))
                #expect(try row.optionalText(6) == (order.account == AccountID(1) ? "alice" : nil))
            }
            #expect(state.deliveries.values.contains { $0.isRunning })
            for delivery in state.deliveries.values {
                let row = try #require(try storage.query(
                    """
                    SELECT status, \(decimals(engine, "phs", 9)), \(decimals(engine, "held_btc", 8)), \(time(engine, "opened_at")),
                           \(time(engine, "ended_at")), rig_name
                    FROM report_deliveries WHERE id = \(delivery.id.rawValue)
                    """).first)
                #expect(try row.text(0) == (delivery.isRunning ? "running" : "ended"))
                // Some 10^5 hashes a second: nothing in PH/s, 10^-9 of which are 10^6.
                #expect(try row.text(1).hasPrefix("0.00000000"))
                #expect(try row.text(2) == btc(delivery.held.rawValue))
                #expect(try row.text(3) == milliseconds(delivery.openedAt))
                #expect(try row.isNull(4) == delivery.isRunning)
                #expect(try row.text(5) == state.rigs[delivery.rig]?.user)
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func linesAndPostingsAddUp(_ engine: Engine) async throws {
        try await Books.with(engine, seed: 12) { books in
            let storage = books.storage
            for (column, sum) in [
                ("charge_btc", "charge"), ("buyer_pays_btc", "charge + buyer_fee"), ("seller_gets_btc", "charge - seller_fee"),
            ] {
                let wanted = try storage.query("SELECT CAST(sum(\(sum)) AS BIGINT) FROM settlement_lines")[0].int64(0)
                #expect(wanted > 0)
                #expect(try texts(storage, "SELECT \(decimals(engine, "sum(\(column))", 8)) FROM report_settlement_lines") == [btc(wanted)])
            }
            let kinds = ["available", "held", "custody", "fees", "loss"]
            for (kind, name) in zip(1..., kinds) {
                let wanted = try storage.query(
                    "SELECT CAST(coalesce(sum(balance), 0) AS BIGINT) FROM ledger_balances WHERE kind = \(kind)")[0].int64(0)
                let found = try storage.query(
                    "SELECT CAST(coalesce(sum(satoshis), 0) AS BIGINT) FROM report_ledger_postings WHERE account_kind = '\(name)'")
                #expect(found == [SQLRow([.integer(wanted)])], "\(name)")
            }
            #expect(try Set(texts(storage, "SELECT DISTINCT entry_kind FROM report_ledger_postings"))
                .isSuperset(of: ["deposit", "hold", "settlement"]))
            #expect(try texts(storage, "SELECT \(decimals(engine, "amount_btc", 8)) FROM report_ledger_postings ORDER BY entry, line LIMIT 1")
                == [btc(storage.query("SELECT amount FROM ledger_postings ORDER BY entry, line LIMIT 1")[0].int64(0))])
        }
    }

    @Test(arguments: Engine.allCases)
    func meteringIsInHumanUnits(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await storage.withTables { database in
                var records = Records()
                // 10^15 hashes a second for a minute, in two shares; what a clock far off sends is shown without a time.
                let half: Int64 = 60 * 1_000_000_000_000_000 / 65_536 / 2
                let at = History.start + .seconds(1)
                try await MeterStore(database).apply(.make(1, [
                    .share(records.share(delivery: 4, at: at, difficulty: half, isForwarded: true)),
                    .share(records.share(delivery: 4, at: at, difficulty: half, isBillable: false)),
                    .share(records.share(delivery: nil, at: Timestamp(microseconds: .max), difficulty: 1, isBillable: false)),
                ]), digest: [1])
                let row = try #require(try storage.query(
                    """
                    SELECT delivery, \(time(engine, "minute")), \(decimals(engine, "phs", 6)), \(decimals(engine, "billable_phs", 6)),
                           valid_shares
                    FROM report_hashrate WHERE delivery = 4
                    """).first)
                let minute = Timestamp(microseconds: at.minute * 60_000_000)
                #expect(row == SQLRow([4, .text(milliseconds(minute)), "1.000000", "0.500000", 2]))
                let shares = try storage.query(
                    "SELECT delivery, verdict, \(time(engine, "received_at")), hash FROM report_shares ORDER BY number")
                #expect(try shares.map { try $0.optionalInt64(0) } == [4, 4, nil])
                #expect(try shares.map { try $0.text(1) } == ["valid", "valid", "valid"])
                #expect(try shares.map { try $0.optionalText(2) } == [milliseconds(at), milliseconds(at), nil])
                #expect(try shares[0].text(3) == "01" + String(repeating: "00", count: 31))
            }
        }
    }
}
