import Foundation
import Synchronization
import TestSupport

/// Who a trader is and what it does.
struct Customer: Sendable {
    var account: Int64
    var key: String
}

/// A customer's program: it sends one request after the other, repeats with the same idempotency key what it got no
/// answer to, and remembers everything that the market has acknowledged.
final class Trader: Sendable {
    enum Kind: Sendable {
        /// Bids for hashrate, at one of these pools.
        case buyer(targets: [Int64])
        /// Offers a rig.
        case seller(rig: Int64)
        /// Books deposits for these accounts.
        case bookkeeper(accounts: [Int64])
    }

    struct Order: Sendable {
        var id: Int64
        var clientOrderID: String
        var price: Int64
        /// nil: all that the rig has.
        var lots: Int64?
        /// Its money may be spent, or it is for an instant only.
        var mayClose: Bool
        var isCancelled = false
    }

    private enum Meaning: Sendable {
        case place(Order)
        case cancel(id: Int64)
        case amend(id: Int64, price: Int64, lots: Int64?)
        case deposit(amount: Int64)
    }

    private struct Request: Sendable {
        var method: String
        var path: String
        var body: String?
        var idempotencyKey: String
        var meaning: Meaning
    }

    /// A request that was answered, to be repeated now and then.
    private struct Acknowledged: Sendable {
        var request: Request
        var status: Int
        var id: Int64?
    }

    struct State: Sendable {
        var orders: [Int64: Order] = [:]
        var deposited: Int64 = 0
        var acknowledged = 0
        var repeated = 0
        var refused: [Int: Int] = [:]
        var unavailable: [Int: Int] = [:]
        var lostConnections = 0
        var checked = 0
        /// The server's incarnation in which everything was found as acknowledged before.
        var checkedIn = 0
        var isIdle = false
        var isPaused = false
        var isStopped = false
        var broken: Broken?
    }

    let name: String
    let customer: Customer
    let kind: Kind
    private let port: Int
    private let incarnation: @Sendable () -> Int
    private let seed: UInt64
    private let state = Mutex(State())
    private let worker = Mutex<Worker?>(nil)

    /// - Parameter incarnation: how often the server has been started
    init(
        _ name: String, _ customer: Customer, _ kind: Kind, port: Int, seed: UInt64, incarnation: @escaping @Sendable () -> Int
    ) {
        self.name = name
        self.customer = customer
        self.kind = kind
        self.port = port
        self.seed = seed
        self.incarnation = incarnation
    }

    var now: State { state.withLock { $0 } }

    func start() {
        let thread = Worker(name) { [self] in
            var loop = Loop(trader: self, random: SeededRandom(seed: seed), http: HTTPConnection(port: port, apiKey: customer.key))
            loop.run()
        }
        worker.withLock { $0 = thread }
    }

    func stop() {
        state.withLock { $0.isStopped = true }
        worker.withLock { $0.take() }?.join()
    }

    /// Once it is idle it has an answer to everything it asked.
    func setPaused(_ isPaused: Bool) {
        state.withLock { state in
            state.isPaused = isPaused
            if !isPaused { state.isIdle = false }
        }
    }

    /// - Throws: what it found broken
    func check() throws { if let broken = state.withLock({ $0.broken }) { throw broken } }

    var side: String {
        switch kind {
        case .buyer: "bids"
        case .seller: "asks"
        case .bookkeeper: "deposits"
        }
    }
}

// MARK: - Its thread

extension Trader {
    private struct Loop {
        let trader: Trader
        var random: SeededRandom
        let http: HTTPConnection
        /// Sent, and not answered yet.
        var pending: Request?
        var recent: [Acknowledged] = []
        var live: [Int64] = []
        /// Orders that were acknowledged since the last look at all of them.
        var fresh: Set<Int64> = []
        var numbers = 0

        mutating func run() {
            while true {
                let (isStopped, isPaused) = trader.state.withLock { ($0.isStopped, $0.isPaused) }
                if isStopped { return }
                do {
                    try step(isPaused: isPaused)
                } catch let broken as Broken {
                    trader.state.withLock { $0.broken = Broken("\(trader.name): \(broken)") }
                    return
                } catch is Socket.TimedOut {
                    trader.state.withLock { $0.broken = Broken("\(trader.name): no answer to \(pending.map { "\($0)" } ?? "a look")") }
                    return
                } catch {
                    trader.state.withLock { $0.lostConnections += 1 }
                    pause(0.02)
                }
            }
        }

