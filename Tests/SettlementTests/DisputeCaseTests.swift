import Settlement
import Testing
import TestSupport
import Units

@Suite("Dispute")
struct DisputeCaseTests {
    private let buyer = AccountID(1)
    private let seller = AccountID(2)
    private let finance = AccountID(3)
    private let stranger = AccountID(9)

    private func opened(by party: DisputeParty = .buyer, through account: AccountID? = nil) -> DisputeCase {
        DisputeCase(
            buyer: buyer, seller: seller, claimant: party, openedBy: account ?? (party == .buyer ? buyer : seller), claimed: Satoshis(100))
    }

    private func refusal(
        _ dispute: inout DisputeCase, _ step: DisputeStep, by account: AccountID, isFinance: Bool = false
    ) -> DisputeRefusal? {
        let before = dispute
        do {
            _ = try dispute.take(step, by: account, isFinance: isFinance)
            return nil
        } catch {
            #expect(dispute == before)
            return error
        }
    }

    @Test func answersMoveIt() throws {
        var dispute = opened()
        #expect(try dispute.take(.message("a"), by: buyer, isFinance: false) == DisputeEffect(role: .buyer, status: .open))
        #expect(try dispute.take(.message("b"), by: seller, isFinance: false) == DisputeEffect(role: .seller, status: .answered))
        #expect(try dispute.take(.message("c"), by: buyer, isFinance: false).status == .answered)
        #expect(try dispute.take(.message("d"), by: finance, isFinance: true).role == .finance)
        #expect(try dispute.take(.reject(note: "e"), by: finance, isFinance: true).status == .rejected)
        #expect(dispute.steps == 5)
        let credit = DisputeStep.credit(amount: Satoshis(1), bearer: .market, note: "")
        for step in [DisputeStep.message("f"), .reject(note: ""), .withdraw(note: ""), credit] {
            #expect(refusal(&dispute, step, by: finance, isFinance: true) == .closed)
        }
    }

    @Test(arguments: [
        (DisputeParty.buyer, CreditBearer.seller, Int64(-40), false), (.buyer, .market, -40, true), (.seller, .buyer, 40, false),
        (.seller, .market, 40, true),
    ]) func creditsGoToTheClaimant(claimant: DisputeParty, bearer: CreditBearer, charge: Int64, market: Bool) throws {
        var dispute = opened(by: claimant)
        let effect = try dispute.take(.credit(amount: Satoshis(40), bearer: bearer, note: ""), by: finance, isFinance: true)
        #expect(effect.credit == CreditTerms(charge: Satoshis(charge), isBorneByMarket: market))
        #expect(dispute.status == .credited)
    }

    @Test func whoMayWhat() {
        var dispute = opened()
        let credit = DisputeStep.credit(amount: Satoshis(100), bearer: .seller, note: "")
        #expect(refusal(&dispute, .message("x"), by: stranger) == .notConcerned)
        #expect(refusal(&dispute, .reject(note: ""), by: stranger) == .notConcerned)
        #expect(refusal(&dispute, .withdraw(note: ""), by: seller) == .claimantOnly)
        for party in [buyer, seller] {
            #expect(refusal(&dispute, credit, by: party) == .financeOnly)
            // Who is a party stays one, whatever roles they have.
            #expect(refusal(&dispute, credit, by: party, isFinance: true) == .ownCase)
            #expect(refusal(&dispute, .reject(note: ""), by: party, isFinance: true) == .ownCase)
        }
        var foreign = opened(by: .seller, through: finance)
        #expect(refusal(&foreign, .reject(note: ""), by: finance, isFinance: true) == .ownCase)
        #expect(refusal(&foreign, .reject(note: ""), by: stranger, isFinance: true) == nil)
        for (amount, bearer, expected): (Int64, CreditBearer, DisputeRefusal) in [
            (101, .seller, .amountOutOfRange), (0, .seller, .amountOutOfRange), (1, .buyer, .bearerIsClaimant),
        ] {
            let step = DisputeStep.credit(amount: Satoshis(amount), bearer: bearer, note: "")
            #expect(refusal(&dispute, step, by: finance, isFinance: true) == expected)
        }
        #expect(refusal(&dispute, .withdraw(note: ""), by: buyer) == nil)
    }

