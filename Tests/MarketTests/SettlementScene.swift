import Database
import Exchange
import Logging
import Market
import MarketTestSupport
import Metering
import Store
import Testing
import TestSupport
import Units

/// A market with rigs that hash, an edge that reports late, twice and out of order, and runs that settle it: everything by chance.
///
/// What happens follows from one seed; when batches arrive, and when runs are made, from another.
final class SettlementScene {
    static let start = Timestamp(microseconds: 28_333_335 * 60_000_000)

    private let storage: Storage
    private let clock = ManualClock()
    private var market: TestMarket
    private var life: SeededRandom
    private var arrival: SeededRandom
    private let schedule: SettlementSchedule

    private var number: Int64 = 0
    private var sequence: Int64 = 0
    private var waiting: [SealedBatch] = []
    private var applied: [SealedBatch] = []
    /// Of every delivery that was seen, until it is out of sight.
    private var seen: [DeliveryID: Delivery] = [:]
    private var faultUntil: [DeliveryID: Timestamp] = [:]

    static var rules: MarketRules {
        var rules = History.rules
        rules.term = .seconds(900)
        rules.holdLimit = .seconds(90_000)
        return rules
    }

    init(_ storage: Storage, life: UInt64, arrival: UInt64, interval: Duration) async throws {
        self.storage = storage
        self.life = SeededRandom(seed: life)
        self.arrival = SeededRandom(seed: arrival)
        schedule = SettlementSchedule(interval: interval)
        clock.now = SettlementScene.start
        market = try await TestMarket(storage, clock: clock, rules: SettlementScene.rules)
    }

    func stop() async {
        market.faults.set { $0 = JournalFaults.State() }
        await market.stop()
    }

    private var meter: MeterStore {
        let clock = clock
        return MeterStore(market.database, clock: { clock.now })
    }

    private var worker: SettlementWorker {
        let clock = clock
        return SettlementWorker(
            gateway: market.writer, meter: meter, schedule: schedule,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, clock: { clock.now })
    }

    // MARK: - The market

    private var bids: [OrderID] = []

