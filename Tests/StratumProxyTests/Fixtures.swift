import Crypto
import Foundation
import Logging
import Metering
import MiningPool
import NIOConcurrencyHelpers
import Routing
import StratumProxy
import TestSupport
import Units

final class TestDirectory: EdgeDirectory {
    private let rigs = NIOLockedValueBox<[String: RigEntry]>([:])
    private let targets = NIOLockedValueBox<[PoolTargetID: PoolTargetEntry]>([:])

    func rig(user: String) -> RigEntry? { rigs.withLockedValue { $0[user] } }
    func poolTarget(_ id: PoolTargetID) -> PoolTargetEntry? { targets.withLockedValue { $0[id] } }
    private let farms = NIOLockedValueBox<[String: FarmEntry]>([:])
    func farm(user: String) -> FarmEntry? { farms.withLockedValue { $0[user] } }

    func add(farm id: Int64, user: String, password: String = "x") {
        let hash = Array(SHA256.hash(data: Array(password.utf8)))
        farms.withLockedValue { $0[user] = FarmEntry(id: FarmID(id), user: user, passwordHash: hash) }
    }

    func curtail(_ user: String, _ isCurtailed: Bool) { rigs.withLockedValue { $0[user]?.isCurtailed = isCurtailed } }
    var rigCount: Int { rigs.withLockedValue { $0.count } }

    func add(rig id: Int64, user: String, password: String = "x", fallback: Int64, owner: Int64? = nil) {
        let hash = Array(SHA256.hash(data: Array(password.utf8)))
        let entry = RigEntry(id: RigID(id), user: user, passwordHash: hash, fallback: PoolTargetID(fallback),
            owner: owner.map { AccountID($0) })
        rigs.withLockedValue { $0[user] = entry }
    }

    func add(target id: Int64, port: Int, user: String) {
        add(target: id, url: "stratum+tcp://127.0.0.1:\(port)", user: user)
    }

    func add(target id: Int64, url: String, user: String) {
        let entry = PoolTargetEntry(id: PoolTargetID(id), url: url, user: user, password: "x")
        targets.withLockedValue { $0[PoolTargetID(id)] = entry }
    }
}

final class TestReports: EdgeReports {
    enum Report: Hashable {
        case online(RigID, session: Int64, mask: UInt32)
        case offline(RigID, session: Int64)
        case measured(RigID, Hashrate)
        case unusable(DeliveryID, String)
        case under(DeliveryID, Hashrate)
        case block(FoundBlock)
        case judged(Hash256, PoolReply, Int64)
    }

    private let all = NIOLockedValueBox<[Report]>([])
    var reports: [Report] { all.withLockedValue { $0 } }

    func rigOnline(_ rig: RigID, session: Int64, versionMask: UInt32, at: Timestamp) {
        all.withLockedValue { $0.append(.online(rig, session: session, mask: versionMask)) }
    }
    func rigOffline(_ rig: RigID, session: Int64, at: Timestamp) {
        all.withLockedValue { $0.append(.offline(rig, session: session)) }
    }
    func rigMeasured(_ rig: RigID, session: Int64, hashrate: Hashrate, at: Timestamp) {
        all.withLockedValue { $0.append(.measured(rig, hashrate)) }
    }
    func poolsUnusable(delivery: DeliveryID, reason: String, at: Timestamp) {
        all.withLockedValue { $0.append(.unusable(delivery, reason)) }
    }
    func underDelivered(delivery: DeliveryID, hashrate: Hashrate, at: Timestamp) {
        all.withLockedValue { $0.append(.under(delivery, hashrate)) }
    }
    func blockFound(_ block: FoundBlock) { all.withLockedValue { $0.append(.block(block)) } }
    func blockJudged(_ hash: Hash256, _ reply: PoolReply, code: Int64) {
        all.withLockedValue { $0.append(.judged(hash, reply, code)) }
    }
}

/// Makes rigs of workers when it is told to, as the market's writer would.
final class TestRegistrar: EdgeRegistrar {
    private struct State {
        var asked: [String] = []
        var waiting: [(worker: String, answer: @Sendable (WorkerRegistration) -> Void)] = []
        var mostWaiting = 0
        var isHeld = false
        var busy = 0
        var capacity = Int.max
    }

    private let state = NIOLockedValueBox(State())
    private let directory: TestDirectory

