public import BinaryCoding
internal import Ledger
internal import OrderBook
internal import Settlement
internal import Units

extension PlaceBid: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        account.encode(into: &w)
        clientOrderID.encode(into: &w)
        price.encode(into: &w)
        lots.encode(into: &w)
        targets.encode(into: &w)
        budget.encode(into: &w)
        instructions.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        let account = try AccountID(from: &r), name = try String?(from: &r), price = try Price(from: &r)
        let lots = try Lots(from: &r), targets = try [PoolTargetID](from: &r)
        guard r.version >= CodingVersion.everyRule else {
            let timeInForce = try TimeInForce(from: &r), budget = try Satoshis?(from: &r)
            self.init(
                account: account, clientOrderID: name, price: price, lots: lots, targets: targets, budget: budget,
                instructions: Instructions(timeInForce: timeInForce, selfTrade: try SelfTradePrevention(from: &r)))
            return
        }
        self.init(
            account: account, clientOrderID: name, price: price, lots: lots, targets: targets,
            budget: try Satoshis?(from: &r), instructions: try Instructions(from: &r))
    }
}

extension PlaceAsk: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        account.encode(into: &w)
        clientOrderID.encode(into: &w)
        price.encode(into: &w)
        rig.encode(into: &w)
        most.encode(into: &w)
        instructions.encode(into: &w)
        schedule.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        let account = try AccountID(from: &r), name = try String?(from: &r), price = try Price(from: &r)
        let rig = try RigID(from: &r), most = try Lots?(from: &r)
        guard r.version >= CodingVersion.everyRule else {
            self.init(
                account: account, clientOrderID: name, price: price, rig: rig, most: most,
                instructions: Instructions(selfTrade: try SelfTradePrevention(from: &r)))
            return
        }
        self.init(
            account: account, clientOrderID: name, price: price, rig: rig, most: most,
            instructions: try Instructions(from: &r), schedule: try DailySchedule?(from: &r))
    }
}

extension Change: BinaryCodable where Value: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        switch self {
        case .keep: w.write(UInt8(0))
        case .clear: w.write(UInt8(1))
        case .set(let value):
            w.write(UInt8(2))
            value.encode(into: &w)
        }
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        switch try r.readByte() {
        case 0: self = .keep
        case 1: self = .clear
        case 2: self = .set(try Value(from: &r))
        case let tag: throw .unknownTag(tag)
        }
    }
}

extension Amendment: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        price.encode(into: &w)
        lots.encode(into: &w)
        most.encode(into: &w)
        targets.encode(into: &w)
        budget.encode(into: &w)
        expiresAt.encode(into: &w)
        minimumFill.encode(into: &w)
        displayed.encode(into: &w)
        schedule.encode(into: &w)
        offset.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(
            price: try Price?(from: &r), lots: try Lots?(from: &r), most: try Change<Lots>(from: &r),
            targets: try [PoolTargetID]?(from: &r), budget: try Change<Satoshis>(from: &r),
            expiresAt: try Change<Timestamp>(from: &r), minimumFill: try Lots?(from: &r),
            displayed: try Change<Lots>(from: &r), schedule: try Change<DailySchedule>(from: &r),
            offset: try Int64?(from: &r))
    }
}

extension DeliveryTotal: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        delivery.encode(into: &w)
        billableWork.encode(into: &w)
        w.write(isFinal)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(
            delivery: try DeliveryID(from: &r), billableWork: try Work(from: &r), isFinal: try r.readBool())
    }
}

