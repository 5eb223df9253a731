import NIOCore
import NIOPosix

/// Keeps all bytes until the peer closes.
final class Collector: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private var all = ByteBuffer()
    private let promise: EventLoopPromise<String>

    init(_ promise: EventLoopPromise<String>) { self.promise = promise }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var part = unwrapInboundIn(data)
        all.writeBuffer(&part)
    }

    func channelInactive(context: ChannelHandlerContext) { promise.succeed(String(buffer: all)) }
}

func get(port: Int, path: String) async throws -> (head: String, body: String) {
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    let promise = loop.makePromise(of: String.self)
    let channel = try await ClientBootstrap(group: loop).channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Collector(promise)) }
    }.connect(host: "127.0.0.1", port: port).get()
    let request = "GET \(path) HTTP/1.1\r\nhost: localhost\r\n\r\n"
    try await channel.writeAndFlush(ByteBuffer(string: request))
    let answer = try await promise.futureResult.get()
    guard let end = answer.firstRange(of: "\r\n\r\n") else { return (answer, "") }
    return (String(answer[..<end.lowerBound]), String(answer[end.upperBound...]))
}
