public import BinaryCoding
public import Ledger
public import OrderBook
public import Settlement
public import Units

// Binary forms of everything that the journal and the state hash hold. What is written is of the newest version; what
// is read says its own (`BinaryReader.version`), and older ones stay readable.

/// Versions of the binary forms.
public enum CodingVersion {
    /// Limit orders, good till cancelled or immediate.
    public static let first: UInt8 = 1
    /// Every order rule, farms, tariffs, market phases.
    public static let everyRule: UInt8 = 2
    /// Value dates, charge codes, the books.
    public static let books: UInt8 = 3
    public static let newest = books
}

extension Identifier: BinaryCodable {
    public func encode(into writer: inout BinaryWriter) { writer.write(rawValue) }
    public init(from reader: inout BinaryReader) throws(BinaryCodingError) { self.init(try reader.readInt64()) }
}

extension Satoshis: BinaryCodable {
    public func encode(into writer: inout BinaryWriter) { writer.write(rawValue) }
    public init(from reader: inout BinaryReader) throws(BinaryCodingError) { self.init(try reader.readInt64()) }
}

extension Price: BinaryCodable {
    public func encode(into writer: inout BinaryWriter) { writer.write(rawValue) }
    public init(from reader: inout BinaryReader) throws(BinaryCodingError) { self.init(try reader.readInt64()) }
}

extension Lots: BinaryCodable {
    public func encode(into writer: inout BinaryWriter) { writer.write(rawValue) }
    public init(from reader: inout BinaryReader) throws(BinaryCodingError) { self.init(try reader.readInt64()) }
}

extension Work: BinaryCodable {
    public func encode(into writer: inout BinaryWriter) { writer.write(units) }
    public init(from reader: inout BinaryReader) throws(BinaryCodingError) { self.init(units: try reader.readInt64()) }
}

extension Hashrate: BinaryCodable {
    public func encode(into writer: inout BinaryWriter) { writer.write(hashesPerSecond) }
    public init(from reader: inout BinaryReader) throws(BinaryCodingError) {
        self.init(hashesPerSecond: try reader.readInt64())
    }
}

extension Timestamp: BinaryCodable {
    public func encode(into writer: inout BinaryWriter) { writer.write(microseconds) }
    public init(from reader: inout BinaryReader) throws(BinaryCodingError) {
        self.init(microseconds: try reader.readInt64())
    }
}

extension Interval: BinaryCodable {
    public func encode(into writer: inout BinaryWriter) { writer.write(microseconds) }
    public init(from reader: inout BinaryReader) throws(BinaryCodingError) {
        self.init(microseconds: try reader.readInt64())
    }
}

extension PartsPerMillion: BinaryCodable {
    public func encode(into writer: inout BinaryWriter) { writer.write(rawValue) }
    public init(from reader: inout BinaryReader) throws(BinaryCodingError) { self.init(try reader.readInt64()) }
}

extension ShareDifficulty: BinaryCodable {
    public func encode(into writer: inout BinaryWriter) { writer.write(units) }
    public init(from reader: inout BinaryReader) throws(BinaryCodingError) {
        let units = try reader.readInt64()
        guard units >= 1 else { throw .outOfRange }
        self.init(units: units)
    }
}

extension Side: BinaryCodable {}
extension MarketPhase: BinaryCodable {}
extension PegReference: BinaryCodable {}
extension TimeInForce: BinaryCodable {}
extension SelfTradePrevention: BinaryCodable {}
extension SuspensionReason: BinaryCodable {}
extension CloseReason: BinaryCodable {}
extension EndCause: BinaryCodable {}
extension EntryKind: BinaryCodable {}
extension Rejection: BinaryCodable {}

