import BinaryCoding
import Exchange
import Ledger
import OrderBook
import Settlement
import Units

/// Values whose binary forms are kept in `Tests/Golden/coding-2.txt` and `coding-3.txt`: every case of everything that the journal
/// and the tables hold in binary form. A new case gets an example and a line; a line never changes.
enum GoldenExamples {
    static let at = Timestamp(microseconds: 1_700_000_123_456_789)
    static let schedule = DailySchedule(windows: [.init(from: 0, to: 360), .init(from: 1320, to: 20)])
    static let rules: MarketRules = {
        var rules = MarketRules.demo
        (rules.smallestSlice, rules.mostOrders) = (PartsPerMillion(250_000), 77)
        (rules.sellerFee, rules.buyerFee) = (PartsPerMillion(12_345), PartsPerMillion(0))
        return rules
    }()
    static let peg = Peg(reference: .index, offset: -300)
    static let full = Instructions(
        timeInForce: .goodTillDate, expiresAt: at, isPostOnly: true, minimumFill: Lots(2), displayed: Lots(3),
        selfTrade: .cancelBoth, peg: peg)
    static let pool = PoolStatus.verified(PoolCapabilities(extranonce2Size: 8, versionMask: 0x1fff_e000, difficulty: "0.001"))
    static let offer = FarmOffer(price: Price(900_000), most: Lots(4), instructions: full, schedule: schedule)
    static let digest: [UInt8] = (0..<32).map { $0 }

    static func order(_ details: OrderDetails, _ status: OrderStatus = .active, _ instructions: Instructions = Instructions()) -> Order {
        Order(
            id: OrderID(12), account: AccountID(3), clientOrderID: "Gebot 7", price: Price(1_000_001), limit: Price(1_100_000),
            lots: Lots(9), delivering: Lots(4), shown: Lots(1), stamp: 40, since: 39, instructions: instructions, status: status,
            details: details, placedAt: at, unsettled: 2)
    }

    static let bid = OrderDetails.bid(BidDetails(
        targets: [PoolTargetID(3), PoolTargetID(1)], budget: Satoshis(900_000), spent: Satoshis(58)))
    static let ask = OrderDetails.ask(AskDetails(rig: RigID(2), most: Lots(5), schedule: schedule, farm: FarmID(6)))

    static func delivery(_ phase: DeliveryPhase) -> Delivery {
        Delivery(
            id: DeliveryID(9), bid: OrderID(12), ask: OrderID(8), rig: RigID(2), buyer: AccountID(3), seller: AccountID(4),
            lots: Lots(3), hashrate: Hashrate(hashesPerSecond: 300_000),
            terms: Terms(
                price: Price(900_000), priceUnit: Hashrate(hashesPerSecond: 1_000_000), sellerFee: PartsPerMillion(10_000),
                buyerFee: PartsPerMillion(20_000)),
            tariff: 2, openedAt: at, expiresAt: at + .seconds(20), isShortened: true, maxDifficulty: ShareDifficulty(units: 4),
            allowance: Work(units: 80), hold: Satoshis(123), held: Satoshis(98), settledWork: Work(units: 37),
            charged: Satoshis(25), phase: phase)
    }

    static let entries = EntryKind.allCases.filter { $0.rawValue <= 4 }.map { entry($0) }

    static func entry(_ kind: EntryKind) -> LedgerEntry {
        LedgerEntry(
            id: 400 + Int64(kind.rawValue), kind: kind, at: at, reference: "Überweisung \(kind)",
            postings: [
                Posting(.available(AccountID(3)), Satoshis(-1_000_000)), Posting(.held(AccountID(3)), Satoshis(999_000)),
                Posting(.custody, Satoshis(1)), Posting(.fees, Satoshis(900)), Posting(.loss, Satoshis(99)),
            ])
    }

    static let line = SettlementLine(
        delivery: DeliveryID(9), run: 4, chunk: 1, at: at, work: Work(units: 37),
        amounts: LineAmounts(charge: Satoshis(25), sellerFee: Satoshis(1), buyerFee: Satoshis(2)), fromHold: Satoshis(20),
        fromAvailable: Satoshis(6), fromLoss: Satoshis(1))

