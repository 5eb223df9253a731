import Database
import Foundation

/// Compares what is stored with everything that was acknowledged. The market must be at rest: no trader asks anything,
/// no rig waits for an answer.
struct Books {
    let market: FaultMarket
    let storage: Storage

    /// - Parameter storage: another than the market's own, with the same in it
    init(market: FaultMarket, storage: Storage? = nil) {
        self.market = market
        self.storage = storage ?? market.storage
    }

    /// - Throws: ``Broken`` for the first thing that does not hold
    func check() throws {
        try checkSpoolDrained()
        try checkJournal()
        try waitForTables()
        for trader in market.traders { try check(trader) }
        try checkDeposits()
        try checkSettlement()
        try audit()
    }

    /// All invariants that the program knows itself.
    func audit() throws {
        let result = try market.scene.run(["audit"] + storage.options)
        guard result.status == 0 else { throw Broken("audit: \(result.output)\(result.errors)") }
    }

    private func tables<T>(_ body: (any SQLConnection) throws -> T) throws -> T { try Books.with(storage.tables, body) }

    private static func with<T>(_ location: DatabaseLocation, _ body: (any SQLConnection) throws -> T) throws -> T {
        let connection = try Database.openConnection(location)
        defer { connection.close() }
        return try body(connection)
    }

    // MARK: shares

    /// Every acknowledged share is in the tables, once, as valid, at the difficulty that its job was assigned; none that
    /// was refused is counted as valid.
    func checkSpoolDrained() throws {
        var missing = 0
        var known: [[UInt8]: Int] = [:]
        let rigs = market.rigs.map { ($0.id, $0.now) }
        do {
            try wait("every acknowledged share in the tables") {
                known = try validShares()
                missing = rigs.reduce(0) { sum, rig in sum + rig.1.acknowledged.count { known[key(rig.0, $0)] == nil } }
                if missing > 0 { pause(0.1) }
                return missing == 0
            }
        } catch { throw Broken("\(missing) acknowledged shares are not in the tables: \(error)") }
        for (id, state) in rigs {
            if let twice = state.acknowledged.first(where: { known[key(id, $0)] != 1 }) { throw Broken("share \(twice) is there twice") }
            let hashes = Set(known.keys.map { $0.suffix(32) })
            if let counted = state.refused.first(where: { hashes.contains($0.suffix(32)) }) {
                throw Broken("share \(counted) was refused and is counted")
            }
        }
    }

    private func key(_ rig: Int64, _ share: FaultRig.Share) -> [UInt8] {
        Array("\(rig) \(share.units) ".utf8) + share.hash
    }

    private func validShares() throws -> [[UInt8]: Int] {
        try tables { connection in
            var known: [[UInt8]: Int] = [:]
            try connection.forEach("SELECT rig, difficulty, hash FROM shares WHERE verdict = 1") { row in
                known[Array("\(try row.int64(0)) \(try row.int64(1)) ".utf8) + (try row.blob(2)), default: 0] += 1
            }
            return known
        }
    }

    // MARK: orders

    /// Sequences have no gap, and end where the writer's row says.
    func checkJournal() throws {
        try Books.with(storage.journal) { connection in
            try connection.transaction(.read) {
                var last: Int64?
                try connection.forEach("SELECT first, last FROM journal ORDER BY last") { row in
                    let first = try row.int64(0)
                    if let last, first != last + 1 { throw Broken("the journal goes from \(last) to \(first)") }
                    last = try row.int64(1)
                }
                let position = try connection.queryOne("SELECT last FROM writer WHERE id = 1")?.int64(0)
                guard position == last ?? 0 else { throw Broken("the journal ends at \(last ?? 0), the writer at \(position ?? -1)") }
            }
        }
    }

    /// The tables come as far as the journal is now.
    private func waitForTables() throws {
        let target = try Books.with(storage.journal) { try $0.queryOne("SELECT last FROM writer WHERE id = 1")?.int64(0) ?? 0 }
        try wait("the tables at \(target)") {
            try tables { try $0.queryOne("SELECT last FROM projector WHERE id = 1")?.int64(0) ?? 0 } >= target
        }
    }

