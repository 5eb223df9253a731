public import Units

/// One of those that share a rig's work.
public enum Party: Hashable, Sendable {
    case delivery(DeliveryID)
    /// The rest, which is not sold.
    case fallback
}

/// What one of the parties has a right to.
public struct Claim: Hashable, Sendable {
    public var party: Party
    /// Its part of the rig.
    public var hashrate: Hashrate
    /// Its right ends then; never for the fallback.
    public var until: Timestamp
    /// It may be ahead of its share by so much: what billing pays for although it came early.
    public var allowance: Work

    public init(party: Party, hashrate: Hashrate, until: Timestamp = .distantFuture, allowance: Work = .zero) {
        self.party = party
        self.hashrate = hashrate
        self.until = until
        self.allowance = allowance
    }
}

/// Lets one rig work for several parties in turn, so that each gets its share of the metered work.
///
/// Whenever a slice is over, the next goes to whoever is furthest behind its share, unless those whose time ends earlier
/// need all that is left until then. What a delivery has yet to get until its end is cut into equal slices, so that the
/// last of them ends where its share does. None is served further ahead of its share than billing would pay for if it
/// ended right then, while another one can be served. A pool that was away is not given back more than some slices of
/// what it missed, and no buyer that can be served waits longer than about four times its usual time.
///
/// Pure; amounts are nanoseconds of the whole rig's work at the sum of all claims. Each turn is O(parties^2).
public struct Slicer: Sendable {
    private struct Account: Sendable {
        var claim: Claim
        /// What it should have had of the work metered since its claim began, minus what it had.
        var behind: Int64 = 0
        var wasServed = false
        /// When it was served last, or could not be served, or came.
        var waitsSince: Timestamp
    }

    public let times: SliceTimes
    private let algorithm: Algorithm
    /// Whose slice it is.
    public private(set) var current: Party?
    /// When the present slice is over.
    public private(set) var end: Timestamp
    private var start: Timestamp
    private var accounts: [Account] = []
    /// Metered since the accounts were brought up to date.
    private var metered: [Party: Int64] = [:]

    public init(_ times: SliceTimes = SliceTimes(), algorithm: Algorithm = .sha256d, now: Timestamp) {
        self.times = times
        self.algorithm = algorithm
        end = now
        start = now
    }

    // MARK: claims

    /// Takes the present claims; those that are new start with nothing, whatever was worked before.
    public mutating func claim(_ claims: [Claim], now: Timestamp) {
        guard claims != accounts.map(\.claim) else { return }
        account()
        let known = Dictionary(accounts.map { ($0.claim.party, $0) }, uniquingKeysWith: { first, _ in first })
        var isAnyNew = false
        accounts = claims.map { claim in
            guard var account = known[claim.party] else {
                isAnyNew = true
                return Account(claim: claim, waitsSince: now)
            }
            account.claim = claim
            return account
        }
        if isAnyNew { shortenSlice(now: now) }
    }

    /// A delivery goes on as another: its slice does, too.
    public mutating func renew(_ old: Party, as new: Party) {
        account()
        guard let index = accounts.firstIndex(where: { $0.claim.party == old }) else { return }
        accounts[index].claim.party = new
        accounts[index].behind = 0
        if current == old { current = new }
    }

    /// Somebody new is not kept waiting by unsold work, nor by a slice that has had its least length.
    private mutating func shortenSlice(now: Timestamp) {
        guard let current, let index = accounts.firstIndex(where: { $0.claim.party == current }) else { return }
        let need = need(accounts[index], now: now)
        guard current != .fallback, need > times.margin else { return end = min(end, now) }
        let earliest = max(now, start + times.least)
        let left = need - (earliest - now).nanoseconds
        if earliest < end, left <= 0 || left >= times.least.nanoseconds { end = earliest }
    }

    // MARK: metering

    /// Valid work came, for whichever slice its job was issued in.
    public mutating func meter(_ work: Work, for party: Party) {
        // Work for those who have left is no part of what is shared.
        guard accounts.contains(where: { $0.claim.party == party }) else { return }
        let (sum, overflow) = metered[party, default: 0].addingReportingOverflow(max(0, work.units))
        metered[party] = overflow ? .max : sum
    }

