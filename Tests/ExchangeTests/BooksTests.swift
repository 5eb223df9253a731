@testable import Exchange
import ExchangeTestSupport
import Ledger
import Settlement
import Testing
import Units

/// Lots of 1 MH/s at 86,400,000: a second of a lot's work is 1000 sat, a unit 65.536 sat. Bid 2 of account 1 buys a lot of ask 1 of
/// account 3 from second 2 to 62; second 0 is 22:13:20, so that minutes end at seconds 40, 100, 160 ...
private struct BooksScenario {
    var s: Scenario
    static let minute = Scenario.start.minute

    init(funds: Int64 = 1_000_000_000, budget: Int64? = nil) {
        s = Scenario(funds: 0)
        for account in Int64(1)...3 where funds > 0 { s.deposit(account, account == 3 ? 1 : funds, at: 0) }
        s.rig(3, lots: 1)
        s.ask(3, rig: 1, 86_400_000, at: 1)
        s.bid(1, 86_400_000, 1, budget: budget, at: 2)
        _ = s.news()
    }

    static func total(
        of delivery: Int64 = 1, _ billable: Int64, fault: Int64 = 0, late: [Int64] = [], over: Int64 = 0, excess: Int64 = 0,
        final: Bool = false
    ) -> AssessedTotal {
        AssessedTotal(
            delivery: DeliveryID(delivery), fromMinute: minute, toMinute: minute + 5, billable: Work(units: billable),
            fault: Work(units: fault),
            late: late.enumerated().map { number, work in
                let from = minute - 10 + Int64(number)
                return LateWork(fromMinute: from, toMinute: from + 1, work: Work(units: work))
            }, overDelivery: Work(units: over), faultExcess: Work(units: excess), isFinal: final)
    }

    static func chunk(_ totals: [AssessedTotal], valueAt: Timestamp = Scenario.start) -> SettlementChunk {
        SettlementChunk(run: 7, chunk: 2, valueAt: valueAt, totals: totals)
    }

    @discardableResult
    mutating func settle(_ totals: AssessedTotal..., at seconds: Int64) -> Outcome {
        s.send(.books(.settle(Self.chunk(totals))), at: seconds)
    }

    /// With all that is needed of those that are closed.
    @discardableResult
    mutating func trueUp(_ totals: AssessedTotal..., at seconds: Int64) -> Outcome {
        let closed = totals.compactMap { s.market.closed.closed($0.delivery, s.state) }
        return s.send(.books(.trueUp(Self.chunk(totals), closed, reopenings: s.state.books.reopenings)), at: seconds)
    }

    /// Bills so many units, and closes the delivery and both orders.
    mutating func close(_ units: Int64) {
        s.cancel(2, at: 61)
        s.cancel(1, at: 61)
        settle(Self.total(units, final: true), at: 70)
        #expect(s.state.deliveries.count == 0 && s.state.orders.count == 0 && s.state.billings.count == 0)
        _ = s.news()
    }

    var lines: [SettlementLine] {
        s.lastEvents.compactMap { event in
            guard case .lineSettled(let line) = event else { return nil }
            return line
        }
    }

    var delivery: Delivery? { s.state.deliveries[DeliveryID(1)] }
}

@Suite struct ChargeCodeTests {
    @Test func linesComeByCode() throws {
        var b = BooksScenario()
        b.settle(BooksScenario.total(300, fault: 100, late: [40, 5], over: 7, excess: 9), at: 50)
        let lines = b.lines
        #expect(lines.map(\.code) == [.late, .late, .delivery, .poolFault, .overDelivery, .poolFaultExcess])
        #expect(lines.map(\.work.units) == [40, 5, 155, 100, 7, 9])
        // 65.536 sat a unit, rounded down in sum: 2621.44, 2949.12, 13107.2, 19660.8.
        #expect(lines.map(\.amounts.charge.rawValue) == [2621, 328, 10_158, 6553, 0, 0])
        let m = BooksScenario.minute
        #expect(lines.map(\.fromMinute) == [m - 10, m - 9, m, m, m, m])
        #expect(lines.map(\.toMinute) == [m - 9, m - 8, m + 5, m + 5, m + 5, m + 5])
        #expect(lines.allSatisfy { $0.run == 7 && $0.chunk == 2 && $0.at == Scenario.start + .seconds(50) })
        let delivery = try #require(b.delivery)
        #expect(delivery.settledWork == Work(units: 300) && delivery.settledFault == Work(units: 100))
        #expect(delivery.charged == Satoshis(19_660))
        // One entry for all.
        let entries = b.s.lastEvents.compactMap { event in
            guard case .entryPosted(let entry) = event else { return nil as LedgerEntry? }
            return entry
        }
        #expect(entries.map(\.reference) == ["run:7/2"])
        #expect(entries.map(\.valueAt) == [Scenario.start])
    }

