internal import Foundation
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// Measures the API of a market that runs in another process.
public struct APIBenchmark: Sendable {
    public struct Failure: Error, CustomStringConvertible {
        public var description: String
    }

    /// What is measured.
    public enum Part: String, CaseIterable, Sendable {
        /// `GET /v1/book`.
        case book
        /// `GET /v1/ticker`.
        case ticker
        /// `GET /v1/stream/book`.
        case streams
    }

    public var connections = 64
    public var readers = 5000
    public var events = 50
    public var seconds = 10
    public var parts: Set<Part> = Set(Part.allCases)
    /// Starts the server: it writes its port, and places an order for every line that it reads.
    private let serverCommand: [String]

    public init(serverCommand: [String]) { self.serverCommand = serverCommand }

    /// - Parameter progress: is told what is being done
    public func run(progress: (String) -> Void) async throws -> [BenchmarkReport] {
        APIStage.raiseLimit()
        let stage = try APIStage(serverCommand)
        do {
            var reports: [BenchmarkReport] = []
            if parts.contains(.book) {
                progress("\(connections) connections ask for the book")
                reports.append(try await requests("book", "/v1/book", stage))
            }
            if parts.contains(.ticker) {
                progress("\(connections) connections ask for the ticker")
                reports.append(try await requests("ticker", "/v1/ticker", stage))
            }
            if parts.contains(.streams) {
                progress("\(readers) readers of the book's stream")
                reports.append(try await streams(stage))
            }
            await stage.stop()
            return reports
        } catch {
            await stage.stop()
            throw error
        }
    }

    // MARK: - Requests

    private func requests(_ variant: String, _ path: String, _ stage: APIStage) async throws -> BenchmarkReport {
        let counts = RequestCounts()
        var channels: [any Channel] = []
        for _ in 0..<connections {
            channels.append(try await stage.connect { RequestLoop(path: path, counts: counts) })
        }
        // What comes in the first second warms up.
        try await Task.sleep(for: .seconds(1))
        let before = stage.usage()
        let start = Stopwatch.now()
        counts.start()
        try await Task.sleep(for: .seconds(seconds))
        var (samples, failures) = counts.stop()
        let time = Double(Stopwatch.now() - start) / 1e9
        let after = stage.usage()
        for channel in channels { try? await channel.close() }
        let done = samples.count
        var report = BenchmarkReport(
            bench: "api", variant: variant, operations: done, opsPerSecond: Double(done) / time,
            cpuUsPerOp: (after.processor - before.processor) * 1e6 / Double(max(1, done)), rssBytes: after.resident)
        report.p50us = samples.quantile(0.5) / 1000
        report.p99us = samples.quantile(0.99) / 1000
        report.p999us = samples.quantile(0.999) / 1000
        report.extras = ["connections": Double(connections), "failures": Double(failures)]
        return report
    }

    // MARK: - Streams

    private func streams(_ stage: APIStage) async throws -> BenchmarkReport {
        let alone = stage.usage()
        let arrivals = Arrivals(readers: readers)
        var channels: [any Channel] = []
        for start in stride(from: 0, to: readers, by: 100) {
            try await withThrowingTaskGroup(of: (any Channel).self) { group in
                for _ in start..<min(start + 100, readers) {
                    group.addTask { try await stage.connect { EventCounter(arrivals: arrivals) } }
                }
                for try await channel in group { channels.append(channel) }
            }
        }
        try await arrivals.all(of: 0, "the snapshot")
        let open = stage.usage()
        var samples = Samples(capacity: events)
        let start = Stopwatch.now()
        var processor = 0.0
        for event in 1...events {
            let before = stage.usage()
            let sent = Stopwatch.now()
            stage.place(Int64(event % 1000))
            try await arrivals.all(of: event, "change \(event)")
            samples.add(arrivals.last(event) &- sent)
            processor += stage.usage().processor - before.processor
        }
        let time = Double(Stopwatch.now() - start) / 1e9
        for channel in channels { channel.close(promise: nil) }
        var report = BenchmarkReport(
            bench: "api", variant: "streams", operations: events * readers, opsPerSecond: Double(events * readers) / time,
            cpuUsPerOp: processor * 1e6 / Double(events * readers), rssBytes: open.resident)
        report.p50us = samples.quantile(0.5) / 1000
        report.p99us = samples.quantile(0.99) / 1000
        report.extras = [
            "readers": Double(readers), "events": Double(events),
            "bytesPerReader": Double(open.resident - alone.resident) / Double(readers),
        ]
        return report
    }
}

/// The server's process, and the loop of its clients.
private final class APIStage: Sendable {
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let server: Process
    private let input: FileHandle
    private let port: Int

    init(_ command: [String]) throws {
        guard let (process, input, port) = try MeasuredProcess.start(command) else {
            throw APIBenchmark.Failure(description: "the server did not start")
        }
        (server, self.input, self.port) = (process, input, port)
    }

