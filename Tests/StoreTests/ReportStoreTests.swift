import Database
import Exchange
import Market
import MarketTestSupport
import Metering
import Store
import Testing
import Units

@Suite("Report store")
struct ReportStoreTests {
    @Test(arguments: Engine.allCases)
    func linesComeInPagesAndToTheirParties(_ engine: Engine) async throws {
        try await Books.with(engine, seed: 5) { books in
            let reports = ReportStore(books.database)
            let all = try await reports.settlementLines(account: nil, after: 0, limit: 100_000)
            #expect(all.count >= books.history.billed.count)
            #expect(all.map(\.number) == all.map(\.number).sorted())
            #expect(Set(all.map(\.number)).count == all.count)
            for (delivery, billed) in books.history.billed {
                let lines = all.filter { $0.delivery == delivery }
                #expect(lines.reduce(0) { $0 + $1.work.units } == billed.work.units)
            }

            var paged: [ReportLine] = []
            while true {
                let page = try await reports.settlementLines(account: nil, after: paged.last?.number ?? 0, limit: 3)
                #expect(page.count <= 3)
                if page.isEmpty { break }
                paged += page
            }
            #expect(paged == all)

            for account in [AccountID(1), AccountID(2), AccountID(.max)] {
                let own = try await reports.settlementLines(account: account, after: 0, limit: 100_000)
                #expect(own == all.filter { $0.buyer == account || $0.seller == account })
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func tradesComeNewestFirst(_ engine: Engine) async throws {
        try await Books.with(engine, seed: 6) { books in
            let reports = ReportStore(books.database)
            let expected = try await reports.deliveries(account: nil, after: 0, limit: 100_000).map { Trade($0.delivery) }.reversed()
            #expect(expected.count > 4)
            var paged: [Trade] = []
            while true {
                let page = try await reports.trades(before: paged.last?.delivery ?? DeliveryID(.max), limit: 3)
                #expect(page.count <= 3)
                if page.isEmpty { break }
                paged += page
            }
            #expect(paged == Array(expected))
        }
    }

    @Test(arguments: Engine.allCases)
    func deliveriesCarryTheirMeteredWork(_ engine: Engine) async throws {
        try await Books.with(engine, seed: 6) { books in
            let reports = ReportStore(books.database)
            let all = try await reports.deliveries(account: nil, after: 0, limit: 100_000)
            #expect(all.map(\.delivery.id) == all.map(\.delivery.id).sorted())
            for row in all {
                let billed = books.history.billed[row.delivery.id]?.work ?? .zero
                #expect(row.delivery.settledWork == billed)
                #expect(row.metered.billableWork == billed)
                #expect(row.metered.validWork == billed)
                #expect(row.metered.validShares == (billed == .zero ? 0 : 1))
                #expect(row.metered.staleShares == (row.delivery.id == DeliveryID(1) ? 1 : 0))
                if let live = books.history.state.deliveries[row.delivery.id] { #expect(row.delivery == live) }
            }
            let second = try await reports.deliveries(account: nil, after: all[1].delivery.id.rawValue, limit: 2)
            #expect(second == Array(all[2...3]))
            for account in [AccountID(1), AccountID(5_000_000_000)] {
                let own = try await reports.deliveries(account: account, after: 0, limit: 100_000)
                #expect(own == all.filter { $0.delivery.buyer == account || $0.delivery.seller == account })
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func ordersAreFoundAfterTheirEnd(_ engine: Engine) async throws {
        try await Books.with(engine, seed: 7) { books in
            let reports = ReportStore(books.database)
            var gone = 0
            for number in 1..<books.history.state.counters.order {
                let order = try #require(try await reports.order(OrderID(number)))
                #expect(order.id == OrderID(number))
                if let live = books.history.state.orders[order.id] { #expect(order == live) } else { gone += 1 }
            }
            #expect(gone > 0)
            #expect(try await reports.order(OrderID(books.history.state.counters.order)) == nil)
        }
    }

    @Test(arguments: Engine.allCases)
    func poolCountsAddUp(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await storage.withTables { database in
                var changes = StateChanges.none
                for number: Int64 in 1...3 {
                    let target = PoolTarget(
                        id: PoolTargetID(number), owner: AccountID(1), name: "p\(number)", url: "u", user: "w", password: "",
                        status: .unverified)
                    changes.targets[target.id] = .live(target)
                }
                try await TableStore(database).project(Projection(
                    previous: 0, last: 1, at: History.start, rulesVersion: JournalBody.rulesVersion, stateHash: 0, changes: changes,
                    appended: Appended()))
                var records = Records()
                let first = (0..<4).map { _ in records.share(job: 1, isForwarded: true) }
                let second = records.share(job: 2, verdict: .stale, isForwarded: true)
                try await MeterStore(database).apply(
                    .make(1, [Records.job(1, target: 1), Records.job(2, target: 2)]
                        + (first + [second]).map { .share($0) }
                        + [.share(records.share(job: 1)), .share(records.share(job: 0, verdict: .invalid))]
                        + [
                            Records.reply(first[0], .accepted), Records.reply(first[1], .accepted),
                            Records.reply(first[2], .rejected, code: 23), Records.reply(first[3], .unanswered),
                        ]), digest: [1])
                let counts = try await ReportStore(database).poolCounts()
                #expect(counts.map(\.target) == [1, 2, 3])
                #expect(counts.map(\.validShares) == [5, 0, 0])
                #expect(counts.map(\.validWork) == [50, 0, 0])
                #expect(counts.map(\.forwarded) == [4, 1, 0])
                #expect(counts.map(\.accepted) == [2, 0, 0])
                #expect(counts.map(\.rejected) == [1, 0, 0])
                #expect(counts.map(\.unanswered) == [1, 1, 0])
            }
        }
    }
}
