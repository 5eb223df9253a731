import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import NIOSSL
import TestSupport

/// A connection that sends and receives bare lines.
final class RawClient: Sendable {
    private final class Lines: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        let received = NIOLockedValueBox<(bytes: [UInt8], isClosed: Bool)>(([], false))

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = unwrapInboundIn(data)
            received.withLockedValue { $0.bytes.append(contentsOf: bytes.readableBytesView) }
        }

        func channelInactive(context: ChannelHandlerContext) { received.withLockedValue { $0.isClosed = true } }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    private let lines = Lines()
    private let channel: any Channel

    /// - Parameter reads: false never reads a byte
    init(port: Int, reads: Bool = true) async throws {
        let lines = lines
        channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(lines) }
            }
            .channelOption(.autoRead, value: reads)
            .connect(host: "127.0.0.1", port: port).get()
    }

    /// A connection that goes through TLS first, and ends when that fails.
    init(port: Int, tls: NIOSSLContext) async throws {
        let lines = lines
        channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: tls, serverHostname: "localhost"))
                    try channel.pipeline.syncOperations.addHandler(lines)
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
    }

    /// Ends its own direction only.
    func closeOutput() async throws { try await channel.close(mode: .output) }

    func close() async throws { try? await channel.close() }

    func send(bytes: [UInt8]) async throws { try await channel.writeAndFlush(ByteBuffer(bytes: bytes)) }

    /// Without waiting for the bytes to be taken.
    func pour(_ text: String) { channel.writeAndFlush(ByteBuffer(string: text), promise: nil) }

    var isClosed: Bool { lines.received.withLockedValue { $0.isClosed } }

    func send(_ text: String) async throws { try await channel.writeAndFlush(ByteBuffer(string: text)) }

    /// The next line.
    func line() async throws -> String {
        let line = NIOLockedValueBox("")
        try await eventually("a line") {
            lines.received.withLockedValue { received in
                guard let end = received.bytes.firstIndex(of: 10) else { return false }
                line.withLockedValue { $0 = String(decoding: received.bytes[..<end], as: UTF8.self) }
                received.bytes.removeSubrange(...end)
                return true
            }
        }
        return line.withLockedValue { $0 }
    }
}
