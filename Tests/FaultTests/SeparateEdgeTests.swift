import Database
import Foundation
import TestSupport
import Testing

extension FaultTests {
    /// Edges in processes of their own: they share nothing but the database with the server.
    @Suite(.serialized) struct SeparateEdges {
        private static func market(_ scene: Scene, _ postgres: PostgresServer, edges: Int, rigs: Int) throws -> FaultMarket {
            try FaultMarket(
                scene, Storage(dataFolder: scene.folder + "/market", databaseURL: postgres.url), rigs: rigs, buyers: 2, edges: edges)
        }

        /// Two edges with rigs each, through everything that can end: Postgres, the server, an edge.
        @Test func rigsAreServedWhateverEnds() async throws {
            try await Scene.play("separate edges") { scene in
                let postgres = try PostgresServer(scene)
                let market = try Self.market(scene, postgres, edges: 2, rigs: 4)
                try market.startTrading()
                let connects = market.rigs.map(\.connects)

                // Postgres away: rigs go on, and nothing of what they were told is lost.
                try postgres.stop(.immediate)
                try Self.moreShares(market, "without the database")
                try wait("the edges say so") { try market.edges.allSatisfy { try $0.lines(with: "the database cannot be reached") == 1 } }
                try postgres.start()
                try Self.moreRequests(market, "with the database again")
                try wait("the edges say so") { try market.edges.allSatisfy { try $0.lines(with: "the database can be reached again") == 1 } }

                // The server away.
                try market.killServer()
                try Self.moreShares(market, "without the server")
                try wait("the edges notice") { try market.edges.allSatisfy { try $0.lines(with: "no server of the market") == 1 } }
                try market.server.start()
                try market.waitUntilChecked()
                try wait("the edges notice") { try market.edges.allSatisfy { try $0.lines(with: "a server of the market is there") == 1 } }
                guard market.rigs.map(\.connects) == connects else { throw Broken("rigs were dropped: \(market.summary)") }

                // An edge away: its rigs come back to it.
                try market.edges[0].kill()
                try Self.moreRequests(market, "without an edge")
                try market.edges[0].start()
                try wait("all rigs are connected") { market.rigs.allSatisfy { $0.now.isConnected } }
                try Self.moreShares(market, "on both edges")
                // Or to another one.
                market.rigs[0].move(to: market.edges[1].port)
                try market.edges[0].stop()
                try wait("the rig is on the other edge") { market.rigs[0].now.isConnected }
                try market.edges[0].start()
                try wait("all rigs are connected") { market.rigs.allSatisfy { $0.now.isConnected } }
                try Self.moreShares(market, "after all")
                try market.pauseLoad()
                try Books(market: market).check()
                try Books(market: market).settle()
                try Self.nothingIsLeft(market)
            }
        }

        private static func moreShares(_ market: FaultMarket, _ what: String) throws {
            let counts = market.rigs.map(\.acknowledgedCount)
            try wait("shares of every rig \(what)") { zip(market.rigs, counts).allSatisfy { $0.acknowledgedCount >= $1 + 5 } }
        }

        private static func moreRequests(_ market: FaultMarket, _ what: String) throws {
            let known = market.requestsAcknowledged
            try wait("requests \(what)") {
                try market.check()
                return market.requestsAcknowledged > known + 20
            }
        }

        private static func nothingIsLeft(_ market: FaultMarket) throws {
            let connection = try Database.openConnection(market.storage.tables)
            defer { connection.close() }
            try wait("all reports taken") { try connection.queryOne("SELECT count(*) FROM edge_reports")?.int64(0) == 0 }
        }

        /// From the acknowledged bid to the rig's first job of the buyer's pool.
        @Test func aSoldRigIsSwitchedSoon() async throws {
            try await Scene.play("switching by a separate edge") { scene in
                let postgres = try PostgresServer(scene)
                let market = try Self.market(scene, postgres, edges: 1, rigs: 1)
                let rig = market.rigs[0]
                try Self.offerAll(market)
                var times: [Int] = []
                for _ in 0..<(Effort.isFull ? 40 : 8) {
                    let home = rig.now.previousBlock
                    let id = try Self.bid(market)
                    let accepted = ContinuousClock.now
                    try wait("the buyer's job") { rig.now.previousBlock != home }
                    times.append(Int((ContinuousClock.now - accepted) / .milliseconds(1)))
                    let away = rig.now.previousBlock
                    guard try market.server.call(market.buyer, "DELETE", "/v1/bids/\(id)").status == 204 else { throw Broken("bid \(id)") }
                    try wait("the fallback pool's job") { rig.now.previousBlock != away }
                }
                times.sort()
                progress("from the bid to the buyer's job: median \(times[times.count / 2]) ms, slowest \(times[times.count - 1]) ms")
                guard rig.connects == 1 else { throw Broken("the rig noticed") }
                try Self.figuresAreShown(market)
            }
        }

