import Units

/// Work and shares over the last so many buckets of time; for display and for measuring rigs, never for billing.
struct WorkWindow {
    /// 16 bytes: an edge has tens of thousands of rigs with a hundred buckets each.
    private struct Bucket {
        var units: Float = 0
        var squares: Float = 0
        var shares: UInt32 = 0
        /// Tenths of milliseconds in which the rig could work.
        var active: UInt32 = 0
    }

    struct Sum {
        var units: Double = 0
        /// Sum of the squared units of each share: its root is the standard deviation of `units`.
        var squares: Double = 0
        var shares = 0
        var active = Interval.zero

        /// nil without any time.
        func hashesPerSecond(_ algorithm: Algorithm) -> Double? {
            active.microseconds > 0
                ? units * Double(algorithm.hashesPerUnit) * 1_000_000 / Double(active.microseconds) : nil
        }

        /// Standard deviation of the hashrate, as a part of it.
        var relativeSigma: Double { units > 0 ? squares.squareRoot() / units : .infinity }
    }

    /// Empty until there is something to remember.
    private var buckets: [Bucket] = []
    private let count: Int
    private let width: Interval
    /// The number of the newest bucket, counted in widths since 1970.
    private var newest: Int64
    private var markedAt: Timestamp

    init(width: Interval, count: Int, now: Timestamp) {
        precondition(width > .zero, "a bucket has a width")
        precondition(count > 0, "there is at least one bucket")
        self.width = width
        self.count = count
        newest = now.microseconds / width.microseconds
        markedAt = now
    }

    mutating func add(_ work: Work, at now: Timestamp) {
        advance(to: now)
        makeBuckets()
        let units = Float(work.units)
        let slot = slot(newest)
        buckets[slot].units += units
        buckets[slot].squares += units * units
        buckets[slot].shares &+= 1
    }

    /// Time passed up to now, in which the rig could work or could not. To be called at least once per bucket.
    mutating func mark(active: Bool, at now: Timestamp) {
        let elapsed = now - markedAt
        advance(to: now)
        markedAt = max(markedAt, now)
        guard active, elapsed > .zero else { return }
        makeBuckets()
        buckets[slot(newest)].active &+= UInt32(clamping: elapsed.microseconds / 100)
    }

    /// The sum of the newest `count` buckets, the unfinished one included.
    func sum(last count: Int, at now: Timestamp) -> Sum {
        var sum = Sum()
        guard !buckets.isEmpty else { return sum }
        let present = now.microseconds / width.microseconds
        let oldest = max(present - Int64(min(count, self.count)) + 1, newest - Int64(self.count) + 1)
        guard oldest <= newest else { return sum }
        for number in oldest...newest {
            let bucket = buckets[slot(number)]
            sum.units += Double(bucket.units)
            sum.squares += Double(bucket.squares)
            sum.shares += Int(bucket.shares)
            sum.active = Interval(microseconds: sum.active.microseconds + Int64(bucket.active) * 100)
        }
        return sum
    }

    private func slot(_ number: Int64) -> Int { Int(number % Int64(count)) }

    private mutating func makeBuckets() {
        if buckets.isEmpty { buckets = Array(repeating: Bucket(), count: count) }
    }

    private mutating func advance(to now: Timestamp) {
        let present = now.microseconds / width.microseconds
        guard present > newest else { return }
        defer { newest = present }
        guard !buckets.isEmpty else { return }
        for number in max(newest + 1, present - Int64(count) + 1)...present { buckets[slot(number)] = Bucket() }
    }
}

extension Hashrate {
    init(rounding hashesPerSecond: Double) {
        self.init(hashesPerSecond: Int64(min(max(hashesPerSecond, 0), 9e18)))
    }
}
