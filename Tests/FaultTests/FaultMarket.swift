import Database
import Foundation
import Synchronization
import TestSupport

/// Where a market keeps what it has.
struct Storage: Sendable {
    /// Of a server's own: the spool, and on SQLite everything else.
    var dataFolder: String
    /// A database on Postgres as the test reaches it; nil: SQLite.
    var databaseURL: String?
    /// How the server reaches it, if that is another way.
    var serverURL: String?

    /// For the commands beside the server.
    var options: [String] { ["--data", dataFolder] + (databaseURL.map { ["--database", $0] } ?? []) }
    /// For the server.
    var serverOptions: [String] { ["--data", dataFolder] + ((serverURL ?? databaseURL).map { ["--database", $0] } ?? []) }

    /// The journal and the tables: one database on Postgres, two files on SQLite.
    var journal: DatabaseLocation { databaseURL.map { .postgres(url: $0) } ?? .sqlite(path: dataFolder + "/journal.sqlite") }
    var tables: DatabaseLocation { databaseURL.map { .postgres(url: $0) } ?? .sqlite(path: dataFolder + "/market.sqlite") }
}

/// How often the server has been started.
final class Incarnation: Sendable {
    private let count = Atomic<Int>(0)
    var now: Int { count.load(ordering: .sequentiallyConsistent) }
    func next() { count.add(1, ordering: .sequentiallyConsistent) }
}

/// A server as a process of its own, at the same ports at every start.
final class ServerProcess: Sendable {
    let name: String
    let scene: Scene
    let storage: Storage
    let apiPort: Int
    let stratumPort: Int
    let incarnation: Incarnation
    private let options: [String]
    private let program = Mutex<Program?>(nil)

    /// - Parameter options: further ones of `serve`
    init(
        _ name: String, _ scene: Scene, _ storage: Storage, incarnation: Incarnation = Incarnation(), options: [String] = []
    ) throws {
        let ports = try Loopback.freePorts(2)
        (self.name, self.scene, self.storage, self.incarnation, self.options) = (name, scene, storage, incarnation, options)
        (apiPort, stratumPort) = (ports[0], ports[1])
    }

    var process: Program {
        get throws {
            guard let program = program.withLock({ $0 }) else { throw Broken("\(name) was not started") }
            return program
        }
    }

    /// Starts it and does not wait.
    func launch() throws {
        let program = try scene.startHashspot(name, [
            "serve", "--api-port", "\(apiPort)", "--stratum-port", "\(stratumPort)", "--market", "demo", "--allow-private-pools",
            "--single-person-deposits", "--settlement-interval", "0.5",
        ] + storage.serverOptions + options)
        self.program.withLock { $0 = program }
    }

    /// Starts it and waits until it serves; how many seconds that took.
    @discardableResult
    func start() throws -> Double {
        let began = ContinuousClock.now
        try launch()
        try waitUntilServing()
        incarnation.next()
        let taken = (ContinuousClock.now - began).components
        return Double(taken.seconds) + Double(taken.attoseconds) * 1e-18
    }

    func waitUntilServing(within seconds: Double = 60) throws {
        let process = try process
        try wait("\(name) serving", within: seconds) {
            guard process.isRunning else { throw Broken("\(name) ended with status \(process.status):\n\(process.tail())") }
            return isServing()
        }
    }

    /// Whether it answers that all is well.
    func isServing() -> Bool { (try? HTTPConnection(port: apiPort, apiKey: nil).call("GET", "/v1/health").status) == 200 }

    func call(
        _ customer: Customer, _ method: String, _ path: String, _ body: String? = nil, idempotencyKey: String? = nil
    ) throws -> HTTPConnection.Answer {
        try HTTPConnection(port: apiPort, apiKey: customer.key).call(method, path, body, idempotencyKey: idempotencyKey)
    }
}

/// A whole market of real processes: a server, two pools, accounts with money, verified pools, rigs and traders.
final class FaultMarket: Sendable {
    let scene: Scene
    let server: ServerProcess
    /// Edges in processes of their own, to which the rigs connect in turn; if there are none, to the server.
    let edges: [EdgeProcess]
    let stage: Stage
    let rigs: [FaultRig]
    let traders: [Trader]
    let seller: Customer
    /// The seller's pool target.
    let fallback: Int64
    let buyer: Customer
    let buyerTarget: Int64
    let bookkeeper: Customer
    /// The deposits that were booked at the beginning.
    let firstDeposits: Int64

    var storage: Storage { server.storage }

