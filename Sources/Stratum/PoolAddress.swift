/// Where a pool listens: `stratum+tcp://host:port`, or `stratum+ssl://host:port` for TLS.
public struct PoolAddress: Hashable, Sendable, CustomStringConvertible {
    /// A name or an address; IPv6 without brackets.
    public var host: String
    /// 1...65535
    public var port: Int
    /// Lines go through TLS, and the pool's certificate must be for `host`.
    public var usesTLS: Bool

    /// Why a text is not a pool's address; safe to show.
    public enum ParseError: Error, Hashable, Sendable, CustomStringConvertible {
        case unsupportedScheme(String)
        case missingHost
        case missingPort
        case invalidHost
        case invalidPort

        public var description: String {
            switch self {
            case .unsupportedScheme(let scheme): "unsupported scheme \"\(scheme)\": use stratum+tcp://host:port, or stratum+ssl:// for TLS"
            case .missingHost: "the host is missing: use stratum+tcp://host:port"
            case .missingPort: "the port is missing: use stratum+tcp://host:port"
            case .invalidHost: "the host is not a name or an address"
            case .invalidPort: "the port is not a number from 1 to 65535"
            }
        }
    }

    public init(host: String, port: Int, usesTLS: Bool = false) {
        self.host = host
        self.port = port
        self.usesTLS = usesTLS
    }

    /// Takes `stratum+tcp://host:port`, `tcp://host:port` and `host:port`, IPv6 in brackets, with or without a last slash;
    /// for TLS `stratum+ssl`, `stratum+tls`, `ssl` and `tls`.
    public init(parsing text: String) throws(ParseError) {
        var rest = text[...]
        var usesTLS = false
        if let mark = text.firstRange(of: "://") {
            let scheme = text[..<mark.lowerBound].lowercased()
            switch scheme {
            case "stratum+tcp", "tcp": break
            case "stratum+ssl", "stratum+tls", "ssl", "tls": usesTLS = true
            default: throw .unsupportedScheme(String(scheme.prefix(32)))
            }
            rest = text[mark.upperBound...]
        }
        if rest.last == "/" { rest = rest.dropLast() }
        let (host, port) = try PoolAddress.split(rest)
        guard !host.isEmpty else { throw .missingHost }
        guard host.utf8.count <= 253, host.utf8.allSatisfy(PoolAddress.isHostByte) else { throw .invalidHost }
        guard port.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(port), (1...65_535).contains(number)
        else { throw .invalidPort }
        self.init(host: String(host), port: number, usesTLS: usesTLS)
    }

    private static func split(_ rest: Substring) throws(ParseError) -> (Substring, Substring) {
        if rest.first == "[" {
            guard let close = rest.firstIndex(of: "]") else { throw .invalidHost }
            let after = rest[rest.index(after: close)...]
            guard after.first == ":" else { throw .missingPort }
            return (rest[rest.index(after: rest.startIndex)..<close], after.dropFirst())
        }
        guard let colon = rest.lastIndex(of: ":") else { throw rest.isEmpty ? .missingHost : .missingPort }
        guard !rest[..<colon].contains(":") else { throw .invalidHost }
        return (rest[..<colon], rest[rest.index(after: colon)...])
    }

    private static func isHostByte(_ c: UInt8) -> Bool {
        switch c {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: ":"), UInt8(ascii: "%"): true
        default: false
        }
    }

    public var description: String {
        "stratum+\(usesTLS ? "ssl" : "tcp")://\(host.contains(":") ? "[\(host)]" : host):\(port)"
    }
}