    struct Example: Sendable, CustomTestStringConvertible {
        var settled: (work: Int64, fault: Int64)
        var total: AssessedTotal
        var cap: Int64 = 1000
        var upwards: [String]
        var bothWays: [String]

        var testDescription: String { "\(settled), \(total)" }
    }

    @Test(arguments: [
        Example(settled: (0, 0), total: BooksScenario.total(0), upwards: [], bothWays: []),
        Example(settled: (100, 20), total: BooksScenario.total(100, fault: 20), upwards: [], bothWays: []),
        Example(settled: (0, 0), total: BooksScenario.total(100, fault: 100), upwards: ["poolFault 100"], bothWays: ["poolFault 100"]),
        // Less than before.
        Example(settled: (100, 0), total: BooksScenario.total(90), upwards: [], bothWays: ["delivery -10"]),
        Example(settled: (100, 40), total: BooksScenario.total(90, fault: 30), upwards: [], bothWays: ["poolFault -10"]),
        // Another split of the same.
        Example(
            settled: (100, 0), total: BooksScenario.total(100, fault: 30), upwards: [], bothWays: ["delivery -30", "poolFault 30"]),
        Example(
            settled: (100, 50), total: BooksScenario.total(110, fault: 30), upwards: ["delivery 10"],
            bothWays: ["delivery 30", "poolFault -20"]),
        Example(
            settled: (100, 0), total: BooksScenario.total(110, fault: 30), upwards: ["poolFault 10"],
            bothWays: ["delivery -20", "poolFault 30"]),
        // Late work is new and no fault.
        Example(
            settled: (100, 0), total: BooksScenario.total(110, late: [8, 8]), upwards: ["late 8", "late 2"],
            bothWays: ["late 8", "late 2"]),
        Example(
            settled: (100, 0), total: BooksScenario.total(120, fault: 10, late: [8]), upwards: ["late 8", "delivery 2", "poolFault 10"],
            bothWays: ["late 8", "delivery 2", "poolFault 10"]),
        Example(settled: (100, 0), total: BooksScenario.total(100, late: [8]), upwards: [], bothWays: []),
        // The cap, also below what is settled.
        Example(settled: (100, 0), total: BooksScenario.total(500), cap: 130, upwards: ["delivery 30"], bothWays: ["delivery 30"]),
        Example(
            settled: (0, 0), total: BooksScenario.total(500, fault: 400), cap: 130, upwards: ["poolFault 130"],
            bothWays: ["poolFault 130"]),
        Example(settled: (100, 0), total: BooksScenario.total(500), cap: 90, upwards: [], bothWays: ["delivery -10"]),
    ])
    func whatIsNewIsBilledByCode(_ example: Example) {
        func pieces(_ direction: WorkPiece.Direction) -> [String] {
            example.total.pieces(
                settled: Work(units: example.settled.work), fault: Work(units: example.settled.fault), cap: Work(units: example.cap),
                direction
            ).map { "\($0.code) \($0.work.units)" }
        }
        #expect(pieces(.upwards) == example.upwards)
        #expect(pieces(.bothWays) == example.bothWays)
    }

    @Test func runsTakeNothingBackAndPassOverWhatTheyDoNotKnow() {
        var b = BooksScenario()
        b.settle(BooksScenario.total(300), at: 70)
        let before = b.s.state.hash
        // Less, of nobody, and of one delivery once more.
        b.settle(BooksScenario.total(200), BooksScenario.total(of: 9, 50), at: 70)
        #expect(b.s.state.hash == before)
        b.settle(BooksScenario.total(310), BooksScenario.total(400), at: 70)
        #expect(b.delivery?.settledWork == Work(units: 310))
    }

