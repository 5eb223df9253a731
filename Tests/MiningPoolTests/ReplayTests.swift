import Foundation
import NIOCore
import NIOPosix
import Stratum
import StratumLines
import TestSupport
import Testing
import Units

struct RecordedLine: Decodable, Sendable {
    var from: String
    var line: String
}

func recorded(_ name: String) throws -> [RecordedLine] {
    try Vectors.text("sessions/\(name).jsonl").split(separator: "\n").map {
        try JSONDecoder().decode(RecordedLine.self, from: Data($0.utf8))
    }
}

struct ReplayFailure: Error {
    var text: String
}

private func object(_ line: String) -> NSDictionary? {
    (try? JSONSerialization.jsonObject(with: Data(line.utf8))) as? NSDictionary
}

/// Plays the recorded pool: waits for each of the miner's lines, compares it with the recorded one, and goes on.
final class RecordedPool: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    private var rest: ArraySlice<RecordedLine>
    /// Our ids of the requests not answered yet, by the recorded id.
    private var ids: [String: [String]] = [:]
    private let compared: EventLoopPromise<Int>
    private var count = 0

    init(_ lines: [RecordedLine], _ compared: EventLoopPromise<Int>) {
        rest = lines[...]
        self.compared = compared
    }

    func channelActive(context: ChannelHandlerContext) { play(context) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let line = String(buffer: unwrapInboundIn(data))
        guard let ours = object(line), let next = rest.popFirst(), next.from == "miner", let theirs = object(next.line)
        else { return compared.fail(ReplayFailure(text: "unexpected: \(line)")) }
        let agent = ours["method"] as? String == "mining.subscribe"
        guard ours["method"] as? String == theirs["method"] as? String,
            agent || ours["params"] as? NSArray == theirs["params"] as? NSArray
        else { return compared.fail(ReplayFailure(text: "\(line) instead of \(next.line)")) }
        ids["\(theirs["id"] ?? "")", default: []].append("\(ours["id"] ?? "")")
        count += 1
        play(context)
    }

    private func play(_ context: ChannelHandlerContext) {
        while let next = rest.first, next.from == "pool" {
            rest.removeFirst()
            var line = next.line
            if let id = object(line)?["id"] as? Int, let ours = ids["\(id)"]?.first {
                ids["\(id)"]?.removeFirst()
                line = line.replacing("\"id\":\(id)", with: "\"id\":\(ours)")
            }
            context.write(wrapOutboundOut(ByteBuffer(string: line + "\n")), promise: nil)
        }
        context.flush()
        if rest.isEmpty { compared.succeed(count) }
    }
}

/// Drives a ``PoolSession`` on a socket and sends the recorded shares when the recorded miner did.
final class ReplayingMiner: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    struct Share {
        var share: Submission
        var afterLines: Int
    }
    private var session: PoolSession
    private var shares: ArraySlice<Share>
    private let total: Int
    private var received = 0
    private var accepted = 0
    private let done: EventLoopPromise<Int>

    init(_ configuration: PoolSession.Configuration, _ shares: [Share], _ done: EventLoopPromise<Int>) {
        session = PoolSession(configuration)
        self.shares = shares[...]
        total = shares.count
        self.done = done
    }

    private func write(_ bytes: [UInt8], _ context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
    }

    func channelActive(context: ChannelHandlerContext) {
        write(session.start(at: Timestamp(microseconds: 0)), context)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received += 1
        let event = unwrapInboundIn(data).withUnsafeReadableBytes {
            session.receive($0, at: Timestamp(microseconds: Int64(received)))
        }
        switch event {
        case .subscribed(_, _, let bytes): write(bytes, context)
        case .answered(_, .accepted): accepted += 1
        case .none, .ready, .job, .difficulty: break
        default: return done.fail(ReplayFailure(text: "\(event)"))
        }
        while let next = shares.first, next.afterLines <= received {
            shares.removeFirst()
            do {
                let bytes = try session.submit(next.share, tag: UInt64(received), at: Timestamp(microseconds: Int64(received)))
                write(bytes, context)
            } catch {
                return done.fail(error)
            }
        }
        if accepted == total { done.succeed(accepted) }
    }
}

private func shares(_ lines: [RecordedLine]) -> (user: String, shares: [ReplayingMiner.Share]) {
    var session = MinerSession(connectedAt: Timestamp(microseconds: 0))
    var user = "", poolLines = 0
    var shares: [ReplayingMiner.Share] = []
    for line in lines {
        guard line.from == "miner" else {
            poolLines += 1
            continue
        }
        switch session.receive(Array(line.line.utf8)) {
        case .subscribe(let id, _):
            _ = session.accept(subscribe: id, extranonce1: [1, 2, 3, 4], extranonce2Size: 8, sessionID: "")
        case .authorize(let id, let login):
            user = login.user
            _ = session.accept(authorize: id, login)
        case .submit(_, let share): shares.append(.init(share: share, afterLines: poolLines))
        default: break
        }
    }
    return (user, shares)
}

@Test(arguments: [("cpuminer-opt-26.1--ckpool", 87, true), ("minerd-2.5.1--ckpool", 57, false)])
func theRecordedPoolTakesOurSession(name: String, count: Int, subscribesExtranonce: Bool) async throws {
    let lines = try recorded(name)
    let (user, submissions) = shares(lines)
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    let compared = loop.makePromise(of: Int.self), done = loop.makePromise(of: Int.self)
    let server = try await ServerBootstrap(group: loop).childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(ByteToMessageHandler(LineDecoder(limit: 32_768)))
            try channel.pipeline.syncOperations.addHandler(RecordedPool(lines, compared))
        }
    }.bind(host: "127.0.0.1", port: 0).get()
    var configuration = PoolSession.Configuration(user: user, password: "x")
    configuration.versionMask = 0
    configuration.subscribesExtranonce = subscribesExtranonce
    let session = configuration
    let client = try await ClientBootstrap(group: loop).channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(ByteToMessageHandler(LineDecoder(limit: 131_072)))
            try channel.pipeline.syncOperations.addHandler(ReplayingMiner(session, submissions, done))
        }
    }.connect(host: "127.0.0.1", port: server.localAddress?.port ?? 0).get()
    #expect(try await done.futureResult.get() == count)
    #expect(try await compared.futureResult.get() == lines.filter { $0.from == "miner" }.count)
    try await client.close()
    try await server.close()
}