    /// Prepares everything, and starts everything but the traders.
    init(_ scene: Scene, _ storage: Storage, rigs: Int = 2, buyers: Int = 3, edges: Int = 0) throws {
        self.scene = scene
        server = try ServerProcess("server", scene, storage, options: edges > 0 ? ["--no-stratum"] : [])
        let stage = try Stage(scene, server)
        self.stage = stage
        try server.start()
        let edgeProcesses = try (0..<edges).map { try EdgeProcess("edge-\($0)", scene, databaseURL: storage.serverURL ?? storage.databaseURL) }
        for edge in edgeProcesses { try edge.start() }
        self.edges = edgeProcesses
        let seller = try stage.customer("seller", "seller")
        self.seller = seller
        let bidders = try (0..<buyers).map { try stage.customer("buyer-\($0)", "buyer") }
        bookkeeper = try stage.customer("books", "finance")
        for bidder in bidders { try stage.deposit(bookkeeper, bidder.account) }
        (firstDeposits, buyer) = (Stage.deposit * Int64(buyers), bidders[0])
        let targets = try bidders.map { try stage.target(of: $0, pool: 1) }
        buyerTarget = targets[0]
        let fallback = try stage.target(of: seller, pool: 0)
        self.fallback = fallback
        let ports = edgeProcesses.isEmpty ? [server.stratumPort] : edgeProcesses.map(\.port)
        self.rigs = try (0..<rigs).map { try stage.rig($0, of: seller, fallback, port: ports[$0 % ports.count]) }
        let kinds: [(String, Customer, Trader.Kind)] =
            zip(bidders, targets).enumerated().map { ("buyer-\($0)", $1.0, .buyer(targets: [$1.1])) }
            + self.rigs.map { ("seller-\($0.id)", seller, .seller(rig: $0.id)) }
            + [("books", bookkeeper, .bookkeeper(accounts: bidders.map(\.account)))]
        let (port, seed, incarnation) = (server.apiPort, scene.seed, server.incarnation)
        traders = kinds.enumerated().map { number, kind in
            Trader(kind.0, kind.1, kind.2, port: port, seed: seed &+ UInt64(number), incarnation: { incarnation.now })
        }
        let (traders, rigs) = (traders, self.rigs)
        scene.atEnd {
            for trader in traders { trader.stop() }
            for rig in rigs { rig.stop() }
        }
        for rig in rigs { rig.start() }
        try wait("the rigs' first shares") { rigs.allSatisfy { $0.acknowledgedCount >= 5 } }
    }

    /// Returns when something has been sold.
    func startTrading() throws {
        for trader in traders { trader.start() }
        try wait("a delivery") {
            try check()
            let answer = try server.call(bookkeeper, "GET", "/v1/deliveries?limit=1")
            return (answer.body["items"] as? [Any])?.isEmpty == false
        }
    }

    /// Kills the server; it must have been running.
    func killServer() throws { try server.process.cutDown() }

    func killPool(_ number: Int) throws { try stage.pools.killOne(number) }
    func startPool(_ number: Int) throws { try stage.pools.startOne(number) }

    func check() throws { for trader in traders { try trader.check() } }

    /// Waits until every trader has found what it remembers, after the last start.
    func waitUntilChecked() throws {
        let incarnation = server.incarnation.now
        try wait("every trader has looked at its orders") {
            try check()
            return traders.allSatisfy { $0.now.checkedIn >= incarnation }
        }
    }

    /// Nothing is under way, neither requests nor shares.
    func pauseLoad() throws {
        for trader in traders { trader.setPaused(true) }
        for rig in rigs { rig.setPaused(true) }
        try wait("idle traders") {
            try check()
            return traders.allSatisfy { $0.now.isIdle }
        }
        try wait("the rigs' answers") { rigs.allSatisfy { $0.now.waiting == 0 } }
    }

    func resumeLoad() {
        for rig in rigs { rig.setPaused(false) }
        for trader in traders { trader.setPaused(false) }
    }

    var sharesAcknowledged: Int { rigs.reduce(0) { $0 + $1.acknowledgedCount } }
    var sharesRefused: Int { rigs.reduce(0) { $0 + $1.now.refused.count } }
    var requestsAcknowledged: Int { traders.reduce(0) { $0 + $1.now.acknowledged } }
    var requestsUnavailable: Int { traders.reduce(0) { $0 + $1.now.unavailable.values.reduce(0, +) } }

    /// All counts in a line.
    var summary: String {
        let states = traders.map(\.now)
        let refusals = rigs.reduce(into: [String: Int]()) { sum, rig in sum.merge(rig.now.refusals, uniquingKeysWith: +) }
        return "\(requestsAcknowledged) requests acknowledged (\(states.reduce(0) { $0 + $1.orders.count }) orders), "
            + "\(states.reduce(0) { $0 + $1.refused.values.reduce(0, +) }) refused, \(requestsUnavailable) unavailable, "
            + "\(states.reduce(0) { $0 + $1.lostConnections }) connections lost, \(states.reduce(0) { $0 + $1.checked }) orders "
            + "looked at again, \(states.reduce(0) { $0 + $1.repeated }) requests repeated, \(sharesAcknowledged) shares acknowledged, "
            + "shares refused: \(refusals), rig connects: \(rigs.map(\.connects))"
    }
}
