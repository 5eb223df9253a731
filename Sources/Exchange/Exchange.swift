internal import Ledger
internal import OrderBook
public import Units

/// A market's single writer: commands in, events out (design, section 6).
///
/// A plain value without clock, randomness or I/O. It decides by looking at its state, and every decision is an
/// event that changes the state at once; the same commands at the same times give the same events on any machine.
public struct Exchange: Sendable {
    public internal(set) var state: MarketState
    /// Time of the last command; never runs backwards.
    public private(set) var time: Timestamp
    var events: [Event] = []
    /// When the daily schedules of asks are looked at next.
    var scheduleChanges: [OrderID: Timestamp] = [:]

    public init(_ state: MarketState = MarketState(), time: Timestamp = Timestamp(microseconds: 0)) {
        self.state = state
        self.time = time
        // A state that only followed another exchange's events has lost sight of what is looked at again and again.
        for id in state.scheduledAsks { armSchedule(of: id) }
        for account in state.silences.keys {
            self.state.timers.schedule(.silence(account), at: state.silences[account] ?? time)
        }
    }

    /// When something becomes due by itself, if nothing else happens before: then send ``Command/advance``.
    public var nextDeadline: Timestamp? {
        guard !state.pegged.isEmpty, state.status.phase == .open else { return state.timers.next?.at }
        let repricing = Timestamp(microseconds: (time.seconds + 1) * 1_000_000)
        return state.timers.next.map { min($0.at, repricing) } ?? repricing
    }

    /// Applies one command after everything that was due until then.
    ///
    /// - Returns: the answer and, in order, what happened. A refusal changes nothing (but may be recorded for its
    ///   idempotency key).
    public mutating func apply(_ envelope: CommandEnvelope, at now: Timestamp) -> (outcome: Outcome, events: [Event]) {
        let lastSecond = time.seconds
        time = max(now, time)
        events.removeAll(keepingCapacity: true)
        adoptDueRules()
        // Before anything that is due changes the prices that are followed: so a look that changed nothing, and is in no
        // journal, makes no difference.
        var returned = Returned()
        if time.seconds > lastSecond, state.status.phase == .open, !state.pegged.isEmpty, let rules = state.rules {
            returned = reprice(rules)
        }
        fireTimers(&returned)
        match(returned)
        if state.hasManyOutdatedTimers { forgetOutdatedTimers() }
        let outcome = answer(envelope)
        return (outcome, events)
    }

    private mutating func answer(_ envelope: CommandEnvelope) -> Outcome {
        guard let idempotency = envelope.idempotency else { return decide(envelope.command) }
        guard Exchange.isText(idempotency.key.key, 1...64), idempotency.key.account.rawValue > 0 else {
            return .rejected(.textTooLong)
        }
        if let known = state.answers[idempotency.key] {
            return known.digest == idempotency.digest ? known.outcome : .rejected(.idempotencyKeyReused)
        }
        let outcome = decide(envelope.command)
        emit(.answerRecorded(idempotency.key, RecordedAnswer(
            number: state.counters.answer, digest: idempotency.digest, outcome: outcome)))
        return outcome
    }

    private mutating func decide(_ command: Command) -> Outcome {
        do throws(Rejection) {
            if case .defineMarket(let rules) = command { return try define(rules) }
            guard let rules = state.rules else { throw .marketUndefined }
            return try decide(command, rules)
        } catch {
            return .rejected(error)
        }
    }

    private mutating func decide(_ command: Command, _ rules: MarketRules) throws(Rejection) -> Outcome {
        switch command {
        case .defineMarket: throw .marketAlreadyDefined
        case .deposit(let account, let amount, let reference):
            return try deposit(account, amount, reference)
        case .createPoolTarget(let owner, let name, let url, let user, let password):
            return try createPoolTarget(owner, name: name, url: url, user: user, password: password)
        case .recordVerification(let target, let status):
            return try recordVerification(target, status)
        case .registerRig(let owner, let name, let digest, let fallback):
            return try registerRig(owner, name: name, digest: digest, fallback: fallback)
        case .placeBid(let bid): return try place(bid, rules)
        case .placeAsk(let ask): return try place(ask, rules)
        case .cancelOrder(let id, let account): return try cancel(id, by: account)
        case .rigOnline(let id, let edge, let session, let mask):
            return try rigOnline(id, edge: edge, session: session, mask: mask)
        case .rigOffline(let id, let session): return try rigOffline(id, session: session)
        case .rigMeasured(let id, let session, let hashrate):
            return try rigMeasured(id, session: session, hashrate)
        case .poolsUnusable(let id, let reason): return try poolsUnusable(id, reason: reason)
        case .underDelivered(let id, let hashrate): return try underDelivered(id, hashrate)
        case .edgeStarted(let edge): return edgeStarted(edge)
        case .settle(let run, let chunk, let totals): return try settle(run: run, chunk: chunk, totals)
        case .advance: return .done
        case .amendOrder(let id, let account, let amendment): return try amend(id, by: account, amendment, rules)
        case .cancelAll(let account, let side): return try cancelAll(of: account, side)
        case .cancelAllAfter(let account, let silence): return try cancelAllAfter(account, silence)
        case .setPhase(let phase): return setPhase(phase)
        case .scheduleRules(let rules, let effectiveAt): return try scheduleRules(rules, effectiveAt: effectiveAt)
        case .publishIndex(let index): return try publish(index, rules)
        case .createFarm(let owner, let name): return try createFarm(owner, name)
        case .assignRig(let id, let owner, let farm): return try assign(id, owner, to: farm, rules)
        case .offerFarm(let id, let owner, let terms): return try offer(id, owner, terms, rules)
        case .withdrawFarm(let id, let owner): return try withdraw(id, by: owner)
        case .fleet(let command): return try decide(command, rules)
        case .blockFound(let report): return try blockFound(report)
        case .blockJudged(let hash, let verdict, let error): return try blockJudged(hash, verdict, poolError: error)
        case .books(let command): return try decide(command)
        }
    }

