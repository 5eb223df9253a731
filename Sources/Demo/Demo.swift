internal import Foundation
internal import Synchronization

/// A whole market on this machine: a server, three pools, five rigs that hash for real, two sellers, three buyers.
public struct Demo: Sendable {
    public struct Configuration: Sendable {
        /// The `hashspot` program.
        public var program: String
        /// Where data and logs go.
        public var folder: String
        /// How long the market trades, once the rigs have shown their hashrate.
        public var seconds: Double
        /// Whether the standard output is a terminal whose screen may be redrawn.
        public var isTerminal: Bool

        public init(program: String, folder: String, seconds: Double, isTerminal: Bool) {
            self.program = program
            self.folder = folder
            self.seconds = seconds
            self.isTerminal = isTerminal
        }
    }

    let configuration: Configuration
    let children = Children()

    public init(_ configuration: Configuration) { self.configuration = configuration }

    /// Plays the demonstration; returns only if everything was sold, delivered, billed, and counted alike by all.
    public func run() async throws {
        do {
            try await play()
            await children.stopAll()
        } catch {
            await children.stopAll()
            throw error
        }
    }

    private func play() async throws {
        let stage = try await Stage.build(self)
        let table = LiveTable(stage, isTerminal: configuration.isTerminal)
        try await stage.startRigs()
        try await waitForAsks(stage, table)
        try await trade(stage, table)
        try await close(stage, table)
    }

    /// The rigs hash for their sellers' own pools until 30 shares of each have shown its hashrate.
    private func waitForAsks(_ stage: Stage, _ table: LiveTable) async throws {
        let deadline = ContinuousClock.now + .seconds(90)
        while true {
            let asks = try await stage.sellers[0].client.all("/v1/asks") + stage.sellers[1].client.all("/v1/asks")
            if asks.count == stage.rigs.count, asks.allSatisfy({ $0["status"].string == "active" }) { return }
            try await table.show("rigs show their hashrate on their own pools")
            guard ContinuousClock.now < deadline else {
                throw DemoFailure("the rigs did not show their hashrate within 90 seconds; see the logs in \(stage.logs)")
            }
            try await children.check()
            try await Task.sleep(for: .seconds(1))
        }
    }

    /// Bids come and go.
    private func trade(_ stage: Stage, _ table: LiveTable) async throws {
        let start = ContinuousClock.now
        var script = Script.acts[...]
        var memory = Script.Memory()
        var caption = "the market is open"
        while true {
            let passed = (ContinuousClock.now - start) / .seconds(configuration.seconds)
            while let act = script.first, act.at <= passed {
                script.removeFirst()
                caption = act.caption
                try await act.play(stage, &memory)
                table.note(caption)
            }
            if passed >= 1 { return }
            try await table.show(caption)
            try await children.check()
            try await Task.sleep(for: .seconds(1))
        }
    }

    /// Takes all bids back, waits until everything is settled, and compares all counts.
    private func close(_ stage: Stage, _ table: LiveTable) async throws {
        for buyer in stage.buyers {
            for bid in try await buyer.client.all("/v1/bids") where bid["status"].string != "closed" {
                if let id = bid["id"].int { try await buyer.client.delete("/v1/bids/\(id)") }
            }
        }
        table.note("all bids are taken back; the last work is metered and settled")
        try await waitForSettlement(stage, table)
        await children.stop(prefix: "rig")
        try await FinalReport(stage, self).print()
    }

    private func waitForSettlement(_ stage: Stage, _ table: LiveTable) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while true {
            let ledger = try await stage.finance.client.get("/v1/ledger/balances")
            let deliveries = try await stage.finance.client.all("/v1/deliveries")
            let isQuiet = deliveries.allSatisfy { $0["status"].string == "ended" && $0["held"].int == 0 }
            if isQuiet, ledger["customersHeld"].int == 0 { return }
            try await table.show("waiting for the last settlement")
            guard ContinuousClock.now < deadline else {
                throw DemoFailure("deliveries were not settled to the end within 60 seconds")
            }
            try await children.check()
            try await Task.sleep(for: .seconds(1))
        }
    }
}

/// The demonstration's processes, in the order of their start.
final class Children: Sendable {
    private let all = Mutex<[ChildProcess]>([])

    func add(_ child: ChildProcess) { all.withLock { $0.append(child) } }

    /// - Throws: if one of them has ended by itself
    func check() async throws(DemoFailure) {
        guard let dead = all.withLock({ $0.first { !$0.isRunning } }) else { return }
        throw DemoFailure("\(dead.name) has ended:\n\(dead.tail())")
    }

    func stop(prefix: String) async {
        let chosen = all.withLock { children in
            defer { children.removeAll { $0.name.hasPrefix(prefix) } }
            return children.filter { $0.name.hasPrefix(prefix) }
        }
        for child in chosen.reversed() { await child.stop() }
    }

    func stopAll() async { await stop(prefix: "") }
}
