import Units

/// Work and shares over the last so many buckets of time; for display and for measuring rigs, never for billing.
struct WorkWindow {
    private struct Bucket {
        var units: Double = 0
        var squares: Double = 0
        var shares = 0
        /// Microseconds in which the rig could work.
        var active: Int64 = 0
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

    private var buckets: [Bucket]
    private let width: Interval
    /// The number of the newest bucket, counted in widths since 1970.
    private var newest: Int64
    private var markedAt: Timestamp

    init(width: Interval, count: Int, now: Timestamp) {
        precondition(width > .zero, "a bucket has a width")
        precondition(count > 0, "there is at least one bucket")
        self.width = width
        buckets = Array(repeating: Bucket(), count: count)
        newest = now.microseconds / width.microseconds
        markedAt = now
    }

    mutating func add(_ work: Work, at now: Timestamp) {
        advance(to: now)
        let units = Double(work.units)
        buckets[slot(newest)].units += units
        buckets[slot(newest)].squares += units * units
        buckets[slot(newest)].shares += 1
    }

    /// Time passed up to now, in which the rig could work or could not. To be called at least once per bucket.
    mutating func mark(active: Bool, at now: Timestamp) {
        let elapsed = now - markedAt
        advance(to: now)
        markedAt = max(markedAt, now)
        if active, elapsed > .zero { buckets[slot(newest)].active += elapsed.microseconds }
    }

    /// The sum of the newest `count` buckets, the unfinished one included.
    func sum(last count: Int, at now: Timestamp) -> Sum {
        var sum = Sum()
        let present = now.microseconds / width.microseconds
        let oldest = max(present - Int64(min(count, buckets.count)) + 1, newest - Int64(buckets.count) + 1)
        guard oldest <= newest else { return sum }
        for number in oldest...newest {
            let bucket = buckets[slot(number)]
            sum.units += bucket.units
            sum.squares += bucket.squares
            sum.shares += bucket.shares
            sum.active = Interval(microseconds: sum.active.microseconds + bucket.active)
        }
        return sum
    }

    private func slot(_ number: Int64) -> Int { Int(number % Int64(buckets.count)) }

    private mutating func advance(to now: Timestamp) {
        let present = now.microseconds / width.microseconds
        guard present > newest else { return }
        for number in max(newest + 1, present - Int64(buckets.count) + 1)...present { buckets[slot(number)] = Bucket() }
        newest = present
    }
}

extension Hashrate {
    init(rounding hashesPerSecond: Double) {
        self.init(hashesPerSecond: Int64(min(max(hashesPerSecond, 0), 9e18)))
    }
}
