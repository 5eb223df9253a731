import Foundation
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

/// A pool that answers handshakes with recorded values, says what a test tells it, and takes every share.
final class ScriptedPool: Sendable {
    private struct State {
        var channel: (any Channel)?
        var isAuthorized = false
        var connections = 0
        var submits: [[String]] = []
        var manner = Manner.good
    }

    /// How it deals with what it gets.
    enum Manner: Sendable {
        case good
        /// Refuses every share.
        case refusing
        /// Takes everything in without a word.
        case silent
        /// Answers nothing but this, to every line.
        case saying(String)
        /// Is good, and sends this as soon as somebody has logged in.
        case pouring(String)
        /// Closes as soon as it hears anything.
        case closing
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let pool: ScriptedPool
        private var bytes: [UInt8] = []

        init(_ pool: ScriptedPool) { self.pool = pool }

        func channelActive(context: ChannelHandlerContext) { pool.opened(context.channel) }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            bytes += unwrapInboundIn(data).readableBytesView
            while let end = bytes.firstIndex(of: 10) {
                let answer = pool.respond(Data(bytes[..<end]))
                bytes.removeSubrange(...end)
                guard let answer else { return context.close(promise: nil) }
                if !answer.isEmpty { context.writeAndFlush(NIOAny(ByteBuffer(string: answer)), promise: nil) }
            }
        }
    }

    private let state = NIOLockedValueBox(State())
    private let extranonce1: String
    private let extranonce2Size: Int
    private let versionMask: String?
    private let listener = NIOLockedValueBox<(any Channel)?>(nil)

    /// - Parameter versionMask: what it grants; nil refuses version rolling
    init(extranonce1: String, extranonce2Size: Int, versionMask: String? = nil) {
        self.versionMask = versionMask
        self.extranonce1 = extranonce1
        self.extranonce2Size = extranonce2Size
    }

    func start() async throws -> Int {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Handler(self)) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        listener.withLockedValue { $0 = channel }
        return channel.localAddress?.port ?? 0
    }

    func stop() async throws {
        try await listener.withLockedValue { $0 }?.close()
        try? await state.withLockedValue { $0.channel }?.close()
    }

    var isAuthorized: Bool { state.withLockedValue { $0.isAuthorized } }
    var connections: Int { state.withLockedValue { $0.connections } }
    /// Parameters of all shares.
    var submits: [[String]] { state.withLockedValue { $0.submits } }

    func say(_ line: String) async throws {
        try await state.withLockedValue { $0.channel }?.writeAndFlush(ByteBuffer(string: line + "\n"))
    }

    func set(_ manner: Manner) { state.withLockedValue { $0.manner = manner } }

    /// A job of this name, and before it its difficulty.
    func issue(_ name: String, difficulty: String = "0.0000152587890625", clean: Bool = true, coinbase: String = "01") async throws {
        try await say("{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[\(difficulty)]}")
        try await say(ScriptedPool.job(name, clean: clean, coinbase: coinbase))
    }

    static func job(_ name: String, clean: Bool = true, coinbase: String = "01") -> String {
        let time = String(Int(Date().timeIntervalSince1970), radix: 16)
        let previous = String(repeating: "ab", count: 32)
        return "{\"id\":null,\"method\":\"mining.notify\",\"params\":[\"\(name)\",\"\(previous)\",\"\(coinbase)\",\"02\",[],"
            + "\"20000000\",\"1b00ffff\",\"\(time)\",\(clean)]}"
    }

    func drop() async throws { try await state.withLockedValue { $0.channel }?.close() }

    private func opened(_ channel: any Channel) {
        state.withLockedValue {
            $0.channel = channel
            $0.isAuthorized = false
            $0.connections += 1
        }
    }

    /// What it sends back; nil closes.
    private func respond(_ line: Data) -> String? {
        let good = answer(line)
        switch state.withLockedValue({ $0.manner }) {
        case .good: return good + "\n"
        case .refusing:
            guard good.contains("\"result\":true"), line.firstRange(of: Data("mining.submit".utf8)) != nil else { return good + "\n" }
            return good.replacing("\"result\":true,\"error\":null", with: "\"result\":null,\"error\":[20,\"No\",null]") + "\n"
        case .silent: return ""
        case .saying(let text): return text
        case .pouring(let text): return good + "\n" + (isAuthorized ? text : "")
        case .closing: return nil
        }
    }

    private func answer(_ line: Data) -> String {
        let message = (try? JSONSerialization.jsonObject(with: line)) as? [String: Any] ?? [:]
        let id = message["id"] as? Int ?? 0
        switch message["method"] as? String {
        case "mining.subscribe":
            return "{\"result\":[[[\"mining.notify\",\"01\"]],\"\(extranonce1)\",\(extranonce2Size)],\"id\":\(id),\"error\":null}"
        case "mining.authorize":
            state.withLockedValue { $0.isAuthorized = true }
            return "{\"result\":true,\"error\":null,\"id\":\(id)}"
        case "mining.submit":
            state.withLockedValue { $0.submits.append(message["params"] as? [String] ?? []) }
            return "{\"result\":true,\"error\":null,\"id\":\(id)}"
        case "mining.configure" where versionMask != nil:
            return "{\"result\":{\"version-rolling\":true,\"version-rolling.mask\":\"\(versionMask ?? "")\"},\"error\":null,\"id\":\(id)}"
        case "mining.extranonce.subscribe", "mining.configure", nil, .some:
            return "{\"result\":null,\"error\":[20,\"Not supported.\",null],\"id\":\(id)}"
        }
    }
}
