import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import StratumProxy

@Suite("Writing lines")
struct LineOutputTests {
    private final class Deaf: LineReceiver {
        func received(line: UnsafeRawBufferPointer) {}
        func lineTooLong() {}
        func disconnected() {}
    }

    private final class Collector: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        let bytes = NIOLockedValueBox<[UInt8]>([])

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let read = unwrapInboundIn(data)
            bytes.withLockedValue { $0.append(contentsOf: read.readableBytesView) }
        }
    }

    @Test("what is above the high-water mark is written once, in order")
    func aboveTheMark() async throws {
        let collector = Collector()
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(collector) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let channel = try await ClientBootstrap(group: loop)
            .channelOption(.writeBufferWaterMark, value: .init(low: 1024, high: 4096))
            .connect(to: try #require(listener.localAddress)).get()
        let lines = (0..<20_000).map { "line \($0)\n" }
        try await loop.submit {
            let output = LineOutput(channel: channel, queue: FlushQueue(loop: loop), limit: 1 << 24)
            try channel.pipeline.syncOperations.addHandler(LineHandler(limit: 1024, receiver: Deaf(), output: output))
            for (number, line) in lines.enumerated() {
                output.send(Array(line.utf8))
                // Far above the mark at once, and little by little.
                if number % 3000 == 2999 { output.flush() }
            }
        }.get()
        let expected = lines.joined()
        try await eventually("all lines") { collector.bytes.withLockedValue { $0.count } >= expected.utf8.count }
        try await loop.submit {}.get()
        let received = collector.bytes.withLockedValue { String(decoding: $0, as: UTF8.self) }
        #expect(received.utf8.count == expected.utf8.count)
        let isSame = received == expected
        #expect(isSame)
        try await channel.close()
        try await listener.close()
    }
}
