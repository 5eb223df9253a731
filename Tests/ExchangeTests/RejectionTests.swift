import Exchange
import Ledger
import Testing
import Units

@Suite struct RejectionTests {
    private typealias Play = (inout Scenario) -> Outcome

    /// Farm 1 of account 1 has a login for one rig, farm 2 has none.
    private static func playFleet(_ rejection: Rejection, _ s: inout Scenario) -> Outcome {
        let one = AccountID(1)
        func login(_ farm: Int64, _ name: String?, most: Int64 = 1) -> Command {
            .fleet(.setLogin(FarmID(farm), owner: one, FarmLoginChange(
                name: name, passwordDigest: Array(repeating: 0, count: 32), fallback: PoolTargetID(1), mostRigs: most)))
        }
        for name in ["barn", "shed"] { s.send(.createFarm(owner: one, name: name), at: 1) }
        s.send(login(1, "barn"), at: 1)
        s.send(.fleet(.registerWorker(FarmID(1), worker: "a")), at: 1)
        let commands: [Rejection: Command] = [
            .farmLoginUnknown: .fleet(.registerWorker(FarmID(2), worker: "a")), .farmLoginIncomplete: login(2, nil),
            .farmLoginNameTaken: login(2, "barn"), .farmLoginNameFixed: login(1, "shed"),
            .farmFull: .fleet(.registerWorker(FarmID(1), worker: "b")), .mostRigsOutOfRange: login(1, nil, most: 0),
            .curtailmentOutOfRange: .fleet(.curtail(FarmID(1), by: nil, cap: Lots(-1), ramp: .zero, until: nil)),
            .farmNotCurtailed: .fleet(.liftCurtailment(FarmID(1), by: nil)),
            .blockInvalid: .blockJudged([], .accepted, poolError: 0),
        ]
        guard let command = commands[rejection] else { return .done }
        return s.send(command, at: 2)
    }

    /// Delivery 1 of bid 1 and ask 2 runs.
    private static func playBooks(_ rejection: Rejection, _ s: inout Scenario) -> Outcome {
        s.rig(2, lots: 10)
        s.bid(1, 100, 10, at: 1)
        s.ask(2, rig: 1, 100, at: 1)
        let minute = Scenario.start.minute
        func chunk(_ delivery: Int64, fault: Int64 = 0) -> SettlementChunk {
            SettlementChunk(run: 1, chunk: 0, valueAt: Scenario.start, totals: [AssessedTotal(
                delivery: DeliveryID(delivery), fromMinute: minute, toMinute: minute + 1, billable: .zero, fault: Work(units: fault))])
        }
        let running = s.state.deliveries[DeliveryID(1)].map {
            ClosedDelivery(
                delivery: $0, key: $0.billingKey, billing: s.state.billings[$0.billingKey]!, bid: nil, ask: nil)
        }
        func credit(_ number: Int64, _ seller: Int64) -> Credit {
            Credit(
                number: number, run: 1, delivery: DeliveryID(1), buyer: AccountID(1), seller: AccountID(seller), fromMinute: minute,
                toMinute: minute + 1, charge: Satoshis(1), dispute: 1, by: AccountID(9), reason: "r")
        }
        let commands: [Rejection: BooksCommand] = [
            .totalInconsistent: .settle(chunk(1, fault: 1)), .staleReopening: .trueUp(chunk(1), [running!], reopenings: 1),
            .reopeningInvalid: .trueUp(chunk(1), [running!], reopenings: 0), .creditOutOfOrder: .credit(credit(2, 2)),
            .creditInvalid: .credit(credit(1, 3)),
            .closingTimeInvalid: .closePeriod(through: Scenario.start + .seconds(1), by: AccountID(9)),
            .deliveriesUnsettled: .closePeriod(through: Timestamp(microseconds: (minute + 1) * 60_000_000), by: AccountID(9)),
        ]
        guard let command = commands[rejection] else { return .done }
        return s.send(.books(command), at: 50)
    }