    static let rigs = [
        RigPresence.offline(since: at), .online(edge: EdgeID(1), session: 1 << 33, versionMask: .max),
    ].map { presence in
        Rig(
            id: RigID(2), owner: AccountID(4), user: "a4.s19", passwordDigest: digest, fallback: PoolTargetID(2),
            presence: presence, lastSession: 1 << 33, measured: Hashrate(hashesPerSecond: 310_000), ask: OrderID(8), farm: FarmID(6))
    }

    static let targets = [PoolStatus.unverified, pool, .failed(reason: "außer Betrieb")].map { status in
        PoolTarget(
            id: PoolTargetID(3), owner: AccountID(3), name: "Pool №1 ✓", url: "stratum+tcp://pool.example:3333", user: "buyer.1",
            password: "x", status: status)
    }

    static let outcomes: [Outcome] = [
        .done, .poolTarget(PoolTargetID(3)), .rig(RigID(2), user: "a4.s19"), .order(OrderID(12)), .entry(401), .farm(FarmID(6)),
        .cancelled(3),
    ] + Rejection.allCases.filter { $0.rawValue < 60 }.map { .rejected($0) }
    /// Those that came later, in the order of their coming.
    static let laterOutcomes: [Outcome] = Rejection.allCases.filter { (60..<70).contains($0.rawValue) }.map { .rejected($0) }
}

// MARK: - Commands

extension GoldenExamples {
    static let commands: [Command] = [
        .defineMarket(rules), .deposit(account: AccountID(3), amount: Satoshis(1_000_000), reference: "Überweisung 1"),
        .createPoolTarget(owner: AccountID(3), name: "Pool №1 ✓", url: "stratum+tcp://pool.example:3333", user: "buyer.1", password: ""),
        .recordVerification(target: PoolTargetID(3), status: .unverified), .recordVerification(target: PoolTargetID(3), status: pool),
        .recordVerification(target: PoolTargetID(3), status: .failed(reason: "außer Betrieb")),
        .registerRig(owner: AccountID(4), name: "s19", passwordDigest: digest, fallback: PoolTargetID(2)),
        .placeBid(PlaceBid(account: AccountID(3), price: Price(1_000_000), lots: Lots(9), targets: [PoolTargetID(1)])),
        .placeBid(PlaceBid(
            account: AccountID(3), clientOrderID: "Gebot 7", price: Price(1_000_000), lots: Lots(9),
            targets: [PoolTargetID(3), PoolTargetID(1)], budget: Satoshis(900_000), instructions: full)),
        .placeAsk(PlaceAsk(account: AccountID(4), price: Price(900_000), rig: RigID(2))),
        .placeAsk(PlaceAsk(
            account: AccountID(4), clientOrderID: "Angebot", price: Price(900_000), rig: RigID(2), most: Lots(5),
            instructions: full, schedule: schedule)),
        .cancelOrder(OrderID(12), by: AccountID(3)), .cancelOrder(OrderID(12), by: nil),
        .rigOnline(RigID(2), edge: EdgeID(1), session: 1 << 33, versionMask: 0x1fff_e000), .rigOffline(RigID(2), session: 1 << 33),
        .rigMeasured(RigID(2), session: 1 << 33, Hashrate(hashesPerSecond: 310_000)),
        .poolsUnusable(DeliveryID(9), reason: "refused: ✗"), .underDelivered(DeliveryID(9), Hashrate(hashesPerSecond: 100_000)),
        .edgeStarted(EdgeID(1)),
        .settle(run: 4, chunk: 1, [
            DeliveryTotal(delivery: DeliveryID(9), billableWork: Work(units: 37), isFinal: false),
            DeliveryTotal(delivery: DeliveryID(10), billableWork: Work(units: 1 << 50), isFinal: true),
        ]),
        .advance, .amendOrder(OrderID(12), by: nil, Amendment()),
        .amendOrder(OrderID(12), by: AccountID(3), Amendment(
            price: Price(2), lots: Lots(3), most: .clear, targets: [PoolTargetID(1)], budget: .set(Satoshis(5)), expiresAt: .set(at),
            minimumFill: Lots(2), displayed: .set(Lots(2)), schedule: .clear, offset: -7)),
        .amendOrder(OrderID(8), by: AccountID(4), Amendment(
            most: .set(Lots(4)), budget: .clear, expiresAt: .clear, displayed: .clear, schedule: .set(schedule))),
        .cancelAll(AccountID(3), nil), .cancelAll(AccountID(3), .bid), .cancelAll(AccountID(3), .ask),
        .cancelAllAfter(AccountID(3), .seconds(30)), .cancelAllAfter(AccountID(3), nil),
    ] + MarketPhase.allCases.map { .setPhase($0) } + [
        .scheduleRules(rules, effectiveAt: at), .publishIndex(IndexPrice(price: Price(950_000), at: at)),
        .createFarm(owner: AccountID(4), name: "Hof"), .assignRig(RigID(2), owner: AccountID(4), FarmID(6)),
        .assignRig(RigID(2), owner: AccountID(4), nil), .offerFarm(FarmID(6), owner: AccountID(4), offer),
        .withdrawFarm(FarmID(6), owner: AccountID(4)), .withdrawFarm(FarmID(6), owner: nil),
    ]