    @Test(arguments: [(DisputeParty.buyer, CreditBearer.seller), (.seller, .market)])
    func creditsAreAtMostWhatIsLeftOfTheBill(claimant: DisputeParty, bearer: CreditBearer) throws {
        var dispute = opened(by: claimant)
        let effect = try dispute.take(.credit(amount: Satoshis(40), bearer: bearer, note: ""), by: finance, isFinance: true)
        try effect.check(left: Satoshis(40))
        for (left, told): (Int64, Int64) in [(39, 39), (0, 0), (-5, 0)] {
            #expect(throws: DisputeRefusal.creditAboveBill(left: Satoshis(told))) { try effect.check(left: Satoshis(left)) }
        }
        try DisputeEffect(role: .finance, status: .rejected).check(left: .zero)
    }

    @Test func talkIsBounded() throws {
        var dispute = opened()
        for _ in 1...DisputeCase.mostSteps { _ = try dispute.take(.message("x"), by: buyer, isFinance: false) }
        #expect(refusal(&dispute, .message("x"), by: seller) == .tooManyMessages)
        #expect(refusal(&dispute, .reject(note: ""), by: finance, isFinance: true) == nil)
    }

    /// Whatever comes in whatever order: at most one decision, and money only from it.
    @Test(arguments: Seeds.list(8)) func atMostOneDecision(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for _ in 1...50 {
            var dispute = opened(by: random.pick(DisputeParty.allCases))
            var decisions = 0
            for _ in 1...30 {
                let step: DisputeStep =
                    switch random.int(1...6) {
                    case 1...3: .message("m")
                    case 4: .reject(note: "n")
                    case 5: .credit(amount: Satoshis(random.int64(0...120)), bearer: random.pick(CreditBearer.allCases), note: "n")
                    default: .withdraw(note: "n")
                    }
                let account = random.pick([buyer, seller, finance, stranger])
                guard let effect = try? dispute.take(step, by: account, isFinance: random.chance(60)) else { continue }
                #expect(effect.status == dispute.status)
                if effect.status.isClosed { decisions += 1 }
                if let credit = effect.credit {
                    #expect(account == finance || account == stranger, "seed \(seed)")
                    #expect(credit.charge != .zero && abs(credit.charge.rawValue) <= 100, "seed \(seed)")
                    #expect((credit.charge < .zero) == (dispute.claimant == .buyer), "seed \(seed)")
                }
            }
            #expect(decisions <= 1, "seed \(seed)")
        }
    }

    @Test func windows() {
        let minute: Int64 = 60_000_000
        func check(_ interval: Range<Int64>, end: Int64?, now: Int64, isFinance: Bool = false) -> DisputeRefusal? {
            do {
                try DisputeWindow.check(
                    interval: interval, delivery: (Timestamp(microseconds: 100 * minute), end.map { Timestamp(microseconds: $0 * minute) }),
                    end: Timestamp(microseconds: interval.upperBound * minute), now: Timestamp(microseconds: now * minute),
                    window: .seconds(600), isFinance: isFinance)
                return nil
            } catch { return error }
        }
        #expect(check(100..<110, end: 120, now: 120) == nil)
        #expect(check(100..<110, end: 120, now: 121) == .windowOver)
        #expect(check(100..<110, end: 120, now: 121, isFinance: true) == nil)
        #expect(check(99..<110, end: 120, now: 115) == .intervalOutOfRange)
        #expect(check(100..<123, end: 120, now: 125) == .intervalOutOfRange)
        #expect(check(100..<117, end: nil, now: 115) == .intervalOutOfRange)
        #expect(check(100..<115, end: nil, now: 115) == nil)
    }
}