extension MarketRules: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        w.write(symbol)
        lot.encode(into: &w)
        w.write(tick)
        priceUnit.encode(into: &w)
        lowestPrice.encode(into: &w)
        highestPrice.encode(into: &w)
        mostLots.encode(into: &w)
        minimumOrderValue.encode(into: &w)
        term.encode(into: &w)
        shortestTerm.encode(into: &w)
        sellerFee.encode(into: &w)
        buyerFee.encode(into: &w)
        minimumDifficulty.encode(into: &w)
        shareInterval.encode(into: &w)
        awayLimit.encode(into: &w)
        holdLimit.encode(into: &w)
        smallestSlice.encode(into: &w)
        w.write(mostOrders)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(
            symbol: try r.readString(), lot: try Hashrate(from: &r), tick: try r.readInt64(),
            priceUnit: try Hashrate(from: &r), lowestPrice: try Price(from: &r), highestPrice: try Price(from: &r),
            mostLots: try Lots(from: &r), minimumOrderValue: try Satoshis(from: &r), term: try Interval(from: &r),
            shortestTerm: try Interval(from: &r), sellerFee: try PartsPerMillion(from: &r),
            buyerFee: try PartsPerMillion(from: &r), minimumDifficulty: try ShareDifficulty(from: &r),
            shareInterval: try Interval(from: &r), awayLimit: try Interval(from: &r),
            holdLimit: try Interval(from: &r))
        guard r.version >= CodingVersion.everyRule else { return }
        smallestSlice = try PartsPerMillion(from: &r)
        mostOrders = try r.readInt64()
    }
}

extension Peg: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        reference.encode(into: &w)
        w.write(offset)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(reference: try PegReference(from: &r), offset: try r.readInt64())
    }
}

extension Instructions: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        timeInForce.encode(into: &w)
        expiresAt.encode(into: &w)
        w.write(isPostOnly)
        minimumFill.encode(into: &w)
        displayed.encode(into: &w)
        selfTrade.encode(into: &w)
        peg.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(
            timeInForce: try TimeInForce(from: &r), expiresAt: try Timestamp?(from: &r), isPostOnly: try r.readBool(),
            minimumFill: try Lots(from: &r), displayed: try Lots?(from: &r),
            selfTrade: try SelfTradePrevention(from: &r), peg: try Peg?(from: &r))
    }
}

extension DailySchedule.Window: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        w.write(from)
        w.write(to)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(from: try r.readInt64(), to: try r.readInt64())
    }
}

extension DailySchedule: BinaryCodable {
    public func encode(into w: inout BinaryWriter) { windows.encode(into: &w) }
    public init(from r: inout BinaryReader) throws(BinaryCodingError) { self.init(windows: try [Window](from: &r)) }
}

extension FarmOffer: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        price.encode(into: &w)
        most.encode(into: &w)
        instructions.encode(into: &w)
        schedule.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(
            price: try Price(from: &r), most: try Lots?(from: &r), instructions: try Instructions(from: &r),
            schedule: try DailySchedule?(from: &r))
    }
}

extension Farm: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        id.encode(into: &w)
        owner.encode(into: &w)
        w.write(name)
        offer.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(
            id: try FarmID(from: &r), owner: try AccountID(from: &r), name: try r.readString(),
            offer: try FarmOffer?(from: &r))
    }
}

extension ScheduledRules: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        rules.encode(into: &w)
        effectiveAt.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(rules: try MarketRules(from: &r), effectiveAt: try Timestamp(from: &r))
    }
}

extension IndexPrice: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        price.encode(into: &w)
        at.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(price: try Price(from: &r), at: try Timestamp(from: &r))
    }
}

extension MarketStatus: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        phase.encode(into: &w)
        scheduled.encode(into: &w)
        index.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(
            phase: try MarketPhase(from: &r), scheduled: try [ScheduledRules](from: &r),
            index: try IndexPrice?(from: &r))
    }
}

extension Repricing: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        order.encode(into: &w)
        price.encode(into: &w)
        w.write(stamp)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(order: try OrderID(from: &r), price: try Price(from: &r), stamp: try r.readInt64())
    }
}

