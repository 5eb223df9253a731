public import BinaryCoding
internal import Ledger
internal import Units

// Binary forms of the treasury's commands, events and entities: with tags of their own.

extension TransferKind: BinaryCodable {}
extension TransferStatus: BinaryCodable {}
extension PaymentKey.Kind: BinaryCodable {}

extension Transfer: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        id.encode(into: &w)
        kind.encode(into: &w)
        status.encode(into: &w)
        account.encode(into: &w)
        amount.encode(into: &w)
        reference.encode(into: &w)
        destination.encode(into: &w)
        postings.encode(into: &w)
        reverses.encode(into: &w)
        reason.encode(into: &w)
        note.encode(into: &w)
        requestedBy.encode(into: &w)
        requestedAt.encode(into: &w)
        decidedBy.encode(into: &w)
        decidedAt.encode(into: &w)
        completedBy.encode(into: &w)
        completedAt.encode(into: &w)
        entry.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(
            id: try TransferID(from: &r), kind: try TransferKind(from: &r), status: try TransferStatus(from: &r),
            account: try AccountID?(from: &r), amount: try Satoshis(from: &r), reference: try String?(from: &r),
            destination: try String?(from: &r), postings: try [Posting](from: &r), reverses: try Int64?(from: &r),
            reason: try String?(from: &r), note: try String?(from: &r), requestedBy: try AccountID(from: &r),
            requestedAt: try Timestamp(from: &r), decidedBy: try AccountID?(from: &r), decidedAt: try Timestamp?(from: &r),
            completedBy: try AccountID?(from: &r), completedAt: try Timestamp?(from: &r), entry: try Int64?(from: &r))
    }
}

extension PaymentKey: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        kind.encode(into: &w)
        w.write(reference)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(try Kind(from: &r), try r.readString())
    }
}

extension Freeze: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        by.encode(into: &w)
        at.encode(into: &w)
        w.write(reason)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(by: try AccountID(from: &r), at: try Timestamp(from: &r), reason: try r.readString())
    }
}

extension Treasury: BinaryCodable {
    public func encode(into w: inout BinaryWriter) { w.write(transfer) }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init()
        transfer = try r.readInt64()
    }
}

extension TreasuryCommand: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        switch self {
        case .recordDeposit(let account, let amount, let reference, let by):
            w.write(UInt8(1))
            account.encode(into: &w)
            amount.encode(into: &w)
            w.write(reference)
            by.encode(into: &w)
        case .requestWithdrawal(let account, let amount, let destination, let by):
            w.write(UInt8(2))
            account.encode(into: &w)
            amount.encode(into: &w)
            w.write(destination)
            by.encode(into: &w)
        case .proposeAdjustment(let postings, let reason, let by):
            w.write(UInt8(3))
            postings.encode(into: &w)
            w.write(reason)
            by.encode(into: &w)
        case .proposeReversal(let entry, let kind, let postings, let reason, let by):
            w.write(UInt8(4))
            w.write(entry)
            kind.encode(into: &w)
            postings.encode(into: &w)
            w.write(reason)
            by.encode(into: &w)
        case .approve(let id, let account, let by):
            w.write(UInt8(5))
            id.encode(into: &w)
            account.encode(into: &w)
            by.encode(into: &w)
        case .reject(let id, let reason, let by):
            w.write(UInt8(6))
            id.encode(into: &w)
            w.write(reason)
            by.encode(into: &w)
        case .cancel(let id, let by):
            w.write(UInt8(7))
            id.encode(into: &w)
            by.encode(into: &w)
        case .complete(let id, let reference, let by):
            w.write(UInt8(8))
            id.encode(into: &w)
            w.write(reference)
            by.encode(into: &w)
        case .freeze(let account, let isFrozen, let reason, let by):
            w.write(UInt8(9))
            account.encode(into: &w)
            w.write(isFrozen)
            w.write(reason)
            by.encode(into: &w)
        }
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        switch try r.readByte() {
        case 1:
            self = .recordDeposit(
                account: try AccountID?(from: &r), amount: try Satoshis(from: &r), reference: try r.readString(),
                by: try AccountID(from: &r))
        case 2:
            self = .requestWithdrawal(
                account: try AccountID(from: &r), amount: try Satoshis(from: &r), destination: try r.readString(),
                by: try AccountID(from: &r))
        case 3:
            self = .proposeAdjustment(try [Posting](from: &r), reason: try r.readString(), by: try AccountID(from: &r))
        case 4:
            self = .proposeReversal(
                entry: try r.readInt64(), kind: try EntryKind(from: &r), try [Posting](from: &r), reason: try r.readString(),
                by: try AccountID(from: &r))
        case 5:
            self = .approve(try TransferID(from: &r), account: try AccountID?(from: &r), by: try AccountID(from: &r))
        case 6: self = .reject(try TransferID(from: &r), reason: try r.readString(), by: try AccountID(from: &r))
        case 7: self = .cancel(try TransferID(from: &r), by: try AccountID(from: &r))
        case 8: self = .complete(try TransferID(from: &r), reference: try r.readString(), by: try AccountID(from: &r))
        case 9:
            self = .freeze(
                try AccountID(from: &r), try r.readBool(), reason: try r.readString(), by: try AccountID(from: &r))
        case let tag: throw .unknownTag(tag)
        }
    }
}

extension TreasuryEvent: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        switch self {
        case .transferChanged(let transfer):
            w.write(UInt8(1))
            transfer.encode(into: &w)
        case .freezeChanged(let account, let freeze):
            w.write(UInt8(2))
            account.encode(into: &w)
            freeze.encode(into: &w)
        }
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        switch try r.readByte() {
        case 1: self = .transferChanged(try Transfer(from: &r))
        case 2: self = .freezeChanged(try AccountID(from: &r), try Freeze?(from: &r))
        case let tag: throw .unknownTag(tag)
        }
    }
}