    /// Those that came later, with tags of their own.
    static let laterCommands: [Command] = [
        .fleet(.setLogin(FarmID(6), owner: AccountID(4), FarmLoginChange())),
        .fleet(.setLogin(FarmID(6), owner: AccountID(4), FarmLoginChange(
            name: "hof", passwordDigest: digest, fallback: PoolTargetID(2), mostRigs: 77))),
        .fleet(.registerWorker(FarmID(6), worker: "s19-1")),
        .fleet(.curtail(FarmID(6), by: AccountID(4), cap: Lots(5), ramp: .seconds(600), until: at)),
        .fleet(.curtail(FarmID(6), by: nil, cap: .zero, ramp: .zero, until: nil)),
        .fleet(.liftCurtailment(FarmID(6), by: AccountID(4))), .fleet(.liftCurtailment(FarmID(6), by: nil)),
        .blockFound(block.report), .blockFound(unsoldBlock.report),
    ] + BlockVerdict.allCases.map { .blockJudged(digest, $0, poolError: -2) }

    static let block = Block(
        id: BlockID(3), report: BlockReport(
            edge: EdgeID(1), receivedAt: at, rig: RigID(2), delivery: DeliveryID(9), target: PoolTargetID(3), hash: digest,
            header: Array(0..<80), poolJob: "6b ✓", isForwarded: true),
        owner: AccountID(3), seller: AccountID(4), verdict: .rejected, poolError: 23)
    static let unsoldBlock = Block(
        id: BlockID(4), report: BlockReport(
            edge: EdgeID(1), receivedAt: at, rig: RigID(2), delivery: nil, target: PoolTargetID(2), hash: digest,
            header: Array(0..<80), poolJob: "", isForwarded: false),
        owner: AccountID(4), seller: AccountID(4), verdict: .notForwarded)

    /// The cases of ``Command``. Another one does not compile before it stands here, and then wants an example.
    enum CommandCase: String, CaseIterable {
        case defineMarket, deposit, createPoolTarget, recordVerification, registerRig, placeBid, placeAsk, cancelOrder, rigOnline
        case rigOffline, rigMeasured, poolsUnusable, underDelivered, edgeStarted, settle, advance, amendOrder, cancelAll
        case cancelAllAfter, setPhase, scheduleRules, publishIndex, createFarm, assignRig, offerFarm, withdrawFarm
        case fleet, blockFound, blockJudged, books

        init(_ command: Command) {
            self =
                switch command {
                case .defineMarket: .defineMarket
                case .deposit: .deposit
                case .createPoolTarget: .createPoolTarget
                case .recordVerification: .recordVerification
                case .registerRig: .registerRig
                case .placeBid: .placeBid
                case .placeAsk: .placeAsk
                case .cancelOrder: .cancelOrder
                case .rigOnline: .rigOnline
                case .rigOffline: .rigOffline
                case .rigMeasured: .rigMeasured
                case .poolsUnusable: .poolsUnusable
                case .underDelivered: .underDelivered
                case .edgeStarted: .edgeStarted
                case .settle: .settle
                case .advance: .advance
                case .amendOrder: .amendOrder
                case .cancelAll: .cancelAll
                case .cancelAllAfter: .cancelAllAfter
                case .setPhase: .setPhase
                case .scheduleRules: .scheduleRules
                case .publishIndex: .publishIndex
                case .createFarm: .createFarm
                case .assignRig: .assignRig
                case .offerFarm: .offerFarm
                case .withdrawFarm: .withdrawFarm
                case .fleet: .fleet
                case .blockFound: .blockFound
                case .blockJudged: .blockJudged
                case .books: .books
                }
        }
    }
}

