import Units

/// The difficulty at which a rig would find a share at about the wished interval.
struct DifficultyWish {
    private(set) var difficulty: ShareDifficulty
    private let interval: Interval
    private let algorithm: Algorithm
    private var floor: ShareDifficulty
    private var since: Timestamp
    private var shares = 0
    private var units: Double = 0

    /// Firmware keeps difficulties in 32 bits.
    static func ceiling(_ algorithm: Algorithm) -> ShareDifficulty {
        ShareDifficulty(units: algorithm.unitsPerDifficulty * 0x7fff_ffff)
    }

    init(
        start: ShareDifficulty, minimum: ShareDifficulty, interval: Interval, algorithm: Algorithm = .sha256d, now: Timestamp
    ) {
        self.interval = interval
        self.algorithm = algorithm
        floor = minimum
        since = now
        difficulty = DifficultyWish.rounded(max(start, minimum), algorithm)
    }

    /// The miner asked for it; what it does from now on counts anyway.
    mutating func suggest(_ wish: DecimalDifficulty, now: Timestamp) {
        difficulty = clamped(Double(max(algorithm.wholeUnits(of: wish), 1)))
        restart(now)
    }

    /// The miner wants no less.
    mutating func require(_ minimum: DecimalDifficulty, now: Timestamp) {
        floor = max(floor, min(DifficultyWish.ceiling(algorithm), ShareDifficulty(units: max(algorithm.wholeUnits(of: minimum), 1))))
        difficulty = clamped(Double(max(difficulty, floor).units))
        restart(now)
    }

    mutating func observe(_ share: ShareDifficulty) {
        shares += 1
        units += Double(share.units)
    }

    /// Looks at what came since the last change; true when the wish has changed.
    mutating func adjust(now: Timestamp) -> Bool {
        let elapsed = Double((now - since).microseconds)
        let patience = Double(max(12 * interval.microseconds, 10_000_000))
        if shares >= 8, elapsed > 0 {
            let ideal = units / elapsed * Double(interval.microseconds)
            let ratio = ideal / Double(difficulty.units)
            guard ratio >= 2 || ratio <= 0.5 else {
                if shares >= 64 { restart(now) }
                return false
            }
            return change(to: Double(difficulty.units) * min(max(ratio, 1 / 16), 16), now)
        }
        guard elapsed > patience, shares < 4 else { return false }
        return change(to: Double(difficulty.units) / 4, now)
    }

    private mutating func change(to units: Double, _ now: Timestamp) -> Bool {
        restart(now)
        let next = clamped(units)
        defer { difficulty = next }
        return next != difficulty
    }

    private mutating func restart(_ now: Timestamp) {
        since = now
        shares = 0
        units = 0
    }

    private func clamped(_ units: Double) -> ShareDifficulty {
        let bounded = min(max(units, Double(floor.units)), Double(DifficultyWish.ceiling(algorithm).units))
        return max(floor, DifficultyWish.rounded(ShareDifficulty(units: max(1, Int64(bounded))), algorithm))
    }

    /// From difficulty 1 on, whole difficulties: some firmware knows no others.
    static func rounded(_ difficulty: ShareDifficulty, _ algorithm: Algorithm) -> ShareDifficulty {
        let one = algorithm.unitsPerDifficulty
        return difficulty.units >= one ? ShareDifficulty(units: difficulty.units / one * one) : difficulty
    }
}
