internal import Foundation

/// Who and what takes part.
struct Stage: Sendable {
    struct Party: Sendable {
        var name: String
        var account: Int64
        var client: Client
    }

    struct Pool: Sendable {
        var name: String
        var url: String
        var http: String
        var text: String
    }

    struct RigPlan: Sendable {
        var name: String
        var seller: Int
        var rate: String
        var rollsVersions: Bool
        var reserve: Int64
    }

    var logs: String
    var data: String
    var open: Client
    var stratumURL: String
    var finance: Party
    var sellers: [Party]
    var buyers: [Party]
    var pools: [Pool]
    /// Each buyer's verified pool target: buyer a at pool a, and so on.
    var targets: [Int64] = []
    var rigs: [Int64: RigPlan] = [:]
    /// Stratum password by rig.
    var passwords: [Int64: (user: String, password: String)] = [:]
    let demo: Demo

    static let rigPlans = [
        RigPlan(name: "shed-1", seller: 0, rate: "1200k", rollsVersions: true, reserve: 600_000),
        RigPlan(name: "shed-2", seller: 0, rate: "900k", rollsVersions: false, reserve: 650_000),
        RigPlan(name: "shed-3", seller: 0, rate: "600k", rollsVersions: false, reserve: 700_000),
        RigPlan(name: "barn-1", seller: 1, rate: "1000k", rollsVersions: true, reserve: 620_000),
        RigPlan(name: "barn-2", seller: 1, rate: "800k", rollsVersions: false, reserve: 640_000),
    ]

    /// The dialects: extranonce2 size, difficulty, version mask.
    private static let dialects = [("a", 6, "0.0001", "none"), ("b", 8, "0.0005", "1fffe000"), ("c", 12, "0.0002", "1fffe000")]

    /// Starts server and pools, and makes accounts, money, pool targets, rigs and asks.
    static func build(_ demo: Demo) async throws(DemoFailure) -> Stage {
        let folder = demo.configuration.folder
        let (logs, data) = (folder + "/logs", folder + "/market")
        do {
            try FileManager.default.createDirectory(atPath: logs, withIntermediateDirectories: true)
        } catch {
            throw DemoFailure("\(logs) cannot be made: \(error.localizedDescription)")
        }
        let ports = try FreePorts.take(2 + dialects.count * 2)
        let life = String(Int(demo.configuration.seconds) + 300)
        let base = "http://127.0.0.1:\(ports[0])"
        demo.children.add(try ChildProcess("server", program: demo.configuration.program, [
            "serve", "--data", data, "--api-port", "\(ports[0])", "--stratum-port", "\(ports[1])", "--market", "demo",
            "--allow-private-pools", "--single-person-deposits", "--settlement-interval", "3", "--for", life,
        ], logs: logs))
        var pools: [Pool] = []
        for (number, dialect) in dialects.enumerated() {
            let (stratum, http) = (ports[2 + number * 2], ports[3 + number * 2])
            demo.children.add(try ChildProcess("pool-\(dialect.0)", program: demo.configuration.program, [
                "pool", "--port", "\(stratum)", "--http", "\(http)", "--extranonce2-size", "\(dialect.1)",
                "--difficulty", dialect.2, "--version-mask", dialect.3, "--job-interval", "5", "--block-interval", "20",
                "--seed", "\(number + 1)", "--for", life,
            ], logs: logs))
            pools.append(Pool(
                name: "pool-\(dialect.0)", url: "stratum+tcp://127.0.0.1:\(stratum)", http: "http://127.0.0.1:\(http)/",
                text: "extranonce2 \(dialect.1), difficulty \(dialect.2), mask \(dialect.3)"))
        }
        let open = Client(base: base, key: nil)
        try await waitUntilUp(open, "/v1/market", demo)
        for pool in pools { try await waitUntilUp(Client(base: pool.http, key: nil), "", demo) }
        return try await people(demo, open, pools, logs: logs, data: data, "stratum+tcp://127.0.0.1:\(ports[1])")
    }