    @Test func workIsCappedByTheTimeThatHasPassed() {
        var b = BooksScenario()
        // 961 units in 60 s x 1.05 and 20 shares of 30 units; after 8 s 128 and 600.
        b.settle(BooksScenario.total(5000), at: 10)
        #expect(b.delivery?.settledWork == Work(units: 728))
        b.settle(BooksScenario.total(5000), at: 70)
        #expect(b.delivery?.settledWork == Work(units: 1561))
    }

    @Test func whatContradictsItselfIsRefusedAsAWhole() {
        let fine = BooksScenario.total(10)
        func changed(_ change: (inout AssessedTotal) -> Void) -> AssessedTotal {
            var total = fine
            change(&total)
            return total
        }
        let late = LateWork(fromMinute: 5, toMinute: 6, work: Work(units: 1))
        let bad = [
            changed { $0.billable = Work(units: -1) }, changed { $0.fault = Work(units: -1) }, changed { $0.fault = Work(units: 11) },
            changed { $0.toMinute = $0.fromMinute }, changed { $0.fromMinute = -1 }, changed { $0.toMinute = .max },
            changed { $0.overDelivery = Work(units: -1) }, changed { $0.faultExcess = Work(units: .min) },
            changed { $0.late = Array(repeating: late, count: 65) },
            changed { $0.late = [LateWork(fromMinute: 6, toMinute: 5, work: Work(units: 1))] },
            changed { $0.late = [LateWork(fromMinute: 5, toMinute: 6, work: .zero)] },
            changed { $0.late = [LateWork(fromMinute: 5, toMinute: 6, work: Work(units: -5))] },
        ]
        var b = BooksScenario()
        for total in bad {
            b.s.refused(.totalInconsistent) { $0.send(.books(.settle(BooksScenario.chunk([fine, total]))), at: 10) }
            b.s.refused(.totalInconsistent) { $0.send(.books(.trueUp(BooksScenario.chunk([fine, total]), [], reopenings: 0)), at: 10) }
        }
        b.s.refused(.tooManyTotals) {
            $0.send(.books(.settle(BooksScenario.chunk(Array(repeating: fine, count: 1001)))), at: 10)
        }
        b.settle(changed { $0.late = Array(repeating: late, count: 64) }, at: 10)
        #expect(b.lines.count == 10)
    }

    @Test func finalTotalsReleaseTheHold() {
        var b = BooksScenario()
        b.s.cancel(2, at: 30)
        b.settle(BooksScenario.total(100, final: true), at: 70)
        #expect(b.s.news().suffix(2) == ["d1 charged 6553", "d1 settled"])
        #expect(b.s.held(1) == 0)
        #expect(b.s.available(1) == 1_000_000_000 - 6553 - 65)
        #expect(b.s.state.orders[OrderID(2)] == nil)
    }

    @Test func aRunningDeliveryIsNotFinal() {
        var b = BooksScenario()
        b.settle(BooksScenario.total(100, final: true), at: 50)
        #expect(b.delivery?.isRunning == true)
    }
}

@Suite struct TrueUpTests {
    @Test func aClosedDeliveryIsCorrectedAndClosedAgain() {
        var b = BooksScenario()
        b.close(300)
        let state = b.s.state
        #expect(b.trueUp(BooksScenario.total(310, late: [10]), at: 100) == .done)
        #expect(b.s.news() == ["reopened d1", "d1 late 10 charged 656", "d1 settled"])
        #expect(b.s.available(1) == 1_000_000_000 - 20_316 - 203)
        #expect(b.s.available(3) == 1 + 20_316 - 203)
        #expect(b.s.state.deliveries.count == 0 && b.s.state.orders.count == 0 && b.s.state.billings.count == 0)
        #expect(b.s.state.books.reopenings == 1)
        // And back.
        b.trueUp(BooksScenario.total(300), at: 110)
        #expect(b.s.news() == ["reopened d1", "d1 charged -656", "d1 settled"])
        #expect(b.s.state.balances.hash == state.balances.hash)
        // Rows, in the end as they were.
        let rows = b.s.market.closed
        #expect(rows.deliveries[DeliveryID(1)]?.settledWork == Work(units: 300))
        #expect(rows.deliveries[DeliveryID(1)]?.charged == Satoshis(19_660))
        #expect(rows.orders[OrderID(2)]?.bid?.spent == Satoshis(19_660 + 196))
        #expect(rows.orders.values.allSatisfy { $0.unsettled == 0 } && rows.billings.values.allSatisfy { $0.unsettled == 0 })
    }

