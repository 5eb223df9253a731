import Foundation
import NIOCore
import NIOHTTP1

/// Answers `GET /` with the pool's accounts as JSON, and anything else with 404.
final class AccountsHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let core: PoolCore
    private var head: HTTPRequestHead?

    init(core: PoolCore) { self.core = core }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): self.head = head
        case .body: break
        case .end: answer(context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func answer(_ context: ChannelHandlerContext) {
        guard let head else { return context.close(promise: nil) }
        self.head = nil
        let isFound = head.uri == "/" && (head.method == .GET || head.method == .HEAD)
        let body = isFound ? accounts() : Array("not found\n".utf8)
        var headers = HTTPHeaders()
        headers.add(name: "content-type", value: isFound ? "application/json" : "text/plain")
        headers.add(name: "content-length", value: String(body.count))
        headers.add(name: "connection", value: "close")
        let response = HTTPResponseHead(version: .http1_1, status: isFound ? .ok : .notFound, headers: headers)
        context.write(wrapOutboundOut(.head(response)), promise: nil)
        if head.method != .HEAD {
            context.write(wrapOutboundOut(.body(.byteBuffer(context.channel.allocator.buffer(bytes: body)))), promise: nil)
        }
        let me = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in me.value.close(promise: nil) }
    }

    private func accounts() -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        do {
            return Array(try encoder.encode(core.snapshot)) + [UInt8(ascii: "\n")]
        } catch {
            return Array("{}\n".utf8)
        }
    }
}
