import Exchange
import Market
import Metering
import Routing
@testable import Server
import Store
import StratumProxy
import Synchronization
import TestSupport
import Testing
import Units

@Suite("Parts of separate edges")
struct SeparateEdgePartsTests {
    private static let noon = Timestamp(microseconds: 1_800_000_000_000_000)

    private func online(_ rig: Int64, _ session: Int64) -> EdgeReport {
        EdgeReport(at: Self.noon, kind: .rigOnline(RigID(rig), session: session, versionMask: 0))
    }

    private func offline(_ rig: Int64, _ session: Int64) -> EdgeReport {
        EdgeReport(at: Self.noon, kind: .rigOffline(RigID(rig), session: session))
    }

    private func measured(_ rig: Int64, _ session: Int64, _ hashrate: Int64) -> EdgeReport {
        EdgeReport(at: Self.noon, kind: .rigMeasured(RigID(rig), session: session, Hashrate(hashesPerSecond: hashrate)))
    }

    // MARK: sessions

    @Test func sessionsAreNumberedByTime() {
        var sessions = ReportedSessions()
        let first = sessions.begin(RigID(1), own: 5, versionMask: 0, at: Self.noon)
        #expect(first == Self.noon.microseconds)
        #expect(sessions.begin(RigID(2), own: 6, versionMask: 0, at: Self.noon) == first + 1)
        #expect(sessions.begin(RigID(3), own: 7, versionMask: 0, at: Self.noon - .seconds(5)) == first + 2)
        #expect(sessions.begin(RigID(1), own: 8, versionMask: 3, at: Self.noon, beyond: first + 100) == first + 101)
        #expect(sessions.end(RigID(1), own: 5) == nil, "another session has begun")
        #expect(sessions.number(of: RigID(1), own: 8) == first + 101)
        let renewed = sessions.renew(at: Self.noon + .seconds(1))
        #expect(renewed.map(\.rig) == [RigID(1), RigID(2), RigID(3)])
        #expect(renewed.map(\.versionMask) == [3, 0, 0])
        #expect(renewed.map(\.number) == (0..<3).map { Self.noon.microseconds + 1_000_000 + $0 })
        #expect(sessions.end(RigID(2), own: 6) == renewed[1].number)
        #expect(sessions.count == 2)
    }

    // MARK: reports

    @Test func whatIsSupersededIsNotSent() {
        var queue = ReportQueue()
        queue.add(online(1, 10))
        queue.add(measured(1, 10, 5))
        queue.add(online(2, 11))
        queue.add(measured(1, 10, 6))
        #expect(queue.first(9).reports == [online(1, 10), online(2, 11), measured(1, 10, 6)])
        queue.add(offline(1, 10))
        #expect(queue.first(9).reports == [online(1, 10), online(2, 11), offline(1, 10)])
        queue.add(online(1, 12))
        #expect(queue.first(9).reports == [online(2, 11), online(1, 12)])
        #expect(queue.first(1).reports == [online(2, 11)])
    }

    /// What is superseded while it is under way stays for later.
    @Test func onlyWhatArrivedIsRemoved() {
        var queue = ReportQueue()
        queue.add(online(1, 10))
        queue.add(measured(1, 10, 5))
        let part = queue.first(9)
        queue.add(measured(1, 10, 7))
        queue.remove(part)
        #expect(queue.first(9).reports == [measured(1, 10, 7)])
        queue.add(EdgeReport(at: Self.noon, kind: .started(session: 1)))
        #expect(queue.count == 1)
    }

    /// Whatever part of a history is coalesced, and whatever is sent twice, an exchange ends with the same rigs.
    @Test(arguments: Seeds.list(20))
    func theExchangeEndsAsIfAllHadBeenSent(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var queue = ReportQueue()
        var plain = Presences()
        var sent = Presences()
        var session: Int64 = 0
        var running: [Int64: Int64] = [:]
        for _ in 0..<300 {
            let rig = random.int64(1...3)
            if let known = running[rig], random.chance(60) {
                let report = random.chance(50) ? measured(rig, known, random.int64(1...9)) : offline(rig, known)
                if case .rigOffline = report.kind { running[rig] = nil }
                plain.take(report)
                queue.add(report)
            } else {
                session += 1
                running[rig] = session
                plain.take(online(rig, session))
                queue.add(online(rig, session))
            }
            guard random.chance(20) else { continue }
            let part = queue.first(random.int(1...4))
            for _ in 1...random.int(1...2) { part.reports.forEach { sent.take($0) } }
            queue.remove(part)
        }
        queue.first(.max).reports.forEach { sent.take($0) }
        #expect(plain.online == sent.online)
        // A session's first measurement is always reported: what an earlier one said does not matter.
        for (rig, session) in plain.online {
            guard let measured = plain.measured[rig], measured.session == session else { continue }
            #expect(sent.measured[rig]?.session == session && sent.measured[rig]?.hashrate == measured.hashrate)
        }
    }

