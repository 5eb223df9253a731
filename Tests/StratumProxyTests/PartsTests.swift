import Routing
import Stratum
import TestSupport
import Testing
import Units

@testable import StratumProxy

@Suite("Parts of the edge")
struct PartsTests {
    private func at(_ seconds: Int64) -> Timestamp { Timestamp(microseconds: (1_800_000_000 + seconds) * 1_000_000) }

    @Test("addresses that strangers must not lead an edge to", arguments: [
        ("127.0.0.1", false), ("10.1.2.3", false), ("172.16.0.1", false), ("172.32.0.1", true), ("192.168.1.1", false),
        ("169.254.169.254", false), ("100.64.0.1", false), ("100.128.0.1", true), ("0.0.0.0", false),
        ("224.0.0.1", false), ("255.255.255.255", false), ("198.18.0.1", false), ("8.8.8.8", true), ("::1", false),
        ("::", false), ("fe80::1", false), ("fc00::1", false), ("fd12::1", false), ("ff02::1", false),
        ("::ffff:127.0.0.1", false), ("::ffff:8.8.8.8", true), ("64:ff9b::a00:1", false), ("64:ff9b::808:808", true),
        ("2002:7f00:1::", false), ("2001:db8::1", false), ("2606:4700::1111", true),
    ])
    func addresses(text: String, isAllowed: Bool) throws {
        let address = try PoolAddress(parsing: text.contains(":") ? "[\(text)]:3333" : "\(text):3333")
        switch AddressResolver.resolve(address, policy: AddressPolicy(allowsPrivate: false)) {
        case .success: #expect(isAllowed)
        case .failure(let failure): #expect(!isAllowed, "\(failure)")
        }
    }