    @Test func allOfItCanBeTakenBack() {
        var b = BooksScenario()
        b.close(300)
        b.trueUp(BooksScenario.total(0), at: 100)
        #expect(b.s.available(1) == 1_000_000_000)
        #expect(b.s.available(3) == 1)
        #expect(b.s.state.balance(.fees) == .zero && b.s.state.balance(.loss) == .zero)
        #expect(b.lines.map(\.fromAvailable.rawValue) == [-19_660 - 196])
    }

    @Test func tablesNeverShowItLive() {
        var b = BooksScenario()
        b.close(300)
        _ = b.s.market.takeChanges()
        b.trueUp(BooksScenario.total(200), at: 100)
        let changes = b.s.market.takeChanges()
        func isGone<T>(_ change: EntityChange<T>?) -> Bool {
            if case .gone? = change { true } else { false }
        }
        #expect(isGone(changes.deliveries[DeliveryID(1)]))
        #expect(isGone(changes.orders[OrderID(1)]) && isGone(changes.orders[OrderID(2)]))
        #expect(changes.billings.count == 1 && changes.billings.values.allSatisfy { isGone($0) })
    }

    @Test func whatIsLiveIsSettledInPlace() {
        var b = BooksScenario()
        b.settle(BooksScenario.total(300), at: 50)
        b.trueUp(BooksScenario.total(290, fault: 50), at: 50)
        #expect(b.lines.map(\.work.units) == [-60, 50])
        #expect(b.delivery?.settledWork == Work(units: 290))
        #expect(b.s.state.books.reopenings == 0)
        b.s.cancel(2, at: 55)
        b.trueUp(BooksScenario.total(295, fault: 50, final: true), at: 60)
        #expect(b.delivery == nil)
    }

    /// Either order may go on while the delivery and its totals, or only those of the other side, are gone.
    @Test(arguments: [1, 2] as [Int64])
    func oneOrderMayBeAlive(_ cancelled: Int64) {
        var b = BooksScenario()
        b.s.cancel(cancelled, at: 30)
        b.settle(BooksScenario.total(300, final: true), at: 70)
        #expect(b.s.state.orders.count == 1)
        let alive = b.s.state.orders.hash
        b.trueUp(BooksScenario.total(310), at: 100)
        #expect(b.s.state.orders.count == 1 && b.s.state.billings.count == 0)
        // The bid knows what it has spent, the ask is as it was.
        if cancelled == 1 {
            #expect(b.s.state.orders[OrderID(2)]?.bid?.spent == Satoshis(20_316 + 203))
        } else {
            #expect(b.s.state.orders.hash == alive)
        }
    }

    @Test func totalsThatArePairsGoOnWithTheOpenDelivery() {
        var b = BooksScenario()
        b.settle(BooksScenario.total(300, final: true), at: 70)
        b.settle(BooksScenario.total(of: 2, 100), at: 90)
        b.trueUp(BooksScenario.total(310), at: 100)
        #expect(b.s.state.billings.count == 1)
        #expect(b.s.state.billings.values.map(\.totals.weightedWork) == [410 * 86_400_000])
        #expect(b.s.state.billings.values.map(\.unsettled) == [1])
    }

    @Test func anImageIsUsedOnlyOnce() throws {
        var b = BooksScenario()
        b.close(300)
        let image = try #require(b.s.market.closed.closed(DeliveryID(1), b.s.state))
        let chunk = BooksScenario.chunk([BooksScenario.total(310)])
        b.s.send(.books(.trueUp(chunk, [image], reopenings: 0)), at: 100)
        #expect(b.lines.count == 1)
        b.s.refused(.staleReopening) { $0.send(.books(.trueUp(chunk, [image], reopenings: 0)), at: 100) }
        // Read anew, there is nothing left to do.
        let again = try #require(b.s.market.closed.closed(DeliveryID(1), b.s.state))
        b.s.send(.books(.trueUp(chunk, [again], reopenings: 1)), at: 100)
        #expect(b.lines.count == 0)
    }

