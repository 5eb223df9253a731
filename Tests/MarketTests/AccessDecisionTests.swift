import Market
import TestSupport
import Testing
import Units

@Suite("Scopes, networks and grants")
struct AccessDecisionTests {
    @Test(arguments: [
        ("/v1/bids/{id}", false, [Role.buyer], [Role.buyer], [Scope.trade], AccessDecision.allowed([.buyer])),
        ("/v1/bids", true, [.buyer], [.buyer], [.read], .allowed([.buyer])),
        ("/v1/bids", false, [.buyer], [.buyer], [.read, .rigs], .scopeMissing([.trade])),
        ("/v1/bids", true, [.buyer], [.buyer], [.rigs], .scopeMissing([.trade, .read])),
        ("/v1/bids", false, [.buyer], [.seller], [.trade], .roleMissing([.buyer])),
        // Staff's roles come with their scopes only.
        ("/v1/bids", false, [.buyer], [.admin], [.trade], .roleMissing([.buyer])),
        ("/v1/bids", false, [.buyer], [.admin], [.trade, .admin], .allowed([.admin])),
        ("/v1/bids", true, [.buyer], [.admin, .buyer], [.trade], .allowed([.buyer])),
        ("/v1/bids", true, [.buyer], [.admin, .buyer], [.read], .allowed([.admin, .buyer])),
        ("/v1/balances", true, [], [.finance], [.trade], .allowed([])),
        ("/v1/balances", true, [], [.finance], [.finance], .allowed([.finance])),
        // What nobody has put in the table is for admin.
        ("/v1/novelties", false, [], [.buyer], [.trade, .rigs, .finance, .read], .scopeMissing([.admin])),
        ("/v1/novelties", true, [], [.buyer], [.read], .allowed([.buyer])),
        ("/elsewhere", false, [], [.buyer], [.trade], .scopeMissing([.admin])),
    ] as [(String, Bool, Set<Role>, Set<Role>, Set<Scope>, AccessDecision)])
    func decisions(path: String, isRead: Bool, needed: Set<Role>, roles: Set<Role>, scopes: Set<Scope>, expected: AccessDecision) {
        #expect(AccessDecision.decide(path: path, isRead: isRead, needed: needed, roles: roles, scopes: scopes) == expected)
    }

    /// More scopes never take anything away.
    @Test func scopesOnlyAdd() {
        let subsets = (0..<32).map { bits in Set(Scope.allCases.enumerated().filter { bits >> $0.offset & 1 == 1 }.map(\.element)) }
        for area in ScopeTable.areas.keys {
            for isRead in [true, false] {
                for (few, many) in subsets.flatMap({ few in subsets.filter(few.isSubset(of:)).map { (few, $0) } }) {
                    let all = Set(Role.allCases)
                    let less = AccessDecision.decide(path: "/v1/\(area)", isRead: isRead, needed: [], roles: all, scopes: few)
                    let more = AccessDecision.decide(path: "/v1/\(area)", isRead: isRead, needed: [], roles: all, scopes: many)
                    guard case .allowed(let first) = less else { continue }
                    guard case .allowed(let second) = more else {
                        Issue.record("\(area) \(few) \(many)")
                        continue
                    }
                    #expect(first.isSubset(of: second))
                }
            }
        }
    }

    // MARK: - Networks

