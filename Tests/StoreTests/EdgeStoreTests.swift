import Database
import Exchange
import Market
import MarketTestSupport
import Metering
import Routing
import Store
import Testing
import TestSupport
import Units

/// What separate edges and servers share, on Postgres only.
@Suite("Edges' tables")
struct EdgeStoreTests {
    private static let edgeRole = "hashspot_edge"

    /// With an edge's rights where an edge is meant.
    private func with(_ body: (_ server: Database, _ edge: Database) async throws -> Void) async throws {
        try await Engine.postgres.withStorage { storage in
            try await storage.connecting(as: "hashspot_writer").withTables { server in
                try await storage.connecting(as: Self.edgeRole).withTables { edge in try await body(server, edge) }
            }
        }
    }

    private func route(_ rig: Int64, _ position: Int64, _ delivery: Int64?) -> RouteUpdate {
        RouteUpdate(rig: RigID(rig), position: position, route: delivery.map {
            Route(
                delivery: DeliveryID($0), bid: OrderID(4), targets: [PoolTargetID(3), PoolTargetID(1)],
                validUntil: History.start, maxWork: Work(units: 9), maxDifficulty: ShareDifficulty(units: 7),
                hashrate: Hashrate(hashesPerSecond: 8))
        })
    }

    private static let rules = EdgeRules(
        minimumDifficulty: ShareDifficulty(units: 1), startDifficulty: ShareDifficulty(units: 2), shareInterval: .seconds(3))

    private func changes(rigs: [Int64] = [], farms: [Int64] = [], pools: [Int64] = [], routes: [RouteUpdate] = []) -> EdgeChanges {
        var changes = EdgeChanges()
        changes.rigs = rigs.map { EdgeRigRow(rig: RigID($0), user: "rig.\($0)", passwordDigest: [1, 2], fallback: PoolTargetID(1)) }
        changes.farms = farms.map { EdgeFarmRow(farm: FarmID($0), user: "a1.farm\($0)", passwordDigest: [3, 4]) }
        changes.pools = pools.map { EdgePoolRow(target: PoolTargetID($0), url: "url \($0)", user: "user", password: "secret") }
        changes.routes = routes
        return changes
    }

    // MARK: the feed