extension Command: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        switch self {
        case .defineMarket(let rules):
            w.write(UInt8(1))
            rules.encode(into: &w)
        case .deposit(let account, let amount, let reference):
            w.write(UInt8(2))
            account.encode(into: &w)
            amount.encode(into: &w)
            w.write(reference)
        case .createPoolTarget(let owner, let name, let url, let user, let password):
            w.write(UInt8(3))
            owner.encode(into: &w)
            w.write(name)
            w.write(url)
            w.write(user)
            w.write(password)
        case .recordVerification(let target, let status):
            w.write(UInt8(4))
            target.encode(into: &w)
            status.encode(into: &w)
        case .registerRig(let owner, let name, let digest, let fallback):
            w.write(UInt8(5))
            owner.encode(into: &w)
            w.write(name)
            w.write(digest)
            fallback.encode(into: &w)
        case .placeBid(let bid):
            w.write(UInt8(6))
            bid.encode(into: &w)
        case .placeAsk(let ask):
            w.write(UInt8(7))
            ask.encode(into: &w)
        case .cancelOrder(let order, let account):
            w.write(UInt8(8))
            order.encode(into: &w)
            account.encode(into: &w)
        case .rigOnline(let rig, let edge, let session, let mask):
            w.write(UInt8(9))
            rig.encode(into: &w)
            edge.encode(into: &w)
            w.write(session)
            w.writeFixed(mask)
        case .rigOffline(let rig, let session):
            w.write(UInt8(10))
            rig.encode(into: &w)
            w.write(session)
        case .rigMeasured(let rig, let session, let hashrate):
            w.write(UInt8(11))
            rig.encode(into: &w)
            w.write(session)
            hashrate.encode(into: &w)
        case .poolsUnusable(let delivery, let reason):
            w.write(UInt8(12))
            delivery.encode(into: &w)
            w.write(reason)
        case .underDelivered(let delivery, let hashrate):
            w.write(UInt8(13))
            delivery.encode(into: &w)
            hashrate.encode(into: &w)
        case .edgeStarted(let edge):
            w.write(UInt8(14))
            edge.encode(into: &w)
        case .settle(let run, let chunk, let totals):
            w.write(UInt8(15))
            w.write(run)
            w.write(chunk)
            totals.encode(into: &w)
        case .advance:
            w.write(UInt8(16))
        case .amendOrder(let order, let account, let amendment):
            w.write(UInt8(17))
            order.encode(into: &w)
            account.encode(into: &w)
            amendment.encode(into: &w)
        case .cancelAll(let account, let side):
            w.write(UInt8(18))
            account.encode(into: &w)
            side.encode(into: &w)
        case .cancelAllAfter(let account, let silence):
            w.write(UInt8(19))
            account.encode(into: &w)
            silence.encode(into: &w)
        case .setPhase(let phase):
            w.write(UInt8(20))
            phase.encode(into: &w)
        case .scheduleRules(let rules, let effectiveAt):
            w.write(UInt8(21))
            rules.encode(into: &w)
            effectiveAt.encode(into: &w)
        case .publishIndex(let index):
            w.write(UInt8(22))
            index.encode(into: &w)
        case .createFarm(let owner, let name):
            w.write(UInt8(23))
            owner.encode(into: &w)
            w.write(name)
        case .assignRig(let rig, let owner, let farm):
            w.write(UInt8(24))
            rig.encode(into: &w)
            owner.encode(into: &w)
            farm.encode(into: &w)
        case .offerFarm(let farm, let owner, let offer):
            w.write(UInt8(25))
            farm.encode(into: &w)
            owner.encode(into: &w)
            offer.encode(into: &w)
        case .withdrawFarm(let farm, let owner):
            w.write(UInt8(26))
            farm.encode(into: &w)
            owner.encode(into: &w)
        case .fleet(let command):
            w.write(UInt8(40))
            command.encode(into: &w)
        case .blockFound(let report):
            w.write(UInt8(41))
            report.encode(into: &w)
        case .blockJudged(let hash, let verdict, let error):
            w.write(UInt8(42))
            w.write(hash)
            verdict.encode(into: &w)
            w.write(error)
        case .books(let command):
            w.write(UInt8(50))
            command.encode(into: &w)
        }
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        switch try r.readByte() {
        case 1: self = .defineMarket(try MarketRules(from: &r))
        case 2:
            self = .deposit(
                account: try AccountID(from: &r), amount: try Satoshis(from: &r), reference: try r.readString())
        case 3:
            self = .createPoolTarget(
                owner: try AccountID(from: &r), name: try r.readString(), url: try r.readString(),
                user: try r.readString(), password: try r.readString())
        case 4: self = .recordVerification(target: try PoolTargetID(from: &r), status: try PoolStatus(from: &r))
        case 5:
            self = .registerRig(
                owner: try AccountID(from: &r), name: try r.readString(), passwordDigest: try r.readBytes(),
                fallback: try PoolTargetID(from: &r))
        case 6: self = .placeBid(try PlaceBid(from: &r))
        case 7: self = .placeAsk(try PlaceAsk(from: &r))
        case 8: self = .cancelOrder(try OrderID(from: &r), by: try AccountID?(from: &r))
        case 9:
            self = .rigOnline(
                try RigID(from: &r), edge: try EdgeID(from: &r), session: try r.readInt64(),
                versionMask: try r.readFixed())
        case 10: self = .rigOffline(try RigID(from: &r), session: try r.readInt64())
        case 11: self = .rigMeasured(try RigID(from: &r), session: try r.readInt64(), try Hashrate(from: &r))
        case 12: self = .poolsUnusable(try DeliveryID(from: &r), reason: try r.readString())
        case 13: self = .underDelivered(try DeliveryID(from: &r), try Hashrate(from: &r))
        case 14: self = .edgeStarted(try EdgeID(from: &r))
        case 15:
            self = .settle(run: try r.readInt64(), chunk: try r.readInt64(), try [DeliveryTotal](from: &r))
        case 16: self = .advance
        case 17:
            self = .amendOrder(
                try OrderID(from: &r), by: try AccountID?(from: &r), try Amendment(from: &r))
        case 18: self = .cancelAll(try AccountID(from: &r), try Side?(from: &r))
        case 19: self = .cancelAllAfter(try AccountID(from: &r), try Interval?(from: &r))
        case 20: self = .setPhase(try MarketPhase(from: &r))
        case 21: self = .scheduleRules(try MarketRules(from: &r), effectiveAt: try Timestamp(from: &r))
        case 22: self = .publishIndex(try IndexPrice(from: &r))
        case 23: self = .createFarm(owner: try AccountID(from: &r), name: try r.readString())
        case 24:
            self = .assignRig(try RigID(from: &r), owner: try AccountID(from: &r), try FarmID?(from: &r))
        case 25:
            self = .offerFarm(try FarmID(from: &r), owner: try AccountID(from: &r), try FarmOffer(from: &r))
        case 26: self = .withdrawFarm(try FarmID(from: &r), owner: try AccountID?(from: &r))
        case 40: self = .fleet(try FleetCommand(from: &r))
        case 41: self = .blockFound(try BlockReport(from: &r))
        case 42: self = .blockJudged(try r.readBytes(), try BlockVerdict(from: &r), poolError: try r.readInt64())
        case 50: self = .books(try BooksCommand(from: &r))
        case let tag: throw .unknownTag(tag)
        }
    }
}

