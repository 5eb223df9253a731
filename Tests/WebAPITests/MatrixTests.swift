import Crypto
import Exchange
import HTTPTypes
import Market
import Testing
import Units
@testable import WebAPI

/// Every route against no key, every scope, every role and a foreign account. A new route is put in here by hand.
@Suite struct MatrixTests {
    struct Rule: Sendable {
        var roles: Set<Role>
        /// Scopes of which one is needed; nil: open to anybody.
        var scopes: Set<Scope>?
        /// What a caller of another account gets where the path names something that is not theirs.
        var foreign: Int?
    }

    private static let trade: Set<Scope> = [.trade]
    private static let rigs: Set<Scope> = [.rigs]

    private static func reads(_ roles: Set<Role>, _ scopes: Set<Scope>, foreign: Int? = nil) -> Rule {
        Rule(roles: roles, scopes: scopes.union([.read]), foreign: foreign)
    }

    private static func writes(_ roles: Set<Role>, _ scopes: Set<Scope>, foreign: Int? = nil) -> Rule {
        Rule(roles: roles, scopes: scopes, foreign: foreign)
    }

    static let rules: [String: Rule] = [
        "GET /v1/market": Rule(roles: []), "GET /v1/book": Rule(roles: []), "GET /v1/trades": Rule(roles: []),
        "GET /v1/health": Rule(roles: []), "GET /openapi.yaml": Rule(roles: []),
        "PUT /v1/market/phase": writes([.admin], [.admin]), "POST /v1/market/rules": writes([.admin], [.admin]),
        "PUT /v1/market/index": writes([.admin], [.admin]), "GET /v1/edges": reads([.admin], [.admin]),
        "POST /v1/pool-targets": writes([.buyer, .seller], [.trade, .rigs]),
        "GET /v1/pool-targets": reads([.buyer, .seller], [.trade, .rigs]),
        "GET /v1/pool-targets/{id}": reads([.buyer, .seller], [.trade, .rigs], foreign: 404),
        "POST /v1/pool-targets/{id}/verify": writes([.buyer, .seller], [.trade, .rigs], foreign: 404),
        "POST /v1/rigs": writes([.seller], rigs), "GET /v1/rigs": reads([.seller], rigs),
        "GET /v1/rigs/rejects": reads([.seller], rigs), "GET /v1/rigs/{id}": reads([.seller], rigs, foreign: 404),
        "PUT /v1/rigs/{id}/farm": writes([.seller], rigs, foreign: 404),
        "POST /v1/farms": writes([.seller], rigs), "GET /v1/farms": reads([.seller], rigs),
        "GET /v1/farms/{id}": reads([.seller], rigs, foreign: 404),
        "PUT /v1/farms/{id}/offer": writes([.seller], rigs, foreign: 404),
        "DELETE /v1/farms/{id}/offer": writes([.seller], rigs, foreign: 404),
        "PUT /v1/farms/{id}/login": writes([.seller], rigs, foreign: 404),
        "PUT /v1/farms/{id}/curtailment": writes([.seller], rigs, foreign: 404),
        "DELETE /v1/farms/{id}/curtailment": writes([.seller], rigs, foreign: 404),
        "POST /v1/bids": writes([.buyer], trade), "GET /v1/bids": reads([.buyer], trade),
        "GET /v1/bids/{id}": reads([.buyer], trade, foreign: 404), "PATCH /v1/bids/{id}": writes([.buyer], trade, foreign: 404),
        "DELETE /v1/bids/{id}": writes([.buyer], trade, foreign: 404),
        "POST /v1/asks": writes([.seller], trade), "GET /v1/asks": reads([.seller], trade),
        "GET /v1/asks/{id}": reads([.seller], trade, foreign: 404), "PATCH /v1/asks/{id}": writes([.seller], trade, foreign: 404),
        "DELETE /v1/asks/{id}": writes([.seller], trade, foreign: 404),
        "DELETE /v1/orders": writes([.buyer, .seller], trade), "GET /v1/orders/cancel-after": reads([.buyer, .seller], trade),
        "PUT /v1/orders/cancel-after": writes([.buyer, .seller], trade),
        "GET /v1/deliveries": reads([], [.trade, .rigs, .finance]),
        "GET /v1/deliveries/{id}": reads([], [.trade, .rigs, .finance], foreign: 404),
        "GET /v1/blocks": reads([], [.trade, .rigs]),
        "POST /v1/deposits": writes([.finance], [.finance]), "GET /v1/balances": reads([], [.trade, .rigs, .finance]),
        "GET /v1/ledger/balances": reads([.finance], [.finance]), "GET /v1/reports/settlement": reads([], [.finance]),
        "GET /v1/keys": reads([], [.admin]), "POST /v1/keys": writes([], [.admin]),
        "GET /v1/keys/{id}": reads([], [.admin], foreign: 404), "DELETE /v1/keys/{id}": writes([], [.admin], foreign: 404),
        "POST /v1/keys/{id}/rotate": writes([], [.admin], foreign: 404),
    ].merging(data) { $1 }.merging(treasury) { $1 }.merging(documents) { $1 }.merging(control) { $1 }

