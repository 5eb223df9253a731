#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import NIOCore
import NIOPosix

/// How TCP itself finds out that a peer has vanished: probes when nothing is said, and a limit for unacknowledged bytes.
struct SocketLiveness {
    /// Seconds.
    var idle: SocketOptionValue
    var interval: SocketOptionValue
    var probes: SocketOptionValue
    /// Seconds; on Linux only.
    var unacknowledged: SocketOptionValue

    /// A farm's router may be away for a minute or two without its rigs losing their sessions.
    static let miners = SocketLiveness(idle: 60, interval: 15, probes: 6, unacknowledged: 150)
    /// Shares that cannot be delivered are lost money: soon.
    static let pools = SocketLiveness(idle: 15, interval: 5, probes: 4, unacknowledged: 30)

    fileprivate var options: [(ChannelOptions.Types.SocketOption, SocketOptionValue)] {
        #if canImport(Glibc)
        let (idleOption, userTimeout) = (TCP_KEEPIDLE, TCP_USER_TIMEOUT)
        #else
        let idleOption = TCP_KEEPALIVE
        #endif
        var all: [(ChannelOptions.Types.SocketOption, SocketOptionValue)] = [
            (.socketOption(.so_keepalive), 1),
            (.tcpOption(NIOBSDSocket.Option(rawValue: CInt(idleOption))), idle),
            (.tcpOption(NIOBSDSocket.Option(rawValue: CInt(TCP_KEEPINTVL))), interval),
            (.tcpOption(NIOBSDSocket.Option(rawValue: CInt(TCP_KEEPCNT))), probes),
        ]
        #if canImport(Glibc)
        all.append((.tcpOption(NIOBSDSocket.Option(rawValue: CInt(userTimeout))), unacknowledged * 1000))
        #endif
        return all
    }
}

extension ClientBootstrap {
    func liveness(_ liveness: SocketLiveness) -> ClientBootstrap {
        liveness.options.reduce(self) { $0.channelOption($1.0, value: $1.1) }
    }
}

extension ServerBootstrap {
    func childLiveness(_ liveness: SocketLiveness) -> ServerBootstrap {
        liveness.options.reduce(self) { $0.childChannelOption($1.0, value: $1.1) }
    }
}
