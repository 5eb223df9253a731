import Units

/// Finds miners that are gone although their connections are not.
///
/// Some slow rigs rarely have anything to say, and only some programs answer questions: those are asked first.
struct SilenceWatch {
    enum Step: Hashable { case none, ask, close }

    private let limit: Interval
    private var silentSince: Timestamp
    private var hasSpoken = false
    private var hasAsked = false

    /// - Parameter limit: without a word for so long is too long
    init(limit: Interval, now: Timestamp) {
        self.limit = limit
        silentSince = now
    }

    /// A line came. Costs nothing: the clock is read when it is looked.
    mutating func heard() { hasSpoken = true }

    /// To be called about once a second.
    ///
    /// - Parameter shareTime: how long the rig takes for a share, if that is known; ten times of it are allowed. Only
    ///   asked for when it matters
    mutating func look(now: Timestamp, userAgent: String?, shareTime: @autoclosure () -> Interval?) -> Step {
        if hasSpoken {
            (hasSpoken, hasAsked, silentSince) = (false, false, now)
            return .none
        }
        let silence = now - silentSince
        guard silence.microseconds >= limit.microseconds / 2 else { return .none }
        if !hasAsked, SilenceWatch.answers(userAgent) {
            hasAsked = true
            return .ask
        }
        guard silence >= limit else { return .none }
        let slow = shareTime().map { min($0.microseconds, 1 << 50) * 10 } ?? 0
        return silence.microseconds >= slow ? .close : .none
    }

    /// Programs that are known to answer `client.get_version` without harm.
    private static func answers(_ userAgent: String?) -> Bool {
        guard let name = userAgent?.lowercased() else { return false }
        return ["cgminer", "bmminer", "bfgminer", "cpuminer"].contains { name.hasPrefix($0) }
    }
}
