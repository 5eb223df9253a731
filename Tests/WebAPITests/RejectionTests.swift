import Exchange
import HTTPTypes
import Testing
import Units
@testable import WebAPI

/// What the market refuses, as the API says it.
@Suite struct RejectionTests {
    struct Refused: Sendable, CustomTestStringConvertible {
        var rejection: Rejection
        var method: HTTPRequest.Method = .post
        var path: String
        var caller: Caller = .buyer
        var body: String?
        var status: Int = 422
        var field: String?

        var testDescription: String { "\(rejection)" }
    }

    private static func bid(_ extra: String) -> String { #"{"price":700,"lots":4,"poolTargetIDs":[1],\#(extra)}"# }

    /// In a furnished market (``World/furnished()``) with an ask at 650 on rig 1: order 3.
    static let refused: [Refused] = [
        Refused(rejection: .wouldMatch, path: "/v1/bids", body: #"{"price":700,"lots":5,"poolTargetIDs":[1],"postOnly":true}"#, status: 409, field: "postOnly"),
        Refused(rejection: .cannotFillWhole, path: "/v1/bids", body: bid(#""timeInForce":"FOK""#), status: 409, field: "timeInForce"),
        Refused(rejection: .minimumFillOutOfRange, path: "/v1/bids", body: bid(#""minimumFill":5"#), field: "minimumFill"),
        Refused(rejection: .displayedOutOfRange, path: "/v1/bids", body: bid(#""displayedLots":5"#), field: "displayedLots"),
        Refused(rejection: .expiryOutOfRange, path: "/v1/bids", body: bid(#""expiresAt":"2027-01-15T08:00:09Z""#), field: "expiresAt"),
        Refused(rejection: .instructionsContradict, path: "/v1/bids", body: bid(#""timeInForce":"GTD""#), field: "timeInForce"),
        Refused(rejection: .instructionsContradict, path: "/v1/bids", body: bid(#""timeInForce":"IOC","postOnly":true"#), field: "timeInForce"),
        Refused(
            rejection: .offsetOutOfRange, path: "/v1/bids", body: bid(#""peg":{"reference":"bestAsk","offset":1000000000000001}"#),
            field: "peg.offset"),
        Refused(
            rejection: .scheduleInvalid, path: "/v1/farms/1/offer", caller: .seller,
            body: #"{"price":700,"lots":"all","schedule":[{"from":"06:00","to":"06:00"}]}"#, field: "schedule"),
        Refused(
            rejection: .instructionsContradict, path: "/v1/farms/1/offer", caller: .seller,
            body: #"{"price":700,"lots":"all","timeInForce":"IOC"}"#, field: "timeInForce"),
        Refused(rejection: .farmUnknown, method: .get, path: "/v1/farms/2", caller: .seller, status: 404),
        Refused(rejection: .farmNotOffered, method: .delete, path: "/v1/farms/1/offer", caller: .seller, status: 409),
        Refused(
            rejection: .silenceOutOfRange, method: .put, path: "/v1/orders/cancel-after", body: #"{"seconds":86401}"#, field: "seconds"),
        Refused(
            rejection: .effectiveTimeOutOfRange, path: "/v1/market/rules", caller: .admin,
            body: #"{"effectiveAt":"2027-01-15T08:00:00Z"}"#, field: "effectiveAt"),
        Refused(rejection: .nothingToAmend, method: .patch, path: "/v1/bids/1", body: "{}"),
        Refused(
            rejection: .amendmentNotApplicable, method: .patch, path: "/v1/asks/3", caller: .seller, body: #"{"peg":{"offset":1}}"#,
            field: "peg"),
    ]

    @Test(arguments: refused) func namesWhatIsWrong(refused: Refused) async throws {
        let world = World.furnished()
        world.market.apply(CommandEnvelope(.placeAsk(PlaceAsk(
            account: AccountID(Caller.seller.account), price: Price(650), rig: RigID(1)))))
        let before = world.market.read(\.hash)
        try await world.run { (client) async throws in
            let method = refused.path.hasSuffix("/offer") && refused.body != nil ? HTTPRequest.Method.put : refused.method
            let reply = try await client.send(method, refused.path, as: refused.caller, refused.body)
            #expect(reply.code == refused.rejection.code)
            #expect(reply.status == refused.status)
            #expect(reply.field == refused.field)
        }
        #expect(world.market.read(\.hash) == before)
    }

    @Test func theMarketsPhase() async throws {
        try await World.furnished().run { (client) async throws in
            for (phase, code) in [("cancelOnly", "marketCancelOnly"), ("halted", "marketHalted")] {
                _ = try await client.put("/v1/market/phase", as: .admin, #"{"phase":"\#(phase)"}"#)
                let reply = try await client.post("/v1/bids", as: .buyer, #"{"price":700,"lots":4,"poolTargetIDs":[1]}"#)
                #expect(reply.status == 409)
                #expect(reply.code == code)
            }
        }
    }

    @Test func asManyOrdersAsTheMarketAllows() async throws {
        var rules = minuteTerms
        rules.mostOrders = 2
        let world = World(rules)
        world.deposit(1_000_000_000)
        world.target(of: .buyer)
        try await world.run { (client) async throws in
            let body = #"{"price":700,"lots":4,"poolTargetIDs":[1]}"#
            for _ in 1...2 { #expect(try await client.post("/v1/bids", as: .buyer, body).status == 201) }
            let third = try await client.post("/v1/bids", as: .buyer, body)
            #expect(third.status == 409)
            #expect(third.code == "tooManyOrders")
        }
    }

    @Test(arguments: [
        (#""schedule":[{"from":"06:00","to":"6:00"}]"#, "schedule[0].to", "fieldNotTimeOfDay"),
        (#""schedule":[{"from":"06:00","to":"07:00"},{"from":"24:01","to":"07:00"}]"#, "schedule[1].from", "fieldNotTimeOfDay"),
        (#""schedule":[{"from":"06:00"}]"#, "schedule[0].to", "fieldMissing"), (#""schedule":[]"#, "schedule", "scheduleInvalid"),
        (#""schedule":[{"from":360,"to":"07:00"}]"#, "schedule[0].from", "fieldWrongType"),
        (#""schedule":[{"from":"06:00","to":"07:00","day":1}]"#, "schedule[0].day", "fieldUnknown"),
        (#""schedule":[{"from":"24:00","to":"07:00"}]"#, "schedule", "scheduleInvalid"),
        (#""peg":{"reference":"index"}"#, "peg.offset", "fieldMissing"), (#""peg":{"offset":1}"#, "peg.reference", "fieldMissing"),
        (#""peg":{"reference":"moon","offset":1}"#, "peg.reference", "fieldOutOfRange"),
        (#""peg":{"reference":"index","offset":1.5}"#, "peg.offset", "fieldNotInteger"),
        (#""peg":{"reference":"index","offset":9223372036854775808}"#, "peg.offset", "fieldOutOfRange"),
        (#""peg":{"reference":"index","offset":-9223372036854775808}"#, "peg.offset", "offsetOutOfRange"),
        (#""peg":{"reference":"index","offset":1,"cap":5}"#, "peg.cap", "fieldUnknown"),
        (#""expiresAt":"2027-01-16""#, "expiresAt", "fieldNotTime"), (#""postOnly":1"#, "postOnly", "fieldWrongType"),
        (#""expiresAt":"9999-12-31T23:59:59.999999999Z""#, "expiresAt", "expiryOutOfRange"),
    ]) func badInstructions(extra: String, field: String, code: String) async throws {
        let world = World.furnished()
        let before = world.market.read(\.hash)
        try await world.run { (client) async throws in
            let reply = try await client.post("/v1/asks", as: .seller, #"{"price":700,"rigID":1,"lots":"all",\#(extra)}"#)
            #expect(reply.status == 422)
            #expect(reply.field == field)
            #expect(reply.code == code)
        }
        #expect(world.market.read(\.hash) == before)
    }
}
