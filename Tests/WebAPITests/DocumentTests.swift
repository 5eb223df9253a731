import Exchange
import HTTPTypes
import Ledger
import Market
import Metering
import OrderBook
import Settlement
import Testing
@testable import WebAPI

@Suite struct DocumentTests {
    private var routes: Set<String> { Set(Endpoint.all.map { "\($0.method.rawValue.lowercased()) \($0.path)" }) }

    @Test func describesEveryRouteAndNoOther() {
        #expect(routes == Set(Document.shared.operations.keys))
        #expect(routes.count == Endpoint.all.count, "a route is in the table twice")
    }

    @Test(arguments: Endpoint.all.indices) func namesTheRoles(index: Int) throws {
        let endpoint = Endpoint.all[index]
        let operation = try #require(Document.shared.operations["\(endpoint.method.rawValue.lowercased()) \(endpoint.path)"])
        switch endpoint.handler {
        case .open: #expect(operation["security"]?.items.isEmpty == true)
        case .keyed(let roles, _):
            #expect(operation["security"] == nil)
            #expect(Set(operation["x-roles"]?.items.compactMap(\.text) ?? ["none"]) == Set(roles.map(\.rawValue)))
        }
    }

    @Test func describesEveryFieldOfWrites() throws {
        let instructions = #"""
            "timeInForce":"GTD","expiresAt":"2026-01-31T12:00:00Z","postOnly":true,"minimumFill":1,"displayedLots":1,
            "selfTradePrevention":"cancelBoth","peg":{"reference":"index","offset":-1}
            """#
        let amendments = #""price":1,"expiresAt":null,"minimumFill":1,"displayedLots":null,"peg":{"offset":-1}"#
        // The bodies below have every field there is; the API takes them (see TradeTests), so must the document.
        let bodies = [
            "NewPoolTarget": #"{"name":"a","url":"b","user":"c","password":"d"}"#,
            "NewRig": #"{"name":"a","fallbackPoolTargetID":1,"password":"12345678"}"#,
            "NewBid": #"{"price":1,"lots":1,"poolTargetIDs":[1],"budget":1,"clientOrderID":"x",\#(instructions)}"#,
            "NewAsk": #"{"price":1,"rigID":1,"lots":"all","clientOrderID":"x","schedule":[{"from":"22:00","to":"06:00"}],\#(instructions)}"#,
            "NewOffer": #"{"price":1,"lots":"all","schedule":[{"from":"22:00","to":"24:00"}],\#(instructions)}"#,
            "BidAmendment": #"{"lots":1,"poolTargetIDs":[1],"budget":null,\#(amendments)}"#,
            "AskAmendment": #"{"lots":"all","schedule":null,\#(amendments)}"#,
            "NewCancelTimer": #"{"seconds":null}"#,
            "NewFarm": #"{"name":"x"}"#,
            "NewFarmLogin": #"{"name":"x","password":"12345678","rotatePassword":true,"fallbackPoolTargetID":1,"mostRigs":7}"#,
            "NewCurtailment": #"{"capLots":0,"rampMinutes":5,"until":"2026-01-31T12:00:00Z"}"#,
            "NewFarmOfRig": #"{"farmID":null}"#,
            "NewPhase": #"{"phase":"open"}"#,
            "NewIndex": #"{"price":1,"at":"2026-01-31T12:00:00Z"}"#,
            "NewRules": InputTests.body("/v1/market/rules"),
            "NewReconciliation": #"{"area":"custody","from":"2026-01-31T12:00:00Z","to":"2026-02-01T00:00:00Z","tolerancePPM":1}"#,
            "NewAssignment": #"{"account":1,"note":"x"}"#,
            "NewResolution": #"{"note":"x"}"#,
            "NewDispute":
                #"{"line":1,"deliveryID":1,"from":"2026-01-31T12:00:00Z","to":"2026-01-31T12:01:00Z","claimant":"buyer","amount":1,"reason":"x"}"#,
            "NewMessage": #"{"text":"x"}"#,
            "NewDisputeWithdrawal": #"{"note":"x"}"#,
            "NewDecision": #"{"outcome":"credited","amount":1,"bearer":"market","note":"x"}"#,
            "NewKey": InputTests.body("/v1/keys"),
            "NewRotation": #"{"overlapSeconds":60}"#,
            "NewDeposit": #"{"account":1,"amount":1,"reference":"x"}"#,
            "NewWithdrawal": #"{"account":1,"amount":1,"destination":"x"}"#,
            "NewAdjustment": #"{"postings":[{"account":"loss","owner":1,"amount":-1}],"reverses":1,"reason":"x"}"#,
            "NewApproval": #"{"account":1}"#, "NewRejection": #"{"reason":"x"}"#, "NewPayment": #"{"reference":"x"}"#,
            "NewFreeze": #"{"isFrozen":true,"reason":"x"}"#,
        ]
        for (name, body) in bodies {
            let schema = try #require(Document.shared.root["components"]?["schemas"]?[name])
            let value = try JSONReader.read(Array(body.utf8), depthLimit: 8)
            #expect(Document.shared.flaws(value, schema, at: name).isEmpty)
        }
    }

    @Test func knowsEveryCode() throws {
        func codes(_ path: String...) -> Set<String> {
            let found = path.reduce(Document.shared.root["components"]?["schemas"] ?? .null) { $0[$1] ?? .null }
            return Set(found["enum"]?.items.compactMap(\.text) ?? [])
        }
        let reasons = Set(SuspensionReason.byCode.keys).union(CloseReason.byCode.keys)
        #expect(codes("Order", "properties", "reason") == reasons)
        #expect(codes("Delivery", "properties", "endCause") == Set(EndCause.byCode.keys))
        #expect(codes("PassedOver", "properties", "reason") == Set(PassedOver.byCode.keys))
        #expect(codes("Instructions", "properties", "timeInForce") == Set(TimeInForce.byCode.keys))
        #expect(codes("Instructions", "properties", "peg", "properties", "reference") == Set(PegReference.byCode.keys))
        #expect(codes("SelfTradePrevention") == Set(SelfTradePrevention.byCode.keys))
        #expect(codes("TransferKind") == Set(TransferKind.byCode.keys))
        #expect(codes("TransferStatus") == Set(TransferStatus.byCode.keys))
        #expect(codes("LedgerEntry", "properties", "kind") == Set(EntryKind.byCode.keys))
        #expect(codes("Posting", "properties", "account") == Set(LedgerAccount.kindByCode.keys))
        #expect(codes("Phase") == Set(MarketPhase.byCode.keys))
        #expect(codes("Block", "properties", "verdict") == Set(BlockVerdict.byCode.keys))
        #expect(codes("BreakKind") == Set(BreakKind.byCode.keys))
        #expect(codes("BreakStatus") == Set(BreakStatus.byCode.keys))
        #expect(codes("BreakEvent", "properties", "kind") == Set(BreakEventKind.byCode.keys))
        #expect(codes("ReconciliationArea") == Set(ReconciliationArea.byCode.keys))
        #expect(codes("DisputeParty") == Set(DisputeParty.byCode.keys))
        #expect(codes("CreditBearer") == Set(CreditBearer.byCode.keys))
        #expect(codes("Dispute", "properties", "status") == Set(DisputeStatus.byCode.keys))
        #expect(codes("DisputeEvent", "properties", "role") == Set(DisputeRole.byCode.keys))
        #expect(codes("DisputeEvent", "properties", "kind") == Set(DisputeEvent.Kind.byCode.keys))
        let reasonsSchema = Document.shared.root["components"]?["schemas"]?["RejectReasons"]
        #expect(Set(reasonsSchema?["properties"]?.keys ?? []) == Set(RejectReason.allCases.map(\.code)))
    }

    @Test(arguments: Endpoint.all.indices) func writesTakeIdempotencyKeys(index: Int) throws {
        let endpoint = Endpoint.all[index]
        let operation = try #require(Document.shared.operations["\(endpoint.method.rawValue.lowercased()) \(endpoint.path)"])
        let isNamed = operation["parameters"]?.items.contains { $0["$ref"]?.text == "#/components/parameters/IdempotencyKey" }
        #expect(isNamed ?? false == (endpoint.method != .get))
    }

    @Test func isServed() async throws {
        try await World().run { (client) async throws in
            let reply = try await client.get("/openapi.yaml")
            #expect(reply.status == 200)
            #expect(reply.text.hasPrefix("openapi: 3.1.0"))
        }
    }

    @Test func checkerSeesFlaws() throws {
        let schema = try #require(Document.shared.root["components"]?["schemas"]?["Balances"])
        func flaws(_ text: String) throws -> Int {
            Document.shared.flaws(try JSONReader.read(Array(text.utf8), depthLimit: 8), schema, at: "").count
        }
        #expect(try flaws(#"{"account":1,"available":0,"held":0}"#) == 0)
        #expect(try flaws(#"{"account":0,"available":0,"held":0}"#) == 1)
        #expect(try flaws(#"{"account":1,"available":"0","held":0,"more":1}"#) == 2)
        #expect(try flaws(#"{"account":1,"available":0}"#) == 1)
        let built = try #require(Document.shared.root["components"]?["schemas"]?["NewOffer"])
        let offer = try JSONReader.read(Array(#"{"price":1,"lots":"all","postOnly":7,"more":1}"#.utf8), depthLimit: 8)
        #expect(Document.shared.flaws(offer, built, at: "").count == 2)
    }
}
