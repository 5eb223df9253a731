import Logging
import NIOCore

/// Reads the PROXY header at the start of a load balancer's connection, lets the connection in by what it says, and goes.
final class ProxyHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private unowned let core: EdgeCore
    /// Called with the source once the header is read; adds the handlers behind this one.
    private let admit: (ProxyHeader) throws -> Void
    private var bytes = ByteBuffer()
    private var timer: Scheduled<Void>?
    private var isDone = false

    /// Time for the header.
    private static let patience = TimeAmount.seconds(10)

    init(core: EdgeCore, admit: @escaping (ProxyHeader) throws -> Void) {
        self.core = core
        self.admit = admit
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        timer = context.eventLoop.scheduleTask(in: ProxyHandler.patience) { channel.close(promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isDone else { return context.fireChannelRead(data) }
        var more = unwrapInboundIn(data)
        bytes.writeBuffer(&more)
        switch ProxyHeader.read(Array(bytes.readableBytesView)) {
        case .needsMore: break
        case .invalid(let flaw):
            finish()
            bytes.clear()
            core.logger.warning(
                "load balancer's connection closed: \(flaw.rawValue)",
                metadata: ["address": "\(context.remoteAddress?.ipAddress ?? "")"])
            context.close(promise: nil)
        case .complete(let header, let used):
            finish()
            enter(header, used, context)
        }
    }

    private func enter(_ header: ProxyHeader, _ used: Int, _ context: ChannelHandlerContext) {
        do { try admit(header) } catch { return context.close(promise: nil) }
        bytes.moveReaderIndex(forwardBy: used)
        let rest = bytes
        bytes = ByteBuffer()
        if rest.readableBytes > 0 {
            context.fireChannelRead(wrapInboundOut(rest))
            context.fireChannelReadComplete()
        }
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    typealias InboundOut = ByteBuffer

    func channelInactive(context: ChannelHandlerContext) {
        finish()
        context.fireChannelInactive()
    }

    /// Also of channels that never became active.
    func handlerRemoved(context: ChannelHandlerContext) { finish() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard !isDone else { return context.fireErrorCaught(error) }
        context.close(promise: nil)
    }

    /// The header is read, or will not be.
    private func finish() {
        guard !isDone else { return }
        isDone = true
        timer?.cancel()
        core.proxyHeaderEnded()
    }
}