// MARK: - Events

extension GoldenExamples {
    private static let suspensions = SuspensionReason.allCases.filter { $0.rawValue <= 7 }
    private static let endCauses = EndCause.allCases.filter { $0.rawValue <= 8 }

    /// Those that came later.
    static let laterEvents: [Event] = {
        var events: [Event] = SuspensionReason.allCases.filter { $0.rawValue > 7 }.map { .orderSuspended(OrderID(8), $0) }
        events += EndCause.allCases.filter { $0.rawValue > 8 }.map { .deliveryEnded(DeliveryID(9), at: at, $0) }
        events += [
            .fleet(.loginSet(FarmLogin(
                farm: FarmID(6), user: "a4.hof", passwordDigest: digest, fallback: PoolTargetID(2), mostRigs: 5000))),
            .fleet(.curtailed(Curtailment(farm: FarmID(6), cap: Lots(5), ramp: .seconds(600), since: at))),
            .fleet(.curtailed(Curtailment(
                farm: FarmID(6), cap: .zero, ramp: .zero, since: at, until: at + .seconds(1), liftedAt: at + .seconds(2)))),
            .fleet(.curtailmentEnded(FarmID(6))), .fleet(.rigsCut(FarmID(6), [RigID(2), RigID(3)])),
            .fleet(.returnsPlanned(FarmID(6), [RigReturn(rig: RigID(2), at: at), RigReturn(rig: RigID(3), at: nil)])),
            .fleet(.rigsReadmitted(FarmID(6), [RigID(2)])), .blockFound(block), .blockFound(unsoldBlock),
        ]
        events += BlockVerdict.allCases.map { .blockJudged(BlockID(3), $0, poolError: 23) }
        return events
    }()

    static let events: [Event] = {
        var events: [Event] = [.marketDefined(rules)]
        events += entries.map { .entryPosted($0) }
        events += targets.map { .poolTargetCreated($0) }
        events += targets.map { .poolTargetChanged($0.id, $0.status) }
        events += rigs.map { .rigRegistered($0) }
        events += [
            .rigOnline(RigID(2), edge: EdgeID(1), session: 1 << 33, versionMask: 7), .rigOffline(RigID(2), at: at),
            .rigMeasured(RigID(2), Hashrate(hashesPerSecond: 310_000)), .orderPlaced(order(bid, .active, full)),
            .orderPlaced(order(ask)), .askOffered(OrderID(8), Lots(3)),
        ]
        events += suspensions.map { .orderSuspended(OrderID(8), $0) }
        events += [.orderResumed(OrderID(8), stamp: 41), .orderStamped(OrderID(8), stamp: 42)]
        events += CloseReason.allCases.map { .orderClosed(OrderID(8), $0) }
        events += [.deliveryOpened(delivery(.running))]
        events += endCauses.map { .deliveryEnded(DeliveryID(9), at: at, $0) }
        events += endCauses.map { .deliveryOpened(delivery(.ended(at: at, cause: $0))) }
        events += [.lineSettled(line), .deliveryClosed(DeliveryID(9)), .holdReleased(DeliveryID(9))]
        events += outcomes.enumerated().map { number, outcome in
            let answer = RecordedAnswer(number: Int64(number), digest: digest, outcome: outcome)
            return .answerRecorded(AnswerKey(account: AccountID(3), key: "schlüssel-\(number)"), answer)
        }
        events += TimeInForce.allCases.map { .orderAmended(order(bid, .active, Instructions(timeInForce: $0))) }
        events += SelfTradePrevention.allCases.map { .orderAmended(order(bid, .active, Instructions(selfTrade: $0))) }
        events += PegReference.allCases.map { .orderAmended(order(bid, .active, Instructions(peg: Peg(reference: $0, offset: 1)))) }
        events += suspensions.map { .orderAmended(order(ask, .suspended($0))) }
        events += CloseReason.allCases.map { .orderAmended(order(ask, .closed($0))) }
        events += [.ordersRepriced([
            Repricing(order: OrderID(12), price: Price(5), stamp: 43), Repricing(order: OrderID(13), price: Price(6), stamp: 44),
        ])]
        events += MarketPhase.allCases.map { .phaseChanged($0) }
        events += [
            .rulesScheduled(ScheduledRules(rules: rules, effectiveAt: at)), .rulesChanged(ScheduledRules(rules: rules, effectiveAt: at)),
            .indexPublished(IndexPrice(price: Price(950_000), at: at)),
            .farmCreated(Farm(id: FarmID(6), owner: AccountID(4), name: "Hof")),
            .farmCreated(Farm(id: FarmID(6), owner: AccountID(4), name: "Hof", offer: offer)), .rigAssigned(RigID(2), FarmID(6)),
            .rigAssigned(RigID(2), nil), .farmOffered(FarmID(6), offer), .farmOffered(FarmID(6), nil),
            .silenceSet(AccountID(3), at), .silenceSet(AccountID(3), nil),
        ]
        return events
    }()