    @Test func imagesMustBelongTogether() throws {
        var b = BooksScenario()
        b.close(300)
        let image = try #require(b.s.market.closed.closed(DeliveryID(1), b.s.state))
        func refuse(_ rejection: Rejection, _ change: (inout ClosedDelivery) -> Void) {
            var other = image
            change(&other)
            let chunk = BooksScenario.chunk([BooksScenario.total(of: other.delivery.id.rawValue, 310)])
            b.s.refused(rejection) { $0.send(.books(.trueUp(chunk, [other], reopenings: 0)), at: 100) }
        }
        refuse(.reopeningInvalid) { $0.delivery.phase = .running }
        refuse(.reopeningInvalid) { $0.delivery.held = Satoshis(1) }
        refuse(.reopeningInvalid) { $0.delivery.id = DeliveryID(2) }
        refuse(.reopeningInvalid) { $0.key.tariff = 9 }
        refuse(.reopeningInvalid) { $0.bid?.status = .active }
        refuse(.reopeningInvalid) { $0.bid?.unsettled = 1 }
        refuse(.reopeningInvalid) { $0.ask?.account = AccountID(1) }
        refuse(.reopeningInvalid) { $0.ask = $0.bid }
        refuse(.staleReopening) { $0.bid = nil }
        refuse(.staleReopening) { $0.ask = nil }
        refuse(.staleReopening) { $0.billing.unsettled = 1 }
        b.s.refused(.reopeningInvalid) {
            $0.send(.books(.trueUp(BooksScenario.chunk([BooksScenario.total(310)]), [image, image], reopenings: 0)), at: 100)
        }
        // Without a total it stays where it is.
        b.s.send(.books(.trueUp(BooksScenario.chunk([]), [image], reopenings: 0)), at: 100)
        #expect(b.s.lastEvents == [])
    }

    /// What the seller has not any more is the market's loss, until later proceeds make up for it.
    @Test func theSellerGivesBackWhatIsThere() {
        var b = BooksScenario()
        b.close(300)
        // The seller has 19,465: all but 1,000 of it is set aside for a bid.
        b.s.rig(2, lots: 1)
        b.s.ask(2, rig: 2, 10_000_000, at: 71)
        b.s.bid(3, 10_000_000, 1, at: 72)
        let free = b.s.available(3)
        #expect(free < 19_465 && free > 0)
        b.trueUp(BooksScenario.total(0), at: 73)
        #expect(b.s.available(3) == 0)
        #expect(b.lines.map(\.sellerShort.rawValue) == [19_660 - 196 - free])
        #expect(b.s.state.balance(.loss) == Satoshis(free - 19_464))
        #expect(b.s.available(1) == 1_000_000_000)
        b.trueUp(BooksScenario.total(300), at: 74)
        #expect(b.lines.map(\.sellerShort.rawValue) == [free - 19_464])
        #expect(b.s.available(3) == free)
        #expect(b.s.state.balance(.loss) == .zero)
    }

    /// The market gets back what it paid for the buyer before the buyer gets anything.
    @Test func nobodyGetsBackWhatTheyDidNotPay() {
        var b = BooksScenario(funds: 110_000)
        b.close(100)
        // All but a little is set aside for another bid.
        b.s.rig(2, lots: 1)
        b.s.ask(2, rig: 2, 80_000_000, at: 71)
        b.s.bid(1, 80_000_000, 1, at: 72)
        let free = b.s.available(1)
        #expect(free > 0 && free < 13_000)
        b.trueUp(BooksScenario.total(300), at: 73)
        let debit: Int64 = 13_107 + 131
        #expect(b.lines.map(\.fromLoss.rawValue) == [debit - free])
        #expect(b.s.available(1) == 0)
        b.trueUp(BooksScenario.total(250), at: 74)
        #expect(b.lines.map(\.fromAvailable.rawValue) == [0])
        b.trueUp(BooksScenario.total(100), at: 75)
        #expect(b.s.available(1) == free)
        #expect(b.s.state.balance(.loss) == .zero)
    }

    @Test func aBudgetReachesFurtherWhenSomethingIsGivenBack() {
        var b = BooksScenario(budget: 120_000)
        b.settle(BooksScenario.total(961, final: true), at: 70)
        // 62,980 and 629 are spent, what is left pays for less than a term; the next delivery holds it.
        b.settle(BooksScenario.total(of: 2, 900, final: true), at: 140)
        #expect(b.s.state.orders[OrderID(2)]?.isAlive != true)
        _ = b.s.news()
        b.trueUp(BooksScenario.total(of: 1, 0), BooksScenario.total(of: 2, 0), at: 150)
        #expect(b.s.available(1) == 1_000_000_000)
    }
}

