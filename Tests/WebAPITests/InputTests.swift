import Exchange
import HTTPTypes
import HummingbirdTesting
import Market
import Testing
@testable import WebAPI

/// What a stranger may send.
@Suite struct InputTests {
    /// A write that works, to be spoilt one field at a time.
    struct Write: Sendable, CustomTestStringConvertible {
        var method = HTTPRequest.Method.post
        var path: String
        var caller: Caller
        var fields: [(name: String, value: String)]
        var required: Set<String> = []
        var numbers: Set<String> = []
        /// Numbers that may be 0.
        var counts: Set<String> = []
        var texts: Set<String> = []
        var flags: Set<String> = []
        /// Objects and arrays of them.
        var objects: Set<String> = []
        /// Fields that null clears.
        var nullable: Set<String> = []

        var status: Int { method == .post ? 201 : 200 }
        var testDescription: String { "\(method) \(path)" }

        func body(replacing name: String? = nil, with value: String? = nil) -> String {
            let members = fields.compactMap { field -> String? in
                guard field.name == name else { return "\"\(field.name)\":\(field.value)" }
                return value.map { "\"\(field.name)\":\($0)" }
            }
            return "{" + members.joined(separator: ",") + "}"
        }
    }

    /// The body of the write to a path.
    static func body(_ path: String) -> String { writes.first { $0.path == path }?.body() ?? "" }

    private static let instructions: [(name: String, value: String)] = [
        ("timeInForce", "\"GTD\""), ("expiresAt", "\"2027-01-16T08:00:00Z\""), ("postOnly", "false"), ("minimumFill", "1"),
        ("displayedLots", "2"), ("selfTradePrevention", "\"cancelBoth\""), ("peg", "{\"reference\":\"index\",\"offset\":-5}"),
    ]
    private static let amendments: [(name: String, value: String)] = [
        ("price", "650"), ("expiresAt", "\"2027-01-17T08:00:00Z\""), ("minimumFill", "1"), ("displayedLots", "1"), ("peg", "{\"offset\":-7}"),
    ]
    private static let schedule = "[{\"from\":\"22:00\",\"to\":\"06:00\"}]"

