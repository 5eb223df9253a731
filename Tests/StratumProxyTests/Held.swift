import Units

@testable import StratumProxy

// What `#expect` looks into may not be mutated: these hold a value whose methods change it.

final class HeldDoor {
    private var value: Door

    init(_ policy: BanPolicy) { value = Door(policy) }

    func admission(of address: SourceAddress?, now: Timestamp) -> Admission { value.admission(of: address, now: now) }
    func entered(_ address: SourceAddress?) { value.entered(address) }
    func left(_ address: SourceAddress?) { value.left(address) }
    func loggedIn(from address: SourceAddress?) { value.loggedIn(from: address) }
    func ban(of rig: RigID, now: Timestamp) -> Timestamp? { value.ban(of: rig, now: now) }
    func ban(ofLogin user: String, from address: SourceAddress?, now: Timestamp) -> Timestamp? {
        value.ban(ofLogin: user, from: address, now: now)
    }
    func failedLogin(user: String, from address: SourceAddress?, now: Timestamp) -> [NewBan] {
        value.failedLogin(user: user, from: address, now: now)
    }
    func count(_ offence: Offence, rig: RigID?, from address: SourceAddress?, now: Timestamp) -> NewBan? {
        value.count(offence, rig: rig, from: address, now: now)
    }
}

final class HeldShelf {
    private var value: SessionShelf

    init(limit: Int, rest: Interval) { value = SessionShelf(limit: limit, rest: rest) }

    var count: Int { value.count }
    func put(_ session: RigSession, now: Timestamp) -> [UInt16] { value.put(session, now: now) }
    func take(_ id: UInt64, now: Timestamp) -> RigSession? { value.take(id, now: now) }
    func dropOldest() -> UInt16? { value.dropOldest() }
    func expire(now: Timestamp) -> [UInt16] { value.expire(now: now) }
}

final class HeldWatch {
    private var value: SilenceWatch

    init(limit: Interval, now: Timestamp) { value = SilenceWatch(limit: limit, now: now) }

    func heard() { value.heard() }
    func look(now: Timestamp, userAgent: String?, shareTime: Interval?) -> SilenceWatch.Step {
        value.look(now: now, userAgent: userAgent, shareTime: shareTime)
    }
}

final class HeldBudget {
    private var value: LineBudget

    init(burst: Int64, perSecond: Int64) { value = LineBudget(burst: burst, perSecond: perSecond) }

    func take(now: Timestamp) -> Bool { value.take(now: now) }
}
