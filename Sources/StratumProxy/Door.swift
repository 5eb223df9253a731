import Units

/// What a new connection finds.
enum Admission: Hashable {
    case open
    /// Its address is banned, but rigs of good standing come from it too: it has to log in at the first try.
    case strict
    /// Why not.
    case refused(String)
}

/// Who gets in: connections per network, bans, and networks that rigs have logged in from.
struct Door {
    private(set) var bans: BanList
    private var connections: [SourceAddress: Int] = [:]
    /// Networks with good logins lately, in two generations as in ``BanList``.
    private var good: Set<SourceAddress> = []
    private var earlierGood: Set<SourceAddress> = []
    private var policy: BanPolicy { bans.policy }

    init(_ policy: BanPolicy) { bans = BanList(policy) }

    func admission(of address: SourceAddress?, now: Timestamp) -> Admission {
        guard let address, !bans.isAllowed(address) else { return .open }
        let network = address.network
        if connections[network, default: 0] >= policy.connectionsPerAddress { return .refused("too many connections") }
        guard bans.ban(of: .address(network), now: now) != nil else { return .open }
        return good.contains(network) || earlierGood.contains(network) ? .strict : .refused("banned")
    }

    /// A connection was let in; ``left(_:)`` follows.
    mutating func entered(_ address: SourceAddress?) {
        if let network = address?.network { connections[network, default: 0] += 1 }
    }

    mutating func left(_ address: SourceAddress?) {
        guard let network = address?.network, let count = connections[network] else { return }
        connections[network] = count > 1 ? count - 1 : nil
    }

    /// Somebody logged in from there.
    mutating func loggedIn(from address: SourceAddress?) {
        guard let network = address?.network, !good.contains(network) else { return }
        if good.count >= max(1, policy.maximalSubjects / 2) {
            earlierGood = good
            good = []
        }
        good.insert(network)
    }

    /// Until when this login is not looked at; nil when it may be tried.
    func ban(ofLogin user: String, from address: SourceAddress?, now: Timestamp) -> Timestamp? {
        address.flatMap { bans.ban(of: .login(user: user, from: $0.network), now: now) }
    }

    func ban(of rig: RigID, now: Timestamp) -> Timestamp? { bans.ban(of: .rig(rig), now: now) }

    mutating func failedLogin(user: String, from address: SourceAddress?, now: Timestamp) -> [NewBan] {
        bans.failedLogin(user: user, from: address, now: now)
    }

    /// An offence counts against the rig if one has logged in, else against the address.
    mutating func count(_ offence: Offence, rig: RigID?, from address: SourceAddress?, now: Timestamp) -> NewBan? {
        if let rig { return bans.count(offence, of: .rig(rig), now: now) }
        return address.flatMap { bans.count(offence, of: .address($0.network), now: now) }
    }
}
