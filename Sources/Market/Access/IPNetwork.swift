/// An address of the Internet Protocol. IPv4 addresses written as IPv6 ones (`::ffff:192.0.2.1`, RFC 4291 section 2.5.5.2) are
/// the IPv4 addresses.
public struct IPAddress: Hashable, Sendable {
    /// 32 or 128.
    public let width: Int
    /// The lower `width` bits.
    public let bits: UInt128

    public init(v4 bits: UInt32) {
        width = 32
        self.bits = UInt128(bits)
    }

    public init(v6 bits: UInt128) {
        if bits >> 32 == 0xffff {
            width = 32
            self.bits = bits & 0xffff_ffff
        } else {
            width = 128
            self.bits = bits
        }
    }

    /// Reads `192.0.2.1` or `2001:db8::1`; nil for anything else, zone identifiers and leading zeros among it.
    public init?(_ text: some StringProtocol) {
        let text = String(text)
        guard text.utf8.count <= 45 else { return nil }
        if let bits = IPAddress.v4(text[...]) {
            self.init(v4: bits)
        } else if let bits = IPAddress.v6(text) {
            self.init(v6: bits)
        } else {
            return nil
        }
    }

    private static func v4(_ text: Substring) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bits: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let byte = UInt8(part),
                part.utf8.count == 1 || part.utf8.first != 0x30
            else { return nil }
            bits = bits << 8 | UInt32(byte)
        }
        return bits
    }

    private static func v6(_ text: String) -> UInt128? {
        guard let gap = text.firstGap else {
            return groups(text[...]).flatMap { $0.count == 8 ? joined($0) : nil }
        }
        let (head, tail) = (text[..<gap.lowerBound], text[gap.upperBound...])
        guard let left = head.isEmpty ? [] : groups(head, mayEndInV4: false), let right = tail.isEmpty ? [] : groups(tail),
            left.count + right.count < 8
        else { return nil }
        return joined(left + Array(repeating: 0, count: 8 - left.count - right.count) + right)
    }

    private static func joined(_ groups: [UInt16]) -> UInt128 { groups.reduce(0) { $0 << 16 | UInt128($1) } }

    /// Groups of 16 bits between colons, the last two of which may be written as an IPv4 address.
    private static func groups(_ text: Substring, mayEndInV4: Bool = true) -> [UInt16]? {
        var found: [UInt16] = []
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if mayEndInV4, index == parts.count - 1, let bits = v4(part) {
                found += [UInt16(bits >> 16), UInt16(truncatingIfNeeded: bits)]
                continue
            }
            guard (1...4).contains(part.utf8.count), part.utf8.allSatisfy(isHexDigit), let group = UInt16(part, radix: 16) else {
                return nil
            }
            found.append(group)
        }
        return found.count <= 8 ? found : nil
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte | 0x20)
    }
}

extension String {
    /// Where `::` stands first.
    fileprivate var firstGap: Range<String.Index>? {
        var index = startIndex
        while index < endIndex {
            let next = self.index(after: index)
            if next < endIndex, self[index] == ":", self[next] == ":" { return index..<self.index(after: next) }
            index = next
        }
        return nil
    }
}

extension IPAddress: CustomStringConvertible {
    /// IPv4 in decimal, IPv6 in eight groups without their leading zeros.
    public var description: String {
        guard width == 128 else { return (0..<4).map { String(UInt8(truncatingIfNeeded: bits >> (24 - 8 * $0))) }.joined(separator: ".") }
        return (0..<8).map { String(UInt16(truncatingIfNeeded: bits >> (112 - 16 * $0)), radix: 16) }.joined(separator: ":")
    }
}

/// A range of addresses as CIDR writes it (RFC 4632): `192.0.2.0/24`, `2001:db8::/32`.
public struct IPNetwork: Hashable, Sendable {
    public let base: IPAddress
    /// 0 to 32, or 0 to 128 for IPv6.
    public let prefix: Int

    /// Reads a network, or a single address without `/`. nil if it is neither, or if bits behind the prefix are set.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let base = IPAddress(first) else { return nil }
        var prefix = base.width
        if parts.count == 2 {
            let digits = parts[1]
            guard (1...3).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                let number = Int(digits), let length = IPNetwork.length(number, of: first, base)
            else { return nil }
            prefix = length
        }
        self.init(base, prefix: prefix)
    }

    /// A prefix counts bits as its address is written: those of `::ffff:192.0.2.0/120` are 96 fewer in IPv4.
    private static func length(_ number: Int, of text: some StringProtocol, _ base: IPAddress) -> Int? {
        let isMapped = base.width == 32 && text.contains(":")
        let length = isMapped ? number - 96 : number
        return (0...base.width).contains(length) ? length : nil
    }

    private init?(_ base: IPAddress, prefix: Int) {
        self.base = base
        self.prefix = prefix
        guard base.bits & hostMask == 0 else { return nil }
    }

    /// The bits behind the prefix.
    private var hostMask: UInt128 { prefix == base.width ? 0 : (UInt128(1) << UInt128(base.width - prefix)) &- 1 }

    public func contains(_ address: IPAddress) -> Bool {
        address.width == base.width && (address.bits ^ base.bits) & ~hostMask & IPNetwork.ones(base.width) == 0
    }

    /// Whether every address of the other is one of this.
    public func contains(_ other: IPNetwork) -> Bool { other.prefix >= prefix && contains(other.base) }

    private static func ones(_ width: Int) -> UInt128 { width == 128 ? .max : 0xffff_ffff }
}

extension IPNetwork: CustomStringConvertible {
    public var description: String { "\(base)/\(prefix)" }
}

/// Who a request comes from, where proxies may stand in front.
public struct TrustedProxies: Hashable, Sendable {
    public var networks: [IPNetwork]

    public init(_ networks: [IPNetwork] = []) { self.networks = networks }

    private func isTrusted(_ address: IPAddress) -> Bool { networks.contains { $0.contains(address) } }

    /// The address nearest to us that is not a trusted proxy's.
    ///
    /// - Parameters:
    ///   - peer: the other end of the connection; nil when unknown
    ///   - forwarded: the values of `X-Forwarded-For`, first line first. They count only if the peer is trusted: each trusted
    ///     proxy vouches for the entry before its own
    /// - Returns: nil when it is not known, so that keys bound to networks are refused
    public func client(peer: IPAddress?, forwarded: [String]) -> IPAddress? {
        guard let peer, isTrusted(peer) else { return peer }
        let entries = forwarded.flatMap { $0.split(separator: ",", omittingEmptySubsequences: false) }
        var nearest = peer
        for entry in entries.suffix(16).reversed() {
            guard let address = IPAddress(entry.trimmingBlanks) else { return nil }
            nearest = address
            if !isTrusted(address) { return address }
        }
        return nearest
    }
}

extension Substring {
    fileprivate var trimmingBlanks: Substring {
        var text = self
        while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return text
    }
}
