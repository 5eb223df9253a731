public import Units

/// All that a key gives: what for, from where, until when.
public struct KeyGrant: Hashable, Sendable {
    public var scopes: Set<Scope>
    /// From where the key may be used; none: from anywhere.
    public var networks: [IPNetwork]
    /// nil: until it is revoked.
    public var expiresAt: Timestamp?

    public init(scopes: Set<Scope>, networks: [IPNetwork] = [], expiresAt: Timestamp? = nil) {
        self.scopes = scopes
        self.networks = networks
        self.expiresAt = expiresAt
    }

    /// Everything that the account's roles give, from anywhere, for ever.
    public static let all = KeyGrant(scopes: .all)

    /// Whether an address may use the key. An unknown one may not if networks are named.
    public func allows(_ address: IPAddress?) -> Bool {
        guard !networks.isEmpty else { return true }
        guard let address else { return false }
        return networks.contains { $0.contains(address) }
    }

    /// What of the other this one does not give; nil if it gives all of that.
    ///
    /// A key hands out and renews only keys that give no more than it does itself.
    public func excess(of other: KeyGrant) -> Excess? {
        if !other.scopes.isSubset(of: scopes) { return .scopes }
        if let mine = expiresAt, other.expiresAt.map({ $0 > mine }) ?? true { return .expiry }
        if networks.isEmpty { return nil }
        let isWithin = !other.networks.isEmpty && other.networks.allSatisfy { net in networks.contains { $0.contains(net) } }
        return isWithin ? nil : .networks
    }

    /// In which respect a key would give too much.
    public enum Excess: Hashable, Sendable {
        case scopes, expiry, networks
    }
}