@Suite struct CreditTests {
    private func credit(_ charge: Int64, market: Bool = false, number: Int64 = 1) -> Command {
        .books(.credit(Credit(
            number: number, run: 9, delivery: DeliveryID(1), buyer: AccountID(1), seller: AccountID(3),
            fromMinute: BooksScenario.minute, toMinute: BooksScenario.minute + 5, charge: Satoshis(charge), isBorneByMarket: market,
            dispute: 4, by: AccountID(9), reason: "pool was there")))
    }

    struct Example: Sendable {
        var charge: Int64
        var isBorneByMarket: Bool
        /// Of the buyer with 5000, of the seller with 400, and of the market.
        var changes: (Int64, Int64, Int64)
    }

    @Test(arguments: [
        Example(charge: 300, isBorneByMarket: false, changes: (-300, 300, 0)),
        Example(charge: 9000, isBorneByMarket: false, changes: (-5000, 9000, -4000)),
        Example(charge: 300, isBorneByMarket: true, changes: (0, 300, -300)),
        Example(charge: -300, isBorneByMarket: false, changes: (300, -300, 0)),
        Example(charge: -1000, isBorneByMarket: false, changes: (1000, -400, -600)),
        Example(charge: -300, isBorneByMarket: true, changes: (300, 0, -300)),
    ])
    func thePayerPaysWhatIsThere(_ example: Example) throws {
        var s = Scenario(funds: 0)
        s.deposit(1, 1_000_000, at: 0)
        s.rig(3, lots: 1)
        s.ask(3, rig: 1, 100, at: 1)
        s.bid(1, 100, 1, at: 2)
        s.cancel(2, at: 3)
        s.settle(1, units: 0, final: true, at: 3)
        s.deposit(3, 400, at: 3)
        // All but 5000 of the buyer's.
        s.rig(2, lots: 3)
        s.ask(2, rig: 2, 271_000_000, at: 4)
        s.bid(1, 271_000_000, 3, at: 5)
        let buyer = s.available(1)
        try #require(buyer < 1_000_000)
        let moved = example.charge > 0 && !example.isBorneByMarket ? min(example.charge, buyer) : -example.changes.0
        let outcome = s.send(credit(example.charge, market: example.isBorneByMarket), at: 20)
        guard case .entry = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(s.available(1) == buyer - moved)
        #expect(s.available(3) == 400 + example.changes.1)
        let loss = example.charge > 0 ? moved - example.charge : example.changes.2
        #expect(s.state.balance(.loss).rawValue == loss)
        #expect(s.state.books.credits == 1)
        let entry = s.lastEvents.compactMap { event in
            if case .entryPosted(let entry) = event { entry } else { nil }
        }.first
        #expect(entry?.kind == .credit && entry?.reference == "credit:1" && entry?.by == AccountID(9) && entry?.reason == "pool was there")
    }

    @Test func itIsNoPartOfTheBill() {
        var b = BooksScenario()
        b.settle(BooksScenario.total(300), at: 50)
        let before = b.s.state
        b.s.send(credit(-500), at: 50)
        #expect(b.lines.map(\.code) == [.credit])
        #expect(b.delivery == before.deliveries[DeliveryID(1)])
        #expect(b.s.state.billings.hash == before.billings.hash && b.s.state.orders.hash == before.orders.hash)
    }

    @Test func itIsBookedOnce() {
        var b = BooksScenario()
        b.s.send(credit(-500), at: 50)
        b.s.refused(.creditOutOfOrder) { $0.send(credit(-500), at: 50) }
        b.s.refused(.creditOutOfOrder) { $0.send(credit(-500, number: 3), at: 50) }
        b.s.send(credit(-500, number: 2), at: 50)
        #expect(b.s.state.books.credits == 2)
    }

