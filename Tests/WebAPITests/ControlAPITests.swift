import Database
import Exchange
import HTTPTypes
import Market
import MarketTestSupport
import Settlement
import Store
import Testing
import Units
@testable import WebAPI

/// Disputes, reconciliations and the index over real tables.
@Suite struct ControlAPITests {
    /// The delivery of the first line between the buyer and the seller.
    private struct Line {
        var number: Int64
        var delivery: Int64
        var minute: Int64
    }

    /// A random history's tables; its accounts 1 and 2 are the buyer and the seller.
    private func withHistory(
        _ engine: Engine = .sqlite, window: Interval = .seconds(10_000 * 86_400), seed: UInt64 = 5,
        _ body: @Sendable (Client, Line, Storage, ControlStore) async throws -> Void
    ) async throws {
        try await engine.withStorage { storage in
            try await storage.withTables { database in
                var history = History(seed: seed)
                var follower = Follower()
                var line: Line?
                while line == nil {
                    _ = follower.commit(history.commands(50), epoch: 1, at: history.now)
                    if line == nil, history.billed.count >= 5 {
                        try await TableStore(database).project(follower.projection(at: history.now))
                        line = try storage.query(
                            """
                            SELECT l.number, d.id, d.opened_at FROM settlement_lines l JOIN deliveries d ON d.id = l.delivery
                            WHERE d.buyer = 1 AND d.seller = 2 AND l.code <= 3 AND l.charge + l.buyer_fee >= 3 ORDER BY l.number LIMIT 1
                            """
                        ).first.map { Line(number: try $0.int64(0), delivery: try $0.int64(1), minute: try $0.int64(2) / 60_000_000) }
                    }
                }
                let store = ControlStore(database, policy: .init(disputeWindow: window))
                var world = World()
                world.control = store
                let found = try #require(line)
                try await world.run { client in try await body(client, found, storage, store) }
            }
        }
    }

    // MARK: - Disputes

