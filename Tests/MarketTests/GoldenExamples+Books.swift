import Exchange
import Ledger
import Settlement
import Units

/// What came with coding version 3, by names that stay when others are added.
extension GoldenExamples {
    static let booksCommands: [(name: String, value: Command)] = [
        ("settle", .books(.settle(chunk))), ("settle.empty", .books(.settle(SettlementChunk(run: 0, chunk: 0, valueAt: at, totals: [])))),
        ("trueUp", .books(.trueUp(chunk, closed, reopenings: 5))), ("trueUp.nothingClosed", .books(.trueUp(chunk, [], reopenings: 0))),
        ("credit", .books(.credit(credit(Satoshis(-1_000), isBorneByMarket: true)))),
        ("credit.toSeller", .books(.credit(credit(Satoshis(1_000), isBorneByMarket: false)))),
        ("closePeriod", .books(.closePeriod(through: at, by: AccountID(9)))),
    ]

    static let booksEvents: [(name: String, value: Event)] =
        [
            ("reopened", .books(.reopened(closed))), ("periodClosed", .books(.periodClosed(through: at, by: AccountID(9)))),
            ("deliveryOpened", .deliveryOpened(settledDelivery)),
        ]
        + ChargeCode.allCases.map { ("lineSettled.\($0)", .lineSettled(line($0))) }
        + EntryKind.allCases.map { ("entryPosted.\($0)", .entryPosted(datedEntry($0))) }

    static let booksOutcomes: [(name: String, value: Outcome)] = Rejection.allCases.filter { $0.rawValue >= 70 }.map {
        ("rejected.\($0)", .rejected($0))
    }

    static let books = Books(closedThrough: at, reopenings: 5, credits: 17)

    private static let chunk = SettlementChunk(
        run: 4, chunk: 1, valueAt: at - .seconds(1),
        totals: [
            AssessedTotal(delivery: DeliveryID(9), fromMinute: 28_333_330, toMinute: 28_333_335, billable: Work(units: 1 << 50)),
            AssessedTotal(
                delivery: DeliveryID(10), fromMinute: 28_333_330, toMinute: 28_333_335, billable: Work(units: 700),
                fault: Work(units: 30),
                late: [
                    LateWork(fromMinute: 28_333_320, toMinute: 28_333_325, work: Work(units: 8)),
                    LateWork(fromMinute: 28_333_325, toMinute: 28_333_330, work: Work(units: 9)),
                ], overDelivery: Work(units: 3), faultExcess: Work(units: 4), isFinal: true),
        ])

    private static let settledDelivery: Delivery = {
        var delivery = GoldenExamples.delivery(.ended(at: at, cause: .term))
        (delivery.held, delivery.settledFault) = (.zero, Work(units: 12))
        (delivery.unpaid, delivery.unrecovered) = (Satoshis(7), Satoshis(3))
        return delivery
    }()

    private static let closed = [order(bid, .closed(.cancelled)), nil].map { bid in
        ClosedDelivery(
            delivery: settledDelivery, key: settledDelivery.billingKey,
            billing: Billing(
                totals: BillingTotals(
                    weightedWork: Int128(1) << 70, charge: Satoshis(900), sellerFee: Satoshis(9), buyerFee: Satoshis(18)),
                sellerFee: PartsPerMillion(10_000), buyerFee: PartsPerMillion(20_000), unsettled: 0),
            bid: bid, ask: bid == nil ? order(ask, .closed(.expired)) : nil)
    }

    private static func credit(_ charge: Satoshis, isBorneByMarket: Bool) -> Credit {
        Credit(
            number: 17, run: 6, delivery: DeliveryID(9), buyer: AccountID(3), seller: AccountID(4), fromMinute: 28_333_330,
            toMinute: 28_333_335, charge: charge, isBorneByMarket: isBorneByMarket, dispute: 2, by: AccountID(9),
            reason: "Pool war erreichbar ✓")
    }

    private static func line(_ code: ChargeCode) -> SettlementLine {
        SettlementLine(
            delivery: DeliveryID(9), run: 4, chunk: 1, at: at, valueAt: at - .seconds(90), code: code, fromMinute: 28_333_330,
            toMinute: 28_333_335, work: Work(units: -37),
            amounts: LineAmounts(charge: Satoshis(-25), sellerFee: Satoshis(-1), buyerFee: Satoshis(-2)), fromHold: .zero,
            fromAvailable: Satoshis(-21), fromLoss: Satoshis(-6), sellerShort: Satoshis(11), credit: code == .credit ? 17 : nil)
    }

    private static func datedEntry(_ kind: EntryKind) -> LedgerEntry {
        var entry = GoldenExamples.entry(kind)
        (entry.valueAt, entry.by, entry.reason) = (at - .seconds(90), AccountID(9), "Gutschrift №17")
        return entry
    }
}
