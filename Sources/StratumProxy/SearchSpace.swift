import ProofOfWork
import Units

/// The headers below one coinbase: what is issued of it, and which of its shares have been seen.
///
/// Jobs that differ only in name, time or version share a space, also over a pool's reconnections and over pools, so that
/// no header is hashed on purpose or credited twice on this edge.
final class SearchSpace {
    fileprivate let key: Hash256
    /// How many times work was issued to each rig prefix.
    fileprivate var issues: [UInt16: UInt64] = [:]
    fileprivate var liveWorks = 0
    private var seen: Set<Hash256> = []

    fileprivate init(key: Hash256) { self.key = key }

    func contains(_ hash: Hash256) -> Bool { seen.contains(hash) }

    /// Remembers a share; false when the space holds as many as it may.
    func insert(_ hash: Hash256, limit: Int) -> Bool {
        guard seen.count < limit else { return false }
        seen.insert(hash)
        return true
    }
}

/// One issue of a space to a prefix: which padding, and how many seconds its time is put forward.
struct WorkIssue: Hashable {
    var epoch: UInt64
    var seconds: UInt32
}

/// All spaces of an edge, and the prefixes of its rigs: both live until the last job that they served is dead.
final class SearchSpaces {
    /// A job's time is put forward no further than this, where there is no padding left.
    static let maximalSeconds: UInt64 = 300

    private var spaces: [Hash256: SearchSpace] = [:]
    private var prefixes: [PrefixState]
    private var next: Int
    private let first: Int
    private let firstEpoch: UInt64

    private struct PrefixState {
        var isTaken = false
        /// Living spaces that it has work of.
        var spaces: Int32 = 0
    }

    init(firstPrefix: UInt16, firstEpoch: UInt64) {
        prefixes = Array(repeating: PrefixState(), count: 65_536)
        next = Int(firstPrefix)
        first = next
        self.firstEpoch = firstEpoch
    }

    /// A prefix that no connection has and no living job was issued to; nil when there is none.
    ///
    /// - Parameter counter: where to look first, counted from 1. A counter that goes on over restarts keeps rigs from
    ///   getting again, of a job that outlives this process, what was hashed before. nil: behind the last one taken
    func takePrefix(at counter: Int64? = nil) -> UInt16? {
        if let counter { next = (first + Int((counter - 1) % Int64(prefixes.count))) % prefixes.count }
        for _ in 0..<prefixes.count {
            let candidate = next
            next = (next + 1) % prefixes.count
            guard !prefixes[candidate].isTaken, prefixes[candidate].spaces == 0 else { continue }
            prefixes[candidate].isTaken = true
            return UInt16(candidate)
        }
        return nil
    }

    /// It rests until every job it served is dead.
    func release(prefix: UInt16) { prefixes[Int(prefix)].isTaken = false }

    /// The space of a coinbase and all above it, for one more job.
    func open(_ key: Hash256) -> SearchSpace {
        let space = spaces[key] ?? SearchSpace(key: key)
        spaces[key] = space
        space.liveWorks += 1
        return space
    }

    /// One of the space's jobs is dead.
    func close(_ space: SearchSpace) {
        space.liveWorks -= 1
        guard space.liveWorks == 0 else { return }
        spaces[space.key] = nil
        for prefix in space.issues.keys { prefixes[Int(prefix)].spaces -= 1 }
    }

    /// The next part of the space that the prefix has not had; nil when it has had all.
    func issue(_ space: SearchSpace, to prefix: UInt16, epochs: UInt64) -> WorkIssue? {
        let index = space.issues[prefix] ?? min(firstEpoch, epochs - 1)
        let (seconds, epoch) = index.quotientAndRemainder(dividingBy: epochs)
        guard seconds <= SearchSpaces.maximalSeconds else { return nil }
        if space.issues[prefix] == nil { prefixes[Int(prefix)].spaces += 1 }
        space.issues[prefix] = index + 1
        return WorkIssue(epoch: epoch, seconds: UInt32(seconds))
    }
}
