import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import MiningPool

/// Sends bytes to a pool and returns all it says until it closes.
private func say(_ bytes: [UInt8], to port: Int) async throws -> String {
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    let promise = loop.makePromise(of: String.self)
    let channel = try await ClientBootstrap(group: loop).channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Collector(promise)) }
    }.connect(host: "127.0.0.1", port: port).get()
    // The pool may close while this is being written.
    channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
    return try await promise.futureResult.get()
}

@Test(.timeLimit(.minutes(5))) func hostileMinersAreClosedAndThePoolGoesOn() async throws {
    let pool = MiningPool(poolConfiguration(), logger: quiet)
    let port = try await pool.start().stratum
    var random = SeededRandom(of: "hostileMinersAreClosedAndThePoolGoesOn")

    _ = try await say([UInt8](repeating: UInt8(ascii: "x"), count: 40_000), to: port)
    let junk = try await say(Array(String(repeating: "junk\n", count: 20).utf8), to: port)
    #expect(junk.split(separator: "\n").count == 10)
    for _ in 0..<20 {
        // Random bytes in many lines: more than ten of them are not messages.
        let noise = (0..<40).flatMap { _ in random.bytes(30).map { $0 == 0x0a ? 0x0b : $0 } + [0x0a] }
        _ = try await say(noise, to: port)
    }
    try await eventually { try await pool.snapshot().connections == 0 }
    #expect(try await pool.snapshot().connects == 22)
    try await pool.stop()
}