    @Test("prefixes rest until the jobs they served are dead")
    func prefixes() throws {
        let spaces = SearchSpaces(firstPrefix: 65_535, firstEpoch: 0)
        let space = spaces.open(.zero)
        let first = try #require(spaces.takePrefix())
        #expect(first == 65_535)
        #expect(spaces.issue(space, to: first, epochs: 256) == WorkIssue(epoch: 0, seconds: 0))
        spaces.release(prefix: first)
        for _ in 0..<65_535 { #expect(spaces.takePrefix() != nil) }
        #expect(spaces.takePrefix() == nil)
        spaces.close(space)
        #expect(spaces.takePrefix() == first)
    }

    @Test("prefixes go on after a restart: a job that outlives the edge is not hashed again")
    func prefixesGoOn() {
        let before = SearchSpaces(firstPrefix: 0, firstEpoch: 0)
        #expect(before.takePrefix(at: 1) == 0)
        #expect(before.takePrefix(at: 3) == 2)
        let after = SearchSpaces(firstPrefix: 0, firstEpoch: 0)
        #expect(after.takePrefix(at: 1001) == 1000)
        #expect(after.takePrefix(at: 1001) == 1001, "one that is taken is passed over")
        #expect(after.takePrefix(at: 65_537) == 0)
    }

    @Test("issues use up the padding, then the seconds, then end")
    func issues() {
        let spaces = SearchSpaces(firstPrefix: 0, firstEpoch: 0)
        let space = spaces.open(.zero)
        #expect(spaces.open(.zero) === space)
        var seen: Set<WorkIssue> = []
        while let issue = spaces.issue(space, to: 1, epochs: 2) { seen.insert(issue) }
        #expect(seen.count == 2 * 301)
        #expect(spaces.issue(space, to: 2, epochs: 2) == WorkIssue(epoch: 0, seconds: 0))
    }

    @Test("a window forgets")
    func window() {
        var window = WorkWindow(width: .seconds(60), count: 60, now: at(0))
        for second in Int64(1)...1200 {
            if second % 10 == 0 { window.add(Work(units: 10), at: at(second)) }
            window.mark(active: true, at: at(second))
        }
        let sum = window.sum(last: 60, at: at(1200))
        #expect(sum.shares == 120)
        #expect(sum.active == .seconds(1200))
        #expect(sum.hashesPerSecond(.sha256d) == 65_536)
        #expect(window.sum(last: 60, at: at(1200 + 3000)).shares < 120)
        #expect(window.sum(last: 60, at: at(1200 + 4000)).shares == 0)
    }

    @Test("a wish follows the rig's speed, and never below the market's minimum")
    func wish() {
        var wish = DifficultyWish(
            start: ShareDifficulty(units: 65_536 * 3 + 5), minimum: ShareDifficulty(units: 65_536), interval: .seconds(5),
            now: at(0))
        #expect(wish.difficulty.units == 65_536 * 3)
        for _ in 0..<8 { wish.observe(wish.difficulty) }
        let isRaised = wish.adjust(now: at(4))
        #expect(isRaised)
        // Ten times as many as expected; rounded down to a whole difficulty.
        #expect(wish.difficulty.units == 65_536 * 29)
        let isEarly = wish.adjust(now: at(20))
        #expect(!isEarly)
        let isLowered = wish.adjust(now: at(24))
        #expect(isLowered)
        #expect(wish.difficulty.units == 65_536 * 3)
        for round in Int64(2)..<9 { _ = wish.adjust(now: at(70 * round)) }
        #expect(wish.difficulty.units == 65_536)
        wish.suggest(DecimalDifficulty(ShareDifficulty(units: .max)), now: at(700))
        #expect(wish.difficulty == DifficultyWish.ceiling(.sha256d))
    }

    @Test("a rig that delivers too little is reported, once enough shares were expected")
    func underDelivery() {
        let rig = Rig(id: RigID(1), now: at(0))
        let route = Route(
            delivery: DeliveryID(5), bid: OrderID(1), targets: [PoolTargetID(1)], validUntil: at(100_000),
            maxWork: Work(units: .max / 2), maxDifficulty: ShareDifficulty(units: 1 << 40),
            hashrate: Hashrate(hashesPerSecond: 65_536 * 10))
        rig.route.apply(RouteUpdate(rig: rig.id, position: 1, route: route), now: at(0))
        var found: [Int64] = []
        for second in Int64(1)...3000 {
            let isFull = second < 1200
            if second % 10 == 0 { rig.add(Work(units: isFull ? 95 : 50), delivery: DeliveryID(5), at: at(second)) }
            rig.mark(isWorking: true, now: at(second))
            if !rig.underDeliveries(difficulty: ShareDifficulty(units: 50), now: at(second)).isEmpty { found.append(second) }
        }
        #expect(found.first.map { (1300...1900).contains($0) } == true)
        #expect(found.count <= 3)
    }

    @Test("a part that waits for its slice is no fault, too little work in its slices is", arguments: [90, 110])
    func underDeliveryInSlices(_ perSecond: Int64) {
        let rig = Rig(id: RigID(1), now: at(0))
        let parts: [(Int64, Int64)] = [(5, 15), (6, 85)]
        let routes = parts.map { delivery, part in
            Route(
                delivery: DeliveryID(delivery), bid: OrderID(delivery), targets: [PoolTargetID(1)], validUntil: at(100_000),
                maxWork: Work(units: .max / 2), maxDifficulty: ShareDifficulty(units: 1 << 40),
                hashrate: Hashrate(hashesPerSecond: 65_536 * part * 130 / 100), allowance: Work(units: 1000))
        }
        rig.route.apply(RouteUpdate(rig: rig.id, position: 1, routes: routes), now: at(0))
        var found: [DeliveryID: Int64] = [:]
        for second in Int64(1)...3600 {
            guard case .delivery(let served)? = rig.route.turn(now: at(second), isUsable: { _ in true }) else { continue }
            rig.add(Work(units: perSecond), delivery: served, at: at(second))
            rig.mark(isWorking: true, now: at(second))
            for under in rig.underDeliveries(difficulty: ShareDifficulty(units: 50), now: at(second)) {
                let route = rig.route.route(of: under.delivery)
                let ratio = Double(under.hashrate.hashesPerSecond) / Double(route?.hashrate.hashesPerSecond ?? 1)
                #expect(abs(ratio - Double(perSecond) / 130) < 0.05)
                found[under.delivery] = found[under.delivery] ?? second
            }
        }
        // 69 % and 85 % of what was sold.
        if perSecond == 90 {
            #expect(found[DeliveryID(6)].map { (660...900).contains($0) } == true)
            #expect(found[DeliveryID(5)] != nil)
        } else {
            #expect(found.isEmpty)
        }
    }

    @Test("a measurement is reported again only when it has moved by more than two sigma")
    func measurement() {
        let rig = Rig(id: RigID(1), now: at(0))
        rig.startSession(1, now: at(0))
        var reports: [(Int64, Hashrate)] = []
        for second in Int64(1)...7200 {
            if second % 5 == 0 { rig.add(Work(units: second < 3600 ? 50 : 150), delivery: nil, at: at(second)) }
            rig.mark(isWorking: true, now: at(second))
            if let rate = rig.measurementToReport(now: at(second)) { reports.append((second, rate)) }
        }
        #expect(reports.first?.0 == 150)
        #expect(reports.count > 1 && reports.count < 40)
        #expect(reports.dropFirst().allSatisfy { $0.0 > 3600 })
    }
}