    /// The cases of ``Event``, as above.
    enum EventCase: String, CaseIterable {
        case marketDefined, entryPosted, poolTargetCreated, poolTargetChanged, rigRegistered, rigOnline, rigOffline, rigMeasured
        case orderPlaced, askOffered, orderSuspended, orderResumed, orderStamped, orderClosed, deliveryOpened, deliveryEnded
        case lineSettled, deliveryClosed, answerRecorded, orderAmended, ordersRepriced, phaseChanged, rulesScheduled, rulesChanged
        case indexPublished, farmCreated, rigAssigned, farmOffered, holdReleased, silenceSet
        case fleet, blockFound, blockJudged, books

        init(_ event: Event) {
            self =
                switch event {
                case .marketDefined: .marketDefined
                case .entryPosted: .entryPosted
                case .poolTargetCreated: .poolTargetCreated
                case .poolTargetChanged: .poolTargetChanged
                case .rigRegistered: .rigRegistered
                case .rigOnline: .rigOnline
                case .rigOffline: .rigOffline
                case .rigMeasured: .rigMeasured
                case .orderPlaced: .orderPlaced
                case .askOffered: .askOffered
                case .orderSuspended: .orderSuspended
                case .orderResumed: .orderResumed
                case .orderStamped: .orderStamped
                case .orderClosed: .orderClosed
                case .deliveryOpened: .deliveryOpened
                case .deliveryEnded: .deliveryEnded
                case .lineSettled: .lineSettled
                case .deliveryClosed: .deliveryClosed
                case .answerRecorded: .answerRecorded
                case .orderAmended: .orderAmended
                case .ordersRepriced: .ordersRepriced
                case .phaseChanged: .phaseChanged
                case .rulesScheduled: .rulesScheduled
                case .rulesChanged: .rulesChanged
                case .indexPublished: .indexPublished
                case .farmCreated: .farmCreated
                case .rigAssigned: .rigAssigned
                case .farmOffered: .farmOffered
                case .holdReleased: .holdReleased
                case .silenceSet: .silenceSet
                case .fleet: .fleet
                case .blockFound: .blockFound
                case .blockJudged: .blockJudged
                case .books: .books
                }
        }
    }
}

// MARK: - What tables hold in binary form

extension GoldenExamples {
    static let counters: Counters = {
        var counters = Counters()
        (counters.order, counters.delivery, counters.rig, counters.target, counters.entry) = (12, 9, 3, 4, 500)
        (counters.stamp, counters.answer, counters.farm, counters.tariff) = (44, 70, 7, 2)
        return counters
    }()
    static let statuses = [
        MarketStatus(),
        MarketStatus(
            phase: .halted, scheduled: [ScheduledRules(rules: rules, effectiveAt: at)],
            index: IndexPrice(price: Price(950_000), at: at)),
    ]
}
