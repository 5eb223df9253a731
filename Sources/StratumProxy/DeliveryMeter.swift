import Units

/// What one delivery gets of a rig, for display and to find rigs that deliver too little; never for billing.
struct DeliveryMeter {
    private(set) var metered = Work.zero
    private var recent: WorkWindow
    /// Time counts in which it should have been served.
    private var long: WorkWindow
    private var since: Timestamp
    private let algorithm: Algorithm

    init(algorithm: Algorithm, now: Timestamp) {
        self.algorithm = algorithm
        recent = WorkWindow(width: .seconds(5), count: 14, now: now)
        long = WorkWindow(width: .seconds(60), count: 60, now: now)
        since = now
    }

    mutating func add(_ work: Work, at now: Timestamp) {
        metered += work
        recent.add(work, at: now)
        long.add(work, at: now)
    }

    /// Time passed. To be called every second or so.
    mutating func mark(isServed: Bool, at now: Timestamp) { long.mark(active: isServed, at: now) }

    func lastMinute(now: Timestamp) -> Hashrate {
        let sum = recent.sum(last: 12, at: now)
        return Hashrate(rounding: sum.units * Double(algorithm.hashesPerUnit) / 60)
    }

    /// The part of the expected hashrate that comes while it is served, if that is too low: below 80 % over the last
    /// 10 minutes or more and 60 expected shares. Starts to look anew after it has found something.
    mutating func shortfall(expected: Double, difficulty: ShareDifficulty, now: Timestamp) -> Double? {
        guard now - since >= .seconds(660), expected > 0 else { return nil }
        let needed = 60 * Double(difficulty.units) * Double(algorithm.hashesPerUnit) / expected
        let minutes = max(10, Int((needed / 60).rounded(.up)))
        // The unfinished minute is one more bucket.
        guard minutes < 60, now - since >= .seconds(Int64(minutes + 1) * 60) else { return nil }
        guard let sum = window(minutes + 1, needed: needed, now: now), let rate = sum.hashesPerSecond(algorithm),
            rate < expected * 0.8
        else { return nil }
        since = now
        return rate / expected
    }

    /// The last minutes; more of them when it was served for less than was needed, as of a rig that works in slices.
    private func window(_ minutes: Int, needed: Double, now: Timestamp) -> WorkWindow.Sum? {
        let least = max(needed, 120) * 1_000_000
        let most = min(60, Int((now - since).microseconds / 60_000_000))
        return [minutes, most].lazy.map { long.sum(last: $0, at: now) }
            .first { Double($0.active.microseconds) >= least }
    }
}
