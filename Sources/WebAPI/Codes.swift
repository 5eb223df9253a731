internal import Exchange

// What the market's own words are called in the API. Stable: programs compare them.

extension SelfTradePrevention {
    var code: String {
        switch self {
        case .cancelResting: "cancelResting"
        case .cancelIncoming: "cancelIncoming"
        case .cancelBoth: "cancelBoth"
        }
    }
}

extension TimeInForce {
    var code: String {
        switch self {
        case .goodTillCancelled: "GTC"
        case .immediateOrCancel: "IOC"
        }
    }
}

extension SuspensionReason {
    var code: String {
        switch self {
        case .rigOffline: "rigOffline"
        case .rigUnmeasured: "rigUnmeasured"
        case .insufficientFunds: "insufficientFunds"
        case .poolsUnusable: "poolsUnusable"
        }
    }
}

extension CloseReason {
    var code: String {
        switch self {
        case .cancelled: "cancelled"
        case .immediateRemainder: "immediateRemainder"
        case .budgetSpent: "budgetSpent"
        case .selfTrade: "selfTrade"
        }
    }
}

extension EndCause {
    var code: String {
        switch self {
        case .term: "term"
        case .bidClosed: "bidClosed"
        case .askClosed: "askClosed"
        case .rigAway: "rigAway"
        case .underDelivery: "underDelivery"
        case .poolsUnusable: "poolsUnusable"
        }
    }
}