    /// Deposit 1 of nobody is pending, reversal 2 of entry 1 is proposed, account 4 is frozen.
    private static func playTreasury(_ rejection: Rejection, _ s: inout Scenario) -> Outcome {
        let nine = AccountID(9)
        for command: TreasuryCommand in [
            .recordDeposit(account: nil, amount: Satoshis(5), reference: "x", by: nine),
            .proposeReversal(
                entry: 1, kind: .deposit,
                [Posting(.available(AccountID(1)), Satoshis(1_000_000_000)), Posting(.custody, Satoshis(-1_000_000_000))],
                reason: "twice", by: nine),
            .freeze(AccountID(4), true, reason: "court order", by: nine),
        ] { s.send(.treasury(command), at: 1) }
        if rejection == .tooManyTransfers {
            for _ in 1...100 {
                s.send(.treasury(.requestWithdrawal(account: AccountID(1), amount: Satoshis(1), destination: "d", by: AccountID(1))), at: 1)
            }
        }
        let commands: [Rejection: TreasuryCommand] = [
            .transferUnknown: .approve(TransferID(99), account: nil, by: nine),
            .transferNotPending: .cancel(TransferID(1), by: nine),
            .transferNotApproved: .complete(TransferID(1), reference: "y", by: nine),
            .ownTransfer: .approve(TransferID(1), account: AccountID(1), by: nine),
            .accountFrozen: .requestWithdrawal(account: AccountID(4), amount: Satoshis(1), destination: "d", by: nine),
            .tooManyTransfers: .requestWithdrawal(account: AccountID(1), amount: Satoshis(1), destination: "d", by: nine),
            .postingsInvalid: .proposeAdjustment([], reason: "r", by: nine),
            .entryNotReversible: .proposeReversal(entry: 1, kind: .settlement, [], reason: "r", by: nine),
            .entryAlreadyReversed: .proposeReversal(entry: 1, kind: .deposit, [], reason: "r", by: nine),
            .transferAccountInvalid: .approve(TransferID(1), account: nil, by: AccountID(8)),
        ]
        guard let command = commands[rejection] else { return .done }
        if rejection == .transferNotPending { s.send(.treasury(.cancel(TransferID(1), by: nine)), at: 1) }
        return s.send(.treasury(command), at: 2)
    }