    static let writes = [
        Write(
            path: "/v1/keys", caller: .roleless,
            fields: [
                ("label", "\"bot\""), ("kind", "\"signed\""), ("scopes", "[\"read\",\"trade\"]"),
                ("networks", "[\"192.0.2.0/24\"]"), ("expiresAt", "\"2027-01-16T08:00:00Z\""),
            ],
            required: ["label", "scopes"], texts: ["label", "kind", "expiresAt"]),
        Write(
            path: "/v1/pool-targets", caller: .buyer,
            fields: [("name", "\"n\""), ("url", "\"stratum+tcp://pool.example:3333\""), ("user", "\"u\""), ("password", "\"p\"")],
            required: ["name", "url", "user"], texts: ["name", "url", "user", "password"]),
        Write(
            path: "/v1/rigs", caller: .seller,
            fields: [("name", "\"rig-9\""), ("fallbackPoolTargetID", "2"), ("password", "\"12345678\"")],
            required: ["name", "fallbackPoolTargetID"], numbers: ["fallbackPoolTargetID"], texts: ["name", "password"]),
        Write(
            path: "/v1/bids", caller: .buyer,
            fields: [
                ("price", "700"), ("lots", "4"), ("poolTargetIDs", "[1]"), ("budget", "100000"), ("clientOrderID", "\"c\""),
            ] + instructions,
            required: ["price", "lots", "poolTargetIDs"], numbers: ["price", "lots", "budget", "minimumFill", "displayedLots"],
            texts: ["timeInForce", "clientOrderID", "selfTradePrevention", "expiresAt"], flags: ["postOnly"], objects: ["peg"]),
        Write(
            path: "/v1/asks", caller: .seller,
            fields: [("price", "700"), ("rigID", "1"), ("lots", "2"), ("clientOrderID", "\"c\""), ("schedule", schedule)] + instructions,
            required: ["price", "rigID", "lots"], numbers: ["price", "rigID", "lots", "minimumFill", "displayedLots"],
            texts: ["timeInForce", "clientOrderID", "selfTradePrevention", "expiresAt"], flags: ["postOnly"], objects: ["peg", "schedule"]),
        Write(
            method: .patch, path: "/v1/bids/1", caller: .buyer,
            fields: [("lots", "3"), ("poolTargetIDs", "[1]"), ("budget", "200000")] + amendments,
            numbers: ["price", "lots", "budget", "minimumFill", "displayedLots"], texts: ["expiresAt"], objects: ["peg"],
            nullable: ["budget", "expiresAt", "displayedLots"]),
        Write(
            method: .patch, path: "/v1/asks/2", caller: .seller, fields: [("lots", "1"), ("schedule", schedule)] + amendments,
            numbers: ["price", "lots", "minimumFill", "displayedLots"], texts: ["expiresAt"], objects: ["peg", "schedule"],
            nullable: ["expiresAt", "displayedLots", "schedule"]),
        Write(
            method: .put, path: "/v1/orders/cancel-after", caller: .buyer, fields: [("seconds", "60")], required: ["seconds"],
            numbers: ["seconds"], nullable: ["seconds"]),
        Write(path: "/v1/farms", caller: .seller, fields: [("name", "\"shed\"")], required: ["name"], texts: ["name"]),
        Write(
            method: .put, path: "/v1/rigs/1/farm", caller: .seller, fields: [("farmID", "1")], required: ["farmID"], numbers: ["farmID"],
            nullable: ["farmID"]),
        Write(
            method: .put, path: "/v1/farms/1/offer", caller: .seller,
            fields: [("price", "700"), ("lots", "2"), ("schedule", schedule)] + instructions, required: ["price", "lots"],
            numbers: ["price", "lots", "minimumFill", "displayedLots"], texts: ["timeInForce", "selfTradePrevention", "expiresAt"],
            flags: ["postOnly"], objects: ["peg", "schedule"]),
        Write(
            method: .put, path: "/v1/farms/1/login", caller: .seller,
            fields: [
                ("name", "\"barn\""), ("password", "\"12345678\""), ("fallbackPoolTargetID", "2"), ("mostRigs", "7"),
                ("rotatePassword", "false"),
            ], numbers: ["fallbackPoolTargetID", "mostRigs"], texts: ["name", "password"], flags: ["rotatePassword"]),
        Write(
            method: .put, path: "/v1/farms/1/curtailment", caller: .seller,
            fields: [("capLots", "3"), ("rampMinutes", "5"), ("until", "\"2027-01-16T08:00:00Z\"")], required: ["capLots"],
            numbers: ["capLots", "rampMinutes"], counts: ["capLots", "rampMinutes"], texts: ["until"]),
        Write(
            method: .put, path: "/v1/market/phase", caller: .admin, fields: [("phase", "\"cancelOnly\"")], required: ["phase"],
            texts: ["phase"]),
        Write(
            path: "/v1/market/rules", caller: .admin,
            fields: [
                ("effectiveAt", "\"2027-02-01T00:00:00Z\""), ("tick", "10"), ("lowestPrice", "10"), ("highestPrice", "1000000"),
                ("mostLots", "500"), ("minimumOrderValue", "2"), ("termSeconds", "120"), ("shortestTermSeconds", "20"),
                ("sellerFeePPM", "1"), ("buyerFeePPM", "2"), ("mostOrders", "50"),
                ("awayLimitSeconds", "30"), ("holdLimitSeconds", "3600"),
            ],
            required: ["effectiveAt"],
            numbers: [
                "tick", "lowestPrice", "highestPrice", "mostLots", "minimumOrderValue", "termSeconds", "shortestTermSeconds", "sellerFeePPM",
                "buyerFeePPM", "mostOrders", "awayLimitSeconds", "holdLimitSeconds",
            ],
            counts: ["minimumOrderValue", "sellerFeePPM", "buyerFeePPM", "awayLimitSeconds", "holdLimitSeconds"], texts: ["effectiveAt"]),
        Write(
            method: .put, path: "/v1/market/index", caller: .admin, fields: [("price", "700"), ("at", "\"2027-01-15T07:59:00Z\"")],
            required: ["price"], numbers: ["price"], texts: ["at"]),
        Write(
            path: "/v1/deposits", caller: .finance,
            fields: [("account", "1"), ("amount", "5"), ("reference", "\"r\"")],
            required: ["account", "amount", "reference"], numbers: ["account", "amount"], texts: ["reference"]),
    ]

    private func world() -> World { .furnished() }

    private func refuses(
        _ client: Client, _ write: Write, _ body: String, field: String?, codes: Set<String>,
        location: SourceLocation = #_sourceLocation
    ) async throws {
        let reply = try await client.send(write.method, write.path, as: write.caller, body)
        #expect(reply.status == 422, "\(body)", sourceLocation: location)
        let named = reply.field?.split { $0 == "[" || $0 == "." }.first.map(String.init)
        #expect(named == field, "\(body)", sourceLocation: location)
        #expect(codes.contains(reply.code ?? ""), "\(body): \(reply.code ?? "")", sourceLocation: location)
    }

