internal import Exchange
internal import Logging
internal import Market
internal import Routing
internal import Store
internal import Synchronization
internal import Units

/// Tells edges in processes of their own what is committed: routes first, beside the projector and its pace.
///
/// What was not published yet is kept by rig, farm and pool, so that an outage costs no more memory than there are of these.
final class EdgePublisher: Sendable {
    private struct Pending {
        var routes: [RigID: RouteUpdate] = [:]
        var rigs: Set<RigID> = []
        var farms: Set<FarmID> = []
        var targets: Set<PoolTargetID> = []

        var isEmpty: Bool { routes.isEmpty && rigs.isEmpty && farms.isEmpty && targets.isEmpty }

        /// The newer route of a rig stays.
        mutating func add(_ updates: some Sequence<RouteUpdate>) {
            for update in updates where routes[update.rig].map({ $0.position < update.position }) ?? true {
                routes[update.rig] = update
            }
        }
    }

    private let store: EdgeFeedStore
    private let writer: MarketWriter
    private let rules: EdgeRules
    private let logger: Logger
    private let pending = Mutex(Pending())
    private let wakes: AsyncStream<Void>
    private let waker: AsyncStream<Void>.Continuation

    init(store: EdgeFeedStore, writer: MarketWriter, rules: EdgeRules, logger: Logger) {
        self.store = store
        self.writer = writer
        self.rules = rules
        self.logger = logger
        (wakes, waker) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        writer.onNews { [weak self] in self?.note($0) }
    }

    private func note(_ news: CommitNews) {
        pending.withLock { pending in
            pending.add(news.routes)
            pending.rigs.formUnion(news.rigs)
            pending.farms.formUnion(news.farms)
            pending.targets.formUnion(news.targets)
        }
        waker.yield()
    }

    /// Publishes until its task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.tick() }
            await self.publish()
            group.cancelAll()
        }
    }

    /// Time for a sign of life.
    private func tick() async {
        while !Task.isCancelled {
            do { try await Task.sleep(for: EdgePublisher.signs) } catch { return }
            waker.yield()
        }
    }

    private func publish() async {
        var publisher: Int64?
        var pause = EdgePublisher.shortestPause
        var isFailing = false
        waker.yield()
        for await _ in wakes {
            if Task.isCancelled { return }
            do {
                publisher = try await round(publisher)
                if isFailing { logger.notice("edges are told again what is committed") }
                (isFailing, pause) = (false, EdgePublisher.shortestPause)
                if publisher != nil { continue }
                logger.notice("another server tells the edges what is committed; this one takes that over again")
            } catch is CancellationError {
                return
            } catch {
                if !isFailing { logger.error("edges are not told what is committed", metadata: ["detail": "\(detail(error))"]) }
                isFailing = true
            }
            do { try await Task.sleep(for: pause) } catch { return }
            pause = min(pause * 2, EdgePublisher.longestPause)
            waker.yield()
        }
    }

    /// - Returns: the publisher's number; nil if another server is the publisher
    private func round(_ known: Int64?) async throws -> Int64? {
        guard let publisher = known else { return try await publishAll() }
        let work = pending.withLock { pending in
            defer { pending = Pending() }
            return pending
        }
        if work.isEmpty { return try await store.signOfLife(publisher: publisher) ? publisher : nil }
        do {
            let position = work.routes.values.map(\.position).max() ?? writer.position
            let isMine = try await store.publish(changes(work), position: position, publisher: publisher)
            return isMine ? publisher : nil
        } catch {
            pending.withLock { pending in
                pending.add(work.routes.values)
                pending.rigs.formUnion(work.rigs)
                pending.farms.formUnion(work.farms)
                pending.targets.formUnion(work.targets)
            }
            throw error
        }
    }

    private func publishAll() async throws -> Int64? {
        let publisher = try await store.take()
        // In this order: what is committed from here on is noted.
        pending.withLock { $0 = Pending() }
        let routes = writer.allRoutes()
        var all = changes(Pending(
            rigs: writer.read { Set($0.rigs.keys) }, farms: writer.read { Set($0.farmLogins.keys) },
            targets: writer.read { Set($0.targets.keys) }))
        all.routes = routes
        let position = routes.first?.position ?? writer.position
        return try await store.publishAll(all, position: position, rules: rules, publisher: publisher) ? publisher : nil
    }

    private func changes(_ work: Pending) -> EdgeChanges {
        var changes = EdgeChanges()
        changes.routes = work.routes.values.sorted { $0.rig < $1.rig }
        // In parts: readers hold up the next commit.
        for rigs in EdgePublisher.parts(work.rigs) {
            changes.rigs += writer.read { state in
                rigs.compactMap { state.rigs[$0] }.map {
                    EdgeRigRow(
                        rig: $0.id, user: $0.user, passwordDigest: $0.passwordDigest, fallback: $0.fallback, owner: $0.owner,
                        isCurtailed: state.cuts.contains($0.id))
                }
            }
        }
        for farms in EdgePublisher.parts(work.farms) {
            changes.farms += writer.read { state in
                farms.compactMap { state.farmLogins[$0] }.map {
                    EdgeFarmRow(farm: $0.farm, user: $0.user, passwordDigest: $0.passwordDigest)
                }
            }
        }
        for targets in EdgePublisher.parts(work.targets) {
            changes.pools += writer.read { state in
                targets.compactMap { state.targets[$0] }.map {
                    EdgePoolRow(target: $0.id, url: $0.url, user: $0.user, password: $0.password)
                }
            }
        }
        return changes
    }

    private static func parts<T: Comparable>(_ set: Set<T>) -> [ArraySlice<T>] {
        let sorted = set.sorted()
        return stride(from: 0, to: sorted.count, by: 1000).map { sorted[$0..<min($0 + 1000, sorted.count)] }
    }

    private static let signs = Duration.seconds(1)
    private static let shortestPause = Duration.milliseconds(100)
    private static let longestPause = Duration.seconds(2)
}