    /// Divides what was metered among the accounts.
    private mutating func account() {
        let total = total
        guard !metered.isEmpty, total > 0 else { return }
        let limit = 4 * Int128(times.length.nanoseconds)
        var all: Int128 = 0
        var own: [Party: Int128] = [:]
        for (party, units) in metered {
            let time = Int128(units) * Int128(algorithm.hashesPerUnit) * 1_000_000_000 / total
            own[party] = time
            all += time
        }
        // More than is ever remembered; keeps products small.
        let bounded = min(all, limit * 1_000_000)
        for index in accounts.indices {
            let share = bounded * Int128(accounts[index].claim.hashrate.hashesPerSecond) / total
            let behind = Int128(accounts[index].behind) + share - (own[accounts[index].claim.party] ?? 0)
            accounts[index].behind = Int64(min(max(behind, -limit), limit / 2))
        }
        metered = [:]
    }

    private var total: Int128 { accounts.reduce(0) { $0 + Int128($1.claim.hashrate.hashesPerSecond) } }

    // MARK: turns

    /// Whom to work for now; nil when nobody can be served. To be asked again at ``end`` and when anything changes.
    public mutating func turn(now: Timestamp, isUsable: (Party) -> Bool) -> Party? {
        account()
        let usable = accounts.indices.filter { accounts[$0].claim.until > now && isUsable(accounts[$0].claim.party) }
        for index in accounts.indices where accounts[index].claim.party == current || !usable.contains(index) {
            accounts[index].waitsSince = now
        }
        if let current, now < end, usable.contains(where: { accounts[$0].claim.party == current }) { return current }
        guard let choice = choose(usable, now: now) else {
            current = nil
            end = now
            return nil
        }
        let party = accounts[choice.index].claim.party
        accounts[choice.index].waitsSince = now
        accounts[choice.index].wasServed = true
        current = party
        start = now
        let left = (accounts[choice.index].claim.until - now).nanoseconds
        end = now + Interval(microseconds: (min(choice.length, left) + 999) / 1000)
        return party
    }

    private struct Choice {
        var index: Int
        var length: Int64
    }

    private func choose(_ usable: [Int], now: Timestamp) -> Choice? {
        let wanting = usable.filter { isWanting(accounts[$0], now: now) }
        if let starved = mostStarved(wanting, now: now) { return starved }
        let choices = wanting.compactMap { index in
            length(of: index, beside: wanting, now: now).map { Choice(index: index, length: $0) }
        }
        guard !choices.isEmpty else { return stay(usable) }
        let early = choices.compactMap { withinAllowance($0, now: now) }
        if early.isEmpty { return choices.min { finishes($0, before: $1) } }
        return furthestBehind(early)
    }

    /// Everybody has had what is sold to it: no switch, if that can be.
    private func stay(_ usable: [Int]) -> Choice? {
        let same = usable.first { accounts[$0].claim.party == current }
        let next = same ?? usable.first { accounts[$0].claim.party == .fallback } ?? usable.max { isBefore($1, $0) }
        return next.map { Choice(index: $0, length: times.length.nanoseconds) }
    }

    /// What a delivery has yet to get until its end.
    private func need(_ account: Account, now: Timestamp) -> Int64 {
        let left = min(.day, max(.zero, account.claim.until - now))
        let share = Int128(left.nanoseconds) * Int128(account.claim.hashrate.hashesPerSecond) / max(1, total)
        return account.behind + Int64(share)
    }

    /// Worth a slice, or the rest of one.
    private func isWanting(_ account: Account, now: Timestamp) -> Bool {
        guard account.claim.party != .fallback else { return true }
        let need = need(account, now: now)
        let least = times.least.nanoseconds
        if account.claim.party == current { return need > least / 60 }
        return need >= least / 2 && (account.claim.until - now).nanoseconds >= least
    }

    /// How long a slice may be; nil when those whose time ends earlier need the rig now.
    private func length(of index: Int, beside wanting: [Int], now: Timestamp) -> Int64? {
        let claim = accounts[index].claim
        let (length, least) = (times.length.nanoseconds, times.least.nanoseconds)
        let need = claim.party == .fallback ? length : need(accounts[index], now: now)
        let isCurrent = claim.party == current
        let shortest = isCurrent ? min(least, max(1, need)) : least
        let wish = max(shortest, need / max(1, need / length))
        let room = room(for: index, beside: wanting, now: now)
        if wish <= room { return wish }
        guard room >= shortest || isCurrent && room > 0 else { return nil }
        guard claim.party != .fallback, need - room < least, need > room else { return room }
        // What is left must be worth a slice, too.
        let shorter = need - least
        return shorter >= shortest && shorter > 0 ? shorter : nil
    }