    /// One way to every refusal; the compiler asks for a new one with a new case.
    private static func play(_ rejection: Rejection) -> (Play) {
        let one = AccountID(1), long = String(repeating: "x", count: 300), digest = Array(repeating: UInt8(0), count: 32)
        func rig(_ name: String, digest: [UInt8] = digest, pool: Int64 = 1) -> Command {
            .registerRig(owner: one, name: name, passwordDigest: digest, fallback: PoolTargetID(pool))
        }
        switch rejection {
        case .marketUndefined: return { _ in Exchange().refusal(.advance) }
        case .marketAlreadyDefined: return { $0.send(.defineMarket(.demo), at: 1) }
        case .rulesInvalid:
            return { _ in
                var rules = MarketRules.demo
                rules.tick = 0
                return Exchange().refusal(.defineMarket(rules))
            }
        case .amountOutOfRange: return { $0.send(.deposit(account: one, amount: .zero, reference: "r"), at: 1) }
        case .duplicateReference: return { $0.send(.deposit(account: one, amount: Satoshis(1), reference: "w1"), at: 1) }
        case .textTooLong:
            return { $0.send(.createPoolTarget(owner: one, name: long, url: "u", user: "u", password: ""), at: 1) }
        case .poolTargetUnknown: return { $0.bid(1, 100, 1, pools: [2], at: 1) }
        case .poolTargetUnverified:
            return {
                $0.send(.recordVerification(target: PoolTargetID(1), status: .failed(reason: "down")), at: 1)
                return $0.bid(1, 100, 1, at: 1)
            }
        case .targetCountOutOfRange: return { $0.bid(1, 100, 1, pools: [1, 1], at: 1) }
        case .rigUnknown: return { $0.ask(1, rig: 9, 100, at: 1) }
        case .rigNameTaken:
            return {
                $0.send(rig("a"), at: 1)
                return $0.send(rig("a"), at: 1)
            }
        case .rigNameInvalid: return { $0.send(rig("a b"), at: 1) }
        case .rigAlreadyOffered:
            return {
                $0.rig(1, lots: 1)
                $0.ask(1, rig: 1, 100, at: 1)
                return $0.ask(1, rig: 1, 100, at: 1)
            }
        case .priceOutsideBand: return { $0.bid(1, 0, 1, at: 1) }
        case .priceOffTick:
            return {
                var rules = Scenario.rules
                rules.tick = 5
                $0 = Scenario(rules: rules)
                return $0.bid(1, 101, 1, at: 1)
            }
        case .lotsOutOfRange: return { $0.bid(1, 100, 0, at: 1) }
        case .orderValueTooSmall:
            return {
                var rules = Scenario.rules
                rules.minimumOrderValue = Satoshis(1000)
                $0 = Scenario(rules: rules)
                return $0.bid(1, 100, 1, at: 1)
            }
        case .budgetOutOfRange: return { $0.bid(1, 100, 1, budget: 0, at: 1) }
        case .insufficientFunds: return { $0.bid(1, 86_400_000, 1, budget: 10, at: 1) }
        case .duplicateClientOrderID:
            return {
                $0.bid(1, 100, 1, name: "n", at: 1)
                return $0.bid(1, 100, 1, name: "n", at: 1)
            }
        case .orderUnknown: return { $0.cancel(77, at: 1) }
        case .orderClosed:
            return {
                $0.rig(3, lots: 1)
                $0.ask(3, rig: 1, 100, at: 1)
                $0.bid(1, 100, 1, at: 1)
                $0.cancel(2, at: 2)
                return $0.cancel(2, at: 2)
            }
        case .deliveryUnknown: return { $0.send(.poolsUnusable(DeliveryID(1), reason: ""), at: 1) }
        case .staleSession:
            return {
                $0.rig(1, lots: 1)
                return $0.send(.rigOffline(RigID(1), session: 0), at: 1)
            }
        case .idempotencyKeyReused:
            return {
                let key = AnswerKey(account: one, key: "k")
                $0.send(.advance, key: .init(key: key, digest: [1]), at: 1)
                return $0.send(.advance, key: .init(key: key, digest: [2]), at: 1)
            }
        case .tooManyTotals:
            return {
                let total = DeliveryTotal(delivery: DeliveryID(1), billableWork: .zero, isFinal: false)
                return $0.send(.settle(run: 1, chunk: 1, Array(repeating: total, count: 1001)), at: 1)
            }
        case .passwordInvalid: return { $0.send(rig("a", digest: [1]), at: 1) }
        case .marketCancelOnly:
            return {
                $0.phase(.cancelOnly, at: 1)
                return $0.bid(1, 100, 1, at: 1)
            }
        case .marketHalted:
            return {
                $0.bid(1, 100, 1, at: 1)
                $0.phase(.halted, at: 1)
                return $0.cancel(1, at: 1)
            }
        case .wouldMatch:
            return {
                $0.sell(3, lots: 1, 100, at: 1)
                return $0.bid(1, 100, 1, .postOnly, at: 1)
            }
        case .cannotFillWhole: return { $0.bid(1, 100, 1, .fok, at: 1) }
        case .minimumFillOutOfRange: return { $0.bid(1, 100, 2, .atLeast(3), at: 1) }
        case .displayedOutOfRange: return { $0.bid(1, 100, 5, .iceberg(2).atLeast(3), at: 1) }
        case .expiryOutOfRange: return { $0.bid(1, 100, 5, .until(10), at: 1) }
        case .instructionsContradict: return { $0.bid(1, 100, 5, .ioc.postOnly, at: 1) }
        case .offsetOutOfRange: return { $0.bid(1, 100, 5, .peg(.index, .min), at: 1) }
        case .lotsBelowDelivering:
            return {
                $0.sell(3, lots: 3, 100, at: 1)
                $0.bid(1, 100, 5, at: 1)
                return $0.amend(2, .lots(2), at: 1)
            }
        case .tooManyOrders:
            return {
                $0 = Scenario(rules: Scenario.rules { $0.mostOrders = 1 })
                $0.bid(1, 100, 5, at: 1)
                return $0.bid(1, 100, 5, at: 1)
            }
        case .tooManyPoolTargets:
            return { s in
                let pool = Command.createPoolTarget(owner: one, name: "p", url: "p", user: "u", password: "")
                for _ in 0..<999 { s.send(pool, at: 1) }
                return s.send(pool, at: 1)
            }
        case .tooManyRigs:
            return { s in
                s = Scenario(rules: Scenario.rules { $0.mostOrders = 1 })
                for _ in 0..<100 { s.rig(1, lots: 1) }
                return s.send(
                    .registerRig(
                        owner: one, name: "one-too-many", passwordDigest: Array(repeating: 1, count: 32), fallback: PoolTargetID(1)), at: 1)
            }
        case .tooManyFarms:
            return { s in
                for _ in 0..<1000 { s.send(.createFarm(owner: one, name: "f"), at: 1) }
                return s.send(.createFarm(owner: one, name: "f"), at: 1)
            }
        case .scheduleInvalid:
            return {
                $0.rig(1, lots: 1)
                return $0.ask(1, rig: 1, 100, schedule: DailySchedule(windows: []), at: 1)
            }
        case .farmUnknown: return { $0.send(.withdrawFarm(FarmID(1), owner: one), at: 1) }
        case .farmLoginUnknown, .farmLoginIncomplete, .farmLoginNameTaken, .farmLoginNameFixed, .farmFull, .mostRigsOutOfRange,
            .curtailmentOutOfRange, .farmNotCurtailed, .blockInvalid:
            return { playFleet(rejection, &$0) }
        case .totalInconsistent, .staleReopening, .reopeningInvalid, .creditOutOfOrder, .creditInvalid, .closingTimeInvalid,
            .deliveriesUnsettled:
            return { playBooks(rejection, &$0) }
        case .transferUnknown, .transferNotPending, .transferNotApproved, .ownTransfer, .accountFrozen, .tooManyTransfers,
            .postingsInvalid, .entryNotReversible, .entryAlreadyReversed, .transferAccountInvalid:
            return { playTreasury(rejection, &$0) }
        case .farmNotOffered:
            return {
                $0.send(.createFarm(owner: one, name: "f"), at: 1)
                return $0.send(.withdrawFarm(FarmID(1), owner: one), at: 1)
            }
        case .silenceOutOfRange: return { $0.send(.cancelAllAfter(one, .milliseconds(999)), at: 1) }
        case .effectiveTimeOutOfRange: return { $0.plan(Scenario.rules, from: 1, at: 1) }
        case .nothingToAmend:
            return {
                $0.bid(1, 100, 5, at: 1)
                return $0.amend(1, .price(100), at: 1)
            }
        case .amendmentNotApplicable:
            return {
                $0.bid(1, 100, 5, at: 1)
                return $0.amend(1, .most(5), at: 1)
            }
        }
    }

