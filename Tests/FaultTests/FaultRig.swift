import Foundation
import ProofOfWork
import Stratum
import TestSupport
import Synchronization
import Units

/// A rig that knows which of its shares were acknowledged: one Stratum V1 connection after the other, with real proof of
/// work, on a thread of its own.
final class FaultRig: Sendable {
    struct Share: Hashable, Sendable {
        /// Of its header.
        var hash: [UInt8]
        /// The difficulty that its job was assigned.
        var units: Int64
    }

    struct State: Sendable {
        var acknowledged: [Share] = []
        /// Hashes of shares that were answered with an error.
        var refused: [[UInt8]] = []
        var refusals: [String: Int] = [:]
        var connects = 0
        /// Shares that have no answer yet.
        var waiting = 0
        var isConnected = false
        /// What its job builds on: pools of different seeds never have the same.
        var previousBlock: [UInt8] = []
        var isPaused = false
        var isStopped = false
    }

    let id: Int64
    let user: String
    let password: String
    private let ports: Mutex<Int>
    private let hashrate: Double
    private let state = Mutex(State())
    private let worker = Mutex<Worker?>(nil)

    init(id: Int64, port: Int, user: String, password: String, hashrate: Double = 2_000_000) {
        self.id = id
        ports = Mutex(port)
        self.user = user
        self.password = password
        self.hashrate = hashrate
    }

    var now: State { state.withLock { $0 } }
    var acknowledgedCount: Int { state.withLock { $0.acknowledged.count } }
    var connects: Int { state.withLock { $0.connects } }

    func start() {
        let thread = Worker("rig \(id)") { [self] in
            while !state.withLock({ $0.isStopped }) {
                try? connection()
                state.withLock { state in
                    state.isConnected = false
                    state.waiting = 0
                }
                pause(0.02)
            }
        }
        worker.withLock { $0 = thread }
    }

    func stop() {
        state.withLock { $0.isStopped = true }
        worker.withLock { $0.take() }?.join()
    }

    /// Where it connects from now on.
    func move(to port: Int) { ports.withLock { $0 = port } }

    /// Stays connected and finds no further shares, or goes on.
    func setPaused(_ isPaused: Bool) { state.withLock { $0.isPaused = isPaused } }

    // MARK: - Its thread

    private static func clock() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }

    /// One connection to its end.
    private func connection() throws {
        var connection = Connection(rig: self, socket: try Socket.connect(port: ports.withLock { $0 }))
        try connection.start()
        while !state.withLock({ $0.isStopped }) {
            try connection.readAll()
            try connection.mine(seconds: 0.01)
        }
    }

    private struct Connection {
        let rig: FaultRig
        let socket: Socket
        var session: PoolSession
        var buffer: [UInt8] = []
        var job: PoolJob?
        var template: WorkTemplate?
        var scanner: NonceScanner?
        var extranonce2: UInt32 = 0
        var nonce: UInt64 = 0
        var isReady = false
        var nextTag: UInt64 = 1
        var sent: [UInt64: Share] = [:]

        init(rig: FaultRig, socket: Socket) {
            self.rig = rig
            self.socket = socket
            var configuration = PoolSession.Configuration(user: rig.user, password: rig.password)
            configuration.versionMask = 0
            configuration.subscribesExtranonce = false
            session = PoolSession(configuration)
        }

        mutating func start() throws { try socket.send(session.start(at: FaultRig.clock())) }

        /// Takes in all that has come.
        mutating func readAll() throws {
            do { while true { try take(try socket.receive(within: 0)) } } catch is Socket.TimedOut {}
        }

        private mutating func take(_ bytes: [UInt8]) throws {
            buffer += bytes
            guard let end = buffer.lastIndex(of: 10) else { return }
            let lines = buffer[...end].split(separator: 10)
            buffer.removeSubrange(...end)
            for line in lines { try take(line: Array(line)) }
        }

        private mutating func take(line: [UInt8]) throws {
            switch session.receive(line, at: FaultRig.clock()) {
            case .send(let bytes), .subscribed(_, _, let bytes): try socket.send(bytes)
            case .ready:
                isReady = true
                rig.state.withLock { state in
                    state.connects += 1
                    state.isConnected = true
                }
            case .refused(_, let error): throw Broken("rig \(rig.id) was refused: \(error)")
            case .job(let job): begin(job)
            case .answered(let tag, let answer): answered(tag, answer)
            case .none, .authorized, .versionMask, .difficulty, .extranonce, .message: break
            case .reconnect, .malformed, .close: throw Broken("rig \(rig.id): \(String(decoding: line, as: UTF8.self))")
            }
        }

        private mutating func begin(_ job: PoolJob) {
            self.job = job
            template = WorkTemplate(
                coinb1: job.job.coinb1, coinb2: job.job.coinb2, branches: job.job.branches, version: job.job.version,
                previousBlock: job.job.previousBlock, nbits: job.job.nbits)
            extranonce2 = 0
            rig.state.withLock { $0.previousBlock = job.job.previousBlock.bytes }
            scan()
        }

        private var extranonce2Bytes: [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: extranonce2 >> UInt32(24 - 8 * $0)) } }

        private mutating func scan() {
            guard let job, let template else { return }
            nonce = 0
            scanner = NonceScanner(
                header: template.header(
                    extranonce1: job.extranonce1, extranonce2: extranonce2Bytes, ntime: job.job.ntime, nonce: 0,
                    version: job.job.version),
                target: job.difficulty.target)
        }

        private mutating func answered(_ tag: UInt64, _ answer: PoolSession.SubmitAnswer) {
            guard let share = sent.removeValue(forKey: tag) else { return }
            rig.state.withLock { state in
                state.waiting -= 1
                switch answer {
                case .accepted: state.acknowledged.append(share)
                case .rejected(let error):
                    state.refused.append(share.hash)
                    state.refusals["\(error.code) \(error.text)", default: 0] += 1
                }
            }
        }

        /// Hashes at the rig's rate for about so long; sends what it finds at once.
        mutating func mine(seconds: Double) throws {
            let isIdle = rig.state.withLock { $0.isPaused || $0.waiting > 500 }
            guard isReady, !isIdle, let job, let scanner else { return pause(min(seconds, 0.005)) }
            let start = ContinuousClock.now
            let part = scanner.scan(from: UInt32(nonce), count: UInt64(rig.hashrate * seconds))
            for found in part.found { try submit(job, found, scanner.hash(nonce: found)) }
            nonce += part.tried
            if nonce > 1 << 28 {
                extranonce2 += 1
                scan()
            }
            let spent = (ContinuousClock.now - start).components
            let due = Double(part.tried) / rig.hashrate
            pause(max(0, due - Double(spent.seconds) - Double(spent.attoseconds) * 1e-18))
        }

        private mutating func submit(_ job: PoolJob, _ nonce: UInt32, _ hash: Hash256) throws {
            let tag = nextTag
            nextTag += 1
            sent[tag] = Share(hash: hash.bytes, units: job.difficulty.wholeUnits)
            rig.state.withLock { $0.waiting += 1 }
            let submission = Submission(
                worker: rig.user, jobID: job.job.id, extranonce2: extranonce2Bytes, ntime: job.job.ntime, nonce: nonce)
            try socket.send(try session.submit(submission, tag: tag, at: FaultRig.clock()))
        }
    }
}
