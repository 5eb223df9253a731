import Database
import Foundation
import Synchronization
import TestSupport
import Testing

extension FaultTests {
    @Suite(.serialized) struct TwoServers {
        /// What a second server on a market's database did.
        private enum Outcome {
            case refused, standsBy
            /// It serves, and the first one has ended.
            case tookOver
        }

        @Test func aFolderHasOneServer() async throws {
            try await Scene.play("two servers on a folder") { scene in
                let market = try FaultMarket(scene, Storage(dataFolder: scene.folder + "/market"))
                try market.startTrading()
                let second = try ServerProcess("second", scene, market.storage)
                try second.launch()
                guard try second.process.waitForEnd() == 1, try second.process.log().contains("is in use by another server") else {
                    throw Broken("the second server was not refused: \(try second.process.tail())")
                }
                let known = market.requestsAcknowledged
                try wait("requests to the first") {
                    try market.check()
                    return market.requestsAcknowledged > known + 20
                }
                try market.pauseLoad()
                try Books(market: market).check()
            }
        }

        /// Two servers on one Postgres: only one of them can commit, also when the other one wakes up after it was given up.
        ///
        /// One that is frozen in a transaction holds the lock on the writer's row.
        @Test(arguments: Effort.isFull ? [false, true] : [false])
        func aDatabaseHasOneWriter(_ isFrozenInATransaction: Bool) async throws {
            try await play(isFrozenInATransaction)
        }

        private func play(_ isFrozenInATransaction: Bool) async throws {
            try await Scene.play("two servers on a database" + (isFrozenInATransaction ? ", one frozen in a transaction" : "")) { scene in
                let postgres = try PostgresServer(scene)
                let storage = Storage(dataFolder: scene.folder + "/first", databaseURL: postgres.url)
                let market = try FaultMarket(scene, storage, rigs: 1, buyers: 1)
                let second = try ServerProcess("second", scene, Storage(
                    dataFolder: scene.folder + "/second", databaseURL: postgres.url))
                let orders = Orders(customer: market.buyer, target: market.buyerTarget)
                try orders.place(5, at: market.server)
                try second.launch()
                let outcome = try look(at: second, beside: market.server)
                progress("the second server: \(outcome)")
                let (active, other) = outcome == .tookOver ? (second, market.server) : (market.server, second)

                let asleep = try active.process
                // What reaches it while it sleeps it will find when it wakes up.
                let load = Worker("orders") { while asleep.isRunning { try? orders.place(1, at: active) } }
                try freeze(asleep, storage, inATransaction: isFrozenInATransaction)
                try wait("the other server serving") {
                    if !(try other.process.isRunning) { try other.launch() }
                    return other.isServing()
                }
                try orders.place(5, at: other)
                asleep.signal(SIGCONT)
                guard try asleep.waitForEnd() == 1, asleep.tail(1).contains("taken over") else {
                    throw Broken("the deposed server ended with status \(asleep.status): \(asleep.tail(3))")
                }
                load.join()
                try orders.place(5, at: other)
                try orders.check(market, other)
            }
        }

        /// Stops a server that takes orders, in the middle of a transaction of its writer or outside of any. If it has no
        /// transactions that can be seen to be open, wherever it is.
        private func freeze(_ program: Program, _ storage: Storage, inATransaction: Bool) throws {
            let connection = try Database.openConnection(storage.tables)
            defer { connection.close() }
            for _ in 0..<500 {
                pause(0.003)
                program.signal(SIGSTOP)
                // The database answers what it was asked before.
                pause(0.02)
                let open = try connection.queryOne(
                    """
                    SELECT count(*) FROM pg_stat_activity
                    WHERE state = 'idle in transaction' AND (query LIKE '%writer%' OR query LIKE '%journal%')
                    """)
                if try (open?.int64(0) ?? 0 > 0) == inATransaction { return }
                program.signal(SIGCONT)
            }
            progress("no transaction was found open")
            program.signal(SIGSTOP)
        }

        private func look(at second: ServerProcess, beside first: ServerProcess) throws -> Outcome {
            let process = try second.process
            var outcome: Outcome?
            try wait("the second server to be refused, to stand by or to serve") {
                if !process.isRunning {
                    guard process.status == 1, process.tail(1).contains("Error: ") else { throw Broken("it ended unclearly: \(process.tail())") }
                    outcome = .refused
                } else if process.log().contains("standing by") {
                    outcome = .standsBy
                } else if second.isServing() {
                    outcome = .tookOver
                }
                return outcome != nil
            }
            guard outcome == .tookOver else {
                guard first.isServing() else { throw Broken("the first server serves no more: \(try first.process.tail())") }
                return outcome ?? .refused
            }
            guard try first.process.waitForEnd() == 1, try first.process.tail(1).contains("taken over") else {
                throw Broken("the first server did not end clearly: \(try first.process.tail())")
            }
            return .tookOver
        }
    }
}

/// Orders that some server has acknowledged.
private final class Orders: Sendable {
    private struct State: Sendable {
        var acknowledged: [String: Int64] = [:]
        var asked: Int64 = 0
    }

    private let customer: Customer
    /// Its pool target.
    private let target: Int64
    private let state = Mutex(State())

    init(customer: Customer, target: Int64) { (self.customer, self.target) = (customer, target) }

    /// - Throws: when a server does not acknowledge one
    func place(_ count: Int, at server: ServerProcess) throws {
        for _ in 0..<count {
            let number = state.withLock { state in
                state.asked += 1
                return state.asked
            }
            let name = "order-\(number)"
            let answer = try server.call(
                customer, "POST", "/v1/bids",
                "{\"price\":\(number),\"lots\":11,\"poolTargetIDs\":[\(target)],\"clientOrderID\":\"\(name)\"}", idempotencyKey: name)
            guard answer.status == 201, let id = answer.int("id") else { throw Broken("\(name): \(answer)") }
            state.withLock { $0.acknowledged[name] = id }
        }
    }

    /// Each is there once, with its number, and the books are in order.
    func check(_ market: FaultMarket, _ server: ServerProcess) throws {
        let acknowledged = state.withLock { $0.acknowledged }
        for (name, id) in acknowledged {
            let answer = try server.call(customer, "GET", "/v1/bids/\(id)")
            guard answer.status == 200, answer.text("clientOrderID") == name else { throw Broken("\(name), order \(id): \(answer)") }
        }
        let connection = try Database.openConnection(market.storage.tables)
        defer { connection.close() }
        try wait("the tables") {
            let names = try connection.query("SELECT client_order_id FROM orders WHERE side = 0").map { try $0.text(0) }
            guard Set(names).count == names.count else { throw Broken("orders are there twice: \(names)") }
            return Set(acknowledged.keys).isSubset(of: names)
        }
        try Books(market: market).checkJournal()
        try Books(market: market).audit()
    }
}
