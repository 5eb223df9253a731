/// Which addresses a pool may have. Pool addresses come from strangers: an edge must not be led into its own network.
public struct AddressPolicy: Sendable, Hashable {
    /// Takes private, loopback and link-local addresses too.
    public var allowsPrivate: Bool

    public init(allowsPrivate: Bool) { self.allowsPrivate = allowsPrivate }

    /// nil when the address may be used, else why not.
    func refusal(v4 bytes: [UInt8]) -> String? {
        precondition(bytes.count == 4, "an IPv4 address has 4 bytes")
        let (a, b, c) = (bytes[0], bytes[1], bytes[2])
        switch (a, b, c) {
        case (0, _, _): return "unspecified address"
        case (224...239, _, _): return "multicast address"
        case (240...255, _, _): return "reserved address"
        default: break
        }
        guard !allowsPrivate else { return nil }
        switch (a, b, c) {
        case (127, _, _): return "loopback address"
        case (10, _, _), (172, 16...31, _), (192, 168, _): return "private address"
        case (169, 254, _): return "link-local address"
        case (100, 64...127, _): return "carrier's private address"
        case (192, 0, 0), (192, 0, 2), (198, 18...19, _), (198, 51, 100), (203, 0, 113), (192, 88, 99):
            return "special-purpose address"
        default: return nil
        }
    }

    /// nil when the address may be used, else why not.
    func refusal(v6 bytes: [UInt8]) -> String? {
        precondition(bytes.count == 16, "an IPv6 address has 16 bytes")
        if bytes[0] == 0xff { return "multicast address" }
        if bytes[..<12].allSatisfy({ $0 == 0 }) {
            if bytes[12...].allSatisfy({ $0 == 0 }) { return "unspecified address" }
            if bytes[12..<15].allSatisfy({ $0 == 0 }), bytes[15] == 1 {
                return allowsPrivate ? nil : "loopback address"
            }
            return refusal(v4: Array(bytes[12...]))
        }
        if bytes[..<10].allSatisfy({ $0 == 0 }), bytes[10] == 0xff, bytes[11] == 0xff {
            return refusal(v4: Array(bytes[12...]))
        }
        guard !allowsPrivate else { return nil }
        if bytes[0] == 0xfe, bytes[1] & 0xc0 == 0x80 { return "link-local address" }
        if bytes[0] == 0xfe, bytes[1] & 0xc0 == 0xc0 { return "site-local address" }
        if bytes[0] & 0xfe == 0xfc { return "private address" }
        // NAT64 (RFC 6052) and 6to4 (RFC 3056) reach the IPv4 address inside.
        if bytes[..<12] == [0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0] { return refusal(v4: Array(bytes[12...])) }
        if bytes[0] == 0x00, bytes[1] == 0x64, bytes[2] == 0xff, bytes[3] == 0x9b { return "special-purpose address" }
        if bytes[0] == 0x20, bytes[1] == 0x02 { return refusal(v4: Array(bytes[2..<6])) }
        if bytes[..<4] == [0x20, 0x01, 0x0d, 0xb8] { return "special-purpose address" }
        if bytes[..<4] == [0x20, 0x01, 0x00, 0x00] { return "special-purpose address" }
        return nil
    }
}