    private mutating func define(_ rules: MarketRules) throws(Rejection) -> Outcome {
        guard state.rules == nil else { throw .marketAlreadyDefined }
        guard rules.flaw == nil else { throw .rulesInvalid }
        emit(.marketDefined(rules))
        return .done
    }

    mutating func emit(_ event: Event) {
        state.evolve(event)
        events.append(event)
    }

    func nextStamp() -> Int64 { state.counters.stamp }

    // MARK: - Time

    /// All ends of one instant return their lots first, in delivery order; then they match. After a pause that goes for all
    /// instants that have passed: nothing is matched that was over since.
    private mutating func fireTimers(_ returned: inout Returned) {
        while let timer = state.timers.next, timer.at <= time {
            while state.timers.next == timer { state.timers.popFirst() }
            fire(timer, &returned)
        }
    }

    private mutating func forgetOutdatedTimers() {
        state.rebuildTimers()
        scheduleChanges = scheduleChanges.filter { state.scheduledAsks.contains($0.key) }
        for (id, change) in scheduleChanges { state.timers.schedule(.schedule(id), at: change) }
    }

    private mutating func fire(_ timer: Timer, _ returned: inout Returned) {
        switch timer.deadline {
        case .term(let id):
            guard let delivery = state.deliveries[id], delivery.isRunning else { return }
            end(delivery, causeOfExpiry(of: delivery), at: delivery.expiresAt, &returned)
        case .away(let id):
            guard let rig = state.rigs[id], case .offline(let since) = rig.presence, let rules = state.rules,
                since + rules.awayLimit <= timer.at
            else { return }
            for delivery in state.deliveries(on: id) { end(delivery, .rigAway, at: timer.at, &returned) }
        case .hold(let id):
            guard let delivery = state.deliveries[id], case .ended(let end, _) = delivery.phase, let rules = state.rules,
                end + rules.holdLimit <= timer.at, delivery.held > .zero
            else { return }
            release(delivery)
            resume([delivery.buyer], &returned)
        case .rules: reviewOrders(&returned)
        case .expiry(let id):
            guard let order = state.orders[id], order.isAlive, let expiry = order.instructions.expiresAt,
                expiry <= timer.at
            else { return }
            close(order, .expired, at: expiry, &returned)
        case .silence(let account): hush(account, at: timer.at, &returned)
        case .schedule(let id):
            guard scheduleChanges[id] == timer.at else { return }
            scheduleChanges[id] = nil
            followSchedule(of: id, at: timer.at, &returned)
            armSchedule(of: id)
        case .curtailment(let farm): followCurtailment(of: farm, at: timer.at, &returned)
        }
    }
}

/// Orders whose lots came back and that want to match again.
struct Returned {
    /// The first one; most often there is no other.
    private var first: (id: OrderID, side: Side)?
    private var others: [(id: OrderID, side: Side)] = []

    var isEmpty: Bool { first == nil }
    /// nil when there are none or several.
    var single: OrderID? { others.isEmpty ? first?.id : nil }
    var bids: Set<OrderID> { all(.bid) }
    var asks: Set<OrderID> { all(.ask) }

    mutating func add(_ order: Order) { add(order.id, order.side) }

    mutating func add(_ entry: OrderBook.Entry) { add(entry.id, entry.side) }

    mutating func add(_ id: OrderID, _ side: Side) {
        if first == nil {
            first = (id, side)
        } else if first?.id != id {
            others.append((id, side))
        }
    }

    private func all(_ side: Side) -> Set<OrderID> {
        var result = Set(others.lazy.filter { $0.side == side }.map(\.id))
        if let first, first.side == side { result.insert(first.id) }
        return result
    }
}
