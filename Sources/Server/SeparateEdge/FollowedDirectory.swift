internal import Routing
internal import Store
internal import StratumProxy
internal import Synchronization
internal import Units

/// What a separate edge looks up: what it has followed so far, all of it in memory.
final class FollowedDirectory: EdgeDirectory {
    private struct Content {
        var rigs: [String: RigEntry] = [:]
        /// What a rig is called, for when that changes.
        var users: [RigID: String] = [:]
        var farms: [String: FarmEntry] = [:]
        /// What a farm's workers are called before their names.
        var logins: [FarmID: String] = [:]
        var targets: [PoolTargetID: PoolTargetEntry] = [:]
        var routes: [RigID: RouteUpdate] = [:]
        /// Rigs that the edge has met: it is told their routes.
        var met: Set<RigID> = []
    }

    private let content = Mutex(Content())

    func rig(user: String) -> RigEntry? { content.withLock { $0.rigs[user] } }

    func farm(user: String) -> FarmEntry? { content.withLock { $0.farms[user] } }

    /// What stands before the names of a farm's workers.
    func login(of farm: FarmID) -> String? { content.withLock { $0.logins[farm] } }

    func poolTarget(_ id: PoolTargetID) -> PoolTargetEntry? { content.withLock { $0.targets[id] } }

    func route(of rig: RigID) -> RouteUpdate? {
        content.withLock { content in
            content.met.insert(rig)
            return content.routes[rig]
        }
    }

    func url(of target: PoolTargetID) -> String? { content.withLock { $0.targets[target]?.url } }

    func deliveries(on rig: RigID) -> [DeliveryID] { content.withLock { $0.routes[rig]?.routes.map(\.delivery) ?? [] } }

    /// Deliveries that run as far as is known.
    var deliveries: Set<DeliveryID> { content.withLock { Set($0.routes.values.flatMap { $0.routes.map(\.delivery) }) } }

    /// Takes changes in; returns the routes of rigs that the edge has met.
    func merge(_ changes: EdgeChanges) -> [RouteUpdate] {
        guard !changes.isEmpty else { return [] }
        return content.withLock { content in
            for row in changes.pools {
                content.targets[row.target] = PoolTargetEntry(
                    id: row.target, url: row.url, user: row.user, password: row.password)
            }
            for row in changes.rigs {
                if let old = content.users[row.rig], old != row.user { content.rigs[old] = nil }
                content.users[row.rig] = row.user
                content.rigs[row.user] = RigEntry(
                    id: row.rig, user: row.user, passwordHash: row.passwordDigest, fallback: row.fallback, owner: row.owner,
                    isCurtailed: row.isCurtailed)
            }
            for row in changes.farms {
                if let old = content.logins[row.farm], old != row.user { content.farms[old] = nil }
                content.logins[row.farm] = row.user
                content.farms[row.user] = FarmEntry(id: row.farm, user: row.user, passwordHash: row.passwordDigest)
            }
            for update in changes.routes where content.routes[update.rig].map({ $0.position < update.position }) ?? true {
                content.routes[update.rig] = update
            }
            return changes.routes.filter { content.met.contains($0.rig) }
        }
    }
}

extension EdgeChanges {
    /// Routes from a copy, whose deliveries may have had work that is not known: none may get more than a rig can still deliver.
    mutating func limitWork(at now: Timestamp, algorithm: Algorithm = .sha256d) {
        for index in routes.indices {
            for place in routes[index].routes.indices { routes[index].routes[place].limitWork(at: now, algorithm) }
        }
    }
}

extension Route {
    fileprivate mutating func limitWork(at now: Timestamp, _ algorithm: Algorithm) {
        let left = max(0, (validUntil - now).microseconds / 1_000_000 + 1)
        let (hashes, overflow) = hashrate.hashesPerSecond.multipliedReportingOverflow(by: left)
        guard !overflow else { return }
        // As the cap of design section 4: 5 % and 20 shares more than what was sold.
        let units = hashes / algorithm.hashesPerUnit
        let (shares, isHuge) = maxDifficulty.units.multipliedReportingOverflow(by: 20)
        guard !isHuge else { return }
        let (most, isTooMuch) = (units + units / 20).addingReportingOverflow(shares)
        if !isTooMuch { maxWork = min(maxWork, Work(units: most)) }
    }
}
