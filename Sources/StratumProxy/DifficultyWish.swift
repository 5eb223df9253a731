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
    /// The rig's speed is known: only what is beyond chance changes the difficulty from now on.
    private var isSettled = false

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
    ///
    /// Shares come by chance: n of them where e are expected are off by more than chance when |n - e| > z sqrt(e). At the
    /// start z = 2 and no wait, so that a rig's speed is known within a minute; later z = 4.
    mutating func adjust(now: Timestamp) -> Bool {
        let elapsed = Double((now - since).microseconds)
        guard elapsed > 0 else { return false }
        let found = Double(shares)
        // Shares at the difficulty that they really had: a pool's may be lower than the wish.
        let each = shares > 0 ? units / found : Double(difficulty.units)
        let expected = elapsed / Double(interval.microseconds) * Double(difficulty.units) / each
        let factor = isSettled ? 1.6 : 2, chance = (isSettled ? 4 : 2) * expected.squareRoot()
        if shares >= 8, found > factor * expected, found - expected > chance {
            return change(to: Double(difficulty.units) * min(found / expected, 16), now)
        }
        if expected >= 4, found * factor < expected, expected - found >= chance {
            return change(to: Double(difficulty.units) * max((found + 0.5) / expected, 1 / 16), now)
        }
        if shares >= (isSettled ? 256 : 24) {
            isSettled = true
            restart(now)
        }
        return false
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
