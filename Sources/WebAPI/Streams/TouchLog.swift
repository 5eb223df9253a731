internal import Exchange
internal import Units

/// What the own streams of accounts are about.
enum TouchedThing: Hashable, Sendable {
    case order(OrderID)
    case delivery(DeliveryID)
    case rig(RigID)

    var isRig: Bool {
        switch self {
        case .rig: true
        case .order, .delivery: false
        }
    }
}

/// A thing as it is after a commit.
enum TouchedImage: Sendable {
    case order(Order)
    case delivery(Delivery)
    case rig(Rig, sold: [Delivery], isCut: Bool)
}

extension TouchedImage {
    /// As the state has it; nil when it has left the state.
    init?(_ thing: TouchedThing, in state: MarketState) {
        switch thing {
        case .order(let id):
            guard let order = state.orders[id] else { return nil }
            self = .order(order)
        case .delivery(let id):
            guard let delivery = state.deliveries[id] else { return nil }
            self = .delivery(delivery)
        case .rig(let id):
            guard let rig = state.rigs[id] else { return nil }
            self = .rig(rig, sold: state.deliveries(on: id), isCut: state.cuts[id] != nil)
        }
    }

    /// Whose it is; of a delivery its buyer and its seller.
    var accounts: [AccountID] {
        switch self {
        case .order(let order): [order.account]
        case .delivery(let delivery): [delivery.buyer, delivery.seller]
        case .rig(let rig, _, _): [rig.owner]
        }
    }
}

/// What changed lately of whom: from it readers resume, with images of the present.
struct TouchLog: Sendable {
    struct Touch: Sendable {
        var sequence: Int64
        var account: AccountID
        var thing: TouchedThing
        /// Of what has left the state.
        var last: TouchedImage?
    }

    static let most = 65_536

    private var touches: [Touch] = []
    /// Of later commits all is known.
    private(set) var floor: Int64

    init(floor: Int64) { self.floor = floor }

    mutating func append(_ fresh: [Touch]) {
        touches += fresh
        guard touches.count > 2 * TouchLog.most else { return }
        let excess = touches.count - TouchLog.most
        floor = touches[excess - 1].sequence
        touches.removeFirst(excess)
    }

    mutating func forgetAll(upTo sequence: Int64) {
        touches = []
        floor = sequence
    }

    /// An account's things that changed after a commit, each once, with their last images where they are gone; nil if that is no
    /// longer known.
    func touches(after sequence: Int64, of account: AccountID, rigs: Bool) -> [(thing: TouchedThing, last: TouchedImage?)]? {
        guard sequence >= floor else { return nil }
        var places: [TouchedThing: Int] = [:]
        var found: [(thing: TouchedThing, last: TouchedImage?)] = []
        for touch in touches[start(after: sequence)...] where touch.account == account && touch.thing.isRig == rigs {
            if let place = places[touch.thing] {
                found[place].last = touch.last ?? found[place].last
            } else {
                places[touch.thing] = found.count
                found.append((touch.thing, touch.last))
            }
        }
        return found
    }

    private func start(after sequence: Int64) -> Int {
        var (low, high) = (0, touches.count)
        while low < high {
            let middle = (low + high) / 2
            if touches[middle].sequence <= sequence { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
