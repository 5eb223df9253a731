import Exchange
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import Market
import NIOCore
import OrderBook
import ServiceLifecycle
import Testing
import TestSupport
import Units
@testable import WebAPI

/// What streams say, against what is asked once.
@Suite struct StreamTests {
    private static var patient: MarketStreams.Configuration {
        var configuration = MarketStreams.Configuration()
        (configuration.pause, configuration.pausePerReader) = (.zero, .zero)
        return configuration
    }

    private static func streams(
        _ world: World, epoch: Int64 = 1, _ change: (inout MarketStreams.Configuration) -> Void = { _ in }
    ) -> MarketStreams {
        var configuration = patient
        change(&configuration)
        return MarketStreams(market: world.market, epoch: epoch, configuration: configuration)
    }

    /// The book as it is asked once.
    private static func book(_ streams: MarketStreams) throws -> FollowedBook {
        // The queue may be at it, too.
        streams.publish()
        let page = streams.read { $0.book(levels: Limits.bookLevels) }
        return FollowedBook(try JSONReader.read(Array(buffer: page.body), depthLimit: 8))
    }

    // MARK: - The book

    @Test(arguments: Seeds.list(6)) func bookIsFollowedWithoutGaps(seed: UInt64) async throws {
        let world = World.furnished()
        let streams = StreamTests.streams(world)
        var history = RandomMarket(seed: seed, world)
        var follower = try StreamFollower(streams, .book)
        var followed = FollowedBook()
        var seen = 0
        var resumptions = 0
        for step in 1...400 {
            history.step()
            guard history.random.chance(30) else { continue }
            // Asking once publishes what is committed.
            let asked = try StreamTests.book(streams)
            while followed.sequence != asked.sequence {
                try await follower.read()
                for event in follower.events[seen...] {
                    #expect(event.flaws(on: "book").isEmpty, "seed \(seed), step \(step)")
                    followed.follow(event)
                }
                seen = follower.events.count
            }
            #expect(followed == asked, "seed \(seed), step \(step)")
            guard history.random.chance(30) else { continue }
            // It goes away for a while and comes back with what it knows.
            streams.leave(follower.reader, .book)
            for _ in 0..<history.random.int(0...20) {
                history.step()
                if history.random.chance(50) { _ = try StreamTests.book(streams) }
            }
            follower = try StreamFollower(streams, .book, after: EventID(epoch: 1, sequence: followed.sequence))
            resumptions += 1
            seen = 0
            let now = try StreamTests.book(streams)
            while followed.sequence != now.sequence {
                try await follower.read()
                #expect(!follower.events.contains { $0.name == "snapshot" }, "seed \(seed), step \(step)")
                for event in follower.events[seen...] { followed.follow(event) }
                seen = follower.events.count
            }
            #expect(followed == now, "seed \(seed), step \(step)")
        }
        guard Seeds.isFixed(seed) else { return }
        #expect(resumptions > 10, "seed \(seed)")
        #expect(followed.sequence > 100, "seed \(seed)")
    }

