internal import Foundation

/// The settlement report beside what each pool counted by itself, and whether all agree.
struct FinalReport: Sendable {
    private let stage: Stage
    private let demo: Demo

    init(_ stage: Stage, _ demo: Demo) {
        self.stage = stage
        self.demo = demo
    }

    /// One pool target, as counted here and there.
    private struct Count {
        var target: JSON
        var pool: Stage.Pool
        var worker: JSON

        var forwarded: Int64 { target["forwarded"].int ?? 0 }
        var accepted: Int64 { target["accepted"].int ?? 0 }
        var poolAccepted: Int64 { worker["accepted"].int ?? 0 }
        var poolRejected: Int64 { worker["rejected"].object.values.reduce(0) { $0 + ($1.int ?? 0) } }

        /// Everything forwarded was accepted or refused with an answer, and both sides counted the same.
        var agrees: Bool {
            accepted == poolAccepted && (target["rejected"].int ?? 0) == poolRejected
                && (target["unanswered"].int ?? 0) == 0 && forwarded == accepted + poolRejected
        }
    }

    func print() async throws(DemoFailure) {
        let counts = try await quietCounts()
        let csv = try await stage.finance.client.text("/v1/reports/settlement?format=csv")
        let ledger = try await stage.finance.client.get("/v1/ledger/balances")
        let deliveries = try await stage.finance.client.all("/v1/deliveries")
        await demo.children.stopAll()
        let audit = try await ChildProcess.run(demo.configuration.program, ["audit", "--data", stage.data])
        show("SETTLEMENT REPORT (CSV)\n\(csv)")
        show(deliveryReport(deliveries))
        show(poolReport(counts))
        show("AUDIT\n" + audit)
        try judge(counts, ledger, deliveries)
    }

    /// Counts after the last answers of pools have reached the database.
    private func quietCounts() async throws(DemoFailure) -> [Count] {
        var counts = try await self.counts()
        for _ in 0..<40 where !counts.allSatisfy(\.agrees) {
            try? await Task.sleep(for: .milliseconds(250))
            counts = try await self.counts()
        }
        return counts
    }

    private func counts() async throws(DemoFailure) -> [Count] {
        let text = try await ChildProcess.run(demo.configuration.program, ["report", "pools", "--data", stage.data, "--json"])
        var counts: [Count] = []
        for line in text.split(separator: "\n") {
            let target = try JSON(Data(line.utf8), "report pools")
            guard let pool = stage.pools.first(where: { $0.url == target["url"].string }) else { continue }
            let snapshot = try await Client(base: pool.http, key: nil).get("")
            counts.append(Count(target: target, pool: pool, worker: snapshot["workers"][target["poolUser"].string ?? ""]))
        }
        return counts
    }

    private func deliveryReport(_ deliveries: [JSON]) -> String {
        let rows = deliveries.map { delivery in
            [
                "\(delivery["id"].int ?? 0)", "\(delivery["bidID"].int ?? 0)",
                stage.rigs[delivery["rigID"].int ?? 0]?.name ?? "", "\(delivery["lots"].int ?? 0)",
                "\(delivery["price"].int ?? 0)", "\(delivery["validWork"].int ?? 0)",
                "\(delivery["settledWork"].int ?? 0)", "\(delivery["charged"].int ?? 0)",
                delivery["endCause"].string ?? "",
            ]
        }
        return (["DELIVERIES"] + Text.table(
            ["id", "bid", "rig", "lots", "price", "verified work", "billed work", "charge sat", "ended by"], rows))
            .joined(separator: "\n") + "\n"
    }

    private func poolReport(_ counts: [Count]) -> String {
        let rows = counts.map { count in
            [
                count.pool.name, count.target["poolUser"].string ?? "", "\(count.target["validShares"].int ?? 0)",
                "\(count.target["validWorkUnits"].int ?? 0)", "\(count.forwarded)", "\(count.accepted)",
                "\(count.poolAccepted)", "\(count.poolRejected)", "\(count.worker["acceptedUnits"].int ?? 0)",
                count.agrees ? "equal" : "DIFFERENT",
            ]
        }
        let head = [
            "pool", "worker", "verified", "metered work", "forwarded", "accepted", "pool's own count", "refused",
            "pool's work", "verdict",
        ]
        let dialects = stage.pools.map { "  \($0.name): \($0.text)" }
        return (["OUR COUNT AND EACH POOL'S OWN (shares; work in units of 65,536 hashes)"] + Text.table(head, rows) + dialects)
            .joined(separator: "\n") + "\n"
    }

    private func judge(_ counts: [Count], _ ledger: JSON, _ deliveries: [JSON]) throws(DemoFailure) {
        guard !deliveries.isEmpty else { throw DemoFailure("nothing was sold") }
        guard deliveries.contains(where: { ($0["settledWork"].int ?? 0) > 0 }) else {
            throw DemoFailure("nothing was delivered")
        }
        guard (ledger["fees"].int ?? 0) > 0 else { throw DemoFailure("nothing was billed") }
        guard ledger["total"].int == 0 else { throw DemoFailure("the ledger does not sum to zero") }
        guard counts.count == stage.buyers.count + stage.sellers.count else {
            throw DemoFailure("a pool target is missing in the count")
        }
        for count in counts where !count.agrees {
            throw DemoFailure("\(count.pool.name) counted otherwise for \(count.target["poolUser"].string ?? "")")
        }
        show("Sold, delivered, billed; every pool counted what we did, share for share; every invariant holds.")
    }

    private func show(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }
}
