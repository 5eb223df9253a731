import Exchange
import HTTPTypes
import Testing
import TestSupport
import Units
@testable import WebAPI

/// Many requests of every kind, most of them sensible, some not: each is answered, and as the document says.
@Suite struct RandomRequestTests {
    @Test(arguments: Seeds.list(4)) func everythingIsAnswered(seed: UInt64) async throws {
        let world = World.furnished()
        world.deposit(500_000, to: .otherBuyer)
        world.target(of: .otherBuyer)
        try await world.run { (client) async throws in
            var requests = RandomRequests(seed: seed)
            var successes: [String: Int] = [:]
            for step in 1...600 {
                let request = requests.next(at: world.market.time)
                let reply = try await client.send(request.method, request.path, as: request.caller, request.body)
                #expect([200, 201, 204, 402, 404, 409, 422].contains(reply.status), "seed \(seed), step \(step): \(request) \(reply.text)")
                if reply.status < 300 { successes[request.kind, default: 0] += 1 }
                #expect(world.market.read(\.ledgerTotal) == 0, "seed \(seed), step \(step)")
                if requests.random.chance(20) { world.market.advance(.milliseconds(requests.random.int64(1...40_000))) }
                if step % 20 == 0 { try await look(client) }
            }
            guard Seeds.isFixed(seed) else { return }
            #expect(successes.count >= 8, "seed \(seed) did only \(successes)")
        }
    }

    private func look(_ client: Client) async throws {
        for path in [
            "/v1/market", "/v1/book", "/v1/trades", "/v1/bids", "/v1/asks", "/v1/rigs", "/v1/farms", "/v1/deliveries",
            "/v1/orders/cancel-after",
        ] { #expect(try await client.get(path, as: .admin).status == 200) }
        for kind in ["bid", "ask"] {
            for order in try await client.get("/v1/\(kind)s", as: .admin)["items"].items {
                #expect(try await client.get("/v1/\(kind)s/\(order["id"].int ?? 0)", as: .admin).status == 200)
            }
        }
    }
}

/// Makes requests to a furnished market (``World/furnished()``).
private struct RandomRequests {
    struct Request: CustomStringConvertible {
        var kind: String
        var method: HTTPRequest.Method
        var path: String
        var caller: Caller
        var body: String?

        var description: String { "\(method) \(path) by \(caller): \(body ?? "")" }
    }