extension CommandEnvelope.Idempotency: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        key.encode(into: &w)
        w.write(digest)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(key: try AnswerKey(from: &r), digest: try r.readBytes())
    }
}

extension CommandEnvelope: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        command.encode(into: &w)
        idempotency.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(try Command(from: &r), idempotency: try Idempotency?(from: &r))
    }
}

extension Event: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        switch self {
        case .marketDefined(let rules):
            w.write(UInt8(1))
            rules.encode(into: &w)
        case .entryPosted(let entry):
            w.write(UInt8(2))
            entry.encode(into: &w)
        case .poolTargetCreated(let target):
            w.write(UInt8(3))
            target.encode(into: &w)
        case .poolTargetChanged(let target, let status):
            w.write(UInt8(4))
            target.encode(into: &w)
            status.encode(into: &w)
        case .rigRegistered(let rig):
            w.write(UInt8(5))
            rig.encode(into: &w)
        case .rigOnline(let rig, let edge, let session, let mask):
            w.write(UInt8(6))
            rig.encode(into: &w)
            edge.encode(into: &w)
            w.write(session)
            w.writeFixed(mask)
        case .rigOffline(let rig, let at):
            w.write(UInt8(7))
            rig.encode(into: &w)
            at.encode(into: &w)
        case .rigMeasured(let rig, let hashrate):
            w.write(UInt8(8))
            rig.encode(into: &w)
            hashrate.encode(into: &w)
        case .orderPlaced(let order):
            w.write(UInt8(9))
            order.encode(into: &w)
        case .askOffered(let order, let lots):
            w.write(UInt8(10))
            order.encode(into: &w)
            lots.encode(into: &w)
        case .orderSuspended(let order, let reason):
            w.write(UInt8(11))
            order.encode(into: &w)
            reason.encode(into: &w)
        case .orderResumed(let order, let stamp):
            w.write(UInt8(12))
            order.encode(into: &w)
            w.write(stamp)
        case .orderStamped(let order, let stamp):
            w.write(UInt8(13))
            order.encode(into: &w)
            w.write(stamp)
        case .orderClosed(let order, let reason):
            w.write(UInt8(14))
            order.encode(into: &w)
            reason.encode(into: &w)
        case .deliveryOpened(let delivery):
            w.write(UInt8(15))
            delivery.encode(into: &w)
        case .deliveryEnded(let delivery, let at, let cause):
            w.write(UInt8(16))
            delivery.encode(into: &w)
            at.encode(into: &w)
            cause.encode(into: &w)
        case .lineSettled(let line):
            w.write(UInt8(17))
            line.encode(into: &w)
        case .deliveryClosed(let delivery):
            w.write(UInt8(18))
            delivery.encode(into: &w)
        case .answerRecorded(let key, let answer):
            w.write(UInt8(19))
            key.encode(into: &w)
            answer.encode(into: &w)
        case .orderAmended(let order):
            w.write(UInt8(20))
            order.encode(into: &w)
        case .ordersRepriced(let repricings):
            w.write(UInt8(21))
            repricings.encode(into: &w)
        case .phaseChanged(let phase):
            w.write(UInt8(22))
            phase.encode(into: &w)
        case .rulesScheduled(let scheduled):
            w.write(UInt8(23))
            scheduled.encode(into: &w)
        case .rulesChanged(let scheduled):
            w.write(UInt8(24))
            scheduled.encode(into: &w)
        case .indexPublished(let index):
            w.write(UInt8(25))
            index.encode(into: &w)
        case .farmCreated(let farm):
            w.write(UInt8(26))
            farm.encode(into: &w)
        case .rigAssigned(let rig, let farm):
            w.write(UInt8(27))
            rig.encode(into: &w)
            farm.encode(into: &w)
        case .farmOffered(let farm, let offer):
            w.write(UInt8(28))
            farm.encode(into: &w)
            offer.encode(into: &w)
        case .silenceSet(let account, let deadline):
            w.write(UInt8(29))
            account.encode(into: &w)
            deadline.encode(into: &w)
        case .holdReleased(let delivery):
            w.write(UInt8(30))
            delivery.encode(into: &w)
        case .fleet(let event):
            w.write(UInt8(40))
            event.encode(into: &w)
        case .blockFound(let block):
            w.write(UInt8(41))
            block.encode(into: &w)
        case .blockJudged(let block, let verdict, let error):
            w.write(UInt8(42))
            block.encode(into: &w)
            verdict.encode(into: &w)
            w.write(error)
        case .books(let event):
            w.write(UInt8(50))
            event.encode(into: &w)
        }
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        switch try r.readByte() {
        case 1: self = .marketDefined(try MarketRules(from: &r))
        case 2: self = .entryPosted(try LedgerEntry(from: &r))
        case 3: self = .poolTargetCreated(try PoolTarget(from: &r))
        case 4: self = .poolTargetChanged(try PoolTargetID(from: &r), try PoolStatus(from: &r))
        case 5: self = .rigRegistered(try Rig(from: &r))
        case 6:
            self = .rigOnline(
                try RigID(from: &r), edge: try EdgeID(from: &r), session: try r.readInt64(),
                versionMask: try r.readFixed())
        case 7: self = .rigOffline(try RigID(from: &r), at: try Timestamp(from: &r))
        case 8: self = .rigMeasured(try RigID(from: &r), try Hashrate(from: &r))
        case 9: self = .orderPlaced(try Order(from: &r))
        case 10: self = .askOffered(try OrderID(from: &r), try Lots(from: &r))
        case 11: self = .orderSuspended(try OrderID(from: &r), try SuspensionReason(from: &r))
        case 12: self = .orderResumed(try OrderID(from: &r), stamp: try r.readInt64())
        case 13: self = .orderStamped(try OrderID(from: &r), stamp: try r.readInt64())
        case 14: self = .orderClosed(try OrderID(from: &r), try CloseReason(from: &r))
        case 15: self = .deliveryOpened(try Delivery(from: &r))
        case 16:
            self = .deliveryEnded(
                try DeliveryID(from: &r), at: try Timestamp(from: &r), try EndCause(from: &r))
        case 17: self = .lineSettled(try SettlementLine(from: &r))
        case 18: self = .deliveryClosed(try DeliveryID(from: &r))
        case 19: self = .answerRecorded(try AnswerKey(from: &r), try RecordedAnswer(from: &r))
        case 20: self = .orderAmended(try Order(from: &r))
        case 21: self = .ordersRepriced(try [Repricing](from: &r))
        case 22: self = .phaseChanged(try MarketPhase(from: &r))
        case 23: self = .rulesScheduled(try ScheduledRules(from: &r))
        case 24: self = .rulesChanged(try ScheduledRules(from: &r))
        case 25: self = .indexPublished(try IndexPrice(from: &r))
        case 26: self = .farmCreated(try Farm(from: &r))
        case 27: self = .rigAssigned(try RigID(from: &r), try FarmID?(from: &r))
        case 28: self = .farmOffered(try FarmID(from: &r), try FarmOffer?(from: &r))
        case 29: self = .silenceSet(try AccountID(from: &r), try Timestamp?(from: &r))
        case 30: self = .holdReleased(try DeliveryID(from: &r))
        case 40: self = .fleet(try FleetEvent(from: &r))
        case 41: self = .blockFound(try Block(from: &r))
        case 42: self = .blockJudged(try BlockID(from: &r), try BlockVerdict(from: &r), poolError: try r.readInt64())
        case 50: self = .books(try BooksEvent(from: &r))
        case let tag: throw .unknownTag(tag)
        }
    }
}
