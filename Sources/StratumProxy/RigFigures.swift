public import Metering
import Stratum
public import Units

/// What a rig did by the hour, and how well; since the edge started, but for the day's hours.
struct RigFigures {
    private struct Hour {
        var units: Int64 = 0
        /// Seconds in which it was connected.
        var online: Int32 = 0
    }

    private static let hourCount = 25
    private static let hour = Interval.seconds(3600)

    /// A day, and the hour that has begun; made at the first work.
    private var hours: [Hour] = []
    private var newest: Int64 = 0
    private let algorithm: Algorithm
    private let since: Timestamp
    private var best: Target?
    private(set) var rejects = RejectCounts()
    /// The firmware that `rejects` and `accepted` are of.
    private(set) var userAgent: String?
    private(set) var accepted: Int64 = 0
    private var markedAt: Timestamp?

    init(algorithm: Algorithm = .sha256d, now: Timestamp) {
        self.algorithm = algorithm
        since = now
    }

    /// Valid work came.
    mutating func add(_ work: Work, hash: Hash256?, at now: Timestamp) {
        advance(to: now)
        hours[slot(newest)].units &+= work.units
        accepted += 1
        guard let number = hash?.number, best.map({ number < $0 }) ?? true else { return }
        best = number
    }

    mutating func refuse(_ reason: RejectReason) { rejects.count(reason) }

    /// It is connected; to be called about once a second.
    mutating func mark(now: Timestamp) {
        defer { markedAt = now }
        advance(to: now)
        guard let markedAt, now - markedAt < .seconds(10) else { return }
        let seconds = now.seconds - markedAt.seconds
        hours[slot(newest)].online += Int32(clamping: max(0, seconds))
    }

    /// A session began; what is counted by firmware is that of the present one.
    mutating func begin(userAgent: String?) {
        markedAt = nil
        guard userAgent != self.userAgent else { return }
        self.userAgent = userAgent
        rejects = RejectCounts()
        accepted = 0
    }

    /// The work of the last day, or since the edge started if that is less. The hour that ends is counted by the part of it
    /// that still lies in the day.
    func day(now: Timestamp) -> (hashrate: Hashrate, online: Interval) {
        let present = now.microseconds / RigFigures.hour.microseconds
        let elapsed = min(Interval.seconds(86_400), now - since)
        guard elapsed > .zero, !hours.isEmpty else { return (Hashrate(hashesPerSecond: 0), .zero) }
        let ending = 1 - Double(now.microseconds % RigFigures.hour.microseconds) / Double(RigFigures.hour.microseconds)
        var units = 0.0, online = 0.0
        for number in max(present - 24, newest - Int64(RigFigures.hourCount) + 1)...max(newest, present) where number <= newest {
            let part = number == present - 24 ? ending : 1
            units += Double(hours[slot(number)].units) * part
            online += Double(hours[slot(number)].online) * part
        }
        let rate = units * Double(algorithm.hashesPerUnit) * 1_000_000 / Double(elapsed.microseconds)
        return (Hashrate(rounding: rate), Interval(microseconds: Int64(online * 1_000_000)))
    }

    /// In work units; nil before the first share.
    var bestUnits: Int64? { best.map { algorithm.units(of: $0) } }

    private func slot(_ number: Int64) -> Int { Int(number % Int64(RigFigures.hourCount)) }

    private mutating func advance(to now: Timestamp) {
        let present = now.microseconds / RigFigures.hour.microseconds
        if hours.isEmpty {
            hours = Array(repeating: Hour(), count: RigFigures.hourCount)
            newest = present
        }
        guard present > newest else { return }
        for number in max(newest + 1, present - Int64(RigFigures.hourCount) + 1)...present { hours[slot(number)] = Hour() }
        newest = present
    }
}

/// A rig's figures for people.
public struct RigFiguresSnapshot: Sendable, Hashable {
    public var hashrate60Minutes: Hashrate
    /// Over the last day, or since the edge started if that is less.
    public var hashrate24Hours: Hashrate
    /// Of the last day.
    public var online24Hours: Interval
    /// The best share since the edge started, in work units; nil before the first.
    public var bestUnits: Int64?
    /// The firmware that the next two are of: since it connected first.
    public var userAgent: String?
    public var accepted: Int64
    public var rejects: RejectCounts
}

extension RejectReason {
    /// Why a checked share is refused; nil when it is not.
    init?(_ checked: CheckedShare) {
        guard let refusal = checked.refusal else { return nil }
        switch checked.verdict {
        case .valid: self = .other
        case .stale: self = .stale
        case .duplicate: self = .duplicate
        case .lowDifficulty: self = .lowDifficulty
        case .invalid: self = RejectReason.byText[refusal.text] ?? .other
        }
    }

    /// What ``ShareChecker`` says.
    private static let byText: [String: RejectReason] = [
        "Invalid extranonce2 size": .extranonce2, "Ntime out of range": .ntime, "Invalid version bits": .versionBits,
        "Too many shares for one job": .tooManyForJob,
    ]
}
