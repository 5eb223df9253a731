internal import HeapModule
public import Units

/// Something that becomes due by itself.
enum Deadline: Hashable, Sendable {
    /// A delivery's term, or the time its funds last.
    case term(DeliveryID)
    /// A rig that is away from its delivery for too long.
    case away(RigID)
    /// A hold that nobody settled in time.
    case hold(DeliveryID)
    /// Planned rules.
    case rules
    case expiry(OrderID)
    /// The orders of an account that may have gone silent.
    case silence(AccountID)
    /// An ask's daily schedule opens or closes.
    case schedule(OrderID)
    /// A curtailment is over, or rigs that it cut come back.
    case curtailment(FarmID)

    /// At one instant ends come first (terms, absences), then holds and all others, each by number.
    fileprivate var order: (Int, Int64) {
        switch self {
        case .term(let id): (0, id.rawValue)
        case .away(let id): (1, id.rawValue)
        case .hold(let id): (2, id.rawValue)
        case .rules: (3, 0)
        case .expiry(let id): (4, id.rawValue)
        case .silence(let id): (5, id.rawValue)
        case .schedule(let id): (6, id.rawValue)
        case .curtailment(let id): (7, id.rawValue)
        }
    }
}

/// A deadline at its time.
struct Timer: Comparable, Hashable, Sendable {
    var at: Timestamp
    var deadline: Deadline

    static func < (a: Timer, b: Timer) -> Bool {
        if a.at != b.at { return a.at < b.at }
        return a.deadline.order < b.deadline.order
    }
}

/// Deadlines by time. Outdated ones stay until they are due and are then found to be so: entities decide.
struct TimerQueue: Sendable {
    private var heap = Heap<Timer>()

    var next: Timer? { heap.min }

    mutating func schedule(_ deadline: Deadline, at: Timestamp) { heap.insert(Timer(at: at, deadline: deadline)) }

    mutating func popFirst() { _ = heap.popMin() }

    var count: Int { heap.count }

    /// O(deadlines)
    mutating func removeAll(where isOutdated: (Deadline) -> Bool) {
        heap = Heap(heap.unordered.filter { !isOutdated($0.deadline) })
    }
}

extension MarketState {
    /// Forgets the deadlines before `time`: for a state that follows an exchange which has fired them.
    public mutating func dropTimers(before time: Timestamp) {
        while let first = timers.next, first.at < time { timers.popFirst() }
        if hasManyOutdatedTimers { rebuildTimers() }
    }

    /// Whether most deadlines must be outdated: of orders that are gone, or put off. Each entity has two at most.
    var hasManyOutdatedTimers: Bool {
        timers.count > 10_000 + 4 * (deliveries.count + orders.count + rigs.count + silences.count + curtailments.count)
    }

    /// The deadlines that the entities still have. O(entities)
    mutating func rebuildTimers() {
        timers = TimerQueue()
        for planned in status.scheduled { timers.schedule(.rules, at: planned.effectiveAt) }
        for delivery in deliveries.values { scheduleTimer(of: delivery) }
        for rig in rigs.values { scheduleTimer(of: rig) }
        for account in silences.keys {
            if let deadline = silences[account] { timers.schedule(.silence(account), at: deadline) }
        }
        for curtailment in curtailments.values { scheduleTimer(of: curtailment) }
        for order in orders.values where order.isAlive {
            if let expiry = order.instructions.expiresAt { timers.schedule(.expiry(order.id), at: expiry) }
        }
    }
}

/// Keys of remembered answers, oldest first.
struct AnswerQueue: Sendable {
    private var keys: [AnswerKey] = []
    private var head = 0

    var count: Int { keys.count - head }

    mutating func append(_ key: AnswerKey) { keys.append(key) }

    mutating func popFirst() -> AnswerKey? {
        guard head < keys.count else { return nil }
        defer {
            head += 1
            if head > 4096, head * 2 > keys.count {
                keys.removeFirst(head)
                head = 0
            }
        }
        return keys[head]
    }
}
