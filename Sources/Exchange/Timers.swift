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
}

extension MarketState {
    /// Forgets the deadlines before `time`: for a state that follows an exchange which has fired them.
    public mutating func dropTimers(before time: Timestamp) {
        while let first = timers.next, first.at < time { timers.popFirst() }
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