    init(_ directory: TestDirectory) { self.directory = directory }

    var asked: [String] { state.withLockedValue { $0.asked } }
    var mostWaiting: Int { state.withLockedValue { $0.mostWaiting } }
    var waiting: Int { state.withLockedValue { $0.waiting.count } }
    /// Answers wait until they are released.
    func hold() { state.withLockedValue { $0.isHeld = true } }
    /// So many answers are `busy`.
    func beBusy(_ times: Int) { state.withLockedValue { $0.busy = times } }
    func allow(_ rigs: Int) { state.withLockedValue { $0.capacity = rigs } }

    func release() {
        let waiting = state.withLockedValue { state in
            state.isHeld = false
            defer { state.waiting = [] }
            return state.waiting
        }
        for (worker, answer) in waiting { answer(outcome(worker)) }
    }

    func register(farm: FarmID, worker: String, answer: @escaping @Sendable (WorkerRegistration) -> Void) {
        let isHeld = state.withLockedValue { state in
            state.asked.append(worker)
            guard state.isHeld else { return false }
            state.waiting.append((worker, answer))
            state.mostWaiting = max(state.mostWaiting, state.waiting.count)
            return true
        }
        if !isHeld { answer(outcome(worker)) }
    }

    private func outcome(_ worker: String) -> WorkerRegistration {
        let isBusy = state.withLockedValue { state in
            defer { state.busy = max(0, state.busy - 1) }
            return state.busy > 0
        }
        if isBusy { return .busy }
        let number = directory.rigCount
        guard number < state.withLockedValue({ $0.capacity }) else { return .refused("The farm is full") }
        directory.add(rig: Int64(number) + 100, user: "a3.barn.\(worker)", fallback: 1)
        return .registered
    }
}

/// Keeps batches as the database would: each once.
final class TestSink: BatchSink {
    struct Refused: Error {}

    private struct State {
        var batches: [Int64: SealedBatch] = [:]
        /// Everything that was offered, also again.
        var offered: [(sequence: Int64, encoded: [UInt8], digest: [UInt8])] = []
        var refuses = false
    }

    private let state = NIOLockedValueBox(State())

    func deliver(_ batch: SealedBatch, encoded: [UInt8], digest: [UInt8]) async throws {
        try state.withLockedValue { state in
            state.offered.append((batch.sequence, encoded, digest))
            if state.refuses { throw Refused() }
            state.batches[batch.sequence] = batch
        }
    }

    func refuse(_ refuses: Bool) { state.withLockedValue { $0.refuses = refuses } }
    var offered: [(sequence: Int64, encoded: [UInt8], digest: [UInt8])] { state.withLockedValue { $0.offered } }
    var batches: [SealedBatch] { state.withLockedValue { $0.batches.values.sorted { $0.sequence < $1.sequence } } }
    var records: [MeterRecord] { batches.flatMap(\.records) }
    var slots: [SlotKey: SlotCounts] { Meter(records).slots }

    /// All slots of a delivery (nil: unsold work) together.
    func total(_ delivery: Int64?) -> SlotCounts {
        slots.reduce(into: SlotCounts()) { sum, slot in
            if slot.key.delivery?.rawValue == delivery { sum += slot.value }
        }
    }

    var shares: [ShareRecord] {
        records.compactMap { if case .share(let share) = $0 { share } else { nil } }
    }
    var jobs: [JobRecord] {
        records.compactMap { if case .job(let job) = $0 { job } else { nil } }
    }
}

let quiet = Logger(label: "test") { label in
    var handler = StreamLogHandler.standardError(label: label)
    handler.logLevel = ProcessInfo.processInfo.environment["HASHSPOT_TEST_LOG"] == nil ? .critical : .debug
    return handler
}

/// An edge with pools, all on real sockets.
final class Setup {
    let directory = TestDirectory()
    let reports = TestReports()
    let sink = TestSink()
    let registrar: TestRegistrar
    let folder: TemporaryFolder
    private(set) var pools: [Int64: MiningPool] = [:]
    private(set) var edge: Edge
    private(set) var port = 0
    private var position: Int64 = 0
    var configuration: EdgeConfiguration

