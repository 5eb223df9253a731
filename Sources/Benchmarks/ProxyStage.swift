internal import Foundation
internal import NIOCore
internal import NIOPosix
internal import Units

/// Time on processors, in seconds, and resident bytes of the edge's process.
struct EdgeUsage {
    var processor: Double
    var resident: Int

    /// - Parameter process: 0 fields where /proc does not tell
    init(process: Int32) {
        let stat = (try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)) ?? ""
        // Fields after the command's name in brackets; the 14th and 15th of all are user and system time.
        let fields = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ")
        let ticks = fields.count > 13 ? (Double(fields[12]) ?? 0) + (Double(fields[13]) ?? 0) : 0
        processor = ticks / Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
        resident = fields.count > 22 ? (Int(fields[22]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
    }
}

/// Keeps a process, or one that it starts, on one processor.
enum Pinning {
    static func pin(processor: Int) {
        _ = try? command(processor: processor, process: ProcessInfo.processInfo.processIdentifier)
    }

    private static func command(processor: Int, process: Int32) throws {
        let taskset = Process()
        taskset.executableURL = URL(fileURLWithPath: "/usr/bin/taskset")
        taskset.arguments = ["-a", "-cp", "\(processor)", "\(process)"]
        taskset.standardOutput = FileHandle.nullDevice
        try taskset.run()
        taskset.waitUntilExit()
    }
}

/// What the generator counted.
struct ProxyCounts: Sendable {
    var answered: Int
    var refused: Int
    var refusal: String?
    var reads: Int
    var lines: Int
    var forwarded: Int
    var latencies: Samples
}

/// An edge in a process of its own, and around it, on one event loop of this process, rigs and pools.
final class ProxyStage: Sendable {
    let rigs: Int
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let parts: NIOLoopBoundBox<Parts>
    private let edge: Process
    private let edgePort: Int
    private let edgeInput: FileHandle
    private let poolListener: any Channel

    private final class Parts {
        let load = ProxyLoad()
        let pools = ProxyLoadPools()
        var rigs: [ProxyLoadRig] = []
        var next = 0
    }

    init(rigs: Int, interval: Double, folder: String, command: [String], processor: Int?) async throws {
        self.rigs = rigs
        ProxyStage.raiseLimit()
        let loop = group.any()
        let parts = try await loop.submit { NIOLoopBoundBox(Parts(), eventLoop: loop) }.get()
        self.parts = parts
        poolListener = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ProxyLoadPool(pools: parts.value.pools))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let place = folder + "/edge-\(rigs)"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        let arguments = [
            "--pool-port", "\(poolListener.localAddress?.port ?? 0)", "--paying", "\(rigs / 2)", "--share-interval",
            "\(Int64(interval * 1e6))", "--folder", place,
        ]
        guard let started = try MeasuredProcess.start(
            (processor.map { ["/usr/bin/taskset", "-c", "\($0)"] } ?? []) + command + arguments) else {
            throw ProxyBenchmark.Failure(description: "the edge did not start")
        }
        (edge, edgeInput, edgePort) = started
    }

    private static func raiseLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    func stop() async {
        try? edgeInput.close()
        edge.waitUntilExit()
        try? await poolListener.close()
        try? await group.shutdownGracefully()
    }

    func edgeUsage() -> EdgeUsage { EdgeUsage(process: edge.processIdentifier) }

    private func onLoop<T: Sendable>(_ body: @escaping @Sendable () -> T) async -> T? {
        try? await group.any().submit(body).get()
    }