    private static let finance: Set<Scope> = [.finance]

    private static let data: [String: Rule] = [
        "GET /v1/candles": Rule(roles: []), "GET /v1/ticker": Rule(roles: []), "GET /v1/index": Rule(roles: []),
        "GET /v1/index/minutes": Rule(roles: []), "GET /v1/index/days": Rule(roles: []),
        "GET /v1/book/own": reads([], [.trade, .rigs]),
        "GET /v1/stream/book": Rule(roles: []), "GET /v1/stream/trades": Rule(roles: []),
        "GET /v1/stream/orders": reads([], [.trade, .rigs]), "GET /v1/stream/rigs": reads([.seller], [.trade, .rigs]),
    ]

    private static let treasury: [String: Rule] = [
        "POST /v1/withdrawals": writes([], finance), "POST /v1/adjustments": writes([.finance], finance),
        "GET /v1/transfers": reads([], finance), "GET /v1/transfers/{id}": reads([], finance, foreign: 404),
        "POST /v1/transfers/{id}/approve": writes([.finance], finance), "POST /v1/transfers/{id}/reject": writes([.finance], finance),
        "POST /v1/transfers/{id}/complete": writes([.finance], finance),
        "POST /v1/transfers/{id}/cancel": writes([], finance, foreign: 404),
        "GET /v1/accounts/{id}/freeze": reads([.finance], finance), "PUT /v1/accounts/{id}/freeze": writes([.finance], finance),
        "GET /v1/ledger/trial-balance": reads([.finance], finance), "GET /v1/ledger/entries": reads([], finance),
    ]

    private static let documents: [String: Rule] = {
        var rules: [String: Rule] = [
            "GET /v1/parties": reads([], finance), "POST /v1/parties": writes([.finance], finance),
            "GET /v1/rates": reads([], finance), "POST /v1/rates": writes([.finance], finance),
            "GET /v1/signing-keys": reads([], finance),
        ]
        for kind in ["statements", "invoices", "notes"] {
            rules["GET /v1/\(kind)"] = reads([], finance)
            rules["POST /v1/\(kind)"] = writes([.finance], finance)
            rules["GET /v1/\(kind)/{id}"] = reads([], finance)
        }
        for part in ["", "/slots", "/batches", "/shares"] {
            rules["GET /v1/settlement/lines/{id}\(part)"] = reads([], finance)
        }
        return rules
    }()

    private static let control: [String: Rule] = [
        "GET /v1/audit-trail": reads([.finance, .admin], [.finance, .admin]),
        "POST /v1/disputes": writes([.buyer, .seller, .finance], [.trade, .rigs, .finance]),
        "GET /v1/disputes": reads([], [.trade, .rigs, .finance]),
        "GET /v1/disputes/{id}": reads([], [.trade, .rigs, .finance], foreign: 404),
        "POST /v1/disputes/{id}/messages": writes([.buyer, .seller, .finance], [.trade, .rigs, .finance]),
        "POST /v1/disputes/{id}/withdraw": writes([.buyer, .seller, .finance], [.trade, .rigs, .finance]),
        "POST /v1/disputes/{id}/resolve": writes([.finance], [.trade, .rigs, .finance]),
        "POST /v1/custody-statements": writes([.finance], finance), "POST /v1/pool-statements": writes([.finance], finance),
        "POST /v1/reconciliations": writes([.finance], finance), "GET /v1/reconciliations": reads([.finance], finance),
        "GET /v1/breaks": reads([.finance], finance), "GET /v1/breaks/{id}": reads([.finance], finance),
        "POST /v1/breaks/{id}/assign": writes([.finance], finance), "POST /v1/breaks/{id}/resolve": writes([.finance], finance),
        "GET /v1/settlement/runs": reads([.finance], finance), "POST /v1/settlement/runs": writes([.finance], finance),
        "GET /v1/settlement/expired": reads([.finance], finance),
        "POST /v1/settlement/expired/acknowledge": writes([.finance], finance),
        "GET /v1/periods": reads([.finance], finance), "POST /v1/periods": writes([.finance], finance),
    ]

    private static func name(_ endpoint: Endpoint) -> String { "\(endpoint.method.rawValue) \(endpoint.path)" }

    @Test func everyRouteIsListedAndNoOther() {
        #expect(Set(Endpoint.all.map(MatrixTests.name)) == Set(MatrixTests.rules.keys))
        for endpoint in Endpoint.all {
            guard case .keyed = endpoint.handler else { continue }
            let area = ScopeTable.area(of: endpoint.path)
            #expect(area.flatMap { ScopeTable.areas[$0] } != nil, "\(endpoint.path) is for admin as long as its area has no scopes")
        }
    }

    /// The things that are asked for are there, the seller's and the buyer's.
    private func path(_ endpoint: Endpoint, id: String) -> String { endpoint.path.replacing("{id}", with: id) }

