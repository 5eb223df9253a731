internal import Metering
internal import NIOCore
internal import ProofOfWork
internal import Stratum
internal import Units

/// The load generator's pools: accept every share, and send a new block to all connections when told.
final class ProxyLoadPools {
    private var connections: [ObjectIdentifier: ProxyLoadPool] = [:]
    private var height: UInt64 = 1
    private(set) var submissions = 0
    /// Connections so far: each gets an extranonce1 of its own.
    private var opened: UInt32 = 0

    fileprivate func opened(_ pool: ProxyLoadPool) -> UInt32 {
        connections[ObjectIdentifier(pool)] = pool
        opened += 1
        return opened
    }

    fileprivate func closed(_ pool: ProxyLoadPool) { connections[ObjectIdentifier(pool)] = nil }

    fileprivate func submitted(_ count: Int) { submissions += count }

    /// 250 bytes of coinbase with the extranonces, 12 branches.
    fileprivate func job(clean: Bool) -> [UInt8] {
        let seed = DoubleSHA256.hash(withUnsafeBytes(of: height) { Array($0) })
        return Line.notify(Job(
            id: String(height, radix: 16), previousBlock: seed, coinb1: Array(repeating: 1, count: 60),
            coinb2: Array(repeating: 2, count: 178), branches: Array(repeating: seed, count: 12), version: 0x2000_0000,
            nbits: 0x1703_4219, ntime: 1_700_000_000, cleanJobs: clean))
    }

    /// All connections' pools have found a block at the same time; pools whose rigs are paid for are no sooner than others.
    func sendBlock() {
        height += 1
        let line = job(clean: true)
        for pool in connections.values { pool.send(line) }
    }
}

/// One connection of the edge to a pool of the load generator.
final class ProxyLoadPool: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let pools: ProxyLoadPools
    private var channel: (any Channel)?
    private var rest: ByteBuffer?

    init(pools: ProxyLoadPools) { self.pools = pools }

    func send(_ line: [UInt8]) { channel?.writeAndFlush(ByteBuffer(bytes: line), promise: nil) }

    func channelActive(context: ChannelHandlerContext) { channel = context.channel }

    func channelInactive(context: ChannelHandlerContext) {
        pools.closed(self)
        channel = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if var joined = rest {
            rest = nil
            joined.writeBuffer(&bytes)
            bytes = joined
        }
        var out = context.channel.allocator.buffer(capacity: 4096)
        var submissions = 0
        let used = bytes.withUnsafeReadableBytes { all in
            var start = 0
            while let end = all[start...].firstIndex(of: UInt8(ascii: "\n")) {
                if answer(UnsafeRawBufferPointer(rebasing: all[start..<end]), &out) { submissions += 1 }
                start = end + 1
            }
            return start
        }
        pools.submitted(submissions)
        bytes.moveReaderIndex(forwardBy: used)
        if bytes.readableBytes > 0 { rest = bytes }
        if out.readableBytes > 0 { context.writeAndFlush(NIOAny(out), promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    /// Answers one request as this market's edge writes them; true for a share.
    private func answer(_ line: UnsafeRawBufferPointer, _ out: inout ByteBuffer) -> Bool {
        let id = line.dropFirst(6).prefix { (0x30...0x39).contains($0) }
        // {"id":7,"method":"mining.
        let method = line.dropFirst(6 + id.count + 18)
        func reply(_ result: String) {
            out.writeString("{\"id\":")
            out.writeBytes(id)
            out.writeString(",\"result\":\(result),\"error\":null}\n")
        }
        if method.starts(with: "submit".utf8) {
            out.writeString("{\"id\":")
            out.writeBytes(id)
            out.writeString(",\"result\":true,\"error\":null}\n")
            return true
        }
        if method.starts(with: "subscribe".utf8) {
            let digits = String(pools.opened(self), radix: 16)
            let extranonce1 = String(repeating: "0", count: 8 - digits.count) + digits
            reply("[[[\"mining.notify\",\"1\"]],\"\(extranonce1)\",8]")
        } else if method.starts(with: "configure".utf8) {
            reply("{\"version-rolling\":true,\"version-rolling.mask\":\"1fffe000\"}")
        } else if method.starts(with: "authorize".utf8) {
            reply("true")
            out.writeString("{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[1]}\n")
            out.writeBytes(pools.job(clean: true))
        } else {
            reply("true")
        }
        return false
    }
}
