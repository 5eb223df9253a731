import Foundation
import Synchronization

/// Two pools at the lowest difficulty, a share for each 65,536 hashes: the sellers' and the buyers'.
final class Pools: Sendable {
    let ports: [Int]
    private let scene: Scene
    private let programs = Mutex<[Int: Program]>([:])

    init(_ scene: Scene) throws {
        self.scene = scene
        ports = try Loopback.freePorts(2)
        for number in ports.indices { try startOne(number) }
    }

    /// Starts one and waits until it listens, at the same port as before.
    func startOne(_ number: Int) throws {
        let port = ports[number]
        let program = try scene.startHashspot("pool-\(number)", [
            "pool", "--port", "\(port)", "--difficulty", "0.0000152587890625", "--extranonce2-size", number == 0 ? "8" : "6",
            "--job-interval", "2", "--block-interval", "11", "--seed", "\(number + 1)",
        ])
        programs.withLock { $0[number] = program }
        try wait("\(program.name) listening") {
            guard program.isRunning else { throw Broken("\(program.name) ended:\n\(program.tail())") }
            return (try? Socket.connect(port: port)) != nil
        }
    }

    func killOne(_ number: Int) throws { try programs.withLock { $0.removeValue(forKey: number) }?.cutDown() }
}

/// Sets a market up: accounts, money, pool targets and rigs.
struct Stage: Sendable {
    let scene: Scene
    let server: ServerProcess
    let pools: Pools

    /// What each buyer starts with, in satoshis.
    static let deposit: Int64 = 1_000_000_000

    /// Starts the pools; makes the tables on Postgres.
    init(_ scene: Scene, _ server: ServerProcess) throws {
        (self.scene, self.server) = (scene, server)
        pools = try Pools(scene)
        if server.storage.databaseURL != nil { _ = try command(["migrate"]) }
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
            {"name":"pool","url":"stratum+tcp://127.0.0.1:\(pools.ports[pool])","user":"worker.\(customer.account)"}
            """)
        guard let id = made.int("id") else { throw Broken("a pool target has no number: \(made)") }
        let report = try ask(customer, "/v1/pool-targets/\(id)/verify", nil)
        guard report.object("target")?["status"] as? String == "verified" else { throw Broken("not verified: \(report)") }
        return id
    }

    func rig(_ number: Int, of seller: Customer, _ fallback: Int64, port: Int) throws -> FaultRig {
        let made = try ask(seller, "/v1/rigs", "{\"name\":\"rig-\(number)\",\"fallbackPoolTargetID\":\(fallback)}")
        guard let id = made.int("id"), let user = made.text("user"), let password = made.text("password") else {
            throw Broken("a rig's registration lacks something: \(made)")
        }
        return FaultRig(id: id, port: port, user: user, password: password)
    }

    private func ask(_ customer: Customer, _ path: String, _ body: String?) throws -> HTTPConnection.Answer {
        let answer = try server.call(customer, "POST", path, body)
        guard (200..<300).contains(answer.status) else { throw Broken("POST \(path): \(answer)") }
        return answer
    }
}