    private func send(_ client: Client, _ endpoint: Endpoint, _ path: String, _ headers: HTTPFields) async throws -> Client.Reply {
        let takesFields = [.post, .put, .patch].contains(endpoint.method) && !path.hasSuffix("verify")
        return try await client.send(endpoint.method, path, takesFields ? "{}" : nil, headers: headers)
    }

    @Test(arguments: Endpoint.all.indices) func noKey(index: Int) async throws {
        let endpoint = Endpoint.all[index]
        guard let rule = MatrixTests.rules[MatrixTests.name(endpoint)] else { return }
        try await World().run { (client) async throws in
            let reply = try await send(client, endpoint, path(endpoint, id: "999"), [:])
            #expect(reply.status == (rule.scopes == nil ? 200 : 401))
        }
    }

    /// Each scope alone, in the hands of each role.
    @Test(arguments: Endpoint.all.indices) func scopesAndRoles(index: Int) async throws {
        let endpoint = Endpoint.all[index]
        guard let rule = MatrixTests.rules[MatrixTests.name(endpoint)], let needed = rule.scopes else { return }
        let world = World()
        @Sendable func token(_ caller: Caller, _ scope: Scope) -> String {
            APIKey.make(random: Array(SHA256.hash(data: Array("\(caller) \(scope)".utf8))))
        }
        let callers = [Caller.buyer, .seller, .finance, .admin, .roleless]
        for caller in callers {
            for scope in Scope.allCases {
                let digest = APIKey.digest(token(caller, scope))
                _ = world.directory.add(KeyGrant(scopes: [scope]), of: caller, secret: .digest(digest))
            }
        }
        let isRead = endpoint.method == .get
        try await world.run { (client) async throws in
            for caller in callers {
                for scope in Scope.allCases {
                    let reply = try await send(
                        client, endpoint, path(endpoint, id: "999"), [.authorization: "Bearer \(token(caller, scope))"])
                    // Staff's roles come with their scopes; to read, with `read`, too.
                    let isStaff = scope == .admin || isRead && scope == .read
                    let isAdmin = caller == .admin && isStaff
                    let isFinance = caller == .finance && (isStaff || scope == .finance)
                    let hasRole = rule.roles.isEmpty || isAdmin || rule.roles.contains(.finance) && isFinance
                        || rule.roles.contains(.buyer) && caller == .buyer || rule.roles.contains(.seller) && caller == .seller
                    let expected = !needed.contains(scope) ? "scopeMissing" : hasRole ? nil : "roleMissing"
                    if let expected {
                        #expect(reply.code == expected, "\(caller) \(scope)")
                        #expect(reply.status == 403)
                    } else {
                        #expect(reply.status != 401 && reply.status != 403, "\(caller) \(scope)")
                    }
                }
            }
        }
    }

    /// Others' things are not there, whatever the request says of them.
    @Test(arguments: Endpoint.all.indices) func foreignAccounts(index: Int) async throws {
        let endpoint = Endpoint.all[index]
        guard let rule = MatrixTests.rules[MatrixTests.name(endpoint)], let status = rule.foreign else { return }
        let caller: Caller = rule.roles.contains(.seller) || rule.roles.isEmpty ? .otherSeller : .otherBuyer
        let bodies = [
            "PUT /v1/rigs/{id}/farm": #"{"farmID":null}"#, "PUT /v1/farms/{id}/offer": #"{"price":1,"lots":"all"}"#,
            "PUT /v1/farms/{id}/login": #"{"name":"x","fallbackPoolTargetID":1}"#,
            "PUT /v1/farms/{id}/curtailment": #"{"capLots":0}"#, "PATCH /v1/bids/{id}": #"{"price":1}"#,
            "PATCH /v1/asks/{id}": #"{"price":1}"#,
        ]
        let world = World.furnished()
        let before = world.market.read(\.hash)
        try await world.run { (client) async throws in
            for id in 1...3 {
                let name = MatrixTests.name(endpoint)
                let takesFields = bodies[name] ?? (name.hasSuffix("rotate") ? "{}" : nil)
                let reply = try await client.send(endpoint.method, path(endpoint, id: "\(id)"), as: caller, takesFields)
                #expect(reply.status == status || reply.status == 422, "\(id) \(reply.text)")
                #expect(!(200..<300).contains(reply.status))
            }
        }
        #expect(world.market.read(\.hash) == before)
    }

    /// A key of few scopes of an admin's account acts on the account's own things.
    @Test func staffWithoutTheScopeIsNoStaff() async throws {
        let world = World.furnished()
        let token = APIKey.make(random: Array(repeating: 3, count: 32))
        _ = world.directory.add(KeyGrant(scopes: [.read, .trade]), of: .admin, secret: .digest(APIKey.digest(token)))
        try await world.run { (client) async throws in
            let headers: HTTPFields = [.authorization: "Bearer \(token)"]
            #expect(try await client.send(.get, "/v1/bids/1", headers: headers).status == 200)
            #expect(try await client.send(.delete, "/v1/bids/1", headers: headers).code == "roleMissing")
        }
    }
}
