internal import StratumProxy

/// What the edge's connections go through, on both sides.
public struct StratumTransport: Sendable, Hashable {
    /// A second port for rigs, with TLS. The files are PEM, and read again when they change.
    public struct TLS: Sendable, Hashable {
        /// 0 takes any free port.
        public var port: Int
        /// The certificate, then those between it and its authority.
        public var certificatePath: String
        public var keyPath: String

        public init(port: Int, certificatePath: String, keyPath: String) {
            self.port = port
            self.certificatePath = certificatePath
            self.keyPath = keyPath
        }
    }

    public var tls: TLS?
    /// PEM file of authorities that pools' certificates may be from, beside the system's.
    public var poolAuthorities: String?
    /// Networks of load balancers, whose connections begin with a PROXY header.
    public var trustedProxies: [String] = []
    /// Networks that are never banned by their address.
    public var allowedNetworks: [String] = []

    public init() {}

    /// What is wrong with it; nil when nothing is.
    public var flaw: String? {
        for text in trustedProxies + allowedNetworks where AddressBlock(parsing: text) == nil {
            return "\"\(text)\" is neither an address nor a network such as 10.0.0.0/8"
        }
        return nil
    }

    func apply(to edge: inout EdgeConfiguration) {
        edge.tls = tls.map { .init(port: $0.port, certificatePath: $0.certificatePath, keyPath: $0.keyPath) }
        edge.poolAuthorities = poolAuthorities
        edge.trustedProxies = trustedProxies.compactMap { AddressBlock(parsing: $0) }
        edge.bans.allowed = allowedNetworks.compactMap { AddressBlock(parsing: $0) }
    }
}
