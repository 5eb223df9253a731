import Testing
import Units

@testable import StratumProxy

@Suite("Who is kept out")
struct BanTests {
    private func at(_ seconds: Int64) -> Timestamp { Timestamp(microseconds: (1_800_000_000 + seconds) * 1_000_000) }
    private func address(_ text: String) throws -> SourceAddress { try #require(SourceAddress(parsing: text)) }

    private func door(_ adjust: (inout BanPolicy) -> Void = { _ in }) -> HeldDoor {
        var policy = BanPolicy()
        policy.failedLogins = 3
        policy.failedNames = 4
        policy.malformedFromAddress = 2
        policy.invalidShareRuns = 2
        policy.connectionsPerAddress = 2
        adjust(&policy)
        return HeldDoor(policy)
    }

    @Test("a name that fails is shut out from there only, and only then; its neighbours are not")
    func logins() throws {
        let door = door()
        let (here, there) = (try address("203.0.113.1"), try address("203.0.113.2"))
        for second in Int64(0)..<2 { #expect(door.failedLogin(user: "a", from: here, now: at(second)).isEmpty) }
        let bans = door.failedLogin(user: "a", from: here, now: at(2))
        #expect(bans.map(\.subject) == [.login(user: "a", from: here)])
        #expect(bans.first?.until == at(62))
        #expect(door.ban(ofLogin: "a", from: here, now: at(61)) == at(62))
        #expect(door.ban(ofLogin: "a", from: here, now: at(62)) == nil)
        #expect(door.ban(ofLogin: "b", from: here, now: at(3)) == nil)
        #expect(door.ban(ofLogin: "a", from: there, now: at(3)) == nil)
        #expect(door.admission(of: here, now: at(3)) == .open)
        // However long one name goes on, its network answers for it once.
        for second in Int64(3)..<50 { #expect(door.failedLogin(user: "a", from: here, now: at(second)).isEmpty) }
        #expect(door.admission(of: here, now: at(50)) == .open)
    }

    @Test("guessing names shuts out the network, but not rigs of good standing behind it")
    func names() throws {
        let door = door()
        let here = try address("203.0.113.1")
        for name in ["a", "b", "c"] { #expect(door.failedLogin(user: name, from: here, now: at(0)).isEmpty) }
        #expect(door.failedLogin(user: "d", from: here, now: at(0)).map(\.subject) == [.address(here)])
        #expect(door.admission(of: here, now: at(1)) == .refused("banned"))
        #expect(door.admission(of: try address("203.0.113.2"), now: at(1)) == .open)
        #expect(door.admission(of: here, now: at(60)) == .open)
        door.loggedIn(from: here)
        #expect(door.admission(of: here, now: at(1)) == .strict)
    }

    @Test("bans grow up to the longest, and are forgiven")
    func growth() throws {
        let door = door { $0.longestBan = .seconds(200) }
        var now: Int64 = 0
        for length in [60, 120, 200, 200] as [Int64] {
            #expect(door.count(.invalidShares, rig: RigID(1), from: nil, now: at(now)) == nil)
            #expect(door.count(.invalidShares, rig: RigID(1), from: nil, now: at(now))?.until == at(now + length))
            #expect(door.count(.invalidShares, rig: RigID(1), from: nil, now: at(now)) == nil, "no ban on a ban")
            #expect(door.ban(of: RigID(1), now: at(now)) != nil)
            #expect(door.ban(of: RigID(2), now: at(now)) == nil)
            now += length
        }
        now += 86_400
        _ = door.count(.invalidShares, rig: RigID(1), from: nil, now: at(now))
        #expect(door.count(.invalidShares, rig: RigID(1), from: nil, now: at(now))?.until == at(now + 60))
    }

    @Test("offences are forgotten after a while; a rig's do not count against its address")
    func windows() throws {
        let door = door()
        let here = try address("203.0.113.1")
        #expect(door.count(.malformed, rig: nil, from: here, now: at(0)) == nil)
        #expect(door.count(.malformed, rig: nil, from: here, now: at(601)) == nil)
        #expect(door.count(.malformed, rig: RigID(1), from: here, now: at(602)) == nil)
        #expect(door.admission(of: here, now: at(602)) == .open)
        #expect(door.count(.malformed, rig: nil, from: here, now: at(603))?.subject == .address(here))
    }

    @Test("all of an IPv6 /64 is one; IPv4 in IPv6 is IPv4; allowed networks are never shut out")
    func networks() throws {
        let door = door { $0.allowed = [AddressBlock(parsing: "198.51.100.0/24")!] }
        let (one, two) = (try address("2001:db8:1:2::1"), try address("2001:db8:1:2:ffff::2"))
        for peer in [one, two] { _ = door.count(.malformed, rig: nil, from: peer, now: at(0)) }
        #expect(door.admission(of: two, now: at(0)) == .refused("banned"))
        #expect(door.admission(of: try address("2001:db8:1:3::1"), now: at(0)) == .open)
        #expect(try address("::ffff:1.2.3.4") == address("1.2.3.4"))
        #expect(try address("::ffff:1.2.3.4").description == "1.2.3.4")
        let farm = try address("198.51.100.7")
        for _ in 0..<100 { #expect(door.count(.malformed, rig: nil, from: farm, now: at(0)) == nil) }
        for _ in 0..<100 { door.entered(farm) }
        #expect(door.admission(of: farm, now: at(0)) == .open)
    }

    @Test("connections of one address are limited")
    func connections() throws {
        let door = door()
        let here = try address("203.0.113.1")
        door.entered(here)
        #expect(door.admission(of: here, now: at(0)) == .open)
        door.entered(here)
        #expect(door.admission(of: here, now: at(0)) == .refused("too many connections"))
        door.left(here)
        #expect(door.admission(of: here, now: at(0)) == .open)
    }

    @Test("memory is bounded: the oldest are forgotten, and of bans those that end first")
    func bounds() throws {
        var policy = BanPolicy()
        policy.maximalSubjects = 100
        policy.maximalBans = 10
        policy.malformedFromAddress = 2
        var list = BanList(policy)
        for i in 0..<10_000 {
            let peer = SourceAddress([10, 0, UInt8(i >> 8), UInt8(i & 0xff)])!
            _ = list.count(.malformed, of: .address(peer), now: at(0))
            _ = list.failedLogin(user: "u\(i)", from: peer, now: at(0))
            #expect(list.size <= 112)
        }
        for i in Int64(0)..<1000 {
            for _ in 0..<policy.malformedFromRig { _ = list.count(.malformed, of: .rig(RigID(i)), now: at(i)) }
            #expect(list.ban(of: .rig(RigID(i)), now: at(i)) != nil)
            #expect(list.size <= 112)
        }
        #expect(list.current(limit: 100, now: at(1000)).count == 10)
        #expect(list.current(limit: 3, now: at(1000)).map(\.subject) == ["rig 999", "rig 998", "rig 997"])
    }

    @Test("address blocks", arguments: [
        ("10.0.0.0/8", "10.255.1.2", "11.0.0.1"), ("192.0.2.7", "192.0.2.7", "192.0.2.8"), ("0.0.0.0/0", "8.8.8.8", "2001:db8::1"),
        ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"), ("::/0", "1.2.3.4", ""), ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
    ])
    func blocks(text: String, inside: String, outside: String) throws {
        let block = try #require(AddressBlock(parsing: text))
        #expect(block.contains(try address(inside)))
        if !outside.isEmpty { #expect(!block.contains(try address(outside))) }
        #expect(AddressBlock(parsing: block.description) == block)
    }

    @Test("what is no block", arguments: ["", "10.0.0.0/33", "10.0.0.1/8", "x", "10.0.0.0/", "10.0.0.0/+8", "::1/129", "10.0.0.0/8/8", "10.0.0.0/08"])
    func noBlocks(text: String) { #expect(AddressBlock(parsing: text) == nil) }
}
