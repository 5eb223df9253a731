/// What a load balancer tells about a connection before its first byte: the PROXY protocol, versions 1 and 2.
///
/// Source: HAProxy, "The PROXY protocol", sections 2.1 and 2.2.
struct ProxyHeader: Hashable {
    /// The peer of the load balancer; nil when it speaks for itself (a health check) or cannot tell.
    var source: SourceAddress?
    /// The load balancer's own connection: nobody is behind it.
    var isLocal: Bool

    enum Outcome: Hashable {
        /// The header is not complete.
        case needsMore
        /// - used: bytes of the header; what follows is the connection's own
        case complete(ProxyHeader, used: Int)
        case invalid(Flaw)
    }

    enum Flaw: String, Hashable {
        case missing = "no PROXY header"
        case malformed = "malformed PROXY header"
        case tooLong = "PROXY header too long"
        case unsupported = "unsupported PROXY header"
    }

    /// A text header's bytes, its end included.
    static let maximalText = 107
    /// A binary header's bytes: real ones have some hundred bytes of additions.
    static let maximalBinary = 2048

    private static let textStart = Array("PROXY ".utf8)
    private static let signature: [UInt8] = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]

    /// Reads all that has come so far. To be called again with more while it needs more.
    static func read(_ bytes: [UInt8]) -> Outcome {
        guard let first = bytes.first else { return .needsMore }
        if first == textStart[0] { return readText(bytes) }
        return first == signature[0] ? readBinary(bytes) : .invalid(.missing)
    }

    private static func hasStart(_ bytes: [UInt8], _ start: [UInt8]) -> Bool { zip(bytes, start).allSatisfy { $0 == $1 } }

    // MARK: version 1

    private static func readText(_ bytes: [UInt8]) -> Outcome {
        guard hasStart(bytes, textStart) else { return .invalid(.missing) }
        guard let end = bytes.prefix(maximalText).firstIndex(of: 0x0a) else {
            return bytes.count < maximalText ? .needsMore : .invalid(.tooLong)
        }
        guard end > textStart.count, bytes[end - 1] == 0x0d else { return .invalid(.malformed) }
        let words = String(decoding: bytes[textStart.count..<end - 1], as: UTF8.self)
            .split(separator: " ", omittingEmptySubsequences: false)
        // Whatever else such a line has is to be ignored.
        if words[0] == "UNKNOWN" { return .complete(ProxyHeader(source: nil, isLocal: false), used: end + 1) }
        guard words.count == 5, isPort(words[3]), isPort(words[4]), words[0] == "TCP4" || words[0] == "TCP6",
            let source = SourceAddress(parsing: String(words[1])), let target = SourceAddress(parsing: String(words[2])),
            words[1].contains(":") == (words[0] == "TCP6"), words[2].contains(":") == (words[0] == "TCP6")
        else { return .invalid(.malformed) }
        _ = target
        return .complete(ProxyHeader(source: source, isLocal: false), used: end + 1)
    }

    private static func isPort(_ word: Substring) -> Bool {
        guard let number = Int(word), (0...65_535).contains(number) else { return false }
        return String(number) == word
    }

    // MARK: version 2

    private static func readBinary(_ bytes: [UInt8]) -> Outcome {
        guard hasStart(bytes, signature) else { return .invalid(.missing) }
        guard bytes.count >= 16 else { return .needsMore }
        let end = 16 + Int(bytes[14]) << 8 + Int(bytes[15])
        guard bytes[12] >> 4 == 2 else { return .invalid(.unsupported) }
        guard end <= maximalBinary else { return .invalid(.tooLong) }
        guard bytes.count >= end else { return .needsMore }
        switch bytes[12] & 0x0f {
        case 0: return .complete(ProxyHeader(source: nil, isLocal: true), used: end)
        case 1: return readAddresses(family: bytes[13], bytes[16..<end], used: end)
        default: return .invalid(.unsupported)
        }
    }

    private static func readAddresses(family: UInt8, _ body: ArraySlice<UInt8>, used: Int) -> Outcome {
        let unknown = Outcome.complete(ProxyHeader(source: nil, isLocal: false), used: used)
        let width: Int
        switch family {
        case 0x11: width = 4
        case 0x21: width = 16
        // Unspecified: who it is cannot be told.
        case 0x00: return unknown
        // Datagrams and sockets of the file system carry no miners.
        default: return .invalid(.unsupported)
        }
        // Two addresses, two ports; additions follow and are of no use here, but have to be well-formed.
        guard body.count >= 2 * width + 4, hasWholeAdditions(body.dropFirst(2 * width + 4)),
            let source = SourceAddress(body.prefix(width))
        else { return .invalid(.malformed) }
        return .complete(ProxyHeader(source: source, isLocal: false), used: used)
    }

    /// Type, length in two bytes, value; nothing is left over.
    private static func hasWholeAdditions(_ additions: ArraySlice<UInt8>) -> Bool {
        var rest = additions
        while let start = rest.indices.first {
            guard rest.count >= 3 else { return false }
            let length = 3 + Int(rest[start + 1]) << 8 + Int(rest[start + 2])
            guard rest.count >= length else { return false }
            rest = rest.dropFirst(length)
        }
        return true
    }
}