    @Test(arguments: Seeds.list(20)) func changesLeadFromImageToImage(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        func side(_ isBid: Bool) -> [OrderBook.Depth] {
            var prices: Set<Int64> = []
            for _ in 0..<random.int(0...12) { prices.insert(random.int64(1...20)) }
            return prices.sorted { isBid ? $0 > $1 : $0 < $1 }.map {
                OrderBook.Depth(price: Price($0), lots: Lots(random.int64(1...2)), orders: random.int(1...2))
            }
        }
        var image = BookImage(sequence: 0, bids: side(true), asks: side(false))
        for step in 1...200 {
            let later = BookImage(sequence: Int64(step), bids: side(true), asks: side(false))
            guard let change = image.change(to: later) else {
                #expect(image.bids == later.bids && image.asks == later.asks, "seed \(seed)")
                continue
            }
            #expect(BookImageReference.apply(change.bids, to: image.bids, isBid: true) == later.bids, "seed \(seed)")
            #expect(BookImageReference.apply(change.asks, to: image.asks, isBid: false) == later.asks, "seed \(seed)")
            // Nothing is told that has not changed.
            for level in change.bids { #expect(!image.bids.contains(level), "seed \(seed)") }
            image = later
        }
    }

    @Test func oldAndForeignIDsBringASnapshot() async throws {
        let world = World.furnished()
        let streams = StreamTests.streams(world, epoch: 7)
        let start = try StreamTests.book(streams).sequence
        world.bid(price: 500)
        let now = try StreamTests.book(streams).sequence
        #expect(now > start)
        for (id, names) in [
            (EventID(epoch: 7, sequence: start), ["change"]), (EventID(epoch: 6, sequence: start), ["snapshot"]),
            (EventID(epoch: 8, sequence: now), ["snapshot"]), (EventID(epoch: 7, sequence: now + 1), ["snapshot"]),
            (EventID(epoch: 7, sequence: start - 1), ["snapshot"]),
        ] {
            var follower = try StreamFollower(streams, .book, after: id)
            try await follower.read()
            #expect(follower.events.map(\.name) == names, "after \(id)")
            #expect(follower.lastID == EventID(epoch: 7, sequence: now))
        }
    }

    @Test func historyIsBounded() throws {
        var history = BookHistory()
        let event = ByteBuffer(repeating: 1, count: 10)
        for sequence in Int64(0)..<5000 { history.append(event, after: sequence * 3) }
        #expect(history.events(after: 4999 * 3)?.count == 1)
        #expect(history.events(after: 4990 * 3)?.count == 10)
        #expect(history.events(after: Int64(5000 - BookHistory.mostEvents) * 3)?.count == BookHistory.mostEvents)
        #expect(history.events(after: Int64(4999 - BookHistory.mostEvents) * 3) == nil)
        #expect(history.events(after: 4990 * 3 + 1) == nil)
        #expect(history.events(after: 5000 * 3) == nil)
        for sequence in Int64(5000)..<5010 { history.append(ByteBuffer(repeating: 1, count: 1 << 20), after: sequence * 3) }
        #expect(history.events(after: 5009 * 3)?.count == 1)
        #expect(history.events(after: 5005 * 3) == nil)
    }

    // MARK: - Others

    @Test func tradesAreFollowedAcrossResumption() async throws {
        let world = World.furnished()
        let streams = StreamTests.streams(world)
        var follower = try StreamFollower(streams, .trades)
        try await follower.read()
        #expect(follower.events.map(\.name) == ["snapshot"])
        world.trade(lots: 1, price: 700, rig: 1)
        _ = try StreamTests.book(streams)
        try await follower.read()
        #expect(follower.events.map(\.name) == ["snapshot", "trade"])
        #expect(follower.events.allSatisfy { $0.flaws(on: "trades").isEmpty })
        let known = try #require(follower.lastID)
        #expect(known == EventID(epoch: 1, sequence: 1))
        world.trade(lots: 2, price: 800, rig: 3)
        _ = try StreamTests.book(streams)
        var back = try StreamFollower(streams, .trades, after: known)
        try await back.read()
        #expect(back.events.map { $0.data["id"].int } == [2])
        var anew = try StreamFollower(streams, .trades, after: EventID(epoch: 0, sequence: 1))
        try await anew.read()
        #expect(anew.events.first?.data["items"].items.map { $0["id"].int } == [1, 2])
    }

    @Test(arguments: Seeds.list(4)) func ownOrdersAndRigsAreFollowed(seed: UInt64) async throws {
        let world = World.furnished()
        let streams = StreamTests.streams(world)
        var history = RandomMarket(seed: seed, world)
        let (buyer, seller) = (AccountID(Caller.buyer.account), AccountID(Caller.seller.account))
        var own = OwnThings(orders: try StreamFollower(streams, .orders(buyer)), rigs: try StreamFollower(streams, .rigs(seller)))
        for step in 1...200 {
            history.step()
            guard history.random.chance(20) else { continue }
            _ = try StreamTests.book(streams)
            try await own.catchUp()
            #expect(own.flaws.isEmpty, "seed \(seed), step \(step): \(own.flaws)")
            let difference = own.difference(from: world.market, buyer, seller)
            #expect(difference == nil, "seed \(seed), step \(step): \(difference ?? "")")
            if history.random.chance(30) {
                streams.leave(own.orders.reader, own.orders.topic)
                streams.leave(own.rigs.reader, own.rigs.topic)
                for _ in 0..<history.random.int(0...10) { history.step() }
                if history.random.chance(50) { _ = try StreamTests.book(streams) }
                own.orders = try StreamFollower(streams, .orders(buyer), after: own.ordersID)
                own.rigs = try StreamFollower(streams, .rigs(seller), after: own.rigsID)
            }
        }
        guard Seeds.isFixed(seed) else { return }
        #expect(own.snapshots == 2, "seed \(seed): resumed with a snapshot")
        #expect(own.count > 50, "seed \(seed)")
    }

    // MARK: - Readers

    @Test func slowReaderIsDroppedAndOthersGoOn() async throws {
        let world = World.furnished()
        let streams = StreamTests.streams(world) { $0.mostWaitingEvents = 10 }
        let slow = try StreamFollower(streams, .book)
        var quick = try StreamFollower(streams, .book)
        var followed = FollowedBook()
        var seen = 0
        for price in Int64(1)...30 {
            world.bid(price: 500 + price)
            let asked = try StreamTests.book(streams)
            while followed.sequence != asked.sequence {
                try await quick.read()
                for event in quick.events[seen...] { followed.follow(event) }
                seen = quick.events.count
            }
        }
        #expect(followed == (try StreamTests.book(streams)))
        guard case .over(let ending) = await slow.reader.next() else {
            Issue.record("the slow reader is still read to")
            return
        }
        #expect(ending == .slow)
        #expect(quick.ending == nil)
    }

    @Test func backlogIsBoundedInBytes() async throws {
        let reader = StreamReader(
            number: 1, owner: .unknown, since: .now, mostEvents: 100, mostBytes: 1000, first: [ByteBuffer(repeating: 1, count: 5000)])
        reader.offer(ByteBuffer(repeating: 2, count: 1000))
        guard case .events(let events) = await reader.next() else { preconditionFailure("it ended") }
        #expect(events.map(\.readableBytes) == [5000, 1000])
        reader.offer(ByteBuffer(repeating: 2, count: 1001))
        guard case .over(.slow) = await reader.next() else { preconditionFailure("it went on") }
    }

    @Test func numbersOfStreamsAreLimited() throws {
        let world = World.furnished()
        let streams = StreamTests.streams(world) {
            ($0.mostReaders, $0.mostPerAccount, $0.mostPerAddress) = (6, 2, 3)
        }
        func refusal(_ owner: StreamOwner) -> String? {
            do {
                _ = try streams.join(.book, owner: owner, after: nil)
                return nil
            } catch { return "\(error.status.code) \(error.code)" }
        }
        let first = try StreamFollower(streams, .book, owner: .account(1))
        #expect(refusal(.account(1)) == nil)
        #expect(refusal(.account(1)) == "429 tooManyStreams")
        #expect(refusal(.address("::1")) == nil)
        #expect(refusal(.address("::1")) == nil)
        #expect(refusal(.address("::1")) == nil)
        #expect(refusal(.address("::1")) == "429 tooManyStreams")
        #expect(refusal(.account(2)) == nil)
        #expect(refusal(.account(3)) == "503 streamsExhausted")
        streams.leave(first.reader, .book)
        streams.leave(first.reader, .book)
        #expect(streams.count == 5)
        #expect(refusal(.account(1)) == nil)
        #expect(refusal(.unknown) == "503 streamsExhausted")
        streams.close()
        #expect(refusal(.account(9)) == "503 unavailable")
    }

    @Test func responsesThatNeverBeginDoNotCount() async throws {
        let world = World.furnished()
        let streams = StreamTests.streams(world) { $0.grace = .zero }
        _ = try StreamFollower(streams, .book)
        var begun = try StreamFollower(streams, .trades)
        begun.reader.begin()
        streams.look(isHeartbeat: true)
        #expect(streams.count == 1)
        try await begun.read()
        #expect(begun.events.count == 1)
        begun.reader.leave()
    }

    @Test(.timeLimit(.minutes(5))) func connectionThatTakesNothingIsCutOff() async {
        let reader = StreamReader(number: 1, owner: .unknown, since: .now, mostEvents: 1, mostBytes: 1000, first: [])
        let (begun, starter) = AsyncStream<Void>.makeStream()
        let task = Task {
            reader.begin()
            defer { reader.leave() }
            starter.yield()
            // As a write to a connection that takes nothing.
            try await Task.sleep(for: .seconds(3600))
        }
        for await _ in begun { break }
        reader.offer(ByteBuffer(string: "a"))
        reader.offer(ByteBuffer(string: "b"))
        #expect(reader.look(at: .now, lifetime: .seconds(3600), grace: .seconds(3600)))
        #expect(!task.isCancelled)
        #expect(reader.look(at: .now + .seconds(3601), lifetime: .seconds(7200), grace: .seconds(3600)))
        #expect(task.isCancelled)
        _ = await task.result
        // Its task is gone, and is not touched any more.
        #expect(reader.look(at: .now + .seconds(3601), lifetime: .seconds(7200), grace: .seconds(3600)))
    }

    @Test func streamsEndInTime() async {
        let reader = StreamReader(
            number: 1, owner: .unknown, since: .now, mostEvents: 1, mostBytes: 1000, first: [ByteBuffer(string: "a")])
        #expect(reader.look(at: .now + .seconds(11), lifetime: .seconds(10), grace: .seconds(60)))
        guard case .events = await reader.next() else { preconditionFailure("what came before is lost") }
        guard case .over(.expired) = await reader.next() else { preconditionFailure("it goes on") }
    }

    @Test func withoutRulesThereIsNoStream() async throws {
        try await World(nil).run { (client) async throws in
            for path in ["/v1/stream/book", "/v1/stream/trades", "/v1/ticker", "/v1/book", "/v1/candles"] {
                #expect(try await client.get(path).status == 503, "\(path)")
            }
        }
    }

    // MARK: - Over HTTP

    @Test(.timeLimit(.minutes(5))) func streamsOverASocket() async throws {
        var world = World.furnished()
        world.streams = StreamTests.patient
        let market = world
        try await world.run(.live) { (client) async throws in
            let port = try #require(client.raw.port)
            let text = try await SocketReader.read(port: port, "/v1/stream/book") { text in
                if text.contains("event: snapshot"), !text.contains("event: change") {
                    market.bid(price: 555)
                }
                return text.contains("event: change") && text.contains("555") ? text : nil
            }
            let head = try #require(text?.components(separatedBy: "\r\n\r\n").first)
            #expect(head.hasPrefix("HTTP/1.1 200"))
            #expect(head.contains("text/event-stream"))
            let refused = try await SocketReader.read(port: port, "/v1/stream/book", headers: ["Last-Event-ID: x"]) {
                $0.contains("eventIDInvalid") ? true : nil
            }
            #expect(refused == true)
            let own = try await SocketReader.read(port: port, "/v1/stream/orders", as: .buyer) {
                $0.contains("\"orders\":[") ? true : nil
            }
            #expect(own == true)
        }
    }

    @Test(.timeLimit(.minutes(5))) func shutdownEndsStreams() async throws {
        var world = World.furnished()
        world.streams = StreamTests.patient
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let (ports, announcer) = AsyncStream<Int>.makeStream()
        let application = buildApplication(
            world.services, configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0)), logger: logger,
            onServerRunning: { announcer.yield($0.localAddress?.port ?? 0) })
        let group = ServiceGroup(configuration: .init(services: [.init(service: application)], logger: logger))
        let run = Task { try await group.run() }
        var portOfServer = 0
        for await port in ports {
            portOfServer = port
            break
        }
        let port = portOfServer
        try await withThrowingTaskGroup(of: Bool?.self) { readers in
            let (started, starter) = AsyncStream<Void>.makeStream()
            for _ in 0..<5 {
                readers.addTask {
                    try await SocketReader.read(port: port, "/v1/stream/book") { text in
                        if text.contains("event: snapshot"), !text.contains("event: dropped") { starter.yield() }
                        return text.contains("\"reason\":\"shutdown\"") ? true : nil
                    }
                }
            }
            var left = 5
            for await _ in started {
                left -= 1
                if left == 0 { break }
            }
            await group.triggerGracefulShutdown()
            for try await wasTold in readers { #expect(wasTold == true) }
        }
        try await run.value
    }

