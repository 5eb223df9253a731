public import Units

/// What is told of the fills of ``OrderBook/submit(_:timeInForce:isPostOnly:_:)``, in the order in which they happen.
public protocol BookListener {
    /// A resting order and an incoming one have traded, at the resting order's price.
    mutating func filled(maker: OrderID, taker: OrderID, price: Price, lots: Lots)
    /// An order's open lots are cancelled, so that it does not trade with its owner.
    mutating func cancelled(_ id: OrderID, lots: Lots)
}

/// What became of an order that was given to the book.
public enum Submitted: Hashable, Sendable {
    /// Nothing is left.
    case filled
    /// So many lots rest in the book.
    case rested(Lots)
    /// An immediate order's remainder, which does not rest.
    case dropped(Lots)
    /// Cancelled by self-trade prevention with so many lots left.
    case cancelled(Lots)
    /// Not taken: a post-only order that would have matched.
    case wouldMatch
    /// Not taken: a fill-or-kill order that cannot be filled as a whole.
    case cannotFill
    /// Not taken: it makes no sense.
    case refused(BookRefusal)
}

/// Why the book does not take an order or a change. Nothing has happened.
public enum BookRefusal: String, Hashable, Sendable, CaseIterable {
    /// Ids are positive.
    case idOutOfRange
    case idInUse
    case lotsOutOfRange
    case minimumFillOutOfRange
    /// Displayed lots are positive, no less than what a fill must have, and show the whole order in ``OrderBook/mostParts`` parts.
    case displayedOutOfRange
    case unknownOrder
    /// A replacement is on the side of what it replaces.
    case otherSide
}