    @Test(arguments: Engine.allCases) func aDisputeFromItsOpeningToItsCredit(engine: Engine) async throws {
        try await withHistory(engine) { (client, line, _, store) async throws in
            let body = #"{"line":\#(line.number),"amount":1000000,"reason":"Nothing came."}"#
            let opened = try await client.post("/v1/disputes", as: .buyer, body, key: "k")
            #expect(opened.status == 201)
            #expect(opened.headers[.location] == "/v1/disputes/1")
            #expect(opened["claimant"].text == "buyer")
            #expect(opened["status"].text == "open")
            #expect(try await client.post("/v1/disputes", as: .buyer, body, key: "k").text == opened.text)
            #expect(try await client.post("/v1/disputes", as: .buyer, body + " ", key: "k").code == "idempotencyKeyReused")
            #expect(try await client.post("/v1/disputes", as: .buyer, body).code == "disputeAlreadyOpen")

            let answer = #"{"text":"It did."}"#
            #expect(try await client.post("/v1/disputes/1/messages", as: .seller, answer)["status"].text == "answered")
            #expect(try await client.post("/v1/disputes/1/messages", as: .finance, answer)["events"].items.count == 2)
            let decision = #"{"outcome":"credited","amount":3,"bearer":"seller","note":"Half of it."}"#
            for caller in [Caller.buyer, .seller] {
                #expect(try await client.post("/v1/disputes/1/resolve", as: caller, decision).code == "roleMissing")
            }
            #expect(try await client.post(
                "/v1/disputes/1/resolve", as: .finance, decision.replacing(":3,", with: ":1000001,")).code == "creditOutOfRange")
            let above = try await client.post("/v1/disputes/1/resolve", as: .finance, decision.replacing(":3,", with: ":1000000,"))
            #expect(above.status == 422)
            #expect(above.code == "creditAboveBill")
            #expect(try await client.post(
                "/v1/disputes/1/resolve", as: .finance, decision.replacing("seller", with: "buyer")).code == "creditBearerIsClaimant")
            let resolved = try await client.post("/v1/disputes/1/resolve", as: .finance, decision, key: "r")
            #expect(resolved["status"].text == "credited")
            #expect(resolved["credit", "id"].int == 1)
            #expect(resolved["credit", "isBooked"].bool == false)
            #expect(try await client.post("/v1/disputes/1/resolve", as: .finance, decision, key: "r").text == resolved.text)
            #expect(try await client.post("/v1/disputes/1/resolve", as: .finance, decision).code == "disputeClosed")
            #expect(try await store.credits(after: 0, limit: 9).map(\.terms.charge.rawValue) == [-3])
            // All that finance did is in the trail, refusals too.
            let acts = try await client.get("/v1/audit-trail?action=POST", as: .admin)["items"].items
            #expect(acts.compactMap { $0["status"].int } == [201, 422, 422, 422, 200, 200, 409])
            #expect(acts.last?["code"].text == "disputeClosed")
        }
    }

    @Test func othersDisputesAreNotThere() async throws {
        try await withHistory { (client, line, _, _) async throws in
            _ = try await client.post("/v1/disputes", as: .seller, #"{"line":\#(line.number),"amount":40,"reason":"x"}"#)
            for caller in [Caller.otherSeller, .roleless] {
                #expect(try await client.get("/v1/disputes/1", as: caller).status == 404)
                #expect(try await client.get("/v1/disputes", as: caller)["items"].items.isEmpty)
            }
            #expect(try await client.post("/v1/disputes/1/messages", as: .otherSeller, #"{"text":"x"}"#).code == "disputeUnknown")
            #expect(try await client.post("/v1/disputes/1/withdraw", as: .otherSeller, "{}").code == "disputeUnknown")
            #expect(try await client.post("/v1/disputes/1/withdraw", as: .buyer, "{}").code == "disputeClaimantOnly")
            let foreign = #"{"line":\#(line.number),"amount":40,"reason":"x"}"#
            #expect(try await client.post("/v1/disputes", as: .otherSeller, foreign).code == "lineUnknown")
            #expect(try await client.post(
                "/v1/disputes", as: .otherSeller,
                #"{"deliveryID":\#(line.delivery),"from":"2023-11-14T22:14:00Z","to":"2023-11-14T22:15:00Z","amount":1,"reason":"x"}"#
            ).code == "deliveryUnknown")
            for caller in [Caller.buyer, .seller, .finance, .admin] {
                #expect(try await client.get("/v1/disputes/1", as: caller)["claimed"].int == 40)
                #expect(try await client.get("/v1/disputes", as: caller)["items"].items.count == 1)
            }
            #expect(try await client.post("/v1/disputes/1/withdraw", as: .seller, #"{"note":"Sorry."}"#)["status"].text == "withdrawn")
        }
    }

    @Test func afterTheWindowOnlyFinanceOpens() async throws {
        try await withHistory(window: .day) { (client, line, _, _) async throws in
            let body = #"{"line":\#(line.number),"amount":40,"reason":"x"}"#
            #expect(try await client.post("/v1/disputes", as: .buyer, body).code == "disputeWindowOver")
            #expect(try await client.post("/v1/disputes", as: .finance, body).code == "lineUnknown")
            let opened = try await client.post(
                "/v1/disputes", as: .finance, #"{"line":\#(line.number),"amount":40,"reason":"x","claimant":"buyer"}"#)
            #expect(opened["openedBy"].int == Caller.finance.account)
            #expect(opened["claimant"].text == "buyer")
            let decision = #"{"outcome":"rejected","note":"No."}"#
            #expect(try await client.post("/v1/disputes/1/resolve", as: .finance, decision).code == "disputeOwnCase")
            #expect(try await client.post("/v1/disputes/1/resolve", as: .admin, decision)["status"].text == "rejected")
        }
    }

    @Test func whatIsWrongIsNamed() async throws {
        try await withHistory { (client, line, _, _) async throws in
            let interval = #""deliveryID":\#(line.delivery),"from":"2023-11-14T22:14:00Z","to":"2023-11-14T22:15:00Z""#
            for (body, field) in [
                (#"{"line":1,"deliveryID":1,"amount":1,"reason":"x"}"#, "deliveryID"), (#"{"amount":1,"reason":"x"}"#, "deliveryID"),
                (#"{"line":1,"amount":0,"reason":"x"}"#, "amount"), (#"{"line":1,"amount":1,"reason":""}"#, "reason"),
                (#"{\#(interval.replacing("14:00", with: "14:01")),"amount":1,"reason":"x"}"#, "from"),
                (#"{\#(interval.replacing("22:15", with: "22:13")),"amount":1,"reason":"x"}"#, "to"),
                (#"{"line":1,"amount":1,"reason":"x","claimant":"market"}"#, "claimant"),
                (#"{"line":99999999999,"amount":1,"reason":"x"}"#, "line"),
            ] { #expect(try await client.post("/v1/disputes", as: .buyer, body).field == field, "\(body)") }
            let early = #"{"deliveryID":\#(line.delivery),"from":"2020-01-01T00:00:00Z","to":"2020-01-01T00:01:00Z","amount":1,"reason":"x"}"#
            #expect(try await client.post("/v1/disputes", as: .buyer, early).code == "disputeIntervalOutOfRange")
            let from = Timestamp(microseconds: line.minute * 60_000_000), to = Timestamp(microseconds: (line.minute + 1) * 60_000_000)
            let good = #"{"deliveryID":\#(line.delivery),"from":"\#(from)","to":"\#(to)","amount":1,"reason":"x"}"#
            let opened = try await client.post("/v1/disputes", as: .buyer, good)
            #expect(opened["from"].text == from.description)
            for body in [
                #"{"outcome":"credited","note":"x"}"#, #"{"outcome":"credited","amount":1,"note":"x"}"#, #"{"note":"x"}"#,
                #"{"outcome":"rejected","amount":1,"note":"x"}"#, #"{"outcome":"rejected"}"#,
            ] { #expect(try await client.post("/v1/disputes/1/resolve", as: .finance, body).status == 422, "\(body)") }
        }
    }

    // MARK: - Reconciliation

    @Test func custodyIsComparedAndBreaksAreResolved() async throws {
        try await withHistory { (client, _, storage, _) async throws in
            try storage.script(
                "INSERT INTO accounts (id, name, roles, created_at) VALUES (\(Caller.finance.account), 'f', 'finance', 1)")
            let type: HTTPFields = [.contentType: "text/csv"]
            func send(_ path: String, _ file: String, key: String? = nil) async throws -> Client.Reply {
                try await client.send(.post, path, as: .finance, file, key: key, headers: type)
            }
            let path = "/v1/custody-statements?source=wallet"
            let header = "date,reference,amount,balance,description\r\n"
            let flawed = try await send(path, header + "2023-11-14,a,1,,\r\n2023-11-14,a,0,,\r\n")
            #expect(flawed.code == "importFlawed")
            #expect(flawed.field == "line 3")
            #expect(try await client.post(path, as: .finance, "{}").status == 415)
            #expect(try await send("/v1/custody-statements", header).field == "source")
            let taken = try await send(path, header + "2023-11-15,stray,0.5,0.5,=SUM(A1)\r\n", key: "k")
            #expect(taken["items"].int == 1)
            #expect(try await send(path, header + "2023-11-15,stray,0.5,0.5,=SUM(A1)\r\n", key: "k").text == taken.text)
            #expect(try await send(path, header + "2023-11-15,stray2,0.5,0.5,\r\n", key: "k").code == "idempotencyKeyReused")

            let request = #"{"area":"custody","to":"2023-12-01T00:00:00Z"}"#
            let run = try await client.post("/v1/reconciliations", as: .finance, request, key: "r")
            #expect(run["custody"].int == 50_000_000)
            #expect((run["newBreaks"].int ?? 0) > 1)
            #expect(try await client.post("/v1/reconciliations", as: .finance, request, key: "r").text == run.text)
            #expect(try await client.post("/v1/reconciliations", as: .finance, request)["newBreaks"].int == 0)
            #expect(try await client.get("/v1/reconciliations", as: .finance)["items"].items.count == 2)
            #expect(try await client.post("/v1/reconciliations", as: .finance, #"{"area":"custody","to":"2999-01-01T00:00:00Z"}"#).field == "to")

            let breaks = try await client.get("/v1/breaks?area=custody&status=open&limit=500", as: .finance)["items"].items
            let stray = try #require(breaks.first { $0["kind"].text == "missingInLedger" })
            #expect(stray["amount"].int == 50_000_000)
            #expect(stray["unit"].text == "satoshis")
            let id = stray["id"].int ?? 0
            let csv = try await client.get("/v1/breaks?format=csv&limit=2", as: .finance).text
            #expect(csv.split(separator: "\r\n").count == 1 + breaks.count)
            #expect(try await client.post("/v1/breaks/\(id)/assign", as: .finance, #"{"account":1}"#).code == "accountUnknown")
            let assigned = try await client.post("/v1/breaks/\(id)/assign", as: .finance, #"{"account":\#(Caller.finance.account),"note":"Look."}"#)
            #expect(assigned["assignee"].int == Caller.finance.account)
            #expect(try await client.post("/v1/breaks/\(id)/resolve", as: .finance, "{}").field == "note")
            let resolved = try await client.post("/v1/breaks/\(id)/resolve", as: .finance, #"{"note":"A gift."}"#)
            #expect(resolved["status"].text == "resolved")
            #expect(resolved["events"].items.map { $0["kind"].text } == ["found", "assigned", "resolved"])
            #expect(try await client.post("/v1/breaks/\(id)/resolve", as: .finance, #"{"note":"Again."}"#).code == "breakClosed")
            #expect(try await client.get("/v1/breaks/999", as: .finance).code == "breakUnknown")
            for caller in [Caller.buyer, .seller, .roleless] {
                #expect(try await client.get("/v1/breaks", as: caller).code == "roleMissing")
                #expect(try await client.get("/v1/breaks/\(id)", as: caller).code == "roleMissing")
            }
            let pools = try await send("/v1/pool-statements", "target,day,shares,work\n1,2023-11-15,5,\n")
            #expect(pools["days"].int == 1)
            let found = try await client.post(
                "/v1/reconciliations", as: .finance, #"{"area":"pools","from":"2023-11-15T00:00:00Z","to":"2023-11-16T00:00:00Z","tolerancePPM":0}"#)
            #expect(found["newBreaks"].int == 1)
        }
    }

    // MARK: - Index

    @Test func theIndexIsPublicAndKeptByCaches() async throws {
        try await withHistory { (client, line, storage, store) async throws in
            #expect(try await client.get("/v1/index")["minute"] == .null)
            try storage.script(
                """
                INSERT INTO meter_slots (delivery, rig, minute, valid_shares, valid_work, billable_work, stale_shares, stale_work,
                    duplicate_shares, low_difficulty_shares, invalid_shares, forwarded_shares, pool_accepted, pool_rejected, pool_unanswered)
                SELECT d.id, d.rig, d.opened_at / 60000000, 1, 9, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM deliveries d
                """)
            let day = line.minute / 1440
            let at = Timestamp(microseconds: (day + 9) * 86_400_000_000)
            _ = try await store.publishIndex(before: (day + 2) * 1440, limit: 100_000, at: at)
            let newest = try await client.get("/v1/index")
            #expect(newest["priceUnit"].text?.contains("satoshis") == true)
            #expect(newest["minute", "price"].int != nil)
            #expect(newest["day", "minutes"].int != nil)
            let all = try await client.get("/v1/index/minutes?limit=500")
            #expect(all.headers[.cacheControl] == "no-cache")
            #expect(all["items"].items.last?["price"].int == newest["minute", "price"].int)
            let first = try #require(all["items"].items.first)
            let second = try await client.get("/v1/index/minutes?limit=1")
            #expect(second["items"].items.map { $0["from"].text } == [first["from"].text])
            if let cursor = second["nextCursor"].text {
                #expect(try await client.get("/v1/index/minutes?limit=1&cursor=\(cursor)")["items"].items[0]["from"].text == all["items"].items[1]["from"].text)
            }

            let (from, to) = (Timestamp(microseconds: day * 86_400_000_000), Timestamp(microseconds: (day + 1) * 86_400_000_000))
            let query = "/v1/index/minutes?from=\(from)&to=\(to)&limit=500"
            let whole = try await client.get(query)
            #expect(whole.headers[.cacheControl]?.contains("immutable") == true)
            let tag = try #require(whole.headers[.eTag])
            let again = try await client.send(.get, query, headers: [.ifNoneMatch: tag])
            #expect(again.status == 304)
            #expect(again.text.isEmpty)
            #expect(try await client.send(.get, query, headers: [.ifNoneMatch: "\"x\""]).status == 200)
            let open = try await client.get("/v1/index/days?from=\(from)&to=\(Timestamp(microseconds: (day + 3) * 86_400_000_000))")
            #expect(open.headers[.eTag] == nil)
            let csv = try await client.get("/v1/index/minutes?format=csv&limit=1&from=\(from)&to=\(to)").text
            #expect(csv.split(separator: "\r\n").count == 1 + whole["items"].items.count)
            for query in ["?from=x", "?format=xml", "?limit=0", "?x=1"] {
                #expect(try await client.get("/v1/index/days" + query).status == 400, "\(query)")
            }
        }
    }
}
