internal import StratumProxy
internal import Synchronization
internal import Units

/// A clock that never runs backwards, as an edge's time does not: after it was ahead it stands until it is right, and an edge
/// sells nothing before. What an edge promised to have reported until then could not be kept otherwise.
final class ForwardClock: WallClock {
    private let clock: any WallClock
    private let latest = Mutex(Timestamp(microseconds: 0))

    init(_ clock: any WallClock) { self.clock = clock }

    func now() -> Timestamp {
        let now = clock.now()
        return latest.withLock { latest in
            latest = max(latest, now)
            return latest
        }
    }

    /// The edge has been at this time.
    func advance(to time: Timestamp) { latest.withLock { $0 = max($0, time) } }
}