    @Test func whatItNamesMustBeThere() {
        var b = BooksScenario()
        func refuse(_ rejection: Rejection, _ change: (inout Credit) -> Void) {
            guard case .books(.credit(var credit)) = credit(-500) else { return }
            change(&credit)
            b.s.refused(rejection) { $0.send(.books(.credit(credit)), at: 50) }
        }
        refuse(.amountOutOfRange) { $0.charge = .zero }
        refuse(.amountOutOfRange) { $0.charge = Satoshis(.min) }
        refuse(.amountOutOfRange) { $0.charge = Satoshis.supply + Satoshis(1) }
        refuse(.textTooLong) { $0.reason = "" }
        refuse(.textTooLong) { $0.reason = String(repeating: "x", count: 1001) }
        refuse(.deliveryUnknown) { $0.delivery = DeliveryID(2) }
        refuse(.deliveryUnknown) { $0.delivery = DeliveryID(0) }
        refuse(.creditInvalid) { $0.seller = AccountID(1) }
        refuse(.creditInvalid) { $0.buyer = AccountID(2) }
        refuse(.creditInvalid) { $0.by = AccountID(0) }
        refuse(.creditInvalid) { $0.toMinute = $0.fromMinute }
    }

    @Test func aBidThatWaitedForMoneyGoesOn() {
        var s = Scenario(funds: 0)
        s.deposit(1, 110_000, at: 0)
        s.rig(3, lots: 1)
        s.rig(3, lots: 1)
        s.ask(3, rig: 1, 86_400_000, at: 1)
        s.ask(3, rig: 2, 86_400_000, at: 1)
        s.bid(1, 86_400_000, 2, at: 2)
        _ = s.news()
        s.send(credit(-300_000, market: true), at: 3)
        #expect(s.news().suffix(2) == ["o3 resumed", "d2: o3 buys 1 of o2 at 86400000, 3 to 63 s"])
    }
}

@Suite struct ClosedPeriodTests {
    private func through(_ minutes: Int64) -> Timestamp { Timestamp(microseconds: (BooksScenario.minute + minutes) * 60_000_000) }

    private func close(_ s: inout Scenario, _ minutes: Int64, at seconds: Int64) -> Outcome {
        s.send(.books(.closePeriod(through: through(minutes), by: AccountID(9))), at: seconds)
    }

    @Test func nothingIsAddedToAClosedPeriod() {
        var b = BooksScenario()
        b.s.cancel(2, at: 62)
        // Opened at second 2.
        b.s.refused(.deliveriesUnsettled) { close(&$0, 1, at: 70) }
        b.settle(BooksScenario.total(300, final: true), at: 70)
        #expect(b.lines.allSatisfy { $0.valueAt == Scenario.start })
        #expect(close(&b.s, 1, at: 70) == .done)
        #expect(b.s.state.books.closedThrough == through(1))
        // Late work counts for the open period.
        b.trueUp(BooksScenario.total(310, late: [10]), at: 80)
        #expect(b.lines.map(\.valueAt) == [through(1)])
        let entries = b.s.lastEvents.compactMap { event in
            if case .entryPosted(let entry) = event { entry.valueAt } else { nil as Timestamp? }
        }
        #expect(entries == [through(1)])
    }

    @Test func valueDatesAreNeverInTheFuture() {
        var b = BooksScenario()
        b.s.send(.books(.settle(BooksScenario.chunk([BooksScenario.total(10)], valueAt: Timestamp(microseconds: .max)))), at: 50)
        #expect(b.lines.map(\.valueAt) == [Scenario.start + .seconds(50)])
    }

    @Test func booksAreClosedForward() {
        var s = Scenario()
        func refused(_ minutes: Int64, _ more: Int64 = 0, by account: Int64 = 9) {
            s.refused(.closingTimeInvalid) {
                $0.send(
                    .books(.closePeriod(
                        through: Timestamp(microseconds: through(minutes).microseconds + more), by: AccountID(account))), at: 100)
            }
        }
        refused(3)
        refused(2, 1)
        refused(1, 1)
        refused(1, by: 0)
        #expect(close(&s, 1, at: 100) == .done)
        refused(1)
        refused(0)
        #expect(close(&s, 2, at: 100) == .done)
        // A delivery that is opened at that instant is of the next one.
        s.rig(3, lots: 1)
        s.ask(3, rig: 1, 100, at: 160)
        s.bid(1, 100, 1, at: 160)
        #expect(close(&s, 3, at: 161) == .done)
    }
}