    @Test func headOpensNoStream() async throws {
        try await World.furnished().run { (client) async throws in
            let reply = try await client.send(.head, "/v1/stream/book")
            #expect(reply.status == 200)
            #expect(reply.headers[.contentType] == "text/event-stream")
        }
    }
}

/// How a reader applies levels, written plainly.
private enum BookImageReference {
    static func apply(_ change: [OrderBook.Depth], to side: [OrderBook.Depth], isBid: Bool) -> [OrderBook.Depth] {
        var levels = Dictionary(uniqueKeysWithValues: side.map { ($0.price, $0) })
        for level in change { levels[level.price] = level.orders == 0 ? nil : level }
        return levels.values.sorted { isBid ? $0.price > $1.price : $0.price < $1.price }
    }
}

/// What the buyer knows of orders and deliveries and the seller of rigs, by their streams.
private struct OwnThings {
    var orders: StreamFollower
    var rigs: StreamFollower
    var ordersID: EventID?
    var rigsID: EventID?
    var snapshots = 0
    var count = 0
    var flaws: [String] = []
    private var knownOrders: [Int64: JSONValue] = [:]
    private var knownDeliveries: [Int64: JSONValue] = [:]
    private var knownRigs: [Int64: JSONValue] = [:]

    init(orders: StreamFollower, rigs: StreamFollower) {
        self.orders = orders
        self.rigs = rigs
    }