    var random: SeededRandom
    private var orders = 2

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    mutating func next(at time: Timestamp) -> Request {
        switch random.int(1...100) {
        case 1...25: return bid(time)
        case 26...40: return ask(time)
        case 41...60: return amendment(time)
        case 61...68: return cancellation()
        case 69...72: return farmOfRig()
        case 73...78: return offer(time)
        case 79...80: return Request(kind: "withdraw", method: .delete, path: "/v1/farms/1/offer", caller: .seller)
        case 81...84: return timer()
        case 85...86: return cancelAll()
        case 87...92: return index(time)
        case 93...95: return phase()
        case 96...98: return rules(time)
        default: return Request(kind: "farm", method: .post, path: "/v1/farms", caller: .seller, body: #"{"name":"shed"}"#)
        }
    }

    // MARK: - Orders

    private mutating func bid(_ time: Timestamp) -> Request {
        orders += 1
        let (caller, pool) = random.pick([(Caller.buyer, 1), (.otherBuyer, 3)])
        var members = ["\"price\":\(price())", "\"lots\":\(lots())", "\"poolTargetIDs\":[\(pool)]"]
        if random.chance(20) { members.append("\"budget\":\(number(100...100_000))") }
        members += instructions(time)
        return Request(kind: "bid", method: .post, path: "/v1/bids", caller: caller, body: object(members))
    }

    private mutating func ask(_ time: Timestamp) -> Request {
        orders += 1
        let members = ["\"price\":\(price())", "\"lots\":\(lotsOrAll())", "\"rigID\":\(random.int(1...4))"] + schedule() + instructions(time)
        return Request(kind: "ask", method: .post, path: "/v1/asks", caller: .seller, body: object(members))
    }

    private mutating func offer(_ time: Timestamp) -> Request {
        let members = ["\"price\":\(price())", "\"lots\":\(lotsOrAll())"] + schedule() + instructions(time)
        return Request(kind: "offer", method: .put, path: "/v1/farms/1/offer", caller: .seller, body: object(members))
    }

    private mutating func amendment(_ time: Timestamp) -> Request {
        let isBid = random.chance(50)
        var members: [String] = []
        if random.chance(40) { members.append("\"price\":\(price())") }
        if random.chance(40) { members.append("\"lots\":\(isBid ? lots() : lotsOrAll())") }
        if random.chance(20) { members.append("\"expiresAt\":\(random.chance(40) ? "null" : expiry(time))") }
        if random.chance(20) { members.append("\"minimumFill\":\(lots())") }
        if random.chance(20) { members.append("\"displayedLots\":\(random.chance(40) ? "null" : lots())") }
        if random.chance(20) { members.append("\"peg\":{\"offset\":\(offset())}") }
        if isBid, random.chance(20) { members.append("\"budget\":\(random.chance(40) ? "null" : number(100...100_000))") }
        if !isBid { members += random.chance(10) ? ["\"schedule\":null"] : schedule() }
        return Request(
            kind: isBid ? "amend bid" : "amend ask", method: .patch, path: "/v1/\(isBid ? "bid" : "ask")s/\(order())", caller: .admin,
            body: object(members))
    }

    private mutating func cancellation() -> Request {
        let side = random.pick(["bid", "ask"])
        return Request(kind: "cancel \(side)", method: .delete, path: "/v1/\(side)s/\(order())", caller: .admin)
    }

    private mutating func cancelAll() -> Request {
        Request(
            kind: "cancel all", method: .delete, path: "/v1/orders" + random.pick(["", "?side=bid", "?side=ask"]),
            caller: random.pick([.otherBuyer, .seller]))
    }

    private mutating func timer() -> Request {
        let seconds = random.chance(30) ? "null" : number(1...200)
        return Request(
            kind: "timer", method: .put, path: "/v1/orders/cancel-after", caller: random.pick([.buyer, .otherBuyer, .seller]),
            body: "{\"seconds\":\(seconds)}")
    }

    private mutating func farmOfRig() -> Request {
        Request(
            kind: "farm of rig", method: .put, path: "/v1/rigs/\(random.int(1...4))/farm", caller: .seller,
            body: "{\"farmID\":\(random.pick(["null", "1", "2"]))}")
    }

    // MARK: - Staff

    private mutating func index(_ time: Timestamp) -> Request {
        Request(kind: "index", method: .put, path: "/v1/market/index", caller: .admin, body: "{\"price\":\(price())}")
    }

    private mutating func phase() -> Request {
        let phase = random.pick(["open", "open", "open", "cancelOnly", "halted"])
        return Request(kind: "phase \(phase)", method: .put, path: "/v1/market/phase", caller: .admin, body: "{\"phase\":\"\(phase)\"}")
    }

    private mutating func rules(_ time: Timestamp) -> Request {
        var members = ["\"effectiveAt\":\(expiry(time))"]
        if random.chance(30) { members.append("\"tick\":\(random.pick([1, 5, 10]))") }
        if random.chance(30) { members.append("\"lowestPrice\":\(number(1...500))") }
        if random.chance(30) { members.append("\"highestPrice\":\(number(500...2000))") }
        if random.chance(30) { members.append("\"termSeconds\":\(number(1...120))") }
        if random.chance(30) { members.append("\"shortestTermSeconds\":\(number(1...20))") }
        if random.chance(30) { members.append("\"buyerFeePPM\":\(number(0...100_000))") }
        if random.chance(30) { members.append("\"mostOrders\":\(number(5...50))") }
        return Request(kind: "rules", method: .post, path: "/v1/market/rules", caller: .admin, body: object(members))
    }

    // MARK: - Fields

    private mutating func instructions(_ time: Timestamp) -> [String] {
        var members: [String] = []
        if random.chance(40) { members.append("\"timeInForce\":\"\(random.pick(["GTC", "GTC", "IOC", "FOK", "GTD"]))\"") }
        if random.chance(20) { members.append("\"expiresAt\":\(expiry(time))") }
        if random.chance(15) { members.append("\"postOnly\":\(random.pick(["true", "false"]))") }
        if random.chance(25) { members.append("\"minimumFill\":\(lots())") }
        if random.chance(25) { members.append("\"displayedLots\":\(lots())") }
        if random.chance(30) {
            members.append("\"selfTradePrevention\":\"\(random.pick(["cancelResting", "cancelIncoming", "cancelBoth"]))\"")
        }
        if random.chance(25) {
            members.append("\"peg\":{\"reference\":\"\(random.pick(["bestBid", "bestAsk", "index"]))\",\"offset\":\(offset())}")
        }
        return members
    }

    private mutating func schedule() -> [String] {
        guard random.chance(20) else { return [] }
        let windows = (0..<random.int(0...3)).map { _ in
            "{\"from\":\"\(TimeOfDay.text(random.int64(0...1440)))\",\"to\":\"\(TimeOfDay.text(random.int64(0...1440)))\"}"
        }
        return ["\"schedule\":[\(windows.joined(separator: ","))]"]
    }

    private mutating func price() -> String { number(500...900) }
    private mutating func lots() -> String { number(1...12) }
    private mutating func lotsOrAll() -> String { random.chance(30) ? "\"all\"" : lots() }
    private mutating func offset() -> Int64 { random.chance(3) ? random.hostileInt64() : random.int64(-100...100) }
    private mutating func order() -> Int { random.int(1...max(2, orders)) }

    private mutating func expiry(_ time: Timestamp) -> String {
        "\"\(time + .milliseconds(random.pick([-1000, 9000, 10_000, 30_000, 100_000, 1_000_000_000_000])))\""
    }

    /// Mostly in a range; sometimes anything.
    private mutating func number(_ range: ClosedRange<Int64>) -> String {
        "\(random.chance(2) ? random.hostileInt64() : random.int64(range))"
    }

    private func object(_ members: [String]) -> String { "{" + members.joined(separator: ",") + "}" }
}
