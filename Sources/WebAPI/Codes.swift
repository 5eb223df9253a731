internal import Exchange
internal import OrderBook

/// What the market's own words are called in the API. Stable: programs compare them.
protocol Coded: CaseIterable, Hashable, Sendable {
    var code: String { get }
}

extension Coded {
    static var byCode: [String: Self] { Dictionary(uniqueKeysWithValues: allCases.map { ($0.code, $0) }) }
}

extension Side: Coded {
    var code: String {
        switch self {
        case .bid: "bid"
        case .ask: "ask"
        }
    }
}

extension SelfTradePrevention: Coded {
    var code: String {
        switch self {
        case .cancelResting: "cancelResting"
        case .cancelIncoming: "cancelIncoming"
        case .cancelBoth: "cancelBoth"
        }
    }
}

extension TimeInForce: Coded {
    var code: String {
        switch self {
        case .goodTillCancelled: "GTC"
        case .goodTillDate: "GTD"
        case .immediateOrCancel: "IOC"
        case .fillOrKill: "FOK"
        }
    }
}

extension PegReference: Coded {
    var code: String {
        switch self {
        case .bestBid: "bestBid"
        case .bestAsk: "bestAsk"
        case .index: "index"
        }
    }
}

extension MarketPhase: Coded {
    var code: String {
        switch self {
        case .open: "open"
        case .cancelOnly: "cancelOnly"
        case .halted: "halted"
        }
    }
}

extension SuspensionReason: Coded {
    var code: String {
        switch self {
        case .rigOffline: "rigOffline"
        case .rigUnmeasured: "rigUnmeasured"
        case .insufficientFunds: "insufficientFunds"
        case .poolsUnusable: "poolsUnusable"
        case .outsideSchedule: "outsideSchedule"
        case .noReference: "noReference"
        case .rigBusy: "rigBusy"
        case .curtailed: "curtailed"
        }
    }
}

extension CloseReason: Coded {
    var code: String {
        switch self {
        case .cancelled: "cancelled"
        case .immediateRemainder: "immediateRemainder"
        case .budgetSpent: "budgetSpent"
        case .selfTrade: "selfTrade"
        case .expired: "expired"
        case .silence: "silence"
        case .leftFarm: "leftFarm"
        case .accountFrozen: "accountFrozen"
        }
    }
}

extension EndCause: Coded {
    var code: String {
        switch self {
        case .term: "term"
        case .bidClosed: "bidClosed"
        case .askClosed: "askClosed"
        case .rigAway: "rigAway"
        case .underDelivery: "underDelivery"
        case .poolsUnusable: "poolsUnusable"
        case .fundsSpent: "fundsSpent"
        case .askPaused: "askPaused"
        case .curtailed: "curtailed"
        }
    }
}

extension PassedOver: Coded {
    var code: String { rawValue }
}
