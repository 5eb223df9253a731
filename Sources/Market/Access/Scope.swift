/// What an API key may be used for, within the roles of its account.
public enum Scope: String, Sendable, Hashable, CaseIterable, Comparable {
    /// Reading whatever the account's roles show.
    case read
    /// Bids, asks, pool targets, automation.
    case trade
    /// Rigs, farms and their pools.
    case rigs
    /// Money and the books.
    case finance
    /// The account's keys; with the role admin, the market.
    case admin

    private var rank: Int { Scope.allCases.firstIndex(of: self)! }
    public static func < (a: Scope, b: Scope) -> Bool { a.rank < b.rank }
}

extension Set<Scope> {
    public static let all = Set(Scope.allCases)
}

/// Which scopes open which part of the API.
public enum ScopeTable {
    /// By the first part of a path after `/v1/`: any one of these scopes lets write there.
    ///
    /// Reading takes one of the same, or `read`. What is not in the table is for `admin` until it is put here.
    public static let areas: [String: Set<Scope>] = [
        "bids": [.trade],
        "asks": [.trade],
        "orders": [.trade],
        "pool-targets": [.trade, .rigs],
        "rigs": [.rigs],
        "farms": [.rigs],
        "deliveries": [.trade, .rigs, .finance],
        "blocks": [.trade, .rigs],
        "balances": [.trade, .rigs, .finance],
        "book": [.trade, .rigs],
        "stream": [.trade, .rigs],
        "disputes": [.trade, .rigs, .finance],
        "deposits": [.finance],
        "withdrawals": [.finance],
        "transfers": [.finance],
        "adjustments": [.finance],
        "accounts": [.finance],
        "settlement": [.finance],
        "periods": [.finance],
        "reconciliations": [.finance],
        "breaks": [.finance],
        "custody-statements": [.finance],
        "pool-statements": [.finance],
        "parties": [.finance],
        "rates": [.finance],
        "statements": [.finance],
        "invoices": [.finance],
        "notes": [.finance],
        "signing-keys": [.finance],
        "audit-trail": [.finance, .admin],
        "ledger": [.finance],
        "reports": [.finance],
        "market": [.admin],
        "edges": [.admin],
        "keys": [.admin],
    ]

    /// The part of the API that a path (a template, as `/v1/bids/{id}`, or a real one) is in; nil for those outside of it.
    public static func area(of path: String) -> String? {
        let parts = path.split(separator: "/", maxSplits: 2)
        guard parts.count >= 2, parts[0] == "v1" else { return nil }
        return String(parts[1])
    }

    /// The scopes of which a key needs one.
    public static func needed(path: String, isRead: Bool) -> Set<Scope> {
        let writing = area(of: path).flatMap { areas[$0] } ?? [.admin]
        return isRead ? writing.union([.read]) : writing
    }
}

/// Whether a key opens an endpoint.
public enum AccessDecision: Hashable, Sendable {
    /// With these of the account's roles.
    case allowed(Set<Role>)
    /// The key has none of these scopes.
    case scopeMissing(Set<Scope>)
    /// The account has none of these roles, or the key's scopes do not carry them.
    case roleMissing(Set<Role>)

    /// Roles of staff come with their scopes only; reading shows what the account may see.
    ///
    /// - Parameter needed: the endpoint's roles, of which one is needed; none: any account
    public static func decide(
        path: String, isRead: Bool, needed: Set<Role>, roles: Set<Role>, scopes: Set<Scope>
    ) -> AccessDecision {
        let open = ScopeTable.needed(path: path, isRead: isRead)
        guard !open.isDisjoint(with: scopes) else { return .scopeMissing(open) }
        let carried = roles.filter { $0.isCarried(by: scopes, isRead: isRead) }
        guard needed.isEmpty || carried.contains(.admin) || !needed.isDisjoint(with: carried) else { return .roleMissing(needed) }
        return .allowed(carried)
    }
}

extension Role {
    /// Whether a key with these scopes acts in the role at all.
    func isCarried(by scopes: Set<Scope>, isRead: Bool) -> Bool {
        if isRead && scopes.contains(.read) { return true }
        return switch self {
        case .buyer, .seller: true
        case .finance: scopes.contains(.finance) || scopes.contains(.admin)
        case .admin: scopes.contains(.admin)
        }
    }
}