extension PoolStatus: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        switch self {
        case .unverified: w.write(UInt8(0))
        case .verified(let capabilities):
            w.write(UInt8(1))
            w.write(capabilities.extranonce2Size)
            w.writeFixed(capabilities.versionMask)
            w.write(capabilities.difficulty)
        case .failed(let reason):
            w.write(UInt8(2))
            w.write(reason)
        }
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        switch try r.readByte() {
        case 0: self = .unverified
        case 1:
            self = .verified(PoolCapabilities(
                extranonce2Size: try r.readInt64(), versionMask: try r.readFixed(), difficulty: try r.readString()))
        case 2: self = .failed(reason: try r.readString())
        case let tag: throw .unknownTag(tag)
        }
    }
}

extension PoolTarget: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        id.encode(into: &w)
        owner.encode(into: &w)
        w.write(name)
        w.write(url)
        w.write(user)
        w.write(password)
        status.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(
            id: try PoolTargetID(from: &r), owner: try AccountID(from: &r), name: try r.readString(),
            url: try r.readString(), user: try r.readString(), password: try r.readString(),
            status: try PoolStatus(from: &r))
    }
}

extension RigPresence: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        switch self {
        case .offline(let since):
            w.write(UInt8(0))
            since.encode(into: &w)
        case .online(let edge, let session, let mask):
            w.write(UInt8(1))
            edge.encode(into: &w)
            w.write(session)
            w.writeFixed(mask)
        }
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        switch try r.readByte() {
        case 0: self = .offline(since: try Timestamp(from: &r))
        case 1: self = .online(edge: try EdgeID(from: &r), session: try r.readInt64(), versionMask: try r.readFixed())
        case let tag: throw .unknownTag(tag)
        }
    }
}

extension Rig: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        id.encode(into: &w)
        owner.encode(into: &w)
        w.write(user)
        w.write(passwordDigest)
        fallback.encode(into: &w)
        presence.encode(into: &w)
        w.write(lastSession)
        measured.encode(into: &w)
        ask.encode(into: &w)
        farm.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(
            id: try RigID(from: &r), owner: try AccountID(from: &r), user: try r.readString(),
            passwordDigest: try r.readBytes(), fallback: try PoolTargetID(from: &r),
            presence: try RigPresence(from: &r), lastSession: try r.readInt64(), measured: try Hashrate(from: &r),
            ask: try OrderID?(from: &r))
        if r.version >= CodingVersion.everyRule {
            farm = try FarmID?(from: &r)
        } else {
            // The running delivery: none in the events that carry a rig.
            _ = try DeliveryID?(from: &r)
        }
    }
}

extension OrderStatus: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        switch self {
        case .active: w.write(UInt8(0))
        case .suspended(let reason):
            w.write(UInt8(1))
            reason.encode(into: &w)
        case .closed(let reason):
            w.write(UInt8(2))
            reason.encode(into: &w)
        }
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        switch try r.readByte() {
        case 0: self = .active
        case 1: self = .suspended(try SuspensionReason(from: &r))
        case 2: self = .closed(try CloseReason(from: &r))
        case let tag: throw .unknownTag(tag)
        }
    }
}

