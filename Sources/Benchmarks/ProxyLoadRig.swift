internal import NIOCore

/// What the load generator's rigs do together, on one event loop.
final class ProxyLoad {
    /// Rigs that have their first job.
    private(set) var ready = 0
    private(set) var answered = 0
    private(set) var refused = 0
    private(set) var reads = 0
    private(set) var lines = 0
    private(set) var latencies = Samples(capacity: 1 << 20)
    /// The answer that a rig is told first when it is refused something: for the error message.
    private(set) var firstRefusal: String?
    /// Shares that each rig sends in one write as soon as those before are answered; 0: only when told.
    var window = 0
    /// When the present block was sent, and how long after it each rig had its job.
    private var blockSentAt: UInt64?
    private(set) var blockDelays: [(isPaying: Bool, nanoseconds: UInt64)] = []
    var isMeasuring = false

    func startBlock() {
        blockSentAt = Stopwatch.now()
        blockDelays.removeAll(keepingCapacity: true)
    }

    /// Their connections have ended.
    func forgetRigs() { ready = 0 }

    func endBlock() { blockSentAt = nil }

    func resetCounts() {
        answered = 0
        refused = 0
        reads = 0
        lines = 0
        latencies = Samples(capacity: 1 << 20)
    }

    fileprivate func read(lines count: Int) {
        reads += 1
        lines += count
    }

    fileprivate func becameReady() { ready += 1 }

    fileprivate func gotBlock(_ rig: ProxyLoadRig) {
        guard let blockSentAt else { return }
        blockDelays.append((rig.isPaying, Stopwatch.now() &- blockSentAt))
    }

    fileprivate func answered(_ sentAt: UInt64, isAccepted: Bool, _ line: UnsafeRawBufferPointer) {
        answered += 1
        if !isAccepted {
            refused += 1
            firstRefusal = firstRefusal ?? String(decoding: line, as: UTF8.self)
        }
        if isMeasuring { latencies.add(Stopwatch.now() &- sentAt) }
    }
}

/// One rig of the load generator: logs in, follows jobs, sends shares that differ from one another.
final class ProxyLoadRig: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    let number: Int
    let isPaying: Bool
    private let load: ProxyLoad
    private var channel: (any Channel)?
    private var rest: ByteBuffer?
    private var jobID: [UInt8] = []
    private var ntime: [UInt8] = []
    private var counter: UInt32 = 0
    private var nextID = 3
    private var isReady = false
    private(set) var isClosed = false
    private(set) var linesSeen = 0
    var hasJob: Bool { isReady }
    /// When the shares without an answer were sent, the oldest first: answers come in that order.
    private var sent: [UInt64] = []
    private var firstSent = 0

    init(number: Int, isPaying: Bool, load: ProxyLoad) {
        self.number = number
        self.isPaying = isPaying
        self.load = load
    }

    func channelActive(context: ChannelHandlerContext) {
        channel = context.channel
        var hello = context.channel.allocator.buffer(capacity: 192)
        hello.writeString("{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"bench/1.0\"]}\n")
        hello.writeString("{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"r\(number)\",\"x\"]}\n")
        context.writeAndFlush(NIOAny(hello), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if var joined = rest {
            rest = nil
            joined.writeBuffer(&bytes)
            bytes = joined
        }
        var count = 0
        let used = bytes.withUnsafeReadableBytes { all in
            var start = 0
            while let end = all[start...].firstIndex(of: UInt8(ascii: "\n")) {
                received(UnsafeRawBufferPointer(rebasing: all[start..<end]))
                start = end + 1
                count += 1
            }
            return start
        }
        load.read(lines: count)
        linesSeen += count
        bytes.moveReaderIndex(forwardBy: used)
        if bytes.readableBytes > 0 { rest = bytes }
        if load.window > 0, isReady, firstSent == sent.count { submit(load.window) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelInactive(context: ChannelHandlerContext) {
        isClosed = true
        channel = nil
    }

    func close() {
        channel?.close(promise: nil)
        channel = nil
    }

    private static let notify = Array("{\"id\":null,\"method\":\"mining.notify\",\"params\":[\"".utf8)
    private static let answer = Array("{\"id\":".utf8)

    /// Lines as this market's edge writes them.
    private func received(_ line: UnsafeRawBufferPointer) {
        if line.starts(with: ProxyLoadRig.notify) { return gotJob(line) }
        guard line.starts(with: ProxyLoadRig.answer) else { return }
        var at = ProxyLoadRig.answer.count
        var id = 0
        while at < line.count, case let digit = line[at], (0x30...0x39).contains(digit) {
            id = id * 10 + Int(digit - 0x30)
            at += 1
        }
        guard id > 2, firstSent < sent.count else { return }
        let isAccepted = at + 11 < line.count && line[at + 10] == UInt8(ascii: "t")
        load.answered(sent[firstSent], isAccepted: isAccepted, line)
        firstSent += 1
        if firstSent == sent.count {
            sent.removeAll(keepingCapacity: true)
            firstSent = 0
        }
    }

    private func gotJob(_ line: UnsafeRawBufferPointer) {
        let start = ProxyLoadRig.notify.count
        jobID = Array(line[start...].prefix { $0 != UInt8(ascii: "\"") })
        // ...,"ntime",true]}
        let tail = line.count - (line[line.count - 3] == UInt8(ascii: "e") && line[line.count - 4] == UInt8(ascii: "u") ? 8 : 9)
        ntime = Array(line[(tail - 8)..<tail])
        if !isReady {
            isReady = true
            load.becameReady()
        }
        load.gotBlock(self)
    }

    /// Sends some shares in one write.
    func submit(_ count: Int) {
        guard isReady, let channel else { return }
        var out = channel.allocator.buffer(capacity: count * 112)
        let now = Stopwatch.now()
        for _ in 0..<count {
            counter &+= 1
            out.writeString("{\"id\":\(nextID),\"method\":\"mining.submit\",\"params\":[\"r\(number)\",\"")
            out.writeBytes(jobID)
            out.writeString("\",\"00000000\",\"")
            out.writeBytes(ntime)
            out.writeString("\",\"")
            ProxyLoadRig.write(hex: counter, to: &out)
            out.writeString("\"]}\n")
            nextID += 1
            sent.append(now)
        }
        channel.writeAndFlush(out, promise: nil)
    }

    private static func write(hex word: UInt32, to out: inout ByteBuffer) {
        for shift in stride(from: UInt32(28), through: 0, by: -4) {
            let digit = UInt8(truncatingIfNeeded: word >> shift & 15)
            out.writeInteger(digit < 10 ? 0x30 + digit : 0x57 + digit)
        }
    }
}
