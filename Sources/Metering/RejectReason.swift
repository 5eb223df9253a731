/// Why a rig's share was refused: what is counted, however the answer's text is worded.
public enum RejectReason: UInt8, Sendable, CaseIterable {
    /// For a job that its connection does not have, or no longer.
    case unknownJob = 0
    case stale = 1
    case duplicate = 2
    case lowDifficulty = 3
    /// An extranonce2 of another size than agreed on.
    case extranonce2 = 4
    /// A time outside what the pool takes.
    case ntime = 5
    /// Version bits outside the agreed mask.
    case versionBits = 6
    /// More shares for one coinbase than are told apart.
    case tooManyForJob = 7
    /// Too many shares wait for their commit, or the commit failed.
    case notKept = 8
    case other = 9

    /// For programs; stable.
    public var code: String { "\(self)" }
}

/// How many shares were refused for each reason.
public struct RejectCounts: Hashable, Sendable {
    /// By raw value; empty until there is one: most rigs have none.
    private var counts: [UInt32] = []

    public init() {}

    /// Stays at its highest value.
    public mutating func count(_ reason: RejectReason) {
        if counts.isEmpty { counts = Array(repeating: 0, count: RejectReason.allCases.count) }
        let place = Int(reason.rawValue)
        if counts[place] < .max { counts[place] += 1 }
    }

    public subscript(reason: RejectReason) -> Int64 { counts.isEmpty ? 0 : Int64(counts[Int(reason.rawValue)]) }

    public static func += (sum: inout RejectCounts, more: RejectCounts) {
        guard !more.counts.isEmpty else { return }
        if sum.counts.isEmpty {
            sum = more
        } else {
            for place in sum.counts.indices {
                let (total, isTooMuch) = sum.counts[place].addingReportingOverflow(more.counts[place])
                sum.counts[place] = isTooMuch ? .max : total
            }
        }
    }

    public var total: Int64 { RejectReason.allCases.reduce(0) { $0 + self[$1] } }
}