extension OrderDetails: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        switch self {
        case .bid(let bid):
            w.write(UInt8(0))
            bid.targets.encode(into: &w)
            bid.budget.encode(into: &w)
            bid.spent.encode(into: &w)
        case .ask(let ask):
            w.write(UInt8(1))
            ask.rig.encode(into: &w)
            ask.most.encode(into: &w)
            ask.schedule.encode(into: &w)
            ask.farm.encode(into: &w)
        }
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        switch try r.readByte() {
        case 0:
            self = .bid(BidDetails(
                targets: try [PoolTargetID](from: &r), budget: try Satoshis?(from: &r), spent: try Satoshis(from: &r)))
        case 1:
            self = .ask(AskDetails(
                rig: try RigID(from: &r), most: try Lots?(from: &r), schedule: try DailySchedule?(from: &r),
                farm: try FarmID?(from: &r)))
        case let tag: throw .unknownTag(tag)
        }
    }

    /// The first version had a bid's time in force among its details.
    fileprivate static func first(
        from r: inout BinaryReader
    ) throws(BinaryCodingError) -> (details: OrderDetails, timeInForce: TimeInForce) {
        switch try r.readByte() {
        case 0:
            let targets = try [PoolTargetID](from: &r), timeInForce = try TimeInForce(from: &r)
            let budget = try Satoshis?(from: &r), spent = try Satoshis(from: &r)
            return (.bid(BidDetails(targets: targets, budget: budget, spent: spent)), timeInForce)
        case 1:
            return (.ask(AskDetails(rig: try RigID(from: &r), most: try Lots?(from: &r))), .goodTillCancelled)
        case let tag: throw .unknownTag(tag)
        }
    }
}

extension Order: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        id.encode(into: &w)
        account.encode(into: &w)
        clientOrderID.encode(into: &w)
        price.encode(into: &w)
        limit.encode(into: &w)
        lots.encode(into: &w)
        delivering.encode(into: &w)
        shown.encode(into: &w)
        w.write(stamp)
        w.write(since)
        instructions.encode(into: &w)
        status.encode(into: &w)
        details.encode(into: &w)
        placedAt.encode(into: &w)
        w.write(unsettled)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        guard r.version >= CodingVersion.everyRule else {
            try self.init(first: &r)
            return
        }
        self.init(
            id: try OrderID(from: &r), account: try AccountID(from: &r), clientOrderID: try String?(from: &r),
            price: try Price(from: &r), limit: try Price(from: &r), lots: try Lots(from: &r),
            delivering: try Lots(from: &r), shown: try Lots(from: &r), stamp: try r.readInt64(),
            since: try r.readInt64(), instructions: try Instructions(from: &r), status: try OrderStatus(from: &r),
            details: try OrderDetails(from: &r), placedAt: try Timestamp(from: &r), unsettled: try r.readInt64())
    }

    private init(first r: inout BinaryReader) throws(BinaryCodingError) {
        let id = try OrderID(from: &r), account = try AccountID(from: &r), name = try String?(from: &r)
        let price = try Price(from: &r), lots = try Lots(from: &r), delivering = try Lots(from: &r)
        let stamp = try r.readInt64(), selfTrade = try SelfTradePrevention(from: &r), status = try OrderStatus(from: &r)
        let (details, timeInForce) = try OrderDetails.first(from: &r)
        self.init(
            id: id, account: account, clientOrderID: name, price: price, lots: lots, delivering: delivering, stamp: stamp,
            instructions: Instructions(timeInForce: timeInForce, selfTrade: selfTrade), status: status,
            details: details, placedAt: try Timestamp(from: &r), unsettled: try r.readInt64())
    }
}

extension Terms: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        price.encode(into: &w)
        priceUnit.encode(into: &w)
        sellerFee.encode(into: &w)
        buyerFee.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(
            price: try Price(from: &r), priceUnit: try Hashrate(from: &r), sellerFee: try PartsPerMillion(from: &r),
            buyerFee: try PartsPerMillion(from: &r))
    }
}

extension DeliveryPhase: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        switch self {
        case .running: w.write(UInt8(0))
        case .ended(let at, let cause):
            w.write(UInt8(1))
            at.encode(into: &w)
            cause.encode(into: &w)
        }
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        switch try r.readByte() {
        case 0: self = .running
        case 1: self = .ended(at: try Timestamp(from: &r), cause: try EndCause(from: &r))
        case let tag: throw .unknownTag(tag)
        }
    }
}