    @Test func anEdgeFollowsWhatIsPublished() async throws {
        try await with { server, edge in
            let (feed, follower) = (EdgeFeedStore(server), EdgeFeedStore(edge))
            #expect(try await follower.look(since: EdgeFeedMark()).rules == nil)
            let publisher = try await feed.take()
            let first = changes(rigs: [1, 2], farms: [7], pools: [1, 3], routes: [route(1, 10, 50), route(2, 10, nil)])
            #expect(try await feed.publishAll(first, position: 10, rules: Self.rules, publisher: publisher))
            var look = try await follower.look(since: EdgeFeedMark())
            #expect(look.rules == Self.rules)
            #expect(look.mark.position == 10)
            // A rig that was never sold needs no route.
            #expect(look.changes == changes(rigs: [1, 2], farms: [7], pools: [1, 3], routes: [route(1, 10, 50)]))
            #expect(look.silence >= .zero)

            #expect(try await feed.publish(changes(rigs: [3], routes: [route(2, 12, 51)]), position: 12, publisher: publisher))
            look = try await follower.look(since: look.mark)
            #expect(look.changes == changes(rigs: [3], routes: [route(2, 12, 51)]))
            #expect(try await follower.look(since: look.mark).changes.isEmpty)
            // What says nothing new, or is older, is not told.
            #expect(try await feed.publish(
                changes(rigs: [3], routes: [route(2, 13, 51), route(1, 9, 52)]), position: 13, publisher: publisher))
            #expect(try await follower.look(since: look.mark).changes.isEmpty)
            #expect(try await feed.publish(changes(routes: [route(2, 14, nil)]), position: 14, publisher: publisher))
            look = try await follower.look(since: look.mark)
            #expect(look.changes == changes(routes: [route(2, 14, nil)]))
            // A farm's login that is the same is not told again, another one is.
            var logins = changes(farms: [7, 8])
            logins.farms[0].passwordDigest = [5]
            #expect(try await feed.publish(changes(farms: [7]), position: 15, publisher: publisher))
            #expect(try await follower.look(since: look.mark).changes.isEmpty)
            #expect(try await feed.publish(logins, position: 15, publisher: publisher))
            let farms = try await follower.look(since: look.mark).changes.farms
            #expect(Set(farms) == Set(logins.farms))
            // All of it, for one that has fallen behind.
            let all = try await follower.look(since: EdgeFeedMark()).changes
            #expect(all.rigs.count == 3 && all.pools.count == 2 && Set(all.routes) == [route(1, 10, 50), route(2, 14, nil)])
        }
    }

    /// The next server says what ended while nobody published, and the last one can publish no more.
    @Test func oneServerPublishes() async throws {
        try await with { server, edge in
            let feed = EdgeFeedStore(server)
            let old = try await feed.take()
            #expect(try await feed.publishAll(
                changes(routes: [route(1, 10, 50), route(2, 10, 51)]), position: 10, rules: Self.rules, publisher: old))
            let mark = try await EdgeFeedStore(edge).look(since: EdgeFeedMark()).mark
            let new = try await feed.take()
            #expect(try await feed.publishAll(
                changes(routes: [route(1, 20, nil), route(2, 20, 51)]), position: 20, rules: Self.rules, publisher: new))
            #expect(try await feed.publish(changes(routes: [route(2, 30, 99)]), position: 30, publisher: old) == false)
            #expect(try await feed.signOfLife(publisher: old) == false)
            #expect(try await feed.signOfLife(publisher: new))
            #expect(try await EdgeFeedStore(edge).look(since: mark).changes == changes(routes: [route(1, 20, nil)]))
        }
    }

    @Test func aCopyHasWhatWasSaved() async throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let path = folder.file("edge.sqlite")
        var copy = try await EdgeCopy(path: path)
        #expect(try await copy.header() == nil)
        var header = EdgeCopyHeader(
            edge: 7, name: "x", holder: [1, 2], mark: EdgeFeedMark(serial: 3, position: 10), rules: Self.rules)
        try await copy.save(changes(rigs: [1], farms: [5, 6], pools: [1], routes: [route(1, 10, 50), route(2, 10, 51)]), header)
        header.mark = EdgeFeedMark(serial: 4, position: 12)
        try await copy.save(changes(rigs: [2], routes: [route(1, 12, nil)]), header)
        await copy.close()
        copy = try await EdgeCopy(path: path)
        #expect(try await copy.header() == header)
        let content = try await copy.content()
        #expect(content.farms == changes(farms: [5, 6]).farms)
        #expect(content.rigs.count == 2 && content.pools == changes(pools: [1]).pools)
        #expect(Set(content.routes) == [route(1, 12, nil), route(2, 10, 51)])
        try await copy.save(changes(rigs: [9]), header, replacing: true)
        #expect(try await copy.content() == changes(rigs: [9]))
        await copy.close()
    }

    // MARK: the register

    @Test func aNameHasOneHolder() async throws {
        try await with { server, edge in
            let register = EdgeRegister(edge, lease: .seconds(3600))
            #expect(try await register.claim("a", holder: [1]) == .granted(EdgeID(2)))
            #expect(try await register.claim("b", holder: [2]) == .granted(EdgeID(3)))
            guard case .taken = try await register.claim("a", holder: [2]) else {
                Issue.record("two holders")
                return
            }
            #expect(try await register.claim("a", holder: [1]) == .granted(EdgeID(2)), "the same process again")
            guard case .taken = try await register.claim("embedded", holder: [1]) else {
                Issue.record("the embedded edge has no process of its own")
                return
            }
            let beat = EdgeBeat(version: "1", url: "u", rigs: 5, clockAhead: .milliseconds(-3), isSelling: false, backlog: 4)
            #expect(try await register.beat(EdgeID(2), holder: [9], beat, sending: {}, received: {}) == nil)
            let answer = try await register.beat(EdgeID(2), holder: [1], beat, sending: {}, received: {})
            #expect(answer?.resync == 0)
            try await EdgeRegister(server).askAgain(EdgeID(2))
            let next = try await register.beat(EdgeID(2), holder: [1], beat, sending: {}, received: {})
            #expect(next?.resync == 1)
            let rows = try await EdgeRegister(server).edges()
            #expect(rows.map(\.name) == ["a"], "only who gave a sign of life")
            #expect(rows.first?.beats == 2 && rows.first?.clockAhead == .milliseconds(-3) && rows.first?.isSelling == false)
            #expect(rows.first?.rigs == 5 && rows.first?.backlog == 4 && rows.first?.url == "u")
            try await register.resign(EdgeID(2), holder: [1])
            #expect(try await register.claim("a", holder: [3]) == .granted(EdgeID(2)))
            // A holder that was silent for its lease has lost the name.
            #expect(try await EdgeRegister(edge, lease: .seconds(-1)).claim("a", holder: [3]) == .granted(EdgeID(2)))
            #expect(try await register.claim("a", holder: [4]) == .granted(EdgeID(2)))
        }
    }

    // MARK: reports

    @Test func reportsAreTakenInOrder() async throws {
        try await with { server, edge in
            let kinds: [EdgeReport.Kind] = [
                .started(session: 1), .rigOnline(RigID(1), session: 2, versionMask: .max),
                .rigMeasured(RigID(1), session: 2, Hashrate(hashesPerSecond: 3)),
                .poolsUnusable(DeliveryID(4), reason: "a\u{0}b"), .underDelivered(DeliveryID(5), Hashrate(hashesPerSecond: 6)),
                .rigOffline(RigID(1), session: 2),
            ]
            let reports = kinds.map { EdgeReport(at: History.start, kind: $0) }
            try await EdgeReportStore(edge).add(Array(reports[..<4]), of: EdgeID(2))
            try await EdgeReportStore(edge).add(Array(reports[4...]), of: EdgeID(2))
            let store = EdgeReportStore(server)
            #expect(try await store.waiting(most: 1).map(\.report) == [reports[0]])
            let waiting = try await store.waiting(most: 100)
            #expect(waiting.allSatisfy { $0.edge == EdgeID(2) })
            var expected = reports
            expected[3].kind = .poolsUnusable(DeliveryID(4), reason: "ab")
            #expect(waiting.map(\.report) == expected)
            try await store.remove(waiting[..<2])
            #expect(try await store.waiting(most: 100) == Array(waiting[2...]))
        }
    }

    private static let block = BlockReport(
        edge: EdgeID(2), receivedAt: History.start, rig: RigID(1), delivery: nil, target: PoolTargetID(3),
        hash: Array(1...32), header: Array(1...80), poolJob: "a\u{0}b", isForwarded: true)

    @Test func blocksAndWorkersAreReported() async throws {
        try await with { server, edge in
            let kinds: [EdgeReport.Kind] = [
                .workerCame(FarmID(7), worker: "w-1", request: 55), .blockFound(Self.block),
                .blockJudged(hash: Self.block.hash, .rejected, poolError: -23),
            ]
            let reports = kinds.map { EdgeReport(at: History.start, kind: $0) }
            try await EdgeReportStore(edge).add(reports, of: EdgeID(2))
            let waiting = try await EdgeReportStore(server).waiting(most: 100)
            #expect(waiting.map(\.report) == reports)
        }
    }

    /// One edge's nonsense does not hold up the others.
    @Test func whatCannotBeReadIsPassedOver() async throws {
        try await with { server, edge in
            let insert = "INSERT INTO edge_reports (edge, at, kind, subject, session, value, reason, body) VALUES (2, 0, $1, 0, $2, 0, '', $3)"
            _ = try await edge.write { connection in
                try connection.execute(insert, [.integer(8), .integer(0), .blob([1, 2, 3])])
                _ = try connection.execute(insert, [.integer(9), .integer(99), .blob([1, 2, 3])])
                return try connection.execute(insert, [.integer(1), .integer(4), .null])
            }
            let waiting = try await EdgeReportStore(server).waiting(most: 100)
            #expect(waiting.map(\.report?.kind) == [nil, nil, .started(session: 4)])
            try await EdgeReportStore(server).remove(waiting[...])
            #expect(try await EdgeReportStore(server).waiting(most: 100) == [])
        }
    }

    @Test func refusalsGoToTheirEdgeOnce() async throws {
        try await with { server, edge in
            let (store, asking) = (EdgeReportStore(server), EdgeReportStore(edge))
            let report = EdgeReport(at: History.start, kind: .workerCame(FarmID(7), worker: "w", request: 55))
            try await asking.add([report], of: EdgeID(2))
            let refusals = [
                WorkerRefusal(edge: EdgeID(2), request: 55, reason: "full"), WorkerRefusal(edge: EdgeID(3), request: 56, reason: "no"),
            ]
            try await store.remove(try await store.waiting(most: 9)[...], refusing: refusals)
            #expect(try await store.waiting(most: 9) == [])
            #expect(try await asking.takeRefusals(of: EdgeID(2)) == [refusals[0]])
            #expect(try await asking.takeRefusals(of: EdgeID(2)) == [])
            #expect(try await asking.takeRefusals(of: EdgeID(3)) == [refusals[1]])
        }
    }

    // MARK: completeness

    /// An edge that is away holds up the rigs that it had, and no others.
    @Test func aDeliveryIsCompleteWhenItsEdgesAre() async throws {
        try await with { server, edge in
            let (meter, store) = (MeterStore(edge), EdgeReportStore(server))
            func at(_ seconds: Int64) -> Timestamp { History.start + .seconds(seconds) }
            try await meter.apply(.make(edge: 2, 1, until: at(100), []), digest: [1])
            try await meter.apply(.make(edge: 3, 1, until: at(500), []), digest: [2])
            _ = try await meter.allotEpoch(edge: EdgeID(4), at: at(300))
            try await store.note([(RigID(1), EdgeID(2), at(0)), (RigID(2), EdgeID(3), at(0)), (RigID(4), EdgeID(5), at(0))])
            func complete(_ rig: Int64, since: Timestamp = at(0)) async throws -> Timestamp {
                try await MeterStore(server).reportMarks(of: [RigID(rig)]).completeUntil(RigID(rig), since: since)
            }
            #expect(try await complete(1) == at(100))
            #expect(try await complete(2) == at(500))
            #expect(try await complete(3) == at(100), "nobody knows where it was: all count")
            #expect(try await complete(4) == Timestamp(microseconds: 0), "nothing has come of its edge")
            // It goes to another edge: both count for what was sold before.
            try await store.note([(RigID(1), EdgeID(3), at(200))])
            #expect(try await complete(1) == at(100))
            #expect(try await complete(1, since: at(205)) == at(100), "within the clocks' margin")
            #expect(try await complete(1, since: at(211)) == at(500))
            // And back.
            try await store.note([(RigID(1), EdgeID(2), at(300))])
            #expect(try await complete(1, since: at(400)) == at(100))
            #expect(try await complete(2) == at(500))
        }
    }

    // MARK: rights

    @Test func anEdgeMayNoMoreThanItNeeds() async throws {
        try await Engine.postgres.withStorage { owned in
            let storage = try owned.connecting(as: Self.edgeRole)
            for sql in [
                "SELECT * FROM pool_targets", "SELECT * FROM rigs", "SELECT * FROM journal", "SELECT * FROM orders",
                "SELECT * FROM ledger_balances", "SELECT * FROM api_keys", "SELECT buyer FROM deliveries", "SELECT * FROM edge_places",
                "UPDATE edge_routes SET position = 9", "UPDATE edge_feed SET serial = 0", "DELETE FROM edge_reports",
                "UPDATE edge_farms SET serial = 9", "INSERT INTO edge_refusals (edge, request, reason) VALUES (1, 1, '')",
                "DELETE FROM batches", "UPDATE batches SET records = 0", "UPDATE shares SET hash = ''", "DELETE FROM meter_slots",
                "UPDATE writer SET epoch = 9", "DELETE FROM edges",
            ] {
                let refusal = #expect(throws: DatabaseError.self, "\(sql)") { _ = try storage.query(sql) }
                #expect(refusal?.detail.contains("permission denied") == true, "\(sql): \(String(describing: refusal))")
            }
        }
    }
}
