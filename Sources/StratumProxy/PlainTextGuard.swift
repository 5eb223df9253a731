import NIOCore

/// Closes a connection that begins with a TLS handshake on the port without TLS: the miner tries it out, would wait for an answer
/// that never comes, and goes on without once the connection ends. Goes after the first bytes.
final class PlainTextGuard: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    /// The type of TLS records with handshakes (RFC 8446, section 5.1).
    private static let handshake: UInt8 = 0x16

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let first = unwrapInboundIn(data).readableBytesView.first else { return }
        guard first != PlainTextGuard.handshake else { return context.close(promise: nil) }
        context.fireChannelRead(data)
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }
}