    /// Three rigs of two sellers, two buyers.
    func open() async throws {
        for account: Int64 in [1, 4] { try await market.deposit("funds \(account)", account: account, 5_000_000_000) }
        var targets: [Int64: PoolTargetID] = [:]
        for owner: Int64 in 1...4 { targets[owner] = try await target(of: owner) }
        for (name, owner): (String, Int64) in [("a", 2), ("b", 2), ("c", 3)] {
            let outcome = try await market.submit(.registerRig(
                owner: AccountID(owner), name: name, passwordDigest: Array(repeating: 0, count: 32),
                fallback: try #require(targets[owner])))
            guard case .rig(let rig, _) = outcome else { throw TestMarket.Unexpected(outcome) }
            try await market.submit(.rigOnline(rig, edge: EdgeID(1), session: 1, versionMask: 0))
            try await market.submit(.rigMeasured(rig, session: 1, Hashrate(hashesPerSecond: life.int64(3...9) * 100_000)))
            try await market.submit(.placeAsk(PlaceAsk(
                account: AccountID(owner), price: Price(1_000_000 + life.int64(0...9) * 1000), rig: rig)))
        }
        for account: Int64 in [1, 4] { try await bid(account, try #require(targets[account])) }
        buyers = targets
    }

    private var buyers: [Int64: PoolTargetID] = [:]

    private func bid(_ account: Int64, _ target: PoolTargetID) async throws {
        let outcome = try await market.submit(.placeBid(PlaceBid(
            account: AccountID(account), price: Price(2_000_000 + life.int64(0...99) * 1000), lots: Lots(life.int64(3...9)),
            targets: [target])))
        if case .order(let id) = outcome { bids.append(id) }
    }

    private func target(of owner: Int64) async throws -> PoolTargetID {
        let outcome = try await market.submit(.createPoolTarget(
            owner: AccountID(owner), name: "p", url: "stratum+tcp://p:1", user: "u", password: ""))
        guard case .poolTarget(let id) = outcome else { throw TestMarket.Unexpected(outcome) }
        try await market.submit(.recordVerification(
            target: id, status: .verified(PoolCapabilities(extranonce2Size: 8, versionMask: .max, difficulty: "1"))))
        return id
    }

    /// One step of 20 s: somebody may trade, rigs hash, the edge seals a batch.
    func step() async throws {
        clock.now = clock.now + .seconds(20)
        try await market.submit(.advance)
        if life.chance(4), let bid = bids.popLast() {
            try await market.submit(.cancelOrder(bid, by: AccountID(market.writer.read { $0.orders[bid]?.account.rawValue ?? 1 })))
        }
        if life.chance(6) {
            let account: Int64 = life.pick([1, 4])
            try await bid(account, try #require(buyers[account]))
        }
        let running = market.writer.read { $0.deliveries.values.sorted { $0.id < $1.id } }
        var records: [MeterRecord] = []
        for delivery in running { records += hash(delivery) }
        sequence += 1
        waiting.append(SealedBatch(
            edge: EdgeID(1), epoch: 1, sequence: sequence, completeUntil: clock.now, records: records))
        try await deliver()
    }

    /// A delivery's shares of the last 20 s: some refused, some sent to a pool that fails for a while, some a moment after its end.
    private func hash(_ delivery: Delivery) -> [MeterRecord] {
        if case .ended(let end, _) = delivery.phase, end < clock.now - .seconds(5) || life.chance(50) { return [] }
        if life.chance(3) { faultUntil[delivery.id] = clock.now + .seconds(life.int64(20...400)) }
        let fails = faultUntil[delivery.id].map { $0 > clock.now } ?? false
        let lavish = life.chance(10) ? 6 : 1
        return (0..<life.int(0...5)).flatMap { _ in share(of: delivery, fails: fails, lavish: Int64(lavish)) }
    }

    private func share(of delivery: Delivery, fails: Bool, lavish: Int64) -> [MeterRecord] {
        number += 1
        let work = delivery.hashrate.hashesPerSecond * 20 / 65_536 / 3 * lavish
        let verdict = life.chance(92) ? Verdict.valid : life.pick(Verdict.allCases)
        let share = ShareRecord(
            number: number, receivedAt: clock.now - .milliseconds(life.int64(0...19_999)), rig: delivery.rig, delivery: delivery.id,
            job: 1, verdict: verdict, difficulty: Work(units: life.int64(1...max(1, work * 2))), isBillable: life.chance(97),
            isForwarded: verdict == .valid && life.chance(70), extranonce2: [1], ntime: 1, nonce: 1, version: 1,
            hash: (0..<32).map { [number] in UInt8(truncatingIfNeeded: number >> (8 * min($0, 7))) })
        guard share.isForwarded, life.chance(95) else { return [.share(share)] }
        let reply: PoolReply = fails && life.chance(70) || life.chance(2) ? life.pick([.rejected, .unanswered]) : .accepted
        let answer = MeterRecord.poolReply(PoolReplyRecord(
            share: share.number, shareReceivedAt: share.receivedAt, rig: share.rig, delivery: share.delivery, reply: reply, errorCode: 0))
        // Some pools take their time: the reply comes with a later batch.
        guard life.chance(25) else { return [.share(share), answer] }
        slowReplies.append(answer)
        return [.share(share)]
    }

    private var slowReplies: [MeterRecord] = []

    // MARK: - The edge

    /// Some of what waits arrives, in any order, and some of it again.
    private func deliver() async throws {
        if life.chance(20), !slowReplies.isEmpty {
            sequence += 1
            waiting.append(SealedBatch(
                edge: EdgeID(1), epoch: 1, sequence: sequence, completeUntil: clock.now, records: slowReplies))
            slowReplies = []
        }
        waiting.shuffle(using: &arrival)
        var kept: [SealedBatch] = []
        for batch in waiting {
            if arrival.chance(sequence - batch.sequence > 8 ? 5 : 60) { try await apply(batch) } else { kept.append(batch) }
        }
        waiting = kept
        if arrival.chance(20), let again = applied.randomElement(using: &arrival) { try await apply(again) }
    }

    private func apply(_ batch: SealedBatch) async throws {
        let digest = (0..<8).map { UInt8(truncatingIfNeeded: batch.sequence >> (8 * $0)) }
        try await meter.apply(batch, digest: digest)
        applied.append(batch)
    }

    /// So many percent of what still waits arrives.
    func deliverLate(_ percent: Int) async throws {
        if percent == 100, !slowReplies.isEmpty {
            sequence += 1
            waiting.append(SealedBatch(
                edge: EdgeID(1), epoch: 1, sequence: sequence, completeUntil: clock.now, records: slowReplies))
            slowReplies = []
        }
        waiting.shuffle(using: &arrival)
        let count = waiting.count * percent / 100
        for batch in waiting.prefix(count) { try await apply(batch) }
        waiting.removeFirst(count)
    }

    var isAllDelivered: Bool { waiting.isEmpty && slowReplies.isEmpty }

    // MARK: - Runs, restarts, jumps

    /// By chance a run, one that is broken off, one that finance asks for, a restart.
    func disturb() async throws {
        if arrival.chance(40) { try await worker.runOnce() }
        if arrival.chance(5) {
            market.faults.set { $0.before = 1 }
            _ = await gatewayError { try await self.worker.runOnce() }
            market.faults.set { $0 = JournalFaults.State() }
            try await recover()
        }
        if arrival.chance(4) { _ = try await worker.run(.adHoc, by: AccountID(9), note: "looking") }
        if arrival.chance(3) { _ = try await worker.run(.trueUp, of: anyDelivery(), by: AccountID(9), note: nil) }
        if arrival.chance(2) { try await restart() }
    }

    /// Until the writer takes commands again.
    private func recover() async throws {
        try await eventually("the writer has recovered") { [market] in
            await gatewayError { try await market.submit(.advance) } == nil
        }
    }

    private func anyDelivery() -> DeliveryID { DeliveryID(arrival.int64(1...max(1, market.writer.read { $0.counters.delivery } - 1))) }

    func restart() async throws {
        await market.stop()
        market = try await TestMarket(storage, clock: clock, rules: SettlementScene.rules)
    }

    func jump(_ time: Interval) async throws {
        clock.now = clock.now + time
        try await market.submit(.advance)
    }

    /// Nobody trades any more, and the edge says so.
    func close() async throws {
        for bid in bids {
            try await market.submit(.cancelOrder(bid, by: AccountID(market.writer.read { $0.orders[bid]?.account.rawValue ?? 1 })))
        }
        bids = []
        try await jump(.seconds(10))
        try await silent()
    }

    /// The edge has nothing to report until now.
    func silent() async throws {
        sequence += 1
        try await apply(SealedBatch(edge: EdgeID(1), epoch: 1, sequence: sequence, completeUntil: clock.now, records: []))
    }

    func initial() async throws { try await worker.runOnce() }
    func allFinal() async throws { while try await worker.runFinal() != nil {} }
    func trueUp() async throws { _ = try await worker.run(.trueUp, by: AccountID(9), note: nil) }
    func run(_ kind: SettlementKind) async throws -> SettlementRun? { try await worker.run(kind, by: AccountID(9), note: nil) }
    func openDeliveries() -> Int { market.writer.read { $0.deliveries.count } }
    func projected() async { await market.service.projected() }
    /// While batches are still to come their sequences have gaps.
    func violations() async throws -> [String] {
        try await Audit(market.database).run().filter {
            $0.violations != 0 && (isAllDelivered || $0.invariant != "batch sequences have no gap")
        }.map { "\($0.invariant): \($0.violations)" }
    }
}