    @Test(arguments: Rejection.allCases)
    func everyRefusalCanBeReached(_ rejection: Rejection) {
        var s = Scenario()
        #expect(Self.play(rejection)(&s) == .rejected(rejection))
        #expect(s.lastEvents == [], "a refusal changed something")
        #expect(!rejection.explanation.isEmpty)
        #expect(rejection.code == "\(rejection)")
    }

    @Test func refusedOrdersLeaveNoTrace() {
        var s = Scenario()
        let before = s.state.hash
        s.bid(1, 100, 0, at: 1)
        s.bid(1, 0, 1, at: 1)
        s.bid(1, 100, 1, budget: -1, at: 1)
        s.ask(1, rig: 1, 100, at: 1)
        #expect(s.state.hash == before)
        #expect(s.bid(1, 100, 1, at: 2) == .order(OrderID(1)))
    }
}

extension Exchange {
    fileprivate func refusal(_ command: Command) -> Outcome {
        var exchange = self
        return exchange.apply(CommandEnvelope(command), at: Scenario.start).outcome
    }
}

@Suite struct MarketRulesTests {
    @Test func theBuiltInMarketsHaveNoFlaw() {
        for rules in [MarketRules.sha256d, .demo] {
            #expect(rules.flaw == nil)
            #expect(rules.algorithm == .sha256d)
        }
        for rules in [MarketRules.scrypt, .scryptDemo] {
            #expect(rules.flaw == nil)
            #expect(rules.algorithm == .scrypt)
        }
    }