        private static func offerAll(_ market: FaultMarket) throws {
            for rig in market.rigs {
                let ask = try market.server.call(
                    market.seller, "POST", "/v1/asks", "{\"price\":1000000,\"rigID\":\(rig.id),\"lots\":\"all\"}")
                guard ask.status == 201 else { throw Broken("\(ask)") }
            }
            try wait("the asks are in the book") {
                let answer = try market.server.call(market.seller, "GET", "/v1/asks")
                let items = answer.body["items"] as? [[String: Any]] ?? []
                return items.count == market.rigs.count && items.allSatisfy { $0["status"] as? String == "active" }
            }
        }

        /// For more than all rigs have.
        private static func bid(_ market: FaultMarket) throws -> Int64 {
            let bid = try market.server.call(
                market.buyer, "POST", "/v1/bids", "{\"price\":1500000,\"lots\":1000,\"poolTargetIDs\":[\(market.buyerTarget)]}")
            guard bid.status == 201, let id = bid.int("id") else { throw Broken("\(bid)") }
            return id
        }

        /// Waits until every rig has had shares of a delivery that were received after a time, in the tables.
        private static func sharesWereSold(_ market: FaultMarket, since: Int64, until: Int64 = .max) throws {
            let connection = try Database.openConnection(market.storage.tables)
            defer { connection.close() }
            try wait("sold shares of every rig") {
                let rigs = try connection.queryOne(
                    "SELECT count(DISTINCT rig) FROM shares WHERE billable = 1 AND received_at BETWEEN $1 AND $2",
                    [.integer(since), .integer(until)])
                return try rigs?.int64(0) == Int64(market.rigs.count)
            }
        }

        private static func now() -> Int64 { Int64(Date().timeIntervalSince1970 * 1_000_000) }

        private static func figuresAreShown(_ market: FaultMarket) throws {
            let rig = market.rigs[0]
            try wait("the rig's figures in the API") {
                let answer = try market.server.call(market.seller, "GET", "/v1/rigs/\(rig.id)")
                return (answer.object("live")?["pool"] as? String)?.hasPrefix("stratum+tcp://") == true
            }
        }

        @Test func aNameHasOneProcess() async throws {
            try await Scene.play("two edges of a name") { scene in
                let postgres = try PostgresServer(scene)
                let market = try Self.market(scene, postgres, edges: 1, rigs: 1)
                let second = try EdgeProcess("edge-0", scene, databaseURL: postgres.url, folder: "other")
                try second.launch(logName: "second")
                let status = try second.process.waitForEnd()
                guard status == 1, try second.lines(with: "Another process serves as the edge 'edge-0'") == 1 else {
                    throw Broken("it ended with \(status): \(try second.process.tail())")
                }
                // Nor can the folder be used by two, or by another edge.
                let third = try EdgeProcess("edge-9", scene, databaseURL: postgres.url, folder: "edge-0")
                try third.launch(logName: "third")
                guard try third.process.waitForEnd() == 1, try third.lines(with: "is in use by another server") == 1 else {
                    throw Broken("\(try third.process.tail())")
                }
                try Self.moreShares(market, "on the first")
                try market.edges[0].stop()
                try third.launch(logName: "third")
                guard try third.process.waitForEnd() == 1, try third.lines(with: "is that of the edge 'edge-0'") == 1 else {
                    throw Broken("\(try third.process.tail())")
                }
                // A process that ended well leaves the name at once, and a killed one finds it again.
                try market.edges[0].start()
                try market.edges[0].kill()
                try market.edges[0].start()
                try Self.moreShares(market, "after the restarts")
            }
        }

        /// Started while the database is away, the edge serves by what it knew, sold rigs included.
        @Test func anEdgeStartsWithoutTheDatabase() async throws {
            try await Scene.play("an edge's start without the database") { scene in
                let postgres = try PostgresServer(scene)
                let market = try Self.market(scene, postgres, edges: 1, rigs: 2)
                try Self.offerAll(market)
                _ = try Self.bid(market)
                try Self.sharesWereSold(market, since: 0)
                try market.edges[0].stop()
                try postgres.stop(.fast)
                let away = Self.now()
                try market.edges[0].start()
                try Self.moreShares(market, "without the database")
                guard try market.edges[0].lines(with: "rigs are served by what is known") == 1 else {
                    throw Broken("\(try market.edges[0].process.tail())")
                }
                let back = Self.now()
                // One that has never served says why it cannot.
                let fresh = try EdgeProcess("fresh", scene, databaseURL: postgres.url)
                try fresh.launch()
                guard try fresh.process.waitForEnd() == 1, try fresh.lines(with: "has not served before") == 1 else {
                    throw Broken("\(try fresh.process.tail())")
                }
                try postgres.start()
                // Sold while the database was away, and billed afterwards.
                try Self.sharesWereSold(market, since: away, until: back)
                try Self.moreShares(market, "with the database again")
                try Self.sharesWereSold(market, since: Self.now())
                for rig in market.rigs { rig.setPaused(true) }
                try wait("the rigs' answers") { market.rigs.allSatisfy { $0.now.waiting == 0 } }
                try Books(market: market).checkSpoolDrained()
                try Books(market: market).settle()
                try Self.nothingIsLeft(market)
            }
        }
    }
}
