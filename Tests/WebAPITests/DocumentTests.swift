import HTTPTypes
import Market
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
        // The bodies below have every field there is; the API takes them (see TradeTests), so must the document.
        let bodies = [
            "NewPoolTarget": #"{"name":"a","url":"b","user":"c","password":"d"}"#,
            "NewRig": #"{"name":"a","fallbackPoolTargetID":1,"password":"12345678"}"#,
            "NewBid": #"{"price":1,"lots":1,"poolTargetIDs":[1],"timeInForce":"GTC","budget":1,"clientOrderID":"x","selfTradePrevention":"cancelBoth"}"#,
            "NewAsk": #"{"price":1,"rigID":1,"lots":"all","clientOrderID":"x","selfTradePrevention":"cancelBoth"}"#,
            "NewDeposit": #"{"account":1,"amount":1,"reference":"x"}"#,
        ]
        for (name, body) in bodies {
            let schema = try #require(Document.shared.root["components"]?["schemas"]?[name])
            let value = try JSONReader.read(Array(body.utf8), depthLimit: 8)
            #expect(Document.shared.flaws(value, schema, at: name).isEmpty)
        }
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
    }
}
