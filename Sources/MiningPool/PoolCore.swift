import Foundation
import Logging
import NIOCore
import ProofOfWork
import Stratum
import Units

/// The pool's state, all of it on one event loop: connections, jobs, accounts.
final class PoolCore {
    let configuration: MiningPoolConfiguration
    let logger: Logger
    let eventLoop: any EventLoop
    private var connections: [UInt64: MinerConnection] = [:]
    private var connects: UInt64 = 0
    private var factory: JobFactory
    private var jobs: [Job] = []
    private var jobCount = 0
    private var nextExtranonce1: UInt64 = 1
    private var ledger: PoolLedger
    private var random: SplitMix
    private var timers: [RepeatedTask] = []
    private(set) var fault = MiningPoolFault.none
    private(set) var difficulty: DecimalDifficulty

    /// Jobs of a block that shares may still name.
    static let maximalLiveJobs = 64

    init(_ configuration: MiningPoolConfiguration, logger: Logger, eventLoop: any EventLoop) {
        self.configuration = configuration
        self.logger = logger
        self.eventLoop = eventLoop
        difficulty = configuration.difficulty
        ledger = PoolLedger(algorithm: configuration.algorithm)
        factory = JobFactory(
            seed: configuration.seed, nbits: configuration.nbits,
            extranonceSize: configuration.extranonce1Size + configuration.extranonce2Size)
        random = SplitMix(state: ~configuration.seed)
        issueJob(newBlock: true)
    }

    var clock: UInt32 { UInt32(clamping: Int64(Date().timeIntervalSince1970)) }

    // MARK: time

    func startTimers() {
        let me = NIOLoopBound(self, eventLoop: eventLoop)
        func every(_ duration: Duration, _ body: @escaping @Sendable (PoolCore) -> Void) {
            let amount = TimeAmount(duration)
            guard amount > .nanoseconds(0) else { return }
            timers.append(
                eventLoop.scheduleRepeatedTask(initialDelay: amount, delay: amount) { _ in body(me.value) })
        }
        every(configuration.jobInterval) { $0.issueJob(newBlock: false) }
        every(configuration.blockInterval) { $0.issueJob(newBlock: true) }
        if let interval = configuration.reportInterval { every(interval) { $0.report() } }
    }

    func stop() {
        for timer in timers { timer.cancel() }
        timers = []
        for connection in connections.values { connection.close() }
    }

    private func report() {
        let snapshot = snapshot
        logger.info(
            "pool",
            metadata: [
                "connections": "\(snapshot.connections)", "accepted": "\(snapshot.accepted)",
                "units": "\(snapshot.acceptedUnits)", "rejected": "\(snapshot.rejected)", "jobs": "\(snapshot.jobs)",
            ])
        for (name, worker) in snapshot.workers.sorted(by: { $0.key < $1.key }) {
            logger.info(
                "worker",
                metadata: [
                    "worker": "\(name)", "accepted": "\(worker.accepted)", "units": "\(worker.acceptedUnits)",
                    "rejected": .dictionary(worker.rejected.mapValues { "\($0)" }),
                ])
        }
    }

    // MARK: jobs

    func issueJob(newBlock: Bool) {
        let job = factory.next(newBlock: newBlock, clock: clock)
        jobCount += 1
        if newBlock {
            jobs = []
            ledger.startBlock()
            for connection in connections.values { connection.forgetJobs() }
        }
        jobs.append(job)
        if jobs.count > PoolCore.maximalLiveJobs { jobs.removeFirst() }
        for connection in connections.values { connection.send(job) }
        logger.debug("job", metadata: ["job": "\(job.id)", "clean": "\(newBlock)"])
    }

    /// The job that a new connection starts with; there always is one.
    var latestJob: Job? { jobs.last }

    // MARK: connections

    /// nil when there are too many or a fault closes all.
    func add(_ connection: MinerConnection) -> UInt64? {
        guard connections.count < configuration.maximalConnections, fault != .close else { return nil }
        connects += 1
        connections[connects] = connection
        return connects
    }

    func remove(_ number: UInt64) { connections[number] = nil }

    /// An extranonce1 that no connection had before, as long as its size has room.
    func takeExtranonce1() -> [UInt8] {
        defer { nextExtranonce1 &+= 1 }
        let size = configuration.extranonce1Size
        return (0..<size).reversed().map { UInt8(truncatingIfNeeded: nextExtranonce1 >> UInt64(8 * $0)) }
    }

    func hasRoom(for worker: String) -> Bool { ledger.hasRoom(for: worker) }

    func judge(_ share: Submission, issued: IssuedJob?, mask: UInt32) -> StratumError? {
        if ledger.isFull { issueJob(newBlock: true) }
        let lead = clock.addingReportingOverflow(configuration.maximalNtimeLead)
        return ledger.judge(
            share, issued: issued, mask: mask, latestTime: lead.overflow ? .max : lead.partialValue,
            refuse: wantsRefusal())
    }

    private func wantsRefusal() -> Bool {
        switch fault {
        case .refuse(let percent): Int(random.next() % 100) < percent
        case .none, .silent, .close: false
        }
    }

    var isSilent: Bool { fault == .silent }

    // MARK: what tests and the command ask for

    var snapshot: MiningPoolSnapshot {
        var snapshot = MiningPoolSnapshot()
        snapshot.workers = ledger.workers
        snapshot.connections = connections.count
        snapshot.connects = Int(clamping: connects)
        snapshot.jobs = jobCount
        snapshot.blocks = ledger.blocks
        snapshot.difficulty = difficulty.description
        return snapshot
    }

    func set(_ fault: MiningPoolFault) {
        self.fault = fault
        guard fault == .close else { return }
        for connection in connections.values { connection.close() }
    }

    /// From the next job on, for all connections.
    func set(_ difficulty: DecimalDifficulty) {
        self.difficulty = difficulty
        for connection in connections.values { connection.set(difficulty) }
        issueJob(newBlock: false)
    }

    func changeExtranonces() {
        for connection in connections.values { connection.changeExtranonce() }
        issueJob(newBlock: true)
    }

    func askToReconnect(host: String?, port: Int) {
        for connection in connections.values { connection.askToReconnect(host: host, port: port) }
    }
}

extension TimeAmount {
    init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self = .nanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }
}