    @Test(arguments: [
        ("0.0.0.0", "0.0.0.0"), ("192.0.2.255", "192.0.2.255"), ("::", "0:0:0:0:0:0:0:0"), ("::1", "0:0:0:0:0:0:0:1"),
        ("2001:DB8::8:800:200c:417a", "2001:db8:0:0:8:800:200c:417a"), ("1::", "1:0:0:0:0:0:0:0"),
        ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("::ffff:192.0.2.1", "192.0.2.1"),
        ("0:0:0:0:0:ffff:c000:201", "192.0.2.1"), ("64:ff9b::192.0.2.33", "64:ff9b:0:0:0:0:c000:221"),
    ]) func addresses(text: String, expected: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.description == expected)
        #expect(IPAddress(expected) == address)
    }

    @Test(arguments: [
        "", "1", "1.2.3", "1.2.3.4.5", "256.0.0.1", "01.2.3.4", "1.2.3.-4", "1.2.3.4 ", "a.b.c.d", ":", ":::", "1::2::3", "12345::",
        "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::-0", "::+1", "fe80::1%eth0", "[::1]", "1.2.3.4::",
        "::1.2.3", "::1.2.3.4:5", "1:", ":1", "é::",
    ]) func noAddresses(text: String) { #expect(IPAddress(text) == nil) }

    @Test(arguments: [
        ("192.0.2.0/24", "192.0.2.0", true), ("192.0.2.0/24", "192.0.2.255", true), ("192.0.2.0/24", "192.0.3.0", false),
        ("192.0.2.7", "192.0.2.7", true), ("192.0.2.7", "192.0.2.6", false), ("0.0.0.0/0", "255.255.255.255", true),
        ("0.0.0.0/0", "::1", false), ("::/0", "192.0.2.1", false), ("::/0", "ffff::", true), ("2001:db8::/32", "2001:db8:ffff::1", true),
        ("2001:db8::/32", "2001:db9::", false), ("::1/128", "::1", true), ("::1", "::2", false),
        ("::ffff:192.0.2.0/120", "192.0.2.9", true), ("192.0.2.0/24", "::ffff:192.0.2.9", true),
    ]) func containment(network: String, address: String, expected: Bool) throws {
        #expect(try #require(IPNetwork(network)).contains(try #require(IPAddress(address))) == expected)
    }

    @Test(arguments: [
        "192.0.2.1/24", "192.0.2.0/33", "::/129", "::1/64", "192.0.2.0/", "192.0.2.0/+8", "192.0.2.0/8/8", "/8", "::ffff:1.2.3.4/90",
    ])
    func noNetworks(text: String) { #expect(IPNetwork(text) == nil) }

    /// Against bits compared one by one.
    @Test func networksAgainstBits() throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededRandom(seed: seed)
        for _ in 0..<2000 {
            let bits = UInt32.random(in: .min ... .max, using: &random)
            let prefix = Int.random(in: 0...32, using: &random)
            let host: UInt32 = prefix == 32 ? 0 : UInt32.max >> UInt32(prefix)
            let base: UInt32 = bits & ~host
            let flipped = UInt32.random(in: 0...31, using: &random)
            let other: UInt32 = bits ^ (UInt32(1) << flipped)
            let network = try #require(IPNetwork("\(IPAddress(v4: base))/\(prefix)"), "seed \(seed)")
            var isSame = true
            for bit in 0..<prefix {
                let place = UInt32(1) << UInt32(31 - bit)
                if other & place != base & place { isSame = false }
            }
            #expect(network.contains(IPAddress(v4: other)) == isSame, "seed \(seed): \(network) \(IPAddress(v4: other))")
            #expect(network.contains(IPAddress(v4: bits)), "seed \(seed)")
        }
    }

    @Test func proxies() throws {
        let proxies = TrustedProxies([try #require(IPNetwork("10.0.0.0/8"))])
        let (proxy, stranger) = (IPAddress("10.0.0.1"), IPAddress("203.0.113.5"))
        #expect(proxies.client(peer: stranger, forwarded: ["192.0.2.1"]) == stranger)
        #expect(proxies.client(peer: proxy, forwarded: ["192.0.2.1"]) == IPAddress("192.0.2.1"))
        #expect(proxies.client(peer: proxy, forwarded: ["198.51.100.1", " 192.0.2.1 ,\t10.9.9.9"]) == IPAddress("192.0.2.1"))
        #expect(proxies.client(peer: proxy, forwarded: []) == proxy)
        #expect(proxies.client(peer: proxy, forwarded: ["192.0.2.1, junk"]) == nil)
        #expect(proxies.client(peer: proxy, forwarded: [""]) == nil)
        #expect(proxies.client(peer: nil, forwarded: ["192.0.2.1"]) == nil)
        #expect(TrustedProxies().client(peer: proxy, forwarded: ["192.0.2.1"]) == proxy)
    }

    // MARK: - Grants

    @Test func grantsGiveNoMoreThanTheirMaker() throws {
        let net = try #require(IPNetwork("192.0.2.0/24"))
        let part = try #require(IPNetwork("192.0.2.128/25"))
        let (soon, late) = (Timestamp(microseconds: 1), Timestamp(microseconds: 2))
        let maker = KeyGrant(scopes: [.read, .trade], networks: [net], expiresAt: soon)
        #expect(maker.excess(of: maker) == nil)
        #expect(maker.excess(of: KeyGrant(scopes: [.read], networks: [part], expiresAt: soon)) == nil)
        #expect(maker.excess(of: KeyGrant(scopes: [.rigs], networks: [part], expiresAt: soon)) == .scopes)
        #expect(maker.excess(of: KeyGrant(scopes: [.read], networks: [part], expiresAt: late)) == .expiry)
        #expect(maker.excess(of: KeyGrant(scopes: [.read], networks: [part])) == .expiry)
        #expect(maker.excess(of: KeyGrant(scopes: [.read], expiresAt: soon)) == .networks)
        #expect(KeyGrant(scopes: .all, networks: [part]).excess(of: KeyGrant(scopes: [.read], networks: [net])) == .networks)
        #expect(KeyGrant.all.excess(of: maker) == nil)
    }
}
