#if canImport(Glibc)
import Glibc
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import StratumProxy

@Suite("Vanished peers")
struct LivenessTests {
    @Test("sockets probe their peers, and wait no longer than they should for bytes to be taken")
    func options() async throws {
        let accepted = NIOLockedValueBox<(any Channel)?>(nil)
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childLiveness(.miners)
            .childChannelInitializer { channel in
                accepted.withLockedValue { $0 = channel }
                return channel.eventLoop.makeSucceededVoidFuture()
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let client = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).liveness(.pools)
            .connect(to: try #require(listener.localAddress)).get()
        try await eventually("a connection") { accepted.withLockedValue { $0 } != nil }
        let server = try #require(accepted.withLockedValue { $0 })
        for (channel, expected) in [(server, [60, 15, 6, 150_000]), (client, [15, 5, 4, 30_000])] {
            var found: [Int] = []
            for option in [TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_USER_TIMEOUT] {
                found.append(Int(try await channel.getOption(.tcpOption(NIOBSDSocket.Option(rawValue: CInt(option)))).get()))
            }
            #expect(found == expected)
            let isOn = try await channel.getOption(.socketOption(.so_keepalive)).get()
            #expect(isOn != 0)
        }
        try await client.close()
        try await listener.close()
    }
}
#endif