    private static func waitUntilUp(_ client: Client, _ path: String, _ demo: Demo) async throws(DemoFailure) {
        for _ in 0..<300 {
            try await demo.children.check()
            if (try? await client.get(path)) != nil { return }
            try? await Task.sleep(for: .milliseconds(100))
        }
        throw DemoFailure("\(client.base)\(path) did not answer within 30 seconds")
    }

    private static func people(
        _ demo: Demo, _ open: Client, _ pools: [Pool], logs: String, data: String, _ stratumURL: String
    ) async throws(DemoFailure) -> Stage {
        func party(_ name: String, _ role: String) async throws(DemoFailure) -> Party {
            let text = try await ChildProcess.run(demo.configuration.program, [
                "account", "create", "--data", data, "--name", name, "--role", role, "--json",
            ])
            let made = try JSON(Data(text.utf8), "account create")
            guard let account = made["account"].int, let key = made["key"].string else {
                throw DemoFailure("account create answered \(text)")
            }
            return Party(name: name, account: account, client: Client(base: open.base, key: key))
        }
        let finance = try await party("books", "finance")
        let sellers = [try await party("shed-farm", "seller"), try await party("barn-farm", "seller")]
        let buyers = [
            try await party("buyer-a", "buyer"), try await party("buyer-b", "buyer"), try await party("buyer-c", "buyer"),
        ]
        for buyer in buyers {
            _ = try await finance.client.post("/v1/deposits", [
                "account": buyer.account, "amount": Int64(200_000), "reference": "demo-\(buyer.name)",
            ])
        }
        var stage = Stage(
            logs: logs, data: data, open: open, stratumURL: stratumURL, finance: finance, sellers: sellers,
            buyers: buyers, pools: pools, demo: demo)
        for (buyer, pool) in zip(buyers, pools) {
            stage.targets.append(try await target(of: buyer, at: pool, worker: buyer.name))
        }
        try await stage.offerRigs()
        return stage
    }

    private static func target(of party: Party, at pool: Pool, worker: String) async throws(DemoFailure) -> Int64 {
        let made = try await party.client.post("/v1/pool-targets", [
            "name": pool.name, "url": pool.url, "user": worker, "password": "x",
        ])
        guard let id = made["id"].int else { throw DemoFailure("a pool target has no id") }
        let report = try await party.client.post("/v1/pool-targets/\(id)/verify")
        guard report["target"]["status"].string == "verified" else {
            let steps = report["steps"].array.map { "\($0["name"].string ?? ""): \($0["detail"].string ?? "")" }
            throw DemoFailure("\(pool.name) was not verified:\n\(steps.joined(separator: "\n"))")
        }
        return id
    }

    /// Registers the rigs with their sellers' own pools, and offers each.
    private mutating func offerRigs() async throws(DemoFailure) {
        var fallbacks: [Int64] = []
        for (number, seller) in sellers.enumerated() {
            fallbacks.append(try await Stage.target(of: seller, at: pools[number + 1], worker: seller.name))
        }
        for plan in Stage.rigPlans {
            let client = sellers[plan.seller].client
            let made = try await client.post("/v1/rigs", [
                "name": plan.name, "fallbackPoolTargetID": fallbacks[plan.seller],
            ])
            guard let id = made["id"].int, let user = made["user"].string, let password = made["password"].string else {
                throw DemoFailure("a rig's registration lacks its id, user or password")
            }
            rigs[id] = plan
            passwords[id] = (user, password)
            _ = try await client.post("/v1/asks", ["price": plan.reserve, "rigID": id, "lots": "all"])
        }
    }

    func startRigs() async throws(DemoFailure) {
        let life = String(Int(demo.configuration.seconds) + 300)
        for (id, plan) in rigs.sorted(by: { $0.key < $1.key }) {
            guard let login = passwords[id] else { continue }
            demo.children.add(try ChildProcess("rig-\(plan.name)", program: demo.configuration.program, [
                "rig", "--pool", stratumURL, "--user", login.user, "--password=\(login.password)", "--rate", plan.rate,
                "--for", life,
            ] + (plan.rollsVersions ? ["--version-rolling"] : []), logs: logs))
        }
    }
}