        private mutating func step(isPaused: Bool) throws {
            let incarnation = trader.incarnation()
            if pending == nil, trader.state.withLock({ $0.checkedIn }) < incarnation {
                try lookAgain()
                trader.state.withLock { $0.checkedIn = incarnation }
            }
            if isPaused, pending == nil {
                trader.state.withLock { $0.isIdle = true }
                return pause(0.005)
            }
            let request = pending ?? choose()
            pending = request
            let answer = try http.call(request.method, request.path, request.body, idempotencyKey: request.idempotencyKey)
            guard answer.status < 500, answer.status != 429 else {
                try unavailable(answer)
                return
            }
            try settle(request, answer)
            pending = nil
            pause(Double(random.int(0...8)) / 1000)
        }

        /// Clear, and no more: it will be asked again.
        private func unavailable(_ answer: HTTPConnection.Answer) throws {
            trader.state.withLock { $0.unavailable[answer.status, default: 0] += 1 }
            guard answer.status == 503 || answer.status == 429, answer.contentType.hasPrefix("application/problem+json"),
                answer.text("code") != nil
            else { throw Broken("\(answer.status) \(answer.contentType) \(answer.body)") }
            pause(0.05)
        }

        // MARK: what it asks for

        private mutating func choose() -> Request {
            numbers += 1
            let key = "\(trader.name)-\(numbers)"
            switch trader.kind {
            case .buyer(let targets):
                if live.count > 25 || (!live.isEmpty && random.chance(25)) { return cancel(key) }
                if !live.isEmpty, random.chance(25) { return amend(key, lots: random.int64(11...200)) }
                return bid(key, targets)
            case .seller(let rig):
                guard let ask = live.last else { return self.ask(key, rig) }
                return random.chance(15) ? cancel(key) : amend(key, id: ask, lots: nil)
            case .bookkeeper(let accounts):
                let amount = random.int64(1...1_000_000)
                return Request(
                    method: "POST", path: "/v1/deposits",
                    body: "{\"account\":\(random.pick(accounts)),\"amount\":\(amount),\"reference\":\"\(key)\"}",
                    idempotencyKey: key, meaning: .deposit(amount: amount))
            }
        }

        private mutating func bid(_ key: String, _ targets: [Int64]) -> Request {
            let (price, lots) = (random.int64(1...1_500_000), random.int64(1...200))
            var body = "{\"price\":\(price),\"lots\":\(lots),\"poolTargetIDs\":[\(random.pick(targets))],\"clientOrderID\":\"\(key)\""
            let (isImmediate, hasBudget) = (random.chance(5), random.chance(10))
            if isImmediate { body += ",\"timeInForce\":\"IOC\"" }
            if hasBudget { body += ",\"budget\":\(random.int64(10_000...1_000_000))" }
            return Request(
                method: "POST", path: "/v1/bids", body: body + "}", idempotencyKey: key,
                meaning: .place(Order(
                    id: 0, clientOrderID: key, price: price, lots: lots, mayClose: isImmediate || hasBudget)))
        }

        private mutating func ask(_ key: String, _ rig: Int64) -> Request {
            let price = random.int64(400_000...800_000)
            return Request(
                method: "POST", path: "/v1/asks",
                body: "{\"price\":\(price),\"rigID\":\(rig),\"lots\":\"all\",\"clientOrderID\":\"\(key)\"}", idempotencyKey: key,
                meaning: .place(Order(id: 0, clientOrderID: key, price: price, lots: nil, mayClose: false)))
        }

        private mutating func cancel(_ key: String) -> Request {
            let id = random.pick(live)
            return Request(
                method: "DELETE", path: "/v1/\(trader.side)/\(id)", body: nil, idempotencyKey: key, meaning: .cancel(id: id))
        }

