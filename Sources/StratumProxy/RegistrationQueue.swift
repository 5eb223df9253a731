import Units

/// Workers that are to become rigs: each once, however many miners log in as it; a bounded number asked for at a time and
/// waiting, tried again after a growing, scattered while, and given up in the end.
struct RegistrationQueue<Waiter> {
    struct Limits {
        var inFlight = 256
        var waiting = 20_000
        /// From the first login on: well before miners give up themselves.
        var timeout = Interval.seconds(25)
        var firstRetry = Interval.milliseconds(50)
        var lastRetry = Interval.seconds(2)
    }

    enum Admission: Equatable { case queued, joined, full }

    private struct Entry {
        var waiters: [Waiter]
        let since: Timestamp
        var attempts = 0
        var isInFlight = false
    }

    private let limits: Limits
    private var entries: [String: Entry] = [:]
    /// Users that may be asked for, in the order of their logins.
    private var ready: [String] = []
    private var head = 0
    private var resting: [(user: String, until: Timestamp)] = []
    private(set) var inFlight = 0
    private var waiters = 0
    private var scatter: UInt64

    init(limits: Limits = Limits(), seed: UInt64) {
        self.limits = limits
        scatter = seed
    }

    var isEmpty: Bool { entries.isEmpty }

    mutating func add(_ waiter: Waiter, user: String, now: Timestamp) -> Admission {
        guard waiters < limits.waiting else { return .full }
        waiters += 1
        if entries[user] != nil {
            entries[user]?.waiters.append(waiter)
            return .joined
        }
        entries[user] = Entry(waiters: [waiter], since: now)
        ready.append(user)
        return .queued
    }

    /// The next user to ask for; the caller does it. nil when as many as may be are under way, or none waits.
    mutating func next() -> String? {
        while inFlight < limits.inFlight, head < ready.count {
            let user = ready[head]
            head += 1
            if head > 1024, head * 2 > ready.count {
                ready.removeFirst(head)
                head = 0
            }
            guard entries[user]?.isInFlight == false else { continue }
            entries[user]?.isInFlight = true
            entries[user]?.attempts += 1
            inFlight += 1
            return user
        }
        return nil
    }

    /// It is settled, one way or the other: who waited for it.
    mutating func settle(_ user: String) -> [Waiter] {
        guard let entry = entries.removeValue(forKey: user) else { return [] }
        if entry.isInFlight { inFlight -= 1 }
        waiters -= entry.waiters.count
        return entry.waiters
    }

    /// It could not be done now: it rests for a while, longer each time.
    mutating func retry(_ user: String, now: Timestamp) {
        guard let entry = entries[user], entry.isInFlight else { return }
        entries[user]?.isInFlight = false
        inFlight -= 1
        resting.append((user, now + rest(after: entry.attempts)))
    }

    /// Ends rests that are over, and gives up what has waited too long; those under way are left alone.
    ///
    /// - Returns: who waited for what was given up
    mutating func tick(now: Timestamp) -> [Waiter] {
        let over = resting.filter { !(now < $0.until) }
        if !over.isEmpty {
            resting.removeAll { !(now < $0.until) }
            ready += over.map(\.user)
        }
        let late = Set(entries.filter { !$0.value.isInFlight && !(now < $0.value.since + limits.timeout) }.keys)
        guard !late.isEmpty else { return [] }
        resting.removeAll { late.contains($0.user) }
        return late.sorted().flatMap { settle($0) }
    }

    /// Half of the time doubled at each attempt, and a scattered part of the other half.
    private mutating func rest(after attempts: Int) -> Interval {
        let longest = limits.lastRetry.microseconds
        let whole = min(longest, limits.firstRetry.microseconds << Int64(min(max(attempts - 1, 0), 16)))
        scatter = scatter &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Interval(microseconds: whole / 2 + Int64(scatter >> 33) % (whole / 2 + 1))
    }
}
