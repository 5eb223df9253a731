internal import Units

/// Numbers the sessions of an edge's rigs for the exchange: by time, so that a rig's later session has the higher number on
/// whatever edge it is.
struct ReportedSessions {
    private struct Session {
        /// The edge's own number.
        var own: Int64
        var reported: Int64
        var versionMask: UInt32
    }

    /// Of the rigs that are connected.
    private var sessions: [RigID: Session] = [:]
    private var last: Int64 = 0

    var count: Int { sessions.count }

    /// A number of its own, above all so far.
    mutating func next(at: Timestamp, beyond known: Int64 = 0) -> Int64 {
        last = max(at.microseconds, last + 1, known + 1)
        return last
    }

    /// A session begins, or goes on with another version mask.
    ///
    /// - Parameter known: the rig's last session that the exchange knows
    mutating func begin(_ rig: RigID, own: Int64, versionMask: UInt32, at: Timestamp, beyond known: Int64 = 0) -> Int64 {
        let number = next(at: at, beyond: known)
        sessions[rig] = Session(own: own, reported: number, versionMask: versionMask)
        return number
    }

    /// nil if it was over before.
    mutating func end(_ rig: RigID, own: Int64) -> Int64? {
        guard let number = number(of: rig, own: own) else { return nil }
        sessions[rig] = nil
        return number
    }

    /// nil if another one has begun since.
    func number(of rig: RigID, own: Int64) -> Int64? {
        guard let session = sessions[rig], session.own == own else { return nil }
        return session.reported
    }

    /// The sessions that go on, by rig.
    var running: [(rig: RigID, number: Int64)] {
        sessions.sorted { $0.key < $1.key }.map { ($0.key, $0.value.reported) }
    }

    /// Numbers all that go on anew: they were counted as over.
    mutating func renew(at: Timestamp) -> [(rig: RigID, number: Int64, versionMask: UInt32)] {
        sessions.keys.sorted().compactMap { rig in
            guard let session = sessions[rig] else { return nil }
            let number = begin(rig, own: session.own, versionMask: session.versionMask, at: at)
            return (rig, number, session.versionMask)
        }
    }
}
