import NIOCore
import NIOPosix

/// A server that says one thing to whoever comes, or closes at once.
struct TalkingServer {
    private final class Talker: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        private let text: String?

        init(_ text: String?) { self.text = text }

        func channelActive(context: ChannelHandlerContext) {
            guard let text else { return context.close(promise: nil) }
            context.writeAndFlush(NIOAny(ByteBuffer(string: text)), promise: nil)
        }
    }

    private let channel: any Channel
    let port: Int

    /// - Parameter text: nil closes
    static func start(_ text: String?) async throws -> TalkingServer {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Talker(text)) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return TalkingServer(channel: channel, port: channel.localAddress?.port ?? 0)
    }

    func stop() async throws { try await channel.close() }
}
