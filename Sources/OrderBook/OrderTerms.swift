/// How long an order stands.
public enum TimeInForce: UInt8, Sendable, CaseIterable {
    /// Until cancelled.
    case goodTillCancelled = 1
    /// Fills at once what it can; the rest is cancelled, and ended deliveries are not renewed.
    case immediateOrCancel = 2
    /// Until its expiry at the latest.
    case goodTillDate = 3
    /// Fills at once as a whole, or not at all.
    case fillOrKill = 4

    /// Whether it never rests in the book.
    @inlinable public var isImmediate: Bool {
        switch self {
        case .goodTillCancelled, .goodTillDate: false
        case .immediateOrCancel, .fillOrKill: true
        }
    }
}

/// What happens instead of a trade with oneself. The mode of the order with the later stamp counts.
public enum SelfTradePrevention: UInt8, Sendable, CaseIterable {
    case cancelResting = 1
    case cancelIncoming = 2
    case cancelBoth = 3
}