    /// Ends both streams at what is published by now, reads them to their ends, and takes in what came.
    mutating func catchUp() async throws {
        // Heartbeats mark the present: what was published came before them.
        for follower in [orders, rigs] { follower.reader.offer(ByteBuffer(string: "event: mark\ndata: {}\n\n")) }
        while !orders.events.contains(where: { $0.name == "mark" }) { try await orders.read() }
        while !rigs.events.contains(where: { $0.name == "mark" }) { try await rigs.read() }
        for event in orders.events where event.name != "mark" { take(event, "orders") }
        for event in rigs.events where event.name != "mark" { take(event, "rigs") }
        (ordersID, rigsID) = (orders.lastID ?? ordersID, rigs.lastID ?? rigsID)
        (orders.events, rigs.events) = ([], [])
    }

    private mutating func take(_ event: ReadEvent, _ path: String) {
        count += 1
        flaws += event.flaws(on: path)
        func number(_ value: JSONValue) -> Int64 { value["id"].int ?? 0 }
        switch event.name {
        case "order": knownOrders[number(event.data)] = event.data
        case "delivery": knownDeliveries[number(event.data)] = event.data
        case "rig": knownRigs[number(event.data)] = event.data
        default:
            snapshots += 1
            for order in event.data["orders"].items { knownOrders[number(order)] = order }
            for delivery in event.data["deliveries"].items { knownDeliveries[number(delivery)] = delivery }
            for rig in event.data["rigs"].items { knownRigs[number(rig)] = rig }
        }
    }

