#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import NIOCore

/// An IP address that a miner connects from. IPv4 is kept as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2).
public struct SourceAddress: Sendable, Hashable, CustomStringConvertible {
    var high: UInt64
    var low: UInt64

    private static let mapped: UInt64 = 0xffff_0000_0000

    /// - Parameter bytes: 4 or 16, as they travel
    init?(_ bytes: some Collection<UInt8>) {
        func word(_ part: some Sequence<UInt8>) -> UInt64 { part.reduce(0) { $0 << 8 | UInt64($1) } }
        switch bytes.count {
        case 4: (high, low) = (0, SourceAddress.mapped | word(bytes))
        case 16: (high, low) = (word(bytes.prefix(8)), word(bytes.suffix(8)))
        default: return nil
        }
    }

    /// An address as people write it, without a port.
    init?(parsing text: String) {
        var v4 = [UInt8](repeating: 0, count: 4)
        var v6 = [UInt8](repeating: 0, count: 16)
        if inet_pton(AF_INET, text, &v4) == 1 {
            self.init(v4)
        } else if inet_pton(AF_INET6, text, &v6) == 1 {
            self.init(v6)
        } else {
            return nil
        }
    }

    /// The bytes are at offset 4 of a `sockaddr_in`, at offset 8 of a `sockaddr_in6`.
    init?(_ address: SocketAddress?) {
        switch address {
        case .v4(let v4)?: self.init(withUnsafeBytes(of: v4.address) { Array($0[4..<8]) })
        case .v6(let v6)?: self.init(withUnsafeBytes(of: v6.address) { Array($0[8..<24]) })
        case .unixDomainSocket?, nil: return nil
        }
    }

    var isV4: Bool { high == 0 && low >> 32 == 0xffff }

    /// What is counted as one: a customer gets a whole /64 of IPv6.
    var network: SourceAddress {
        guard !isV4 else { return self }
        var network = self
        network.low = 0
        return network
    }

    public var description: String {
        var buffer = [CChar](repeating: 0, count: 64)
        if isV4 {
            var v4 = UInt32(truncatingIfNeeded: low).bigEndian
            inet_ntop(AF_INET, &v4, &buffer, socklen_t(buffer.count))
        } else {
            var words = (high.bigEndian, low.bigEndian)
            inet_ntop(AF_INET6, &words, &buffer, socklen_t(buffer.count))
        }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// A block of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address.
public struct AddressBlock: Sendable, Hashable, CustomStringConvertible {
    private let first: SourceAddress
    /// Of 128.
    private let prefixLength: Int

    /// nil for anything else, also when bits behind the prefix are set.
    public init?(parsing text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = SourceAddress(parsing: String(parts[0])) else { return nil }
        let width = address.isV4 ? 32 : 128
        var length = width
        if parts.count == 2 {
            guard let number = Int(parts[1]), (0...width).contains(number), String(number) == parts[1] else { return nil }
            length = number
        }
        prefixLength = 128 - width + length
        first = address
        guard AddressBlock.masked(address, prefixLength) == address else { return nil }
    }

    public func contains(_ address: SourceAddress) -> Bool { AddressBlock.masked(address, prefixLength) == first }

    private static func masked(_ address: SourceAddress, _ length: Int) -> SourceAddress {
        var result = address
        result.high &= mask(min(length, 64))
        result.low &= mask(max(length - 64, 0))
        return result
    }

    private static func mask(_ bits: Int) -> UInt64 { bits == 0 ? 0 : ~0 << UInt64(64 - bits) }

    public var description: String { "\(first)/\(first.isV4 ? prefixLength - 96 : prefixLength)" }
}
