public import BinaryCoding
internal import Ledger
internal import Settlement
internal import Units

// Binary forms of the books. They came with coding version 3.

extension ChargeCode: BinaryCodable {}

extension Books: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        closedThrough.encode(into: &w)
        w.write(reopenings)
        w.write(credits)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(closedThrough: try Timestamp(from: &r), reopenings: try r.readInt64(), credits: try r.readInt64())
    }
}

extension LateWork: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        w.write(fromMinute)
        w.write(toMinute)
        work.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(fromMinute: try r.readInt64(), toMinute: try r.readInt64(), work: try Work(from: &r))
    }
}

extension AssessedTotal: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        delivery.encode(into: &w)
        w.write(fromMinute)
        w.write(toMinute)
        billable.encode(into: &w)
        fault.encode(into: &w)
        late.encode(into: &w)
        overDelivery.encode(into: &w)
        faultExcess.encode(into: &w)
        w.write(isFinal)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(
            delivery: try DeliveryID(from: &r), fromMinute: try r.readInt64(), toMinute: try r.readInt64(),
            billable: try Work(from: &r), fault: try Work(from: &r), late: try [LateWork](from: &r),
            overDelivery: try Work(from: &r), faultExcess: try Work(from: &r), isFinal: try r.readBool())
    }
}

extension SettlementChunk: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        w.write(run)
        w.write(chunk)
        valueAt.encode(into: &w)
        totals.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(
            run: try r.readInt64(), chunk: try r.readInt64(), valueAt: try Timestamp(from: &r),
            totals: try [AssessedTotal](from: &r))
    }
}

extension ClosedDelivery: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        delivery.encode(into: &w)
        key.encode(into: &w)
        billing.encode(into: &w)
        bid.encode(into: &w)
        ask.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(
            delivery: try Delivery(from: &r), key: try BillingKey(from: &r), billing: try Billing(from: &r),
            bid: try Order?(from: &r), ask: try Order?(from: &r))
    }
}

extension Credit: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        w.write(number)
        w.write(run)
        delivery.encode(into: &w)
        buyer.encode(into: &w)
        seller.encode(into: &w)
        w.write(fromMinute)
        w.write(toMinute)
        charge.encode(into: &w)
        w.write(isBorneByMarket)
        w.write(dispute)
        by.encode(into: &w)
        w.write(reason)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(
            number: try r.readInt64(), run: try r.readInt64(), delivery: try DeliveryID(from: &r),
            buyer: try AccountID(from: &r), seller: try AccountID(from: &r), fromMinute: try r.readInt64(),
            toMinute: try r.readInt64(), charge: try Satoshis(from: &r), isBorneByMarket: try r.readBool(),
            dispute: try r.readInt64(), by: try AccountID(from: &r), reason: try r.readString())
    }
}

extension BooksCommand: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        switch self {
        case .settle(let chunk):
            w.write(UInt8(1))
            chunk.encode(into: &w)
        case .trueUp(let chunk, let closed, let reopenings):
            w.write(UInt8(2))
            chunk.encode(into: &w)
            closed.encode(into: &w)
            w.write(reopenings)
        case .credit(let credit):
            w.write(UInt8(3))
            credit.encode(into: &w)
        case .closePeriod(let through, let account):
            w.write(UInt8(4))
            through.encode(into: &w)
            account.encode(into: &w)
        }
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        switch try r.readByte() {
        case 1: self = .settle(try SettlementChunk(from: &r))
        case 2:
            self = .trueUp(
                try SettlementChunk(from: &r), try [ClosedDelivery](from: &r), reopenings: try r.readInt64())
        case 3: self = .credit(try Credit(from: &r))
        case 4: self = .closePeriod(through: try Timestamp(from: &r), by: try AccountID(from: &r))
        case let tag: throw .unknownTag(tag)
        }
    }
}

extension BooksEvent: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        switch self {
        case .reopened(let closed):
            w.write(UInt8(1))
            closed.encode(into: &w)
        case .periodClosed(let through, let account):
            w.write(UInt8(2))
            through.encode(into: &w)
            account.encode(into: &w)
        }
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        switch try r.readByte() {
        case 1: self = .reopened(try [ClosedDelivery](from: &r))
        case 2: self = .periodClosed(through: try Timestamp(from: &r), by: try AccountID(from: &r))
        case let tag: throw .unknownTag(tag)
        }
    }
}