    /// What the exchange makes of reports.
    private struct Presences {
        var online: [RigID: Int64] = [:]
        var last: [RigID: Int64] = [:]
        var measured: [RigID: (session: Int64, hashrate: Hashrate)] = [:]

        mutating func take(_ report: EdgeReport) {
            switch report.kind {
            case .rigOnline(let rig, let session, _):
                guard session > last[rig] ?? 0 else { return }
                (online[rig], last[rig]) = (session, session)
            case .rigOffline(let rig, let session): if online[rig] == session { online[rig] = nil }
            case .rigMeasured(let rig, let session, let hashrate): if last[rig] == session { measured[rig] = (session, hashrate) }
            case .started, .poolsUnusable, .underDelivered, .workerCame, .blockFound, .blockJudged: break
            }
        }
    }

    private func came(_ worker: String, _ request: Int64) -> EdgeReport {
        EdgeReport(at: Self.noon, kind: .workerCame(FarmID(1), worker: worker, request: request))
    }

    private func found(_ hash: UInt8, forwarded: Bool) -> EdgeReport {
        EdgeReport(at: Self.noon, kind: .blockFound(BlockReport(
            edge: EdgeID(2), receivedAt: Self.noon, rig: RigID(1), delivery: nil, target: PoolTargetID(1), hash: [hash],
            header: [], poolJob: "", isForwarded: forwarded)))
    }

    @Test func theFirstWordOfABlockCounts() {
        var queue = ReportQueue()
        let judged = EdgeReport(at: Self.noon, kind: .blockJudged(hash: [1], .accepted, poolError: 0))
        queue.add(found(1, forwarded: true))
        queue.add(judged)
        queue.add(found(1, forwarded: false))
        queue.add(EdgeReport(at: Self.noon, kind: .blockJudged(hash: [1], .rejected, poolError: 1)))
        queue.add(came("w", 1))
        queue.add(came("w", 2))
        #expect(queue.first(9).reports == [found(1, forwarded: true), judged, came("w", 2)])
    }

    @Test func soManyWorkersWait() {
        var queue = ReportQueue()
        /// Whether there was room.
        func add(_ report: EdgeReport) -> Bool { queue.add(report) }
        let taken = (0..<ReportQueue.mostOfAKind).count { add(came("\($0)", 1)) }
        #expect(taken == ReportQueue.mostOfAKind)
        #expect(!add(came("more", 1)))
        #expect(add(came("0", 2)), "it waits already")
        #expect(add(found(1, forwarded: true)), "blocks are counted for themselves")
        queue.remove(queue.first(1))
        #expect(add(came("more", 1)))
        #expect(!add(came("still more", 1)))
    }

    // MARK: workers

    private final class Answers: Sendable {
        private let list = Mutex<[WorkerRegistration]>([])
        var all: [WorkerRegistration] { list.withLock { $0 } }
        func take(_ answer: WorkerRegistration) { list.withLock { $0.append(answer) } }
    }

    @Test func aWorkerIsARigWhenTheEdgeKnowsIt() throws {
        let (directory, clock) = (FollowedDirectory(), SettableClock())
        let reports = FollowedReports(directory: directory, edge: EdgeID(2), clock: clock)
        let registrar = FollowedRegistrar(directory: directory, reports: reports, clock: clock)
        let answers = Answers()
        func ask(_ worker: String) { registrar.register(farm: FarmID(7), worker: worker) { answers.take($0) } }
        /// What is on its way to the exchange, which then takes it.
        func requests() -> [Int64] {
            let part = reports.first(.max)
            reports.remove(part)
            return part.reports.compactMap { report in
                guard case .workerCame(FarmID(7), _, let request) = report.kind else { return nil }
                return request
            }
        }
        registrar.setOpen(true)
        ask("w1")
        #expect(answers.all == [.busy], "a farm that is not known")
        var changes = EdgeChanges()
        changes.farms = [EdgeFarmRow(farm: FarmID(7), user: "a1.barn", passwordDigest: [1])]
        _ = directory.merge(changes)
        #expect(directory.farm(user: "a1.barn") == FarmEntry(id: FarmID(7), user: "a1.barn", passwordHash: [1]))
        registrar.setOpen(false)
        ask("w1")
        #expect(answers.all == [.busy, .busy], "nobody can be asked")
        #expect(requests() == [])
        registrar.setOpen(true)
        ask("w1")
        ask("w2")
        let first = requests()
        #expect(first.count == 2 && answers.all.count == 2 && registrar.isWaiting)
        changes = EdgeChanges()
        changes.rigs = [EdgeRigRow(rig: RigID(1), user: "a1.barn.w1", passwordDigest: [1], fallback: PoolTargetID(3))]
        _ = directory.merge(changes)
        registrar.settle()
        #expect(answers.all == [.busy, .busy, .registered])
        registrar.settle(now: .now + FollowedRegistrar.patience)
        #expect(answers.all.suffix(1) == [.busy] && answers.all.count == 4, "no answer for too long")
        ask("w2")
        let second = try #require(requests().first)
        registrar.refuse(first[1], "of an earlier request")
        #expect(answers.all.count == 4 && second > first[1])
        registrar.refuse(second, "full")
        #expect(answers.all.suffix(1) == [.refused("full")] && !registrar.isWaiting)
        ask("w1")
        #expect(answers.all.suffix(1) == [.registered] && requests() == [])
        ask("w3")
        registrar.setOpen(false)
        #expect(answers.all.suffix(1) == [.busy] && answers.all.count == 7)
    }

