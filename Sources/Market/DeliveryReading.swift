internal import Exchange
internal import Settlement
internal import Units

/// What a run has read of one delivery, and what follows from it.
struct DeliveryReading {
    var delivery: Delivery
    var metered: MeteredSums
    /// Of minutes before `cut`; empty where the sums alone say all.
    var slots: [SlotWork] = []
    var lines = SettledLines()
    /// Minutes since 1970.
    var cut: Int64

    private func limit(_ algorithm: Algorithm) -> Work { Assessment.limit(delivery.hashrate, algorithm: algorithm) }

    /// Whether the sums do not say what incidents have beyond their limits.
    func mayExceed(_ algorithm: Algorithm) -> Bool { metered.sums.mayExceed(limit: limit(algorithm)) }

    func assessed(until: Timestamp, _ algorithm: Algorithm) -> Assessment {
        let cap = delivery.workCap(at: until, algorithm: algorithm)
        guard slots.isEmpty else { return Assessment(slots, limit: limit(algorithm), cap: cap) }
        return Assessment(metered.sums, faultExcess: .zero, cap: cap)
    }

    // MARK: - Initial runs

    /// What is new of a delivery that is not settled to its end; nil when nothing is. What is not billed is noted by its final run:
    /// until then it may still become less.
    ///
    /// - Parameters:
    ///   - interval: minutes since 1970
    ///   - until: the time that the cap allows for
    ///   - isFinal: all its work is there
    func newTotal(
        _ interval: Range<Int64>, until: Timestamp, isFinal: Bool, width: Int64, _ algorithm: Algorithm
    ) -> AssessedTotal? {
        let assessed = assessed(until: until, algorithm)
        guard isFinal || assessed.billable > delivery.settledWork else { return nil }
        return AssessedTotal(
            delivery: delivery.id, fromMinute: interval.lowerBound,
            toMinute: max(interval.upperBound, min(metered.lastMinute, latestMinute) + 1), billable: assessed.billable,
            fault: assessed.fault,
            late: late(assessed, before: interval.lowerBound, width: width, algorithm), isFinal: isFinal)
    }

    /// Work of later minutes has a wrong clock, and counts for this one.
    private var latestMinute: Int64 { delivery.expiresAt.minute + 1440 }

    /// Late is what the last cut would bill by now beyond what it billed.
    private func late(_ assessed: Assessment, before minute: Int64, width: Int64, _ algorithm: Algorithm) -> [LateWork] {
        let earlier = slots.filter { $0.minute < minute }
        guard !earlier.isEmpty else { return [] }
        let cap = delivery.workCap(at: Timestamp(microseconds: minute * 60_000_000), algorithm: algorithm)
        let known = Assessment(earlier, limit: limit(algorithm), cap: cap).billable - delivery.settledWork
        return parts(of: min(known, sound(assessed)), earlier, width)
    }

    /// New work that is no fault.
    private func sound(_ assessed: Assessment) -> Work {
        assessed.billable - delivery.settledWork - max(.zero, assessed.fault - delivery.settledFault)
    }

    private func parts(of late: Work, _ slots: [SlotWork], _ width: Int64) -> [LateWork] {
        LateShares.split(max(.zero, late), slots: slots, settled: lines.intervals, width: width).map {
            LateWork(fromMinute: $0.from, toMinute: $0.to, work: $0.work)
        }
    }

    // MARK: - Corrections

    /// The difference of all that is there to what is settled, up or down; nil when there is none.
    func correction(width: Int64, _ algorithm: Algorithm) -> AssessedTotal? {
        let assessed = assessed(until: Timestamp(microseconds: .max), algorithm)
        let over = max(.zero, assessed.overDelivery - lines.overDelivery)
        let excess = max(.zero, assessed.faultExcess - lines.faultExcess)
        guard assessed.billable != delivery.settledWork || assessed.fault != delivery.settledFault || over > .zero || excess > .zero
        else { return nil }
        let end = delivery.endedAt ?? delivery.expiresAt
        return AssessedTotal(
            delivery: delivery.id, fromMinute: delivery.openedAt.minute,
            toMinute: max(end.minute, min(metered.lastMinute, latestMinute)) + 1,
            billable: assessed.billable, fault: assessed.fault, late: parts(of: sound(assessed), slots, width), overDelivery: over,
            faultExcess: excess, isFinal: true)
    }

    /// Whether a correction needs the slots and lines to tell what to note, or what the new work's intervals are.
    func needsDetail(_ algorithm: Algorithm) -> Bool {
        let assessed = assessed(until: Timestamp(microseconds: .max), algorithm)
        return mayExceed(algorithm) || assessed.overDelivery > .zero || assessed.billable != delivery.settledWork
    }
}

extension Delivery {
    /// nil while it runs.
    var endedAt: Timestamp? {
        switch phase {
        case .running: nil
        case .ended(let at, _): at
        }
    }
}