extension Delivery: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        id.encode(into: &w)
        bid.encode(into: &w)
        ask.encode(into: &w)
        rig.encode(into: &w)
        buyer.encode(into: &w)
        seller.encode(into: &w)
        lots.encode(into: &w)
        hashrate.encode(into: &w)
        terms.encode(into: &w)
        w.write(tariff)
        openedAt.encode(into: &w)
        expiresAt.encode(into: &w)
        w.write(isShortened)
        maxDifficulty.encode(into: &w)
        allowance.encode(into: &w)
        hold.encode(into: &w)
        held.encode(into: &w)
        settledWork.encode(into: &w)
        charged.encode(into: &w)
        phase.encode(into: &w)
        settledFault.encode(into: &w)
        unpaid.encode(into: &w)
        unrecovered.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(
            id: try DeliveryID(from: &r), bid: try OrderID(from: &r), ask: try OrderID(from: &r),
            rig: try RigID(from: &r), buyer: try AccountID(from: &r), seller: try AccountID(from: &r),
            lots: try Lots(from: &r), hashrate: try Hashrate(from: &r), terms: try Terms(from: &r),
            tariff: r.version >= CodingVersion.everyRule ? try r.readInt64() : 1, openedAt: try Timestamp(from: &r),
            expiresAt: try Timestamp(from: &r),
            isShortened: r.version >= CodingVersion.everyRule ? try r.readBool() : false,
            maxDifficulty: try ShareDifficulty(from: &r), allowance: try Work(from: &r), hold: try Satoshis(from: &r),
            held: try Satoshis(from: &r), settledWork: try Work(from: &r), charged: try Satoshis(from: &r),
            phase: try DeliveryPhase(from: &r))
        guard r.version >= CodingVersion.books else { return }
        settledFault = try Work(from: &r)
        unpaid = try Satoshis(from: &r)
        unrecovered = try Satoshis(from: &r)
    }
}

extension LineAmounts: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        charge.encode(into: &w)
        sellerFee.encode(into: &w)
        buyerFee.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(charge: try Satoshis(from: &r), sellerFee: try Satoshis(from: &r), buyerFee: try Satoshis(from: &r))
    }
}

extension SettlementLine: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        delivery.encode(into: &w)
        w.write(run)
        w.write(chunk)
        at.encode(into: &w)
        work.encode(into: &w)
        amounts.encode(into: &w)
        fromHold.encode(into: &w)
        fromAvailable.encode(into: &w)
        fromLoss.encode(into: &w)
        // Small numbers: most value dates and intervals are near the booking.
        w.write(valueAt.microseconds &- at.microseconds)
        code.encode(into: &w)
        w.write(fromMinute &- at.minute)
        w.write(toMinute &- fromMinute)
        sellerShort.encode(into: &w)
        credit.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(
            delivery: try DeliveryID(from: &r), run: try r.readInt64(), chunk: try r.readInt64(),
            at: try Timestamp(from: &r), work: try Work(from: &r), amounts: try LineAmounts(from: &r),
            fromHold: try Satoshis(from: &r), fromAvailable: try Satoshis(from: &r), fromLoss: try Satoshis(from: &r))
        guard r.version >= CodingVersion.books else { return }
        valueAt = Timestamp(microseconds: at.microseconds &+ (try r.readInt64()))
        code = try ChargeCode(from: &r)
        fromMinute = at.minute &+ (try r.readInt64())
        toMinute = fromMinute &+ (try r.readInt64())
        sellerShort = try Satoshis(from: &r)
        credit = try Int64?(from: &r)
    }
}

extension BillingKey: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        bid.encode(into: &w)
        ask.encode(into: &w)
        rig.encode(into: &w)
        w.write(tariff)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(
            bid: try OrderID(from: &r), ask: try OrderID(from: &r), rig: try RigID(from: &r),
            tariff: r.version >= CodingVersion.everyRule ? try r.readInt64() : 1)
    }
}

