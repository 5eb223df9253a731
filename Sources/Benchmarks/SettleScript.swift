internal import Database
internal import Exchange
internal import Settlement
internal import Units

/// A market with many running deliveries, and what their rigs do.
struct SettleScript {
    static let start = Timestamp(microseconds: 1_800_000_000_000_000)
    /// Minutes of an interval.
    static let width: Int64 = 5
    private static let accounts: Int64 = 500
    private static let rigLots: Int64 = 100
    private static let rigsPerBid: Int64 = 5
    private static let price = Price(50_000)

    let rules: MarketRules
    let deliveries: Int
    private let seed: UInt64

    /// - Parameter intervals: that deliveries must run for
    init(seed: UInt64, deliveries: Int, intervals: Int) {
        self.seed = seed
        self.deliveries = deliveries
        var rules = MarketRules.sha256d
        rules.mostOrders = 1_000_000
        rules.term = .seconds(Int64(intervals + 4) * SettleScript.width * 60)
        self.rules = rules
    }

    /// Accounts, rigs, asks, and bids that take them all.
    func forEachCommand(_ body: (Command) throws -> Void) rethrows {
        try body(.defineMarket(rules))
        let pool = PoolStatus.verified(PoolCapabilities(extranonce2Size: 8, versionMask: 0x1fff_e000, difficulty: "1024"))
        for account in 1...SettleScript.accounts * 2 {
            let owner = AccountID(account)
            try body(.deposit(account: owner, amount: Satoshis(100_000_000_000), reference: "wire"))
            try body(.createPoolTarget(owner: owner, name: "pool", url: "stratum+tcp://pool", user: "user", password: ""))
            try body(.recordVerification(target: PoolTargetID(account), status: pool))
        }
        let digest = [UInt8](repeating: 1, count: 32), hashrate = rules.hashrate(Lots(SettleScript.rigLots))
        for rig in 1...Int64(deliveries) {
            let owner = AccountID(SettleScript.accounts + 1 + rig % SettleScript.accounts)
            try body(.registerRig(
                owner: owner, name: "rig\(rig)", passwordDigest: digest, fallback: PoolTargetID(owner.rawValue)))
            try body(.rigOnline(RigID(rig), edge: EdgeID(1), session: 1, versionMask: 0x1fff_e000))
            try body(.rigMeasured(RigID(rig), session: 1, hashrate))
            try body(.placeAsk(PlaceAsk(account: owner, price: SettleScript.price, rig: RigID(rig))))
        }
        for first in stride(from: Int64(0), to: Int64(deliveries), by: Int(SettleScript.rigsPerBid)) {
            let rigs = min(SettleScript.rigsPerBid, Int64(deliveries) - first)
            let account = 1 + first / SettleScript.rigsPerBid % SettleScript.accounts
            try body(.placeBid(PlaceBid(
                account: AccountID(account), price: SettleScript.price, lots: Lots(SettleScript.rigLots * rigs),
                targets: [PoolTargetID(account)])))
        }
    }

    static let slotColumns = [
        "delivery", "rig", "minute", "valid_shares", "valid_work", "billable_work", "stale_shares", "stale_work", "duplicate_shares",
        "low_difficulty_shares", "invalid_shares", "forwarded_shares", "pool_accepted", "pool_rejected", "pool_unanswered",
        "unlogged_shares",
    ]

    /// A rig's minutes of an interval: what it sold, give or take 4 %; one in sixteen has a minute that its pool refuses.
    func addSlots(of delivery: Delivery, interval: Int64, to rows: inout SQLRows) {
        let sold = Tariff.work(delivery.hashrate, for: .seconds(60), algorithm: rules.algorithm).units
        let first = SettleScript.start.minute + interval * SettleScript.width
        for minute in first..<first + SettleScript.width {
            let draw = SettleScript.random(seed, UInt64(bitPattern: delivery.id.rawValue), UInt64(bitPattern: minute))
            let work = sold + sold * (Int64(draw % 81) - 40) / 1000
            let isRefused = minute == first + 2 && delivery.id.rawValue % 16 == 0
            for value in [
                delivery.id.rawValue, delivery.rig.rawValue, minute, 12, work, work, 0, 0, 0, 0, 0, 12, isRefused ? 9 : 12,
                isRefused ? 3 : 0, 0, 12,
            ] { rows.append(.integer(value)) }
        }
    }

    /// splitmix64 of all three.
    private static func random(_ seed: UInt64, _ a: UInt64, _ b: UInt64) -> UInt64 {
        var z = seed &+ a &* 0x9e37_79b9_7f4a_7c15 &+ b &* 0xd1b5_4a32_d192_ed03
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