    /// Waits until something is so; fails when it takes a minute.
    private func wait(until isSo: @escaping @Sendable () -> Bool, _ what: String) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while await onLoop(isSo) != true {
            guard ContinuousClock.now < deadline else { throw ProxyBenchmark.Failure(description: "not in time: \(what)") }
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    /// Connects all rigs, from many addresses of the loopback network; returns when each has its first job.
    func connect() async throws {
        let port = edgePort, parts = parts, group = group, rigs = rigs
        let atOnce = 400
        await withTaskGroup(of: Void.self) { tasks in
            for lane in 0..<atOnce {
                tasks.addTask {
                    for number in stride(from: lane + 1, through: rigs, by: atOnce) {
                        let source = try? SocketAddress(ipAddress: "127.0.\(number / 250 % 100 + 1).\(number % 250 + 1)", port: 0)
                        guard let source else { continue }
                        _ = try? await ClientBootstrap(group: group)
                            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                            .bind(to: source)
                            .channelInitializer { channel in
                                channel.eventLoop.makeCompletedFuture {
                                    let rig = ProxyLoadRig(number: number, isPaying: number <= rigs / 2, load: parts.value.load)
                                    parts.value.rigs.append(rig)
                                    try channel.pipeline.syncOperations.addHandler(rig)
                                }
                            }
                            .connect(host: "127.0.0.1", port: port).get()
                    }
                }
            }
        }
        do {
            try await wait(until: { parts.value.load.ready >= rigs }, "jobs of all rigs")
        } catch {
            let state = await onLoop {
                let all = parts.value
                return "\(all.rigs.count) connected, \(all.load.ready) have a job, \(all.rigs.filter(\.isClosed).count) were closed; "
                    + "of those without: \(all.rigs.filter { !$0.hasJob }.prefix(5).map { "\($0.number): \($0.linesSeen) lines" })"
            }
            throw ProxyBenchmark.Failure(description: "not all rigs got a job in a minute: \(state ?? "")")
        }
    }

    /// Ends the connections of all rigs.
    func disconnect() async {
        let parts = parts
        _ = await onLoop {
            for rig in parts.value.rigs { rig.close() }
            parts.value.rigs = []
            parts.value.load.forgetRigs()
        }
    }

    /// A new block at all pools; returns when each rig has its job.
    func block() async throws -> [(isPaying: Bool, nanoseconds: UInt64)] {
        let parts = parts, rigs = rigs
        _ = await onLoop {
            parts.value.load.startBlock()
            parts.value.pools.sendBlock()
        }
        try await wait(until: { parts.value.load.blockDelays.count >= rigs }, "the block at all rigs")
        return await onLoop {
            parts.value.load.endBlock()
            return parts.value.load.blockDelays
        } ?? []
    }

    /// Sends so many shares a second, one after the other over all rigs, and waits for their answers.
    func send(rate: Int, seconds: Int) async throws {
        let parts = parts
        let start = Stopwatch.now()
        let total = rate * seconds
        _ = await onLoop { parts.value.load.isMeasuring = true }
        var sent = 0
        let before = await onLoop { parts.value.load.answered } ?? 0
        while sent < total {
            let due = min(total, Int(Double(Stopwatch.now() &- start) / 1e9 * Double(rate)))
            let count = due - sent
            if count > 0 {
                _ = await onLoop {
                    let all = parts.value
                    for _ in 0..<count {
                        all.rigs[all.next % all.rigs.count].submit(1)
                        all.next += 1
                    }
                }
                sent = due
            }
            try await Task.sleep(for: .milliseconds(2))
        }
        try await wait(until: { parts.value.load.answered >= before + total }, "answers to all shares")
    }

    /// Every rig sends as soon as it is answered.
    func flood(window: Int, seconds: Int) async {
        let parts = parts
        _ = await onLoop {
            parts.value.load.isMeasuring = true
            parts.value.load.window = window
            for rig in parts.value.rigs { rig.submit(window) }
        }
        try? await Task.sleep(for: .seconds(seconds))
        _ = await onLoop { parts.value.load.window = 0 }
        let quiet = ContinuousClock.now + .seconds(5)
        var last = -1
        while ContinuousClock.now < quiet {
            let now = await onLoop { parts.value.load.answered } ?? 0
            if now == last { break }
            last = now
            try? await Task.sleep(for: .milliseconds(50))
        }
    }

    func resetCounts() {
        let parts = parts
        try? group.any().submit { parts.value.load.resetCounts() }.wait()
    }

    func counts() -> ProxyCounts {
        let parts = parts
        let counted = try? group.any().submit {
            let load = parts.value.load
            return ProxyCounts(
                answered: load.answered, refused: load.refused, refusal: load.firstRefusal, reads: load.reads, lines: load.lines,
                forwarded: parts.value.pools.submissions, latencies: load.latencies)
        }.wait()
        return counted ?? ProxyCounts(answered: 0, refused: 0, reads: 0, lines: 0, forwarded: 0, latencies: Samples(capacity: 0))
    }
}