    /// The trader's orders are those that were acknowledged, with what was acknowledged, and no others.
    private func check(_ trader: Trader) throws {
        let state = trader.now
        guard trader.side != "deposits" else { return }
        var isThere: Set<Int64> = []
        // Sellers share an account, each with a rig of its own.
        let mine =
            switch trader.kind {
            case .seller(let rig): "account = \(trader.customer.account) AND side = 1 AND rig = \(rig)"
            case .buyer, .bookkeeper: "account = \(trader.customer.account) AND side = 0"
            }
        try tables { connection in
            try connection.forEach("SELECT id, client_order_id, price, lots, status, reason FROM orders WHERE \(mine)") { row in
                let id = try row.int64(0)
                guard let order = state.orders[id] else { throw Broken("\(trader.name) never got order \(id), or got it twice") }
                isThere.insert(id)
                let isSame = try row.optionalText(1) == order.clientOrderID && row.int64(2) == order.price
                    && (order.lots == nil || row.int64(3) == order.lots)
                let isClosed = try row.int64(4) == 2
                guard isSame, order.isCancelled ? isClosed : !isClosed || order.mayClose else {
                    throw Broken("\(trader.name)'s order \(order) is \(row)")
                }
            }
        }
        let lost = Set(state.orders.keys).subtracting(isThere)
        guard lost.isEmpty else { throw Broken("\(trader.name)'s orders \(lost.sorted().prefix(5)) are lost") }
    }

    // MARK: money

    /// Ends everything that is sold, and waits until it is billed. To be called last.
    func settle() throws {
        for trader in market.traders where trader.side != "deposits" {
            let answer = try market.server.call(trader.customer, "DELETE", "/v1/orders")
            guard answer.status == 200 else { throw Broken("DELETE /v1/orders: \(answer)") }
        }
        try wait("the end of every hold") {
            try tables { try $0.queryOne("SELECT count(*) FROM deliveries WHERE ended_at IS NULL OR held > 0")?.int64(0) } == 0
        }
        try checkSettlement()
        try audit()
        let billed = try tables { try $0.queryOne("SELECT count(*) FROM settlement_lines WHERE charge > 0")?.int64(0) ?? 0 }
        guard billed > 0 else { throw Broken("nothing was billed: \(try counts())") }
        progress("\(market.scene.name): everything is billed: \(try counts())")
    }

    /// What was deposited is what was acknowledged.
    private func checkDeposits() throws {
        let expected = market.firstDeposits + market.traders.reduce(0) { $0 + $1.now.deposited }
        let booked = try tables { connection in
            try connection.queryOne("SELECT -balance FROM ledger_balances WHERE kind = 3")?.int64(0) ?? 0
        }
        guard booked == expected else { throw Broken("\(booked) sat were deposited, \(expected) acknowledged") }
    }

    /// A delivery's lines add up to its settled work, and that is not above what the meter verified for it.
    private func checkSettlement() throws {
        let broken = try tables { connection in
            try connection.query(
                """
                SELECT d.id FROM deliveries d
                WHERE d.settled_work <> (SELECT coalesce(sum(l.work), 0) FROM settlement_lines l WHERE l.delivery = d.id)
                   OR d.settled_work > (SELECT coalesce(sum(s.billable_work), 0) FROM meter_slots s WHERE s.delivery = d.id)
                """)
        }
        guard broken.isEmpty else { throw Broken("deliveries \(try broken.prefix(5).map { try $0.int64(0) }) are billed wrongly") }
    }

    /// Deliveries and lines, for the summary.
    func counts() throws -> String {
        try tables { connection in
            let deliveries = try connection.queryOne("SELECT count(*), CAST(coalesce(sum(settled_work), 0) AS BIGINT) FROM deliveries")
            let shares = try connection.queryOne("SELECT count(*) FROM shares")
            let billed = try connection.queryOne("SELECT CAST(coalesce(sum(charge), 0) AS BIGINT) FROM settlement_lines")
            return "\(try deliveries?.int64(0) ?? 0) deliveries, \(try shares?.int64(0) ?? 0) shares, "
                + "\(try deliveries?.int64(1) ?? 0) units of work and \(try billed?.int64(0) ?? 0) sat billed"
        }
    }
}