extension Billing: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        w.write(totals.weightedWork)
        totals.charge.encode(into: &w)
        totals.sellerFee.encode(into: &w)
        totals.buyerFee.encode(into: &w)
        sellerFee.encode(into: &w)
        buyerFee.encode(into: &w)
        w.write(unsettled)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        let totals = BillingTotals(
            weightedWork: try r.readInt128(), charge: try Satoshis(from: &r), sellerFee: try Satoshis(from: &r),
            buyerFee: try Satoshis(from: &r))
        self.init(
            totals: totals, sellerFee: try PartsPerMillion(from: &r), buyerFee: try PartsPerMillion(from: &r),
            unsettled: try r.readInt64())
    }
}

extension LedgerAccount: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        w.write(code.kind)
        w.write(code.owner)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        let kind = try r.readByte()
        guard let account = LedgerAccount(kind: kind, owner: try r.readInt64()) else { throw .unknownTag(kind) }
        self = account
    }
}

extension Posting: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        account.encode(into: &w)
        amount.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(try LedgerAccount(from: &r), try Satoshis(from: &r))
    }
}

extension LedgerEntry: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        w.write(id)
        kind.encode(into: &w)
        at.encode(into: &w)
        w.write(reference)
        postings.encode(into: &w)
        w.write(valueAt.microseconds &- at.microseconds)
        by.encode(into: &w)
        reason.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(
            id: try r.readInt64(), kind: try EntryKind(from: &r), at: try Timestamp(from: &r),
            reference: try r.readString(), postings: try [Posting](from: &r))
        guard r.version >= CodingVersion.books else { return }
        valueAt = Timestamp(microseconds: at.microseconds &+ (try r.readInt64()))
        by = try AccountID?(from: &r)
        reason = try String?(from: &r)
    }
}

extension DepositKey: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        account.encode(into: &w)
        w.write(reference)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(account: try AccountID(from: &r), reference: try r.readString())
    }
}

extension AnswerKey: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        account.encode(into: &w)
        w.write(key)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(account: try AccountID(from: &r), key: try r.readString())
    }
}

extension RecordedAnswer: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        w.write(number)
        w.write(digest)
        outcome.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(number: try r.readInt64(), digest: try r.readBytes(), outcome: try Outcome(from: &r))
    }
}

extension Outcome: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        switch self {
        case .done: w.write(UInt8(0))
        case .poolTarget(let id):
            w.write(UInt8(1))
            id.encode(into: &w)
        case .rig(let id, let user):
            w.write(UInt8(2))
            id.encode(into: &w)
            w.write(user)
        case .order(let id):
            w.write(UInt8(3))
            id.encode(into: &w)
        case .entry(let id):
            w.write(UInt8(4))
            w.write(id)
        case .rejected(let rejection):
            w.write(UInt8(5))
            rejection.encode(into: &w)
        case .farm(let id):
            w.write(UInt8(6))
            id.encode(into: &w)
        case .cancelled(let count):
            w.write(UInt8(7))
            w.write(count)
        }
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        switch try r.readByte() {
        case 0: self = .done
        case 1: self = .poolTarget(try PoolTargetID(from: &r))
        case 2: self = .rig(try RigID(from: &r), user: try r.readString())
        case 3: self = .order(try OrderID(from: &r))
        case 4: self = .entry(try r.readInt64())
        case 5: self = .rejected(try Rejection(from: &r))
        case 6: self = .farm(try FarmID(from: &r))
        case 7: self = .cancelled(try r.readInt64())
        case let tag: throw .unknownTag(tag)
        }
    }
}

extension Counters: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        for value in [order, delivery, rig, target, entry, stamp, answer, farm, tariff] { w.write(value) }
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init()
        order = try r.readInt64()
        delivery = try r.readInt64()
        rig = try r.readInt64()
        target = try r.readInt64()
        entry = try r.readInt64()
        stamp = try r.readInt64()
        answer = try r.readInt64()
        guard r.version >= CodingVersion.everyRule else { return }
        farm = try r.readInt64()
        tariff = try r.readInt64()
    }
}
