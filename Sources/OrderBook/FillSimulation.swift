internal import Units

extension OrderBook {
    /// Whether all of the taker's lots could be filled now. An exact simulation of what ``next(for:)`` and the iceberg rule would
    /// give; changes nothing.
    ///
    /// `admits` is asked in order for every fill, and may sum up what it has seen; where it says no the order is passed over as by
    /// ``skip(_:_:)``. It is asked for self-trades too: those that it admits are prevented by the taker's mode, which fills
    /// nothing. O(fills + orders passed over); allocates only where icebergs or minimum fills take part.
    public func canFill(_ taker: Taker, admits: (Match) -> Bool) -> Bool {
        withCore { core in
            var simulation = FillSimulation(taker, core)
            return simulation.run(core, admits: admits)
        }
    }
}

/// Walks as a taker would, on the book as it would have become.
///
/// Only icebergs outlive a fill with lots for the taker still to find: they come up again behind their level. Orders that are
/// passed over for a minimum fill are kept until one behind them is skipped: once the taker's lots are below its own minimum fill
/// they come first.
private struct FillSimulation {
    /// An order as it would be at this point.
    private struct Maker {
        var slot: Int32
        var parts: Parts
    }

    private enum Outcome {
        /// Lots are left to find.
        case goOn
        /// The taker is filled.
        case filled
        /// The taker is cancelled, since it met its owner's order.
        case cancelled
    }

    private var taker: OrderBook.Taker
    private let threshold: Int64
    /// The level walked now, and the next order of its list; after those, its refreshed icebergs.
    private var level: Int32
    private var slot: Int32
    private var refreshed: [Maker] = []
    private var refreshedSeen = 0
    /// Orders too small for the taker's minimum fill, in order.
    private var tooSmall: [Maker] = []

    init(_ taker: OrderBook.Taker, _ core: borrowing BookCore) {
        self.taker = taker
        let side = taker.side.opposite
        threshold = side.key(taker.limit.rawValue)
        self.taker.passed = taker.skipped
        slot = core.startOfWalk(&self.taker)
        level = slot < 0 ? BookCore.none : core.slots[Int(slot)].level
    }

    mutating func run(_ core: borrowing BookCore, admits: (OrderBook.Match) -> Bool) -> Bool {
        if taker.lots.rawValue <= 0 { return true }
        while let maker = nextMaker(core) {
            switch meet(maker, core, admits) {
            case .goOn: break
            case .filled: return true
            case .cancelled: return false
            }
            guard taker.lots < taker.minimumFill, !tooSmall.isEmpty else { continue }
            let again = tooSmall
            tooSmall = []
            for maker in again {
                switch meet(maker, core, admits) {
                case .goOn: break
                case .filled: return true
                case .cancelled: return false
                }
            }
        }
        return false
    }

    private mutating func nextMaker(_ core: borrowing BookCore) -> Maker? {
        while level >= 0, core.levels[Int(level)].key >= threshold {
            if slot >= 0 {
                defer { slot = core.slots[Int(slot)].next }
                return Maker(slot: slot, parts: core.parts(slot))
            }
            if refreshedSeen < refreshed.count {
                defer { refreshedSeen += 1 }
                return refreshed[refreshedSeen]
            }
            refreshed.removeAll(keepingCapacity: true)
            refreshedSeen = 0
            level = core.levels[Int(level)].worse
            slot = level < 0 ? BookCore.none : core.levels[Int(level)].head
        }
        return nil
    }

    private mutating func meet(
        _ maker: Maker, _ core: borrowing BookCore, _ admits: (OrderBook.Match) -> Bool
    ) -> Outcome {
        let terms = core.termsOf(maker.slot)
        let lots = taker.lots.rawValue, minimum = taker.minimumFill.rawValue
        let fill = Parts.fill(taker: lots, minimum: minimum, maker: maker.parts, makerMinimum: terms.minimumFill)
        guard fill > 0 else {
            if lots >= minimum, maker.parts.lots < minimum { tooSmall.append(maker) }
            return .goOn
        }
        let match = core.match(BookCore.Candidate(slot: maker.slot, fill: fill), taker)
        guard admits(match) else {
            tooSmall.removeAll()
            return .goOn
        }
        if match.isSelfTrade { return taker.selfTrade == .cancelResting ? .goOn : .cancelled }
        taker.lots = Lots(lots - fill)
        if fill == lots { return .filled }
        let after = Parts.after(fill, of: maker.parts, displayed: terms.displayed, minimumFill: terms.minimumFill)
        if after.parts.lots > 0 { refreshed.append(Maker(slot: maker.slot, parts: after.parts)) }
        return .goOn
    }
}