    @Test(arguments: writes) func spoiltFields(write: Write) async throws {
        let world = world()
        let before = world.market.read(\.hash)
        try await world.run { (client) async throws in
            for (name, _) in write.fields {
                if write.required.contains(name) {
                    try await refuses(client, write, write.body(replacing: name), field: name, codes: ["fieldMissing"])
                }
                if write.required.contains(name) || write.method == .patch, !write.nullable.contains(name) {
                    try await refuses(
                        client, write, write.body(replacing: name, with: "null"), field: name,
                        codes: [write.method == .patch ? "fieldWrongType" : "fieldMissing"])
                }
                for wrong in ["true", "{}", "[[]]", "[{\"a\":1}]"] where wrong != "true" || !write.flags.contains(name) {
                    try await refuses(
                        client, write, write.body(replacing: name, with: wrong), field: name,
                        codes: write.objects.contains(name) ? ["fieldWrongType", "fieldMissing", "fieldUnknown"] : ["fieldWrongType"])
                }
            }
            for name in write.numbers {
                for wrong in ["\"1\"", "[1]"] {
                    try await refuses(
                        client, write, write.body(replacing: name, with: wrong), field: name,
                        codes: name == "lots" ? ["fieldWrongType", "fieldOutOfRange"] : ["fieldWrongType"])
                }
                for wrong in ["1.5", "1.0", "1e3", "1E400"] {
                    try await refuses(client, write, write.body(replacing: name, with: wrong), field: name, codes: ["fieldNotInteger"])
                }
                let zeros = write.counts.contains(name) ? [] : ["0", "-0"]
                for wrong in zeros + ["-1", "9223372036854775808", "-9223372036854775809", "1" + String(repeating: "0", count: 999)] {
                    try await refuses(client, write, write.body(replacing: name, with: wrong), field: name, codes: ["fieldOutOfRange"])
                }
            }
            for name in write.texts {
                try await refuses(client, write, write.body(replacing: name, with: "7"), field: name, codes: ["fieldWrongType"])
                for wrong in ["\"" + String(repeating: "é", count: 200) + "\"", "\"a\\u0000b and so on\""] {
                    try await refuses(
                        client, write, write.body(replacing: name, with: wrong), field: name,
                        codes: ["fieldWrongLength", "fieldHasControlCharacters", "fieldOutOfRange", "fieldNotTime", "poolURLInvalid"])
                }
            }
            let extra = write.body().dropLast() + ",\"more\":1}"
            try await refuses(client, write, String(extra), field: "more", codes: ["fieldUnknown"])
        }
        #expect(world.market.read(\.hash) == before, "a refused request changed the market")
    }

    @Test(arguments: writes) func largestNumbers(write: Write) async throws {
        let world = world()
        try await world.run { (client) async throws in
            for name in write.numbers {
                let reply = try await client.send(
                    write.method, write.path, as: write.caller, write.body(replacing: name, with: "\(Int64.max)"))
                #expect(reply.status == 422, "\(name)")
                #expect(reply.field != nil, "\(name): \(reply.code ?? "")")
            }
        }
    }

    @Test(arguments: writes) func spoiltBodies(write: Write) async throws {
        let world = world()
        let before = world.market.read(\.hash)
        try await world.run { (client) async throws in
            let cases: [(body: [UInt8], status: Int, code: String)] = [
                (Array(write.body().utf8.dropLast()), 400, "jsonMalformed"),
                (Array("".utf8), 400, "jsonMalformed"),
                (Array("{\"name\":\"".utf8) + [0xff, 0xfe] + Array("\"}".utf8), 400, "jsonMalformed"),
                (Array((write.body() + "x").utf8), 400, "jsonMalformed"),
                (Array("{\"price\":1,\"price\":2}".utf8), 400, "jsonMalformed"),
                (Array("[]".utf8), 422, "bodyNotObject"),
                (Array("\"text\"".utf8), 422, "bodyNotObject"),
                (Array(String(repeating: "[", count: 60_000).utf8), 400, "jsonTooDeep"),
                (Array(String(repeating: "{\"a\":", count: 10_000).utf8), 400, "jsonTooDeep"),
                (Array(("{\"name\":\"" + String(repeating: "a", count: 65_536) + "\"}").utf8), 413, "bodyTooLarge"),
            ]
            let headers: HTTPFields = [.authorization: "Bearer \(write.caller.key)", .contentType: "application/json; charset=utf-8"]
            for (body, status, code) in cases {
                let reply = try await client.sendBytes(write.method, write.path, body, headers)
                #expect(reply.status == status, "\(code)")
                #expect(reply.code == code)
                if status == 400 { #expect(reply["position"].int != nil) }
            }
            for type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""] {
                let reply = try await client.send(
                    write.method, write.path, as: write.caller, write.body(), headers: [.contentType: type])
                #expect(reply.status == 415, "\(type)")
            }
            let bare = try await client.send(write.method, write.path, as: write.caller)
            #expect(bare.status == 415)
        }
        #expect(world.market.read(\.hash) == before, "a refused request changed the market")
    }

