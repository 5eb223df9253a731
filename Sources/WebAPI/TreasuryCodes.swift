internal import Exchange
internal import Ledger
internal import Market

extension TransferKind: Coded {
    var code: String {
        switch self {
        case .deposit: "deposit"
        case .withdrawal: "withdrawal"
        case .adjustment: "adjustment"
        case .reversal: "reversal"
        }
    }
}

extension TransferStatus: Coded {
    var code: String {
        switch self {
        case .pending: "pending"
        case .approved: "approved"
        case .completed: "completed"
        case .rejected: "rejected"
        case .cancelled: "cancelled"
        }
    }
}

extension LedgerBasis: Coded {
    var code: String {
        switch self {
        case .value: "value"
        case .booked: "booked"
        }
    }
}

extension EntryKind: Coded {
    var code: String {
        switch self {
        case .deposit: "deposit"
        case .hold: "hold"
        case .settlement: "settlement"
        case .release: "release"
        case .depositRecorded: "depositRecorded"
        case .depositApproved: "depositApproved"
        case .depositReturned: "depositReturned"
        case .withdrawalRequested: "withdrawalRequested"
        case .withdrawalPaid: "withdrawalPaid"
        case .withdrawalReturned: "withdrawalReturned"
        case .adjustment: "adjustment"
        case .reversal: "reversal"
        case .credit: "credit"
        }
    }
}

extension LedgerAccount {
    /// What the chart of accounts calls it, without its owner.
    var kindCode: String {
        switch self {
        case .available: "available"
        case .held: "held"
        case .custody: "custody"
        case .fees: "fees"
        case .loss: "loss"
        case .suspense: "suspense"
        case .leaving: "leaving"
        }
    }

    /// The kinds of accounts, as they are stored.
    static let kindByCode: [String: UInt8] = [
        "available": 1, "held": 2, "custody": 3, "fees": 4, "loss": 5, "suspense": 6, "leaving": 7,
    ]
}