    /// Where it differs from the market and its tables.
    func difference(from market: MemoryMarket, _ buyer: AccountID, _ seller: AccountID) -> String? {
        let (orders, deliveries) = market.tables
        for order in orders where order.account == buyer {
            guard let known = knownOrders[order.id.rawValue] else { return "order \(order.id) is not known" }
            let status = switch order.status {
            case .active: "active"
            case .suspended: "suspended"
            case .closed: "closed"
            }
            guard known["status"].text == status, known["open"].int == order.open.rawValue,
                known["delivering"].int == order.delivering.rawValue, known["spent"].int == order.bid?.spent.rawValue,
                known["price"].int == order.price.rawValue
            else { return "order \(order) is known as \(known)" }
        }
        for delivery in deliveries where delivery.buyer == buyer {
            guard let known = knownDeliveries[delivery.id.rawValue] else { return "delivery \(delivery.id) is not known" }
            guard known["status"].text == (delivery.isRunning ? "running" : "ended"), known["charged"].int == delivery.charged.rawValue,
                known["held"].int == delivery.held.rawValue
            else { return "delivery \(delivery) is known as \(known)" }
        }
        let rigs = market.read { state in
            state.rigs.values.filter { $0.owner == seller }.map { StreamedRig($0, sold: state.deliveries(on: $0.id), isCut: false) }
        }
        for rig in rigs {
            guard let known = knownRigs[rig.id], known["status"].text == rig.status, known["soldLots"].int == rig.soldLots,
                known["measuredHashesPerSecond"].int == rig.measuredHashesPerSecond, known["askID"].int == rig.askID
            else { return "rig \(rig) is known as \(String(describing: knownRigs[rig.id]))" }
        }
        return nil
    }
}

