import Stratum
import Units

/// A rig's part of a pool's extranonce2, and the number that its issues of a search space are counted under.
struct RigPrefix: Hashable {
    var key: UInt16
    /// In bytes: 0 to 2.
    var size: UInt8

    var bytes: [UInt8] {
        switch size {
        case 0: []
        case 1: [UInt8(truncatingIfNeeded: key)]
        default: [UInt8(key >> 8), UInt8(key & 0xff)]
        }
    }
}

/// The prefixes of rigs on one pool connection whose extranonce2 has no room for prefixes of the whole edge.
///
/// A prefix may be another rig's again at once: issues of a search space are counted by prefix, so that nobody is given what
/// somebody had before. The one that was given longest ago comes first.
struct ConnectionPrefixes {
    private var given: [ObjectIdentifier: UInt8] = [:]
    private var next: UInt8 = 0

    /// How many rigs may be on the connection.
    func room(for layout: ExtranonceLayout?, limit: Int) -> Int {
        switch layout?.extranonce1Size {
        case 0: 1
        case 1: min(limit, 256)
        case nil, .some: limit
        }
    }

    /// - Parameter own: the rig's prefix on the whole edge
    mutating func prefix(of rig: ObjectIdentifier, own: UInt16?, for layout: ExtranonceLayout) -> RigPrefix? {
        switch layout.extranonce1Size {
        case 0: return RigPrefix(key: 0, size: 0)
        case 1: return byte(of: rig).map { RigPrefix(key: UInt16($0), size: 1) }
        default: return own.map { RigPrefix(key: $0, size: 2) }
        }
    }

    private mutating func byte(of rig: ObjectIdentifier) -> UInt8? {
        if let known = given[rig] { return known }
        let taken = Set(given.values)
        guard taken.count < 256 else { return nil }
        while taken.contains(next) { next &+= 1 }
        given[rig] = next
        next &+= 1
        return given[rig]
    }

    mutating func leave(_ rig: ObjectIdentifier) { given[rig] = nil }
}

extension ExtranonceLayout {
    /// Whether a rig finds enough to search in a job for ten minutes: ten times a pool's usual pause between jobs.
    func lasts(_ hashesPerSecond: Double, versionMask: UInt32) -> Bool {
        let bits = 32 + 8 * extranonce2Size + versionMask.nonzeroBitCount
        return bits >= 100 || hashesPerSecond * 600 <= Double(sign: .plus, exponent: bits, significand: 1)
    }
}
