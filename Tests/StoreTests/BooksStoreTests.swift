import Database
import Exchange
import Market
import MarketTestSupport
import Settlement
import Store
import TestSupport
import Testing
import Units

/// Histories with runs by charge code, corrections, credits and closed periods, through journal and tables.
@Suite("Books in the tables")
struct BooksStoreTests {
    /// Journals are verified by deciding anew, tables compared, made anew, and audited.
    @Test(arguments: ProjectionTests.cases)
    func theyAreWhatTheJournalMakes(_ example: ProjectionTests.Case) async throws {
        try await Chronicle.with(example.engine, seed: example.seed, rows: 60, tail: 0, hasBooks: true) { chronicle in
            let report = try await chronicle.verify()
            #expect(report.findings == [])
            #expect(report.decided == report.commands)
            let storage = chronicle.storage
            let dump = try storage.dump()
            try await TableRebuilder(tables: storage.tables, journal: storage.journal).run(deposing: true)
            #expect(try storage.dump() == dump)
            try await storage.withTables { database in
                // Nothing was metered.
                for finding in try await Audit(database).run() where finding.invariant != "billed work is not above verified work" {
                    #expect(finding.violations == 0, "\(finding.invariant)")
                }
            }
            guard Seeds.isFixed(example.seed) else { return }
            let codes = try storage.query("SELECT DISTINCT code FROM settlement_lines ORDER BY code").map { try $0.int64(0) }
            #expect(codes == [1, 2, 3, 4, 5, 6], "the history is too dull")
            #expect(chronicle.history.state.books.reopenings > 3)
            #expect(chronicle.history.state.books.closedThrough > Timestamp(microseconds: 0))
            #expect(try storage.query("SELECT count(*) FROM settlement_lines WHERE work < 0")[0].int64(0) > 0)
        }
    }

    /// What the store reads is what the exchange takes.
    @Test(arguments: Engine.allCases)
    func closedDeliveriesComeBack(_ engine: Engine) async throws {
        try await Chronicle.with(engine, seed: 3, rows: 40, tail: 0, hasBooks: true) { chronicle in
            let state = chronicle.history.state
            let ids = (1..<state.counters.delivery).map { DeliveryID($0) }
            let (found, books) = try await chronicle.storage.withTables { database in
                (try await BooksStore(database).closedDeliveries(ids), try await BooksStore(database).books())
            }
            #expect(books == state.books && found.reopenings == books.reopenings)
            #expect(found.deliveries.map(\.delivery.id) == ids.filter { state.deliveries[$0] == nil })
            try #require(found.deliveries.count > 5)
            var exchange = Exchange(state, time: chronicle.history.now)
            let totals = found.deliveries.map { closed in
                AssessedTotal(delivery: closed.delivery.id, fromMinute: 1, toMinute: 2, billable: .zero)
            }
            let chunk = SettlementChunk(run: 1000, chunk: 0, valueAt: chronicle.history.now, totals: totals)
            let command = Command.books(.trueUp(chunk, found.deliveries, reopenings: found.reopenings))
            let result = exchange.apply(CommandEnvelope(command), at: chronicle.history.now)
            #expect(result.outcome == .done)
            var left: [DeliveryID: Work] = [:]
            for closed in found.deliveries { left[closed.delivery.id] = closed.delivery.settledWork }
            for case .lineSettled(let line) in result.events { left[line.delivery, default: .zero] += line.work }
            #expect(left.values.allSatisfy { $0 == .zero })
            #expect(exchange.apply(CommandEnvelope(command), at: chronicle.history.now).outcome == .rejected(.staleReopening))
        }
    }
}