    /// The symbol says what work is counted in: without an algorithm behind it nothing could be billed.
    @Test func aMarketIsAnAlgorithms() {
        for symbol in ["", "SHA256", "scrypt", "SCRYPT "] {
            var rules = MarketRules.demo
            rules.symbol = symbol
            #expect(rules.flaw != nil, "\(symbol)")
        }
        var rules = MarketRules.scryptDemo
        rules.symbol = "SHA256D"
        #expect(rules.algorithm == .sha256d)
        #expect(rules.highestDifficulty(Hashrate(hashesPerSecond: 65_536_000)).units == 1000)
        rules.symbol = "SCRYPT"
        #expect(rules.algorithm == .scrypt)
        #expect(rules.highestDifficulty(Hashrate(hashesPerSecond: 256_000)).units == 1000)
    }

    @Test(arguments: [Int64.min, -1, 0, .max])
    func absurdNumbersAreFlaws(_ number: Int64) {
        let changes: [(String, (inout MarketRules) -> Void)] = [
            ("lot", { $0.lot = Hashrate(hashesPerSecond: number) }),
            ("tick", { $0.tick = min(number, 0) }),
            ("price unit", { $0.priceUnit = Hashrate(hashesPerSecond: number) }),
            ("lowest price", { $0.lowestPrice = Price(number) }),
            ("highest price", { $0.highestPrice = Price(min(number, 0)) }),
            ("most lots", { $0.mostLots = Lots(number) }),
            ("term", { $0.term = Interval(microseconds: number) }),
            ("shortest term", { $0.shortestTerm = Interval(microseconds: number) }),
            ("seller fee", { $0.sellerFee = PartsPerMillion(number == 0 ? -1 : number) }),
            ("buyer fee", { $0.buyerFee = PartsPerMillion(number == 0 ? -1 : number) }),
            ("minimum difficulty", { $0.minimumDifficulty = ShareDifficulty(units: .max) }),
            ("share interval", { $0.shareInterval = Interval(microseconds: number) }),
            ("away limit", { $0.awayLimit = Interval(microseconds: number == 0 ? -1 : number) }),
            ("hold limit", { $0.holdLimit = Interval(microseconds: number) }),
        ]
        for (name, change) in changes {
            var rules = MarketRules.demo
            change(&rules)
            #expect(rules.flaw != nil, "\(name) \(number)")
        }
    }

    /// Rules at their limits and orders at theirs: refused or not, nothing overflows.
    @Test func theLargestMarketDoesNotOverflow() {
        var rules = MarketRules.demo
        rules.lot = Hashrate(hashesPerSecond: 9_000_000)
        rules.mostLots = Lots(1_000_000_000_000)
        rules.priceUnit = Hashrate(hashesPerSecond: 1_000_000_000_000_000_000)
        rules.highestPrice = Price(.max)
        rules.minimumDifficulty = ShareDifficulty(units: 1 << 52)
        rules.term = .day
        rules.sellerFee = PartsPerMillion(1_000_000)
        rules.buyerFee = PartsPerMillion(1_000_000)
        #expect(rules.flaw == nil)
        var s = Scenario(funds: 500_000_000_000_000, rules: rules)
        s.rig(3, lots: 1)
        s.send(.rigMeasured(RigID(1), session: 1, Hashrate(hashesPerSecond: .max)), at: 0)
        for price in [Int64.max, 1, 1_000_000, 1_000_000_000_000] {
            for lots in [Int64(1), 1_000_000_000_000] { s.bid(1, price, lots, at: 1) }
        }
        s.ask(3, rig: 1, 1, at: 2)
        s.send(
            .settle(run: 1, chunk: 1, [
                DeliveryTotal(delivery: DeliveryID(1), billableWork: Work(units: .max), isFinal: true),
            ]), at: 90_000)
        s.advance(to: 200_000)
        #expect(s.market.auditor.fills > 0)
        #expect(s.market.auditor.lines > 0)
    }
}
