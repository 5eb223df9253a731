internal import BinaryCoding
internal import Database
internal import Exchange
internal import Ledger
internal import Settlement
internal import Units

/// Reads the live rows back into entities.
struct TableReader {
    let connection: any SQLConnection

    init(_ connection: any SQLConnection) { self.connection = connection }

    func state() throws -> StoredState {
        var state = StoredState()
        if let row = try connection.queryOne("SELECT rules, counters FROM market_state WHERE id = 1", []) {
            state.rules = try decode(MarketRules?.self, try row.blob(0))
            state.counters = try decode(Counters.self, try row.blob(1))
        }
        state.targets = try all("pool_targets", TableColumns.poolTarget, poolTarget)
        state.rigs = try all("rigs", TableColumns.rig, rig)
        state.orders = try all("orders", TableColumns.order, where: "live = 1", TableReader.order)
        state.deliveries = try all("deliveries", TableColumns.delivery, where: "live = 1", TableReader.delivery)
        state.billings = try all("billings", TableColumns.billing, where: "live = 1", billing)
        state.balances = try all("ledger_balances", ["kind", "owner", "balance"]) { row in
            guard let kind = UInt8(exactly: try row.int64(0)),
                let account = LedgerAccount(kind: kind, owner: try row.int64(1))
            else { throw DatabaseError.decoding("unknown ledger account") }
            return (account, Satoshis(try row.int64(2)))
        }
        state.deposits = try all("deposits", ["account", "reference", "amount"]) { row in
            (DepositKey(account: AccountID(try row.int64(0)), reference: try row.text(1)), Satoshis(try row.int64(2)))
        }
        state.answers = try all("answers", ["account", "key", "number", "digest", "outcome"], where: "live = 1") { row in
            (
                AnswerKey(account: AccountID(try row.int64(0)), key: try row.text(1)),
                RecordedAnswer(
                    number: try row.int64(2), digest: try row.blob(3),
                    outcome: try decode(Outcome.self, try row.blob(4)))
            )
        }
        return state
    }

    private func all<T>(
        _ table: String, _ columns: [String], where condition: String? = nil, _ body: (SQLRow) throws -> T
    ) throws -> [T] {
        let filter = condition.map { " WHERE \($0)" } ?? ""
        var result: [T] = []
        try connection.forEach("SELECT \(columns.joined(separator: ", ")) FROM \(table)\(filter)", []) { row in
            result.append(try body(row))
        }
        return result
    }

    private func decode<T: BinaryCodable>(_ type: T.Type, _ bytes: [UInt8]) throws -> T {
        var reader = BinaryReader(bytes)
        let value = try T(from: &reader)
        try reader.finish()
        return value
    }

    private func poolTarget(_ row: SQLRow) throws -> PoolTarget {
        let status: PoolStatus =
            switch try row.int64(6) {
            case 0: .unverified
            case 1:
                .verified(PoolCapabilities(
                    extranonce2Size: try row.int64(7), versionMask: UInt32(truncatingIfNeeded: try row.int64(8)),
                    difficulty: try row.text(9)))
            default: .failed(reason: try row.text(10))
            }
        return PoolTarget(
            id: PoolTargetID(try row.int64(0)), owner: AccountID(try row.int64(1)), name: try row.text(2),
            url: try row.text(3), user: try row.text(4), password: try row.text(5), status: status)
    }

    private func rig(_ row: SQLRow) throws -> Rig {
        let presence: RigPresence =
            if try row.int64(5) == 1 {
                .online(
                    edge: EdgeID(try row.int64(7)), session: try row.int64(8),
                    versionMask: UInt32(truncatingIfNeeded: try row.int64(9)))
            } else {
                .offline(since: Timestamp(microseconds: try row.int64(6)))
            }
        return Rig(
            id: RigID(try row.int64(0)), owner: AccountID(try row.int64(1)), user: try row.text(2),
            passwordDigest: try row.blob(3), fallback: PoolTargetID(try row.int64(4)), presence: presence,
            lastSession: try row.int64(10), measured: Hashrate(hashesPerSecond: try row.int64(11)),
            ask: try row.optionalInt64(12).map { OrderID($0) },
            delivery: try row.optionalInt64(13).map { DeliveryID($0) })
    }

