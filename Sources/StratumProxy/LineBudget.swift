import Units

/// How many lines a peer may send unasked: so many at once, and so many a second in the long run.
struct LineBudget {
    private var bucket: TokenBucket

    /// Ten jobs and difficulties a second for each of many users is more than any pool needs.
    static var pools: LineBudget { LineBudget(burst: 2000, perSecond: 100) }
    /// Anything but shares.
    static var miners: LineBudget { LineBudget(burst: 500, perSecond: 20) }

    init(burst: Int64, perSecond: Int64) {
        // Full, whenever it is asked first.
        bucket = TokenBucket(perSecond: perSecond, burst: burst, now: Timestamp(microseconds: 0))
    }

    /// False when there have been too many.
    mutating func take(now: Timestamp) -> Bool { bucket.take(now: now) }
}
