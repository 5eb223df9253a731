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
                let answer = pool.answer(Data(bytes[..<end]))
                bytes.removeSubrange(...end)
                context.writeAndFlush(NIOAny(ByteBuffer(string: answer + "\n")), promise: nil)
            }
        }
    }

    private let state = NIOLockedValueBox(State())
    private let extranonce1: String
    private let extranonce2Size: Int
    private let listener = NIOLockedValueBox<(any Channel)?>(nil)

    init(extranonce1: String, extranonce2Size: Int) {
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

    func drop() async throws { try await state.withLockedValue { $0.channel }?.close() }

    private func opened(_ channel: any Channel) {
        state.withLockedValue {
            $0.channel = channel
            $0.isAuthorized = false
            $0.connections += 1
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
        case "mining.extranonce.subscribe", "mining.configure", nil, .some:
            return "{\"result\":null,\"error\":[20,\"Not supported.\",null],\"id\":\(id)}"
        }
    }
}