/// Random commands to a furnished market.
struct RandomMarket {
    var random: SeededRandom
    let world: World
    private var settlements: Int64 = 0

    init(seed: UInt64, _ world: World) {
        print("seed \(seed)")
        random = SeededRandom(seed: seed)
        self.world = world
    }

    mutating func step() {
        let market = world.market
        let (buyer, seller) = (AccountID(Caller.buyer.account), AccountID(Caller.seller.account))
        let price = Price(random.int64(1...40) * 25)
        switch random.int(1...100) {
        case 1...30:
            market.apply(CommandEnvelope(.placeBid(PlaceBid(
                account: buyer, price: price, lots: Lots(random.int64(1...6)), targets: [PoolTargetID(1)]))))
        case 31...50:
            market.apply(CommandEnvelope(.placeAsk(PlaceAsk(
                account: seller, price: price, rig: RigID(random.int64(1...3)),
                most: random.chance(50) ? Lots(random.int64(1...5)) : nil))))
        case 51...70:
            let orders = market.read { state in state.orders(of: buyer) + state.orders(of: seller) }
            guard !orders.isEmpty else { return }
            market.apply(CommandEnvelope(.cancelOrder(random.pick(orders.map(\.id)), by: nil)))
        case 71...76:
            market.apply(CommandEnvelope(.publishIndex(IndexPrice(price: price, at: market.time))))
        case 77...80:
            market.apply(CommandEnvelope(.cancelAll(random.chance(50) ? buyer : seller, nil)))
        case 81...84:
            market.apply(CommandEnvelope(.rigMeasured(
                RigID(random.int64(1...3)), session: 1, Hashrate(hashesPerSecond: random.int64(1...8) * 100_000))))
        case 85...90: settle()
        default: market.advance(.milliseconds(random.int64(1...20_000)))
        }
    }

    /// Bills something of every delivery, and closes those that are over.
    private mutating func settle() {
        settlements += 1
        for delivery in world.market.read({ Array($0.deliveries.values) }).sorted(by: { $0.id < $1.id }) {
            let work = delivery.settledWork.units + random.int64(0...3)
            world.settle(
                delivery.id.rawValue, work: work, run: settlements * 10_000 + delivery.id.rawValue, isFinal: !delivery.isRunning)
        }
    }
}

extension World {
    @discardableResult
    func bid(price: Int64, lots: Int64 = 1) -> Outcome {
        market.apply(CommandEnvelope(.placeBid(PlaceBid(
            account: AccountID(Caller.buyer.account), price: Price(price), lots: Lots(lots), targets: [PoolTargetID(1)]))))
    }

    /// A bid that takes a part of a rig that nobody else sells.
    func trade(lots: Int64, price: Int64, rig: Int64) {
        market.apply(CommandEnvelope(.placeAsk(PlaceAsk(
            account: AccountID(Caller.seller.account), price: Price(price), rig: RigID(rig), most: Lots(lots)))))
        bid(price: price, lots: lots)
    }
}