    /// Columns as in ``TableColumns/order``.
    static func order(_ row: SQLRow) throws -> Order {
        let status: OrderStatus =
            switch try row.int64(9) {
            case 0: .active
            case 1: .suspended(try raw(row, 10))
            default: .closed(try raw(row, 10))
            }
        let details: OrderDetails =
            if try row.int64(3) == 0 {
                .bid(BidDetails(
                    targets: try row.text(13).split(separator: ",").compactMap { Int64($0).map { PoolTargetID($0) } },
                    timeInForce: try raw(row, 14), budget: try row.optionalInt64(15).map { Satoshis($0) },
                    spent: Satoshis(try row.int64(16))))
            } else {
                .ask(AskDetails(rig: RigID(try row.int64(17)), most: try row.optionalInt64(18).map { Lots($0) }))
            }
        return Order(
            id: OrderID(try row.int64(0)), account: AccountID(try row.int64(1)),
            clientOrderID: try row.optionalText(2), price: Price(try row.int64(4)), lots: Lots(try row.int64(5)),
            delivering: Lots(try row.int64(6)), stamp: try row.int64(7), selfTrade: try raw(row, 8), status: status,
            details: details, placedAt: Timestamp(microseconds: try row.int64(11)), unsettled: try row.int64(12))
    }

    private static func raw<T: RawRepresentable>(_ row: SQLRow, _ column: Int) throws -> T where T.RawValue == UInt8 {
        guard let byte = UInt8(exactly: try row.int64(column)), let value = T(rawValue: byte) else {
            throw DatabaseError.decoding("unknown \(T.self)")
        }
        return value
    }

    /// Columns as in ``TableColumns/delivery``.
    static func delivery(_ row: SQLRow) throws -> Delivery {
        let phase: DeliveryPhase
        if let ended = try row.optionalInt64(20) {
            guard let byte = UInt8(exactly: try row.int64(21)), let cause = EndCause(rawValue: byte) else {
                throw DatabaseError.decoding("unknown end cause")
            }
            phase = .ended(at: Timestamp(microseconds: ended), cause: cause)
        } else {
            phase = .running
        }
        return Delivery(
            id: DeliveryID(try row.int64(0)), bid: OrderID(try row.int64(1)), ask: OrderID(try row.int64(2)),
            rig: RigID(try row.int64(3)), buyer: AccountID(try row.int64(4)), seller: AccountID(try row.int64(5)),
            lots: Lots(try row.int64(6)), hashrate: Hashrate(hashesPerSecond: try row.int64(7)),
            terms: Terms(
                price: Price(try row.int64(8)), priceUnit: Hashrate(hashesPerSecond: try row.int64(9)),
                sellerFee: PartsPerMillion(try row.int64(10)), buyerFee: PartsPerMillion(try row.int64(11))),
            openedAt: Timestamp(microseconds: try row.int64(12)),
            expiresAt: Timestamp(microseconds: try row.int64(13)),
            maxDifficulty: ShareDifficulty(units: max(1, try row.int64(14))), allowance: Work(units: try row.int64(15)),
            hold: Satoshis(try row.int64(16)), held: Satoshis(try row.int64(17)),
            settledWork: Work(units: try row.int64(18)), charged: Satoshis(try row.int64(19)), phase: phase)
    }

    private func billing(_ row: SQLRow) throws -> (BillingKey, Billing) {
        guard let weighted = Int128(try row.text(3)) else { throw DatabaseError.decoding("weighted work") }
        return (
            BillingKey(bid: OrderID(try row.int64(0)), ask: OrderID(try row.int64(1)), rig: RigID(try row.int64(2))),
            Billing(
                totals: BillingTotals(
                    weightedWork: weighted, charge: Satoshis(try row.int64(4)), sellerFee: Satoshis(try row.int64(5)),
                    buyerFee: Satoshis(try row.int64(6))),
                sellerFee: PartsPerMillion(try row.int64(7)), buyerFee: PartsPerMillion(try row.int64(8)),
                unsettled: try row.int64(9))
        )
    }
}
