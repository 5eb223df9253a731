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
        try readMarket(into: &state)
        state.targets = try all("pool_targets", TableColumns.poolTarget, poolTarget)
        state.rigs = try all("rigs", TableColumns.rig, rig)
        state.orders = try all("orders", TableColumns.order, where: "live = 1", TableReader.order)
        state.deliveries = try all("deliveries", TableColumns.delivery, where: "live = 1", TableReader.delivery)
        state.trades = try recentTrades()
        state.billings = try all("billings", TableColumns.billing, where: "live = 1", TableReader.billing)
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
        state.farms = try all("farms", TableColumns.farm, farm)
        state.silences = try all("silences", TableColumns.silence, where: "live = 1") { row in
            (AccountID(try row.int64(0)), Timestamp(microseconds: try row.int64(1)))
        }
        try readFleets(into: &state)
        return state
    }

    private func readFleets(into state: inout StoredState) throws {
        state.farmLogins = try all("farm_logins", TableColumns.farmLogin) { row in
            FarmLogin(
                farm: FarmID(try row.int64(0)), user: try row.text(1), passwordDigest: try row.blob(2),
                fallback: PoolTargetID(try row.int64(3)), mostRigs: try row.int64(4))
        }
        state.curtailments = try all("curtailments", TableColumns.curtailment, where: "live = 1") { row in
            Curtailment(
                farm: FarmID(try row.int64(0)), cap: Lots(try row.int64(1)), ramp: Interval(microseconds: try row.int64(2)),
                since: Timestamp(microseconds: try row.int64(3)),
                until: try row.optionalInt64(4).map { Timestamp(microseconds: $0) },
                liftedAt: try row.optionalInt64(5).map { Timestamp(microseconds: $0) })
        }
        state.cuts = try all("cut_rigs", TableColumns.cutRig, where: "live = 1") { row in
            (
                RigID(try row.int64(0)),
                CutRig(
                    farm: FarmID(try row.int64(1)), returnsAt: try row.optionalInt64(2).map { Timestamp(microseconds: $0) })
            )
        }
        state.blocks = try all("blocks", TableColumns.block, where: "live = 1", block)
    }

    /// Columns as in ``TableColumns/block``.
    private func block(_ row: SQLRow) throws -> Block {
        let report = BlockReport(
            edge: EdgeID(try row.int64(3)), receivedAt: Timestamp(microseconds: try row.int64(4)), rig: RigID(try row.int64(5)),
            delivery: try row.optionalInt64(6).map { DeliveryID($0) }, target: PoolTargetID(try row.int64(7)),
            hash: try row.blob(8), header: try row.blob(9), poolJob: try row.text(10), isForwarded: try row.bool(11))
        return Block(
            id: BlockID(try row.int64(0)), report: report, owner: AccountID(try row.int64(1)),
            seller: AccountID(try row.int64(2)), verdict: try TableReader.raw(row, 12), poolError: try row.int64(13))
    }

    private func readMarket(into state: inout StoredState) throws {
        guard let row = try connection.queryOne(
            "SELECT coding_version, rules, counters, status, books FROM market_state WHERE id = 1", [])
        else { return }
        guard let version = UInt8(exactly: try row.int64(0)), (CodingVersion.first...CodingVersion.newest).contains(version) else {
            throw DatabaseError.decoding("unknown coding version of the market's state")
        }
        state.rules = try decode(MarketRules?.self, try row.blob(1), version: version)
        state.counters = try decode(Counters.self, try row.blob(2), version: version)
        if let status = try row.optionalBlob(3) {
            state.status = try decode(MarketStatus.self, status, version: version)
        }
        if let books = try row.optionalBlob(4) { state.books = try decode(Books.self, books, version: version) }
    }

    /// The books alone.
    func books() throws -> Books {
        guard let row = try connection.queryOne("SELECT coding_version, books FROM market_state WHERE id = 1", []),
            let version = UInt8(exactly: try row.int64(0)), let books = try row.optionalBlob(1)
        else { return Books() }
        return try decode(Books.self, books, version: version)
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

    private func recentTrades() throws -> [Trade] {
        var trades: [Trade] = []
        let latest = "SELECT id, opened_at, price, lots FROM deliveries ORDER BY id DESC LIMIT \(RecentTrades.most)"
        try connection.forEach(latest, []) { row in
            trades.append(Trade(
                delivery: DeliveryID(try row.int64(0)), at: Timestamp(microseconds: try row.int64(1)),
                price: Price(try row.int64(2)), lots: Lots(try row.int64(3))))
        }
        return trades
    }

    private func decode<T: BinaryCodable>(
        _ type: T.Type, _ bytes: [UInt8], version: UInt8 = CodingVersion.newest
    ) throws -> T {
        var reader = BinaryReader(bytes, version: version)
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
            farm: try row.optionalInt64(13).map { FarmID($0) })
    }

    private func farm(_ row: SQLRow) throws -> Farm {
        let offer: FarmOffer? = try row.optionalInt64(3).map { price in
            FarmOffer(
                price: Price(price), most: try row.optionalInt64(4).map { Lots($0) },
                instructions: try TableReader.instructions(row, from: 6), schedule: try TableReader.schedule(row, 5))
        }
        return Farm(
            id: FarmID(try row.int64(0)), owner: AccountID(try row.int64(1)), name: try row.text(2), offer: offer)
    }

    /// Columns as in ``TableColumns/instructions``.
    private static func instructions(_ row: SQLRow, from first: Int) throws -> Instructions {
        let peg: Peg? = try row.optionalInt64(first + 6).map { _ in
            Peg(reference: try raw(row, first + 6), offset: try row.int64(first + 7))
        }
        return Instructions(
            timeInForce: try raw(row, first),
            expiresAt: try row.optionalInt64(first + 1).map { Timestamp(microseconds: $0) },
            isPostOnly: try row.bool(first + 2), minimumFill: Lots(try row.int64(first + 3)),
            displayed: try row.optionalInt64(first + 4).map { Lots($0) }, selfTrade: try raw(row, first + 5), peg: peg)
    }

    private static func schedule(_ row: SQLRow, _ column: Int) throws -> DailySchedule? {
        guard let text = try row.optionalText(column) else { return nil }
        guard let schedule = DailySchedule(text: text) else { throw DatabaseError.decoding("not a daily schedule") }
        return schedule
    }

    /// Columns as in ``TableColumns/order``.
    static func order(_ row: SQLRow) throws -> Order {
        let status: OrderStatus =
            switch try row.int64(11) {
            case 0: .active
            case 1: .suspended(try raw(row, 12))
            default: .closed(try raw(row, 12))
            }
        let details: OrderDetails =
            if try row.int64(3) == 0 {
                .bid(BidDetails(
                    targets: try row.text(15).split(separator: ",").compactMap { Int64($0).map { PoolTargetID($0) } },
                    budget: try row.optionalInt64(16).map { Satoshis($0) }, spent: Satoshis(try row.int64(17))))
            } else {
                .ask(AskDetails(
                    rig: RigID(try row.int64(18)), most: try row.optionalInt64(19).map { Lots($0) },
                    schedule: try schedule(row, 20), farm: try row.optionalInt64(21).map { FarmID($0) }))
            }
        return Order(
            id: OrderID(try row.int64(0)), account: AccountID(try row.int64(1)),
            clientOrderID: try row.optionalText(2), price: Price(try row.int64(4)), limit: Price(try row.int64(5)),
            lots: Lots(try row.int64(6)), delivering: Lots(try row.int64(7)), shown: Lots(try row.int64(8)),
            stamp: try row.int64(9), since: try row.int64(10),
            instructions: try instructions(row, from: 22), status: status, details: details,
            placedAt: Timestamp(microseconds: try row.int64(13)), unsettled: try row.int64(14))
    }

    private static func raw<T: RawRepresentable>(_ row: SQLRow, _ column: Int) throws -> T where T.RawValue == UInt8 {
        guard let byte = UInt8(exactly: try row.int64(column)), let value = T(rawValue: byte) else {
            throw DatabaseError.decoding("unknown \(T.self)")
        }
        return value
    }

    /// Columns as in ``TableColumns/delivery``.
    static func delivery(_ row: SQLRow) throws -> Delivery {
        let phase: DeliveryPhase =
            if let ended = try row.optionalInt64(25) {
                .ended(at: Timestamp(microseconds: ended), cause: try raw(row, 26))
            } else {
                .running
            }
        return Delivery(
            id: DeliveryID(try row.int64(0)), bid: OrderID(try row.int64(1)), ask: OrderID(try row.int64(2)),
            rig: RigID(try row.int64(3)), buyer: AccountID(try row.int64(4)), seller: AccountID(try row.int64(5)),
            lots: Lots(try row.int64(6)), hashrate: Hashrate(hashesPerSecond: try row.int64(7)),
            terms: Terms(
                price: Price(try row.int64(8)), priceUnit: Hashrate(hashesPerSecond: try row.int64(9)),
                sellerFee: PartsPerMillion(try row.int64(10)), buyerFee: PartsPerMillion(try row.int64(11))),
            tariff: try row.int64(12), openedAt: Timestamp(microseconds: try row.int64(13)),
            expiresAt: Timestamp(microseconds: try row.int64(14)), isShortened: try row.bool(15),
            maxDifficulty: ShareDifficulty(units: max(1, try row.int64(16))), allowance: Work(units: try row.int64(17)),
            hold: Satoshis(try row.int64(18)), held: Satoshis(try row.int64(19)),
            settledWork: Work(units: try row.int64(20)), settledFault: Work(units: try row.int64(21)),
            charged: Satoshis(try row.int64(22)), unpaid: Satoshis(try row.int64(23)), unrecovered: Satoshis(try row.int64(24)),
            phase: phase)
    }

    /// Columns as in ``TableColumns/billing``.
    static func billing(_ row: SQLRow) throws -> (BillingKey, Billing) {
        guard let weighted = Int128(try row.text(4)) else { throw DatabaseError.decoding("weighted work") }
        return (
            BillingKey(
                bid: OrderID(try row.int64(0)), ask: OrderID(try row.int64(1)), rig: RigID(try row.int64(2)),
                tariff: try row.int64(3)),
            Billing(
                totals: BillingTotals(
                    weightedWork: weighted, charge: Satoshis(try row.int64(5)), sellerFee: Satoshis(try row.int64(6)),
                    buyerFee: Satoshis(try row.int64(7))),
                sellerFee: PartsPerMillion(try row.int64(8)), buyerFee: PartsPerMillion(try row.int64(9)),
                unsettled: try row.int64(10))
        )
    }
}