    /// How long the rig can be spared by those whose time ends before this one's.
    private func room(for index: Int, beside wanting: [Int], now: Timestamp) -> Int64 {
        let until = accounts[index].claim.until
        var room = Int64.max
        for other in wanting where other != index && accounts[other].claim.until < until {
            let limit = accounts[other].claim.until
            let demand = wanting.reduce(Int64(0)) { sum, each in
                each == index || accounts[each].claim.until > limit ? sum : sum + max(0, need(accounts[each], now: now))
            }
            room = min(room, (limit - now).nanoseconds - demand - times.margin)
        }
        return room
    }

    /// The slice, or one of the least length, if it takes the party no further ahead than it may be.
    private func withinAllowance(_ choice: Choice, now: Timestamp) -> Choice? {
        let account = accounts[choice.index]
        guard account.claim.party != .fallback else { return choice }
        let allowance = Int128(account.claim.allowance.units) * Int128(algorithm.hashesPerUnit) * 1_000_000_000
            / max(1, total)
        func isWithin(_ length: Int64) -> Bool {
            let share = Int128(length) * Int128(account.claim.hashrate.hashesPerSecond) / max(1, total)
            return Int128(length) - share - Int128(account.behind) <= allowance
        }
        if isWithin(choice.length) { return choice }
        let least = times.least.nanoseconds
        let canBeCut = choice.length > least && need(account, now: now) - least >= least
        return canBeCut && isWithin(least) ? Choice(index: choice.index, length: least) : nil
    }

    /// The one that is furthest behind; the present one, if another is so by little only. Unsold work waits for who is new.
    private func furthestBehind(_ choices: [Choice]) -> Choice? {
        if current == .fallback, let new = choices.first(where: { !accounts[$0.index].wasServed }) { return new }
        guard let first = choices.max(by: { isBefore($1.index, $0.index) }) else { return nil }
        let slack = times.length.nanoseconds / 20
        let same = choices.first { accounts[$0.index].claim.party == current }
        guard let same, accounts[first.index].behind - accounts[same.index].behind <= slack else { return first }
        return same
    }

    /// Whether one is to be served before another: further behind, or sold, or larger.
    private func isBefore(_ a: Int, _ b: Int) -> Bool {
        let (a, b) = (accounts[a], accounts[b])
        if a.behind != b.behind { return a.behind > b.behind }
        if (a.claim.party == .fallback) != (b.claim.party == .fallback) { return b.claim.party == .fallback }
        return a.claim.hashrate > b.claim.hashrate
    }

    /// Whether the one will have a right to its whole slice before the other has to its own.
    private func finishes(_ a: Choice, before b: Choice) -> Bool {
        let (x, y) = (accounts[a.index], accounts[b.index])
        let first = Int128(a.length - x.behind) * Int128(y.claim.hashrate.hashesPerSecond)
        let second = Int128(b.length - y.behind) * Int128(x.claim.hashrate.hashesPerSecond)
        return first == second ? isBefore(a.index, b.index) : first < second
    }

    /// The delivery, if any, that has waited for more than four times the time in which its share makes a slice, and some
    /// slices, whoever needs the rig. Only a delivery that gets nothing out of its slices makes others wait so long.
    private func mostStarved(_ wanting: [Int], now: Timestamp) -> Choice? {
        func overdue(_ index: Int) -> Int128 {
            let usual = Int128(times.length.nanoseconds) * max(1, total)
                / Int128(max(1, accounts[index].claim.hashrate.hashesPerSecond))
            return Int128((now - accounts[index].waitsSince).nanoseconds) - 4 * (usual + Int128(times.length.nanoseconds))
        }
        let starved = wanting.filter { accounts[$0].claim.party != .fallback && overdue($0) > 0 }.max { overdue($0) < overdue($1) }
        return starved.map { Choice(index: $0, length: times.least.nanoseconds) }
    }

    // MARK: figures

    /// Nanoseconds of the rig's work that a party is behind its share; negative: ahead.
    public func behind(_ party: Party) -> Int64 { accounts.first { $0.claim.party == party }?.behind ?? 0 }
}

extension SliceTimes {
    /// Turns are not taken to the nanosecond: what is planned ends so much before it must.
    fileprivate var margin: Int64 { length.nanoseconds / 60 }
}

extension Interval {
    /// Saturates beyond 292 years.
    fileprivate var nanoseconds: Int64 {
        let (product, overflow) = microseconds.multipliedReportingOverflow(by: 1000)
        return overflow ? (microseconds < 0 ? .min : .max) : product
    }
}