    /// - Parameter adjust: changes to the edge's configuration
    init(adjust: (inout EdgeConfiguration) -> Void = { _ in }) throws {
        folder = try TemporaryFolder()
        registrar = TestRegistrar(directory)
        var configuration = EdgeConfiguration(
            host: "127.0.0.1", port: 0, spoolPath: folder.file("spool.sqlite"), edge: EdgeID(7), allotEpoch: { 3 })
        configuration.minimumDifficulty = ShareDifficulty(units: 1)
        configuration.startDifficulty = ShareDifficulty(units: 1)
        configuration.allowPrivatePools = true
        configuration.spool.sealing = .milliseconds(50)
        configuration.pools.firstRetry = .milliseconds(100)
        configuration.pools.recovery = .milliseconds(300)
        adjust(&configuration)
        self.configuration = configuration
        edge = Edge(
            configuration: configuration, directory: directory, reports: reports, registrar: registrar, sink: sink, logger: quiet)
    }

    /// A pool as target `id`, for user `user<id>`. Its jobs come only when asked for.
    @discardableResult
    func pool(_ id: Int64, port: Int = 0, _ adjust: (inout MiningPoolConfiguration) -> Void = { _ in }) async throws -> MiningPool {
        var configuration = MiningPoolConfiguration()
        configuration.port = port
        configuration.difficulty = DecimalDifficulty(ShareDifficulty(units: 1))
        configuration.jobInterval = .seconds(600)
        configuration.blockInterval = .seconds(6000)
        configuration.reportInterval = nil
        configuration.seed = UInt64(id)
        adjust(&configuration)
        let pool = MiningPool(configuration, logger: quiet)
        let ports = try await pool.start()
        pools[id] = pool
        directory.add(target: id, port: ports.stratum, user: "user\(id)")
        return pool
    }

    func start() async throws { port = try await edge.start() }

    /// Stops the edge and starts another one on the same spool.
    func restart() async throws {
        await edge.stop()
        edge = Edge(
            configuration: configuration, directory: directory, reports: reports, registrar: registrar, sink: sink, logger: quiet)
        try await start()
    }

    func sell(
        _ rig: Int64, delivery: Int64, to targets: [Int64], maxWork: Int64 = .max / 4, maxDifficulty: Int64 = 1 << 40,
        until: Timestamp? = nil
    ) {
        position += 1
        let route = Route(
            delivery: DeliveryID(delivery), bid: OrderID(1), targets: targets.map { PoolTargetID($0) },
            validUntil: until ?? SystemClock().now() + .seconds(3600), maxWork: Work(units: maxWork),
            maxDifficulty: ShareDifficulty(units: maxDifficulty), hashrate: Hashrate(hashesPerSecond: 1_000_000))
        edge.apply([RouteUpdate(rig: RigID(rig), position: position, route: route)])
    }

    /// Sells parts of a rig, as of one position: each to its target, with its hashrate.
    func sell(_ rig: Int64, parts: [(delivery: Int64, target: Int64, hashrate: Int64)], unsold: Int64 = 0) {
        position += 1
        let until = SystemClock().now() + .seconds(3600)
        let routes = parts.map {
            Route(
                delivery: DeliveryID($0.delivery), bid: OrderID($0.target), targets: [PoolTargetID($0.target)], validUntil: until,
                maxWork: Work(units: .max / 4), maxDifficulty: ShareDifficulty(units: 1 << 40),
                hashrate: Hashrate(hashesPerSecond: $0.hashrate), allowance: Work(units: 1 << 30))
        }
        edge.apply([
            RouteUpdate(rig: RigID(rig), position: position, routes: routes, unsold: Hashrate(hashesPerSecond: unsold)),
        ])
    }

    func release(_ rig: Int64) {
        position += 1
        edge.apply([RouteUpdate(rig: RigID(rig), position: position, route: nil)])
    }

    func rig(_ user: String) async throws -> RigSnapshot? {
        await edge.snapshot()?.rigs.first { $0.user == user }
    }

    /// All that pools have been sent is answered.
    func quiescent() async throws {
        try await eventually("pools' answers") {
            guard let snapshot = await edge.snapshot() else { return false }
            return snapshot.pools.allSatisfy { $0.waiting == 0 } && snapshot.spool.waiting == 0
        }
    }

    func stop() async throws {
        await edge.stop()
        for pool in pools.values { try await pool.stop() }
        folder.remove()
    }
}
