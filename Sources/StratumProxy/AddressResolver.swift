#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import NIOCore
import NIOPosix
import Stratum

/// Why no address of a pool can be connected to. Safe to show.
enum ResolutionFailure: Error, Hashable, CustomStringConvertible {
    case unknownHost
    case refused(String)

    var description: String {
        switch self {
        case .unknownHost: "host not found"
        case .refused(let why): why
        }
    }
}

/// Resolves names off the event loop and keeps what the policy allows.
///
/// What it returns is what is connected to: a name is not looked up a second time after the check.
struct AddressResolver: Sendable {
    let threads: NIOThreadPool
    let policy: AddressPolicy

    func resolve(_ address: PoolAddress, on loop: any EventLoop) -> EventLoopFuture<Result<[SocketAddress], ResolutionFailure>> {
        let policy = policy
        return threads.runIfActive(eventLoop: loop) { AddressResolver.resolve(address, policy: policy) }
            .flatMapErrorThrowing { _ in .failure(.unknownHost) }
    }

    /// Blocking.
    static func resolve(_ address: PoolAddress, policy: AddressPolicy) -> Result<[SocketAddress], ResolutionFailure> {
        let found = lookUp(address)
        guard !found.isEmpty else { return .failure(.unknownHost) }
        var allowed: [SocketAddress] = []
        var refusal = "no usable address"
        for (candidate, bytes) in found {
            let why = bytes.count == 4 ? policy.refusal(v4: bytes) : policy.refusal(v6: bytes)
            if let why { refusal = why } else { allowed.append(candidate) }
        }
        return allowed.isEmpty ? .failure(.refused(refusal)) : .success(allowed)
    }

    /// Addresses with their 4 or 16 bytes: at offset 4 of a `sockaddr_in`, at offset 8 of a `sockaddr_in6`.
    private static func lookUp(_ address: PoolAddress) -> [(SocketAddress, [UInt8])] {
        var hints = addrinfo()
        #if canImport(Glibc)
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        #else
        hints.ai_socktype = SOCK_STREAM
        #endif
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(address.host, String(address.port), &hints, &list) == 0 else { return [] }
        defer { freeaddrinfo(list) }
        var found: [(SocketAddress, [UInt8])] = []
        var next = list
        while let info = next, found.count < 16 {
            if info.pointee.ai_family == AF_INET, let raw = info.pointee.ai_addr {
                let v4 = UnsafeRawPointer(raw).loadUnaligned(as: sockaddr_in.self)
                found.append((SocketAddress(v4, host: address.host), withUnsafeBytes(of: v4) { Array($0[4..<8]) }))
            } else if info.pointee.ai_family == AF_INET6, let raw = info.pointee.ai_addr {
                let v6 = UnsafeRawPointer(raw).loadUnaligned(as: sockaddr_in6.self)
                found.append((SocketAddress(v6, host: address.host), withUnsafeBytes(of: v6) { Array($0[8..<24]) }))
            }
            next = info.pointee.ai_next
        }
        return found
    }
}
