public import Units

/// What settlement reads of a meter slot: a delivery's work in one minute, and what became of it at the pool.
public struct SlotWork: Hashable, Sendable {
    /// Minutes since 1970, UTC.
    public var minute: Int64
    public var billable: Work
    /// Shares sent to the pool, and how many of them it refused or never answered.
    public var forwarded: Int64
    public var rejected: Int64
    public var unanswered: Int64

    public init(minute: Int64, billable: Work, forwarded: Int64, rejected: Int64 = 0, unanswered: Int64 = 0) {
        self.minute = minute
        self.billable = billable
        self.forwarded = forwarded
        self.rejected = rejected
        self.unanswered = unanswered
    }

    /// Shares that the pool did not take. Replies may come before their shares are known: never more than were forwarded.
    private var failed: Int64 { min(forwarded, rejected + unanswered) }

    /// floor(billable x failed / forwarded): in favour of work that is no fault. None where nothing was forwarded.
    public var fault: Work {
        guard forwarded > 0, failed > 0, billable > .zero else { return .zero }
        return Work(units: Int64(Rounding.down(Int128(billable.units) * Int128(failed), by: Int128(forwarded))))
    }

    /// Whether the pool failed 5 % of what it got, or more.
    public var isIncident: Bool { failed > 0 && Int128(failed) * 20 >= Int128(forwarded) }
}

/// Sums of a delivery's slots.
public struct SlotSums: Hashable, Sendable {
    public var billable: Work
    /// Sum of ``SlotWork/fault``.
    public var fault: Work
    /// How many of the slots are of incidents.
    public var incidents: Int64

    public static let none = SlotSums(billable: .zero, fault: .zero, incidents: 0)

    public init(billable: Work, fault: Work, incidents: Int64) {
        self.billable = billable
        self.fault = fault
        self.incidents = incidents
    }

    public init(_ slots: some Sequence<SlotWork>) {
        self = .none
        for slot in slots {
            billable += slot.billable
            fault += slot.fault
            if slot.isIncident { incidents += 1 }
        }
    }

    /// Whether some of the fault work may be beyond the limit of its incident: then the slots have to be looked at.
    public func mayExceed(limit: Work) -> Bool { incidents > 0 && fault > limit }
}

/// What of a delivery's metered work is billed, cumulative (design, section 4, "Billing").
///
/// A function of the slots and of what was sold alone: neither the order in which they came nor earlier bills matter.
public struct Assessment: Hashable, Sendable {
    /// Fault work that an incident bills at most, as time of the sold hashrate.
    public static let incidentLimit = Interval.seconds(30)

    /// Billed in all.
    public var billable: Work
    /// The part of ``billable`` that the buyer's pool refused or did not answer.
    public var fault: Work
    /// Above what was sold: counted, not billed.
    public var overDelivery: Work
    /// Beyond the limits of incidents: counted, not billed.
    public var faultExcess: Work

    /// - Parameters:
    ///   - faultExcess: by ``faultExcess(_:limit:)``
    ///   - cap: the most that is billed, by ``Tariff/workCap(_:elapsed:allowance:algorithm:)``
    public init(_ sums: SlotSums, faultExcess: Work, cap: Work) {
        let due = sums.billable - faultExcess
        billable = min(due, cap)
        overDelivery = due - billable
        fault = min(sums.fault - faultExcess, billable)
        self.faultExcess = faultExcess
    }

    public init(_ slots: [SlotWork], limit: Work, cap: Work) {
        self.init(SlotSums(slots), faultExcess: Assessment.faultExcess(slots, limit: limit), cap: cap)
    }

    /// The limit of an incident in work, rounded down.
    public static func limit(_ sold: Hashrate, algorithm: Algorithm) -> Work {
        Tariff.work(sold, for: incidentLimit, algorithm: algorithm)
    }

    /// What incidents have beyond their limit. Consecutive minutes in which the pool fails 5 % or more are one incident; a minute
    /// without a slot ends it.
    ///
    /// - Parameter slots: in order of their minutes
    public static func faultExcess(_ slots: [SlotWork], limit: Work) -> Work {
        var excess = Work.zero
        var incident = Work.zero
        var last: Int64?
        for slot in slots where slot.isIncident {
            if let last, slot.minute - last > 1 {
                excess += max(.zero, incident - limit)
                incident = .zero
            }
            incident += slot.fault
            last = slot.minute
        }
        return excess + max(.zero, incident - limit)
    }
}
