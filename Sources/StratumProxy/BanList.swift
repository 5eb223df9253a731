import Units

/// A ban that has just begun; worth one log line.
struct NewBan: Hashable {
    var subject: BanSubject
    var reason: String
    var until: Timestamp
}

/// Counts offences and says who is kept out. A value without a clock; everything takes constant time, apart from finding the
/// ban that ends first when there are too many.
struct BanList {
    private struct Ban {
        var reason: String
        var until: Timestamp
        /// How many bans in a row this is.
        var level: Int
    }

    private struct Tally {
        var since: Timestamp
        var counts: [Offence: Int] = [:]
    }

    let policy: BanPolicy
    /// Two generations: when the younger is full it becomes the older, and the older is forgotten.
    private var young: [BanSubject: Tally] = [:]
    private var old: [BanSubject: Tally] = [:]
    private var bans: [BanSubject: Ban] = [:]

    init(_ policy: BanPolicy) { self.policy = policy }

    /// Until when it is kept out; nil when it is not.
    func ban(of subject: BanSubject, now: Timestamp) -> Timestamp? {
        guard let ban = bans[subject], now < ban.until else { return nil }
        return ban.until
    }

    func isAllowed(_ address: SourceAddress) -> Bool { policy.allowed.contains { $0.contains(address) } }

    /// Counts an offence; returns the ban that it brings about, if any.
    mutating func count(_ offence: Offence, of subject: BanSubject, now: Timestamp) -> NewBan? {
        guard ban(of: subject, now: now) == nil, !isExempt(subject) else { return nil }
        var tally = young[subject] ?? old[subject] ?? Tally(since: now)
        if now - tally.since > policy.window { tally = Tally(since: now) }
        tally.counts[offence, default: 0] += 1
        if young[subject] == nil, young.count >= max(1, policy.maximalSubjects / 2) {
            old = young
            young = [:]
        }
        young[subject] = tally
        guard tally.counts[offence, default: 0] >= threshold(offence, subject) else { return nil }
        return begin(subject, offence, now: now)
    }

    /// A failed login: counts for the name, and once a window for the network that it came from.
    mutating func failedLogin(user: String, from address: SourceAddress?, now: Timestamp) -> [NewBan] {
        guard let network = address?.network else { return [] }
        let login = BanSubject.login(user: user, from: network)
        guard ban(of: login, now: now) == nil else { return [] }
        let isFirst = !hasTally(login, now: now)
        var new: [NewBan] = []
        if let ban = count(.failedLogin, of: login, now: now) { new.append(ban) }
        if isFirst, let ban = count(.failedLogin, of: .address(network), now: now) { new.append(ban) }
        return new
    }

    private func hasTally(_ subject: BanSubject, now: Timestamp) -> Bool {
        guard let tally = young[subject] ?? old[subject] else { return false }
        return now - tally.since <= policy.window
    }

    private func isExempt(_ subject: BanSubject) -> Bool {
        switch subject {
        case .rig, .login: false
        case .address(let address): isAllowed(address)
        }
    }

    private func threshold(_ offence: Offence, _ subject: BanSubject) -> Int {
        switch (subject, offence) {
        case (.login, _): policy.failedLogins
        case (.address, .failedLogin): policy.failedNames
        case (.address, .malformed), (.address, .invalidShares): policy.malformedFromAddress
        case (.address, .churn): policy.unusedConnections
        case (.rig, .malformed), (.rig, .failedLogin): policy.malformedFromRig
        case (.rig, .invalidShares): policy.invalidShareRuns
        case (.rig, .churn): policy.shortSessions
        }
    }

    private mutating func begin(_ subject: BanSubject, _ offence: Offence, now: Timestamp) -> NewBan {
        let past = bans[subject].flatMap { now - $0.until < policy.forgiveness ? $0.level : nil } ?? 0
        let doubled = policy.firstBan.microseconds << Int64(min(past, 20))
        let length = min(policy.longestBan, Interval(microseconds: doubled))
        makeRoom(now: now)
        let ban = Ban(reason: offence.reason, until: now + length, level: past + 1)
        bans[subject] = ban
        // Counting begins anew; the window goes on, so that a name is counted once for its network.
        young[subject]?.counts = [:]
        return NewBan(subject: subject, reason: ban.reason, until: ban.until)
    }

    private mutating func makeRoom(now: Timestamp) {
        guard bans.count >= max(1, policy.maximalBans) else { return }
        let forgiveness = policy.forgiveness
        bans = bans.filter { now - $0.value.until < forgiveness }
        guard bans.count >= max(1, policy.maximalBans), let first = bans.min(by: { $0.value.until < $1.value.until })
        else { return }
        bans[first.key] = nil
    }

    /// Bans in force, those that last longest first.
    func current(limit: Int, now: Timestamp) -> [BanSnapshot] {
        let all = bans.filter { now < $0.value.until }.sorted {
            ($1.value.until, $0.key.description) < ($0.value.until, $1.key.description)
        }
        return all.prefix(limit).map {
            BanSnapshot(subject: $0.key.description, reason: $0.value.reason, until: $0.value.until)
        }
    }

    /// Subjects remembered, for tests.
    var size: Int { young.count + old.count + bans.count }
}

extension Offence {
    var reason: String {
        switch self {
        case .failedLogin: "failed logins"
        case .malformed: "malformed lines"
        case .invalidShares: "invalid shares"
        case .churn: "connections without use"
        }
    }
}