    static func raiseLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    func usage() -> EdgeUsage { EdgeUsage(process: server.processIdentifier) }

    func place(_ number: Int64) { input.write(Data("\(number)\n".utf8)) }

    func connect(_ handler: @escaping @Sendable () -> some ChannelHandler) async throws -> any Channel {
        try await ClientBootstrap(group: group)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(handler()) }
            }
            .connect(host: "127.0.0.1", port: port).get()
    }

    func stop() async {
        try? input.close()
        server.waitUntilExit()
        try? await group.shutdownGracefully()
    }
}

/// Times of answers, once it is started.
private final class RequestCounts: Sendable {
    private let state = Mutex((samples: Samples(capacity: 1 << 20), failures: 0, isCounting: false))

    func start() { state.withLock { $0.isCounting = true } }

    func add(_ time: UInt64, isOK: Bool) {
        state.withLock { state in
            guard state.isCounting else { return }
            if isOK { state.samples.add(time) } else { state.failures += 1 }
        }
    }

    func stop() -> (Samples, Int) {
        state.withLock { state in
            state.isCounting = false
            return (state.samples, state.failures)
        }
    }
}

/// Asks again as soon as it is answered.
private final class RequestLoop: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let request: ByteBuffer
    private let counts: RequestCounts
    private var sent: UInt64 = 0
    private var answer: [UInt8] = []
    private var whole: Int?

    init(path: String, counts: RequestCounts) {
        request = ByteBuffer(string: "GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.counts = counts
    }

    func channelActive(context: ChannelHandlerContext) { ask(context) }

    private func ask(_ context: ChannelHandlerContext) {
        sent = Stopwatch.now()
        context.writeAndFlush(NIOAny(request), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let part = unwrapInboundIn(data)
        answer += part.readableBytesView
        if whole == nil { whole = RequestLoop.length(of: answer) }
        guard let whole, answer.count >= whole else { return }
        counts.add(Stopwatch.now() &- sent, isOK: answer.starts(with: "HTTP/1.1 200".utf8))
        answer.removeAll(keepingCapacity: true)
        self.whole = nil
        ask(context)
    }

    /// Of head and body; nil while the head is not complete.
    private static func length(of answer: [UInt8]) -> Int? {
        let end = Array("\r\n\r\n".utf8)
        guard let start = (0..<max(0, answer.count - 3)).first(where: { answer[$0] == 13 && answer[$0..<($0 + 4)].elementsEqual(end) })
        else { return nil }
        let head = String(decoding: answer[..<start], as: UTF8.self).lowercased()
        let line = head.split(separator: "\r\n").first { $0.hasPrefix("content-length:") }
        return start + 4 + (line.flatMap { Int($0.dropFirst(15).trimmingCharacters(in: .whitespaces)) } ?? 0)
    }
}

/// How many readers have an event.
private final class Arrivals: Sendable {
    private struct State {
        var counts: [Int: Int] = [:]
        var last: [Int: UInt64] = [:]
        var closed = 0
    }

    private let readers: Int
    private let state = Mutex(State())

    init(readers: Int) { self.readers = readers }

    func note(_ event: Int) {
        let now = Stopwatch.now()
        state.withLock { state in
            state.counts[event, default: 0] += 1
            state.last[event] = now
        }
    }

    func noteClosed() { state.withLock { $0.closed += 1 } }

    func last(_ event: Int) -> UInt64 { state.withLock { $0.last[event] ?? 0 } }

    /// Waits until all readers have an event; at most half a minute.
    func all(of event: Int, _ name: String) async throws {
        for _ in 0..<30_000 {
            let (count, closed) = state.withLock { ($0.counts[event] ?? 0, $0.closed) }
            if count >= readers { return }
            guard closed == 0 else { throw APIBenchmark.Failure(description: "\(closed) streams ended before \(name)") }
            try await Task.sleep(for: .milliseconds(1))
        }
        throw APIBenchmark.Failure(description: "not all readers got \(name)")
    }
}

/// Counts a stream's events by the lines that say what they are.
private final class EventCounter: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private static let mark = Array("event: ".utf8)
    private let arrivals: Arrivals
    private var matched = 0
    private var events = 0

    init(arrivals: Arrivals) { self.arrivals = arrivals }

    func channelActive(context: ChannelHandlerContext) {
        context.writeAndFlush(NIOAny(ByteBuffer(string: "GET /v1/stream/book HTTP/1.1\r\nHost: localhost\r\n\r\n")), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        unwrapInboundIn(data).withUnsafeReadableBytes { bytes in
            for byte in bytes { take(byte) }
        }
    }

    private func take(_ byte: UInt8) {
        if byte == EventCounter.mark[matched] {
            matched += 1
        } else {
            matched = byte == EventCounter.mark[0] ? 1 : 0
        }
        guard matched == EventCounter.mark.count else { return }
        matched = 0
        arrivals.note(events)
        events += 1
    }

    func channelInactive(context: ChannelHandlerContext) { arrivals.noteClosed() }
}
