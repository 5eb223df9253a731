import Units

/// So many a second, and a number at once after a pause.
struct TokenBucket {
    private let perSecond: Int64
    private let burst: Int64
    /// In millionths.
    private var tokens: Int64
    private var filledAt: Timestamp

    private static let whole: Int64 = 1_000_000

    init(perSecond: Int64, burst: Int64, now: Timestamp) {
        precondition((1...1_000_000).contains(perSecond), "a bucket fills")
        precondition((1...1_000_000_000).contains(burst), "a bucket holds something")
        self.perSecond = perSecond
        self.burst = burst
        tokens = burst * TokenBucket.whole
        filledAt = now
    }

    /// Takes one if there is one.
    mutating func take(now: Timestamp) -> Bool {
        fill(now)
        guard tokens >= TokenBucket.whole else { return false }
        tokens -= TokenBucket.whole
        return true
    }

    private mutating func fill(_ now: Timestamp) {
        // What a longer pause brings does not fit anyway.
        let elapsed = min(max(0, (now - filledAt).microseconds), 1_000_000_000)
        filledAt = max(filledAt, now)
        tokens = min(burst * TokenBucket.whole, tokens + elapsed * perSecond)
    }
}