    @Test(arguments: writes) func unspoiltBodiesWork(write: Write) async throws {
        try await world().run { (client) async throws in
            #expect(try await client.send(write.method, write.path, as: write.caller, write.body()).status == write.status)
        }
    }

    @Test func verifyTakesNoFields() async throws {
        try await world().run { (client) async throws in
            #expect(try await client.send(.post, "/v1/pool-targets/1/verify", as: .buyer, "{}").status == 200)
            let extra = try await client.send(.post, "/v1/pool-targets/1/verify", as: .buyer, "{\"a\":1}")
            #expect(extra.field == "a")
            #expect(try await client.send(.post, "/v1/pool-targets/1/verify", as: .buyer, "{").status == 400)
            #expect(try await client.send(.delete, "/v1/bids/1", as: .buyer, "[]").status == 422)
        }
    }

    @Test func rulesOfTheMarketAreNamed() async throws {
        try await world().run { (client) async throws in
            for (body, code, field, status) in [
                (#"{"price":1000000000001,"lots":1,"poolTargetIDs":[1]}"#, "priceOutsideBand", "price", 422),
                (#"{"price":7,"lots":1000001,"poolTargetIDs":[1]}"#, "lotsOutOfRange", "lots", 422),
                (#"{"price":7,"lots":1,"poolTargetIDs":[]}"#, "targetCountOutOfRange", "poolTargetIDs", 422),
                (#"{"price":7,"lots":1,"poolTargetIDs":[1,1]}"#, "targetCountOutOfRange", "poolTargetIDs", 422),
                (#"{"price":7,"lots":1,"poolTargetIDs":[1,99]}"#, "poolTargetUnknown", "poolTargetIDs", 422),
                (#"{"price":7,"lots":1,"poolTargetIDs":[1,"2"]}"#, "fieldWrongType", "poolTargetIDs[1]", 422),
                (#"{"price":900000000000,"lots":1000,"poolTargetIDs":[1],"budget":1}"#, "insufficientFunds", nil, 402),
                (#"{"price":7,"lots":1,"poolTargetIDs":[1],"timeInForce":"DAY"}"#, "fieldOutOfRange", "timeInForce", 422),
            ] as [(String, String, String?, Int)] {
                let reply = try await client.post("/v1/bids", as: .buyer, body)
                #expect(reply.code == code, "\(body)")
                #expect(reply.field == field, "\(body)")
                #expect(reply.status == status, "\(body)")
            }
            _ = try await client.post("/v1/asks", as: .seller, #"{"price":7,"rigID":1,"lots":1}"#)
            let twice = try await client.post("/v1/asks", as: .seller, #"{"price":7,"rigID":1,"lots":1}"#)
            #expect(twice.status == 409)
            #expect(twice.code == "rigAlreadyOffered")
            for name in ["a b", "a.b", "ü"] {
                let reply = try await client.post("/v1/rigs", as: .seller, #"{"name":"\#(name)","fallbackPoolTargetID":2}"#)
                #expect(reply.code == "rigNameInvalid")
            }
            let url = try await client.post("/v1/pool-targets", as: .buyer, #"{"name":"n","url":"http://x","user":"u"}"#)
            #expect(url.code == "poolURLInvalid")
            #expect(url.field == "url")
            let ghost = try await client.post("/v1/deposits", as: .finance, #"{"account":99,"amount":1,"reference":"r"}"#)
            #expect(ghost.code == "accountUnknown")
            #expect(ghost.field == "account")
        }
    }

    // MARK: - Paths, methods, queries

    @Test(arguments: [
        "/", "/v1", "/v1/", "/v2/market", "/v1/nothing", "/v1/bids/1/2", "/v1/bids/x", "/v1/bids/0", "/v1/bids/-1",
        "/v1/bids/1.5", "/v1/bids/99999999999999999999", "/v1/bids/%31%00", "/v1/bids/١",
    ]) func unknownPaths(path: String) async throws {
        try await World().run { (client) async throws in
            let reply = try await client.get(path, as: .admin)
            #expect(reply.status == 404)
            #expect(reply.headers[.contentType] == "application/problem+json")
        }
    }

    @Test(arguments: [
        ("PUT", "/v1/market", "GET, HEAD"), ("DELETE", "/v1/pool-targets", "GET, HEAD, POST"),
        ("PUT", "/v1/bids/1", "DELETE, GET, HEAD, PATCH"), ("GET", "/v1/deposits", "POST"), ("POST", "/v1/balances", "GET, HEAD"),
    ]) func wrongMethods(method: String, path: String, allow: String) async throws {
        try await World().run { (client) async throws in
            let reply = try await client.send(try #require(HTTPRequest.Method(method)), path, as: .admin)
            #expect(reply.status == 405)
            #expect(reply.headers[.allow] == allow)
            #expect(reply.code == "methodNotAllowed")
        }
    }

    @Test func headHasNoBody() async throws {
        try await World().run(.live) { (client) async throws in
            let reply = try await client.send(.head, "/v1/market")
            #expect(reply.status == 200)
            #expect(reply.text.isEmpty)
        }
    }

    @Test(arguments: [
        ("/v1/book?levels=0", "levels"), ("/v1/book?levels=501", "levels"), ("/v1/book?levels=x", "levels"), ("/v1/book?depth=1", "depth"),
        ("/v1/book?levels=%2B5", "levels"), ("/v1/book?levels", "levels"), ("/v1/book?levels=1&levels=2", "levels"),
        ("/v1/trades?limit=0", "limit"), ("/v1/trades?limit=1001", "limit"), ("/v1/trades?cursor=0", "cursor"),
        ("/v1/candles?interval=2m", "interval"), ("/v1/candles?before=now", "before"),
        ("/v1/ticker?x=1", "x"), ("/v1/stream/book?levels=1", "levels"), ("/v1/rigs?farm=0", "farm"),
        ("/v1/orders/cancel-after?x=1", "x"), ("/v1/farms/1?x=1", "x"), ("/v1/bids?limit=0", "limit"), ("/v1/bids?limit=501", "limit"), ("/v1/bids?limit=9223372036854775808", "limit"),
        ("/v1/bids?cursor=-1", "cursor"), ("/v1/bids?cursor=abc", "cursor"), ("/v1/bids?cursor=1.5", "cursor"), ("/v1/bids?a=%ff", "a"),
        ("/v1/balances?account=0", "account"), ("/v1/reports/settlement?format=xls", "format"), ("/v1/market?x", "x"),
    ]) func badQueries(path: String, field: String) async throws {
        try await World().run { (client) async throws in
            let reply = try await client.get(path, as: .admin)
            #expect(reply.status == 400)
            #expect(reply.field == field)
        }
    }

    @Test func largeBodiesAreRefusedOnASocket() async throws {
        try await World().run(.live) { (client) async throws in
            let body = Array(repeating: UInt8(ascii: " "), count: 200_000)
            let reply = try await client.sendBytes(
                .post, "/v1/deposits", body,
                [.authorization: "Bearer \(Caller.finance.key)", .contentType: "application/json"])
            #expect(reply.status == 413)
        }
    }

    // MARK: - Trouble behind the API

    @Test func aBusyMarketSaysSo() async throws {
        let world = world()
        try await world.run { (client) async throws in
            for (error, code) in [(.busy, "busy"), (.unavailable, "unavailable")] as [(GatewayError, String)] {
                world.market.fail(with: error)
                let reply = try await client.post("/v1/bids", as: .buyer, #"{"price":7,"lots":1,"poolTargetIDs":[1]}"#)
                #expect(reply.status == 503)
                #expect(reply.code == code)
                #expect(reply.headers[.retryAfter] != nil)
            }
        }
    }

    @Test func brokenReportsAre503() async throws {
        let world = world()
        world.market.breakReports(true)
        try await world.run { (client) async throws in
            for path in ["/v1/deliveries", "/v1/deliveries/1", "/v1/reports/settlement", "/v1/bids/77"] {
                let reply = try await client.get(path, as: .admin)
                #expect(reply.status == 503, "\(path)")
                #expect(!reply.text.contains("Broken"))
            }
        }
    }
}