        private mutating func amend(_ key: String, id: Int64? = nil, lots: Int64?) -> Request {
            let id = id ?? random.pick(live)
            let price = random.int64(lots == nil ? 400_000...800_000 : 1...1_500_000)
            let body = "{\"price\":\(price)" + (lots.map { ",\"lots\":\($0)}" } ?? "}")
            return Request(
                method: "PATCH", path: "/v1/\(trader.side)/\(id)", body: body, idempotencyKey: key,
                meaning: .amend(id: id, price: price, lots: lots))
        }

        // MARK: what it is told

        private mutating func settle(_ request: Request, _ answer: HTTPConnection.Answer) throws {
            guard (200..<300).contains(answer.status) else { return refused(request, answer) }
            let id: Int64?
            switch request.meaning {
            case .place(var order):
                guard answer.status == 201, let number = answer.int("id"), answer.text("clientOrderID") == order.clientOrderID
                else { throw Broken("\(request) was answered \(answer)") }
                order.id = number
                guard trader.state.withLock({ $0.orders.updateValue(order, forKey: number) }) == nil else {
                    throw Broken("order \(number) was given twice")
                }
                if answer.text("status") != "closed" { live.append(number) }
                fresh.insert(number)
                id = number
            case .cancel(let number):
                trader.state.withLock { $0.orders[number]?.isCancelled = true }
                forget(number)
                fresh.insert(number)
                id = nil
            case .amend(let number, let price, let lots):
                trader.state.withLock { state in
                    state.orders[number]?.price = price
                    if let lots { state.orders[number]?.lots = lots }
                }
                fresh.insert(number)
                id = number
            case .deposit(let amount):
                trader.state.withLock { $0.deposited += amount }
                id = nil
            }
            trader.state.withLock { $0.acknowledged += 1 }
            recent.append(Acknowledged(request: request, status: answer.status, id: id))
            if recent.count > 400 { recent.remove(at: random.int(0...399)) }
        }

        private mutating func refused(_ request: Request, _ answer: HTTPConnection.Answer) {
            trader.state.withLock { $0.refused[answer.status, default: 0] += 1 }
            switch request.meaning {
            case .cancel(let id), .amend(let id, _, _):
                // Its money is spent.
                if trader.state.withLock({ $0.orders[id]?.mayClose }) == true { forget(id) }
            case .place, .deposit: break
            }
        }

        private mutating func forget(_ id: Int64) { live.removeAll { $0 == id } }

        // MARK: after a restart

        /// All that changed since the last time and some older orders are as acknowledged, and repeated requests get the
        /// same answers.
        private mutating func lookAgain() throws {
            let all = trader.state.withLock { Array($0.orders.keys) }.sorted()
            if !all.isEmpty, trader.side != "deposits" {
                for id in fresh.union((0..<5).map { _ in random.pick(all) }) { try look(at: id) }
            }
            fresh = []
            for _ in 0..<min(recent.count, 4) { try sendAgain(random.pick(Array(recent.suffix(random.int(1...recent.count))))) }
        }

        private func look(at id: Int64) throws {
            let answer = try http.call("GET", "/v1/\(trader.side)/\(id)")
            if answer.status == 503 { throw Socket.Ended() }
            guard let order = trader.state.withLock({ $0.orders[id] }) else { return }
            trader.state.withLock { $0.checked += 1 }
            guard answer.status == 200 else { throw Broken("order \(id) is lost: \(answer.status) \(answer.body)") }
            let isSame =
                answer.int("id") == id && answer.int("account") == trader.customer.account
                && answer.text("clientOrderID") == order.clientOrderID && answer.int("price") == order.price
                && (order.lots == nil || answer.int("lots") == order.lots)
            guard isSame else { throw Broken("order \(order) has changed: \(answer.body)") }
            let isClosed = answer.text("status") == "closed"
            guard order.isCancelled ? isClosed : !isClosed || order.mayClose else {
                throw Broken("order \(order) has status \(answer.body)")
            }
        }

        private func sendAgain(_ known: Acknowledged) throws {
            let request = known.request
            let answer = try http.call(request.method, request.path, request.body, idempotencyKey: request.idempotencyKey)
            if answer.status == 503 { throw Socket.Ended() }
            trader.state.withLock { $0.repeated += 1 }
            guard answer.status == known.status, known.id == nil || answer.int("id") == known.id else {
                throw Broken("\(request), answered \(known.status) at first, was answered \(answer) when repeated")
            }
        }
    }
}