    // MARK: silence

    @Test func silenceIsCountedWhileOneListens() {
        var watch = SilenceWatch(longest: .seconds(60))
        let start = ContinuousClock.now
        let edge = EdgeID(2)
        func look(_ seconds: Int, _ beats: Int64) -> Bool {
            !watch.look(at: [edge], beats: [edge: beats], now: start + .seconds(seconds)).isEmpty
        }
        #expect(!look(0, 1))
        #expect(!look(59, 1))
        #expect(look(60, 1))
        #expect(!look(61, 2))
        #expect(!look(120, 2))
        watch.forget()
        #expect(!look(200, 2), "nobody could be heard")
        #expect(look(260, 2))
    }

    // MARK: directory

    private func route(_ rig: Int64, _ position: Int64, _ delivery: Int64?) -> RouteUpdate {
        RouteUpdate(rig: RigID(rig), position: position, route: delivery.map {
            Route(
                delivery: DeliveryID($0), bid: OrderID(1), targets: [PoolTargetID(3), PoolTargetID(1)],
                validUntil: Self.noon + .seconds(100), maxWork: Work(units: .max), maxDifficulty: ShareDifficulty(units: 7),
                hashrate: Hashrate(hashesPerSecond: 65_536_000))
        })
    }

    @Test func routesAreToldOfRigsThatWereMet() {
        let directory = FollowedDirectory()
        var changes = EdgeChanges()
        changes.rigs = [EdgeRigRow(rig: RigID(1), user: "a", passwordDigest: [1], fallback: PoolTargetID(3))]
        changes.pools = [EdgePoolRow(target: PoolTargetID(3), url: "u", user: "v", password: "w")]
        changes.routes = [route(1, 5, 50), route(2, 6, 60)]
        #expect(directory.merge(changes) == [])
        #expect(directory.rig(user: "a") == RigEntry(id: RigID(1), user: "a", passwordHash: [1], fallback: PoolTargetID(3)))
        #expect(directory.poolTarget(PoolTargetID(3))?.password == "w")
        #expect(directory.route(of: RigID(1)) == route(1, 5, 50))
        #expect(directory.deliveries == [DeliveryID(50), DeliveryID(60)])
        var next = EdgeChanges()
        next.rigs = [EdgeRigRow(rig: RigID(1), user: "b", passwordDigest: [2], fallback: PoolTargetID(3))]
        next.routes = [route(1, 7, nil), route(2, 8, 61)]
        #expect(directory.merge(next) == [route(1, 7, nil)])
        #expect(directory.rig(user: "a") == nil)
        #expect(directory.rig(user: "b")?.passwordHash == [2])
        #expect(directory.deliveries(on: RigID(1)).isEmpty)
        // Older than what is known.
        var old = EdgeChanges()
        old.routes = [route(2, 6, 60)]
        _ = directory.merge(old)
        #expect(directory.deliveries(on: RigID(2)) == [DeliveryID(61)])
    }

    /// 65,536,000 hashes a second are 1,000 units: 101 s of them, 5 % and 20 shares.
    @Test func aRouteFromACopyIsLimited() {
        var changes = EdgeChanges()
        changes.routes = [route(1, 5, 50), route(2, 6, nil)]
        changes.limitWork(at: Self.noon)
        #expect(changes.routes[0].routes.first?.maxWork == Work(units: 101_000 + 5050 + 140))
        #expect(changes.routes[1].routes.isEmpty)
        changes.limitWork(at: Self.noon + .seconds(1000))
        #expect(changes.routes[0].routes.first?.maxWork == Work(units: 140))
    }

    @Test func namesArePlain() {
        for name in ["a", "berlin-1", "x_y.z"] { #expect(SeparateEdgeConfiguration.flaw(inName: name) == nil, "\(name)") }
        for name in ["", "a b", "ü", "embedded", "a/b", String(repeating: "x", count: 65)] {
            #expect(SeparateEdgeConfiguration.flaw(inName: name) != nil, "\(name)")
        }
    }
}
