import Foundation

/// Sets a market up: pools, accounts, money, pool targets and rigs.
struct Stage {
    let scene: Scene
    let server: ServerProcess
    let pools: [Program]
    private let poolPorts: [Int]

    /// What each buyer starts with, in satoshis.
    static let deposit: Int64 = 1_000_000_000

    /// Starts two pools at the lowest difficulty, a share for each 65,536 hashes; makes the tables on Postgres.
    init(_ scene: Scene, _ server: ServerProcess) throws {
        (self.scene, self.server) = (scene, server)
        let ports = try Loopback.freePorts(2)
        poolPorts = ports
        pools = try ports.enumerated().map { try Stage.startPool($0.offset, port: $0.element, scene) }
        for (pool, port) in zip(pools, ports) {
            try wait("\(pool.name) listening") {
                guard pool.isRunning else { throw Broken("\(pool.name) ended:\n\(pool.tail())") }
                return (try? Socket.connect(port: port)) != nil
            }
        }
        if server.storage.databaseURL != nil { _ = try command(["migrate"]) }
    }

    static func startPool(_ number: Int, port: Int, _ scene: Scene) throws -> Program {
        try scene.startHashspot("pool-\(number)", [
            "pool", "--port", "\(port)", "--difficulty", "0.0000152587890625", "--extranonce2-size", number == 0 ? "8" : "6",
            "--job-interval", "2", "--block-interval", "11", "--seed", "\(number + 1)",
        ])
    }

    /// Runs a command on the market's storage and returns its output.
    func command(_ arguments: [String]) throws -> String {
        let result = try scene.run(arguments + server.storage.options)
        guard result.status == 0 else { throw Broken("\(arguments): \(result.output)\(result.errors)") }
        return result.output
    }

    func customer(_ name: String, _ role: String) throws -> Customer {
        let text = try command(["account", "create", "--name", name, "--role", role, "--json"])
        let made = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
        guard let account = (made?["account"] as? NSNumber)?.int64Value, let key = made?["key"] as? String else {
            throw Broken("account create answered \(text)")
        }
        return Customer(account: account, key: key)
    }

    func deposit(_ bookkeeper: Customer, _ account: Int64) throws {
        _ = try ask(bookkeeper, "/v1/deposits", """
            {"account":\(account),"amount":\(Stage.deposit),"reference":"first"}
            """)
    }

    /// A verified pool target.
    func target(of customer: Customer, pool: Int) throws -> Int64 {
        let made = try ask(customer, "/v1/pool-targets", """
            {"name":"pool","url":"stratum+tcp://127.0.0.1:\(poolPorts[pool])","user":"worker.\(customer.account)"}
            """)
        guard let id = made.int("id") else { throw Broken("a pool target has no number: \(made)") }
        let report = try ask(customer, "/v1/pool-targets/\(id)/verify", nil)
        guard report.object("target")?["status"] as? String == "verified" else { throw Broken("not verified: \(report)") }
        return id
    }

    func rig(_ number: Int, of seller: Customer, _ fallback: Int64) throws -> FaultRig {
        let made = try ask(seller, "/v1/rigs", "{\"name\":\"rig-\(number)\",\"fallbackPoolTargetID\":\(fallback)}")
        guard let id = made.int("id"), let user = made.text("user"), let password = made.text("password") else {
            throw Broken("a rig's registration lacks something: \(made)")
        }
        return FaultRig(id: id, port: server.stratumPort, user: user, password: password)
    }

    private func ask(_ customer: Customer, _ path: String, _ body: String?) throws -> HTTPConnection.Answer {
        let answer = try server.call(customer, "POST", path, body)
        guard (200..<300).contains(answer.status) else { throw Broken("POST \(path): \(answer)") }
        return answer
    }
}
