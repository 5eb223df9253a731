import Metering
import Routing
import Units

/// A rig as its edge knows it, connected or not.
final class Rig {
    let id: RigID
    let algorithm: Algorithm
    var entry: RigEntry?
    var route: RigRoute
    /// Until that is closed.
    var connection: MinerConnection?
    var lastSession: Int64 = 0
    var counts = ShareCounts()
    var switches: Int64 = 0
    var figures: RigFigures
    /// Deliveries whose pools were reported as unusable.
    var reportedUnusable: Set<DeliveryID> = []
    private(set) var recent: WorkWindow
    private(set) var long: WorkWindow
    /// Of those deliveries whose time and work are not used up.
    private var sold: [DeliveryID: DeliveryMeter] = [:]
    private var reported: Double?
    /// What the exchange was told that it can do.
    var reportedAbilities: RigAbilities?

    init(id: RigID, algorithm: Algorithm = .sha256d, now: Timestamp, slices: SliceTimes = SliceTimes()) {
        self.id = id
        self.algorithm = algorithm
        route = RigRoute(slices, algorithm: algorithm)
        recent = WorkWindow(width: .seconds(5), count: 62, now: now)
        long = WorkWindow(width: .seconds(60), count: 60, now: now)
        figures = RigFigures(algorithm: algorithm, now: now)
    }

    /// Valid work came.
    func add(_ work: Work, delivery: DeliveryID?, at now: Timestamp) {
        recent.add(work, at: now)
        long.add(work, at: now)
        route.meter(work, delivery: delivery)
        if let delivery, route.route(of: delivery) != nil {
            sold[delivery, default: DeliveryMeter(algorithm: algorithm, now: now)].add(work, at: now)
        }
    }

    /// Time passed. To be called every second or so.
    ///
    /// - Parameter isServing: whether sold rigs work for their buyers at all
    func mark(isWorking: Bool, isServing: Bool = true, now: Timestamp) {
        recent.mark(active: true, at: now)
        long.mark(active: isWorking, at: now)
        let running = Set(route.routesInForce(now: now).map(\.delivery))
        sold = sold.filter { running.contains($0.key) }
        for delivery in running {
            let isServed = isServing && (!route.isShared || route.current == .delivery(delivery))
            sold[delivery, default: DeliveryMeter(algorithm: algorithm, now: now)].mark(isServed: isServed, at: now)
        }
    }

    /// A new session measures anew only what is reported; the average goes on.
    func startSession(_ session: Int64, now: Timestamp) {
        lastSession = session
        reported = nil
        long.mark(active: false, at: now)
        recent.mark(active: false, at: now)
    }

    /// The long average once there are 30 shares.
    func measured(now: Timestamp) -> (hashrate: Double, relativeSigma: Double)? {
        let sum = long.sum(last: 60, at: now)
        guard sum.shares >= 30, let rate = sum.hashesPerSecond(algorithm) else { return nil }
        return (rate, sum.relativeSigma)
    }

    /// What is to be reported: the first measurement of a session, then one that moved by more than 2 sigma.
    func measurementToReport(now: Timestamp) -> Hashrate? {
        guard let measured = measured(now: now) else { return nil }
        if let reported {
            // The present average knows more than the first one, of 30 shares, did.
            let sigma = measured.hashrate * measured.relativeSigma
            guard abs(measured.hashrate - reported) > 2 * sigma else { return nil }
        }
        reported = measured.hashrate
        return Hashrate(rounding: measured.hashrate)
    }

    /// Deliveries that get too little, each with what it gets of the hashrate that it was sold.
    ///
    /// A rig that works in slices is held against all that it has sold, over the time in which it worked for the delivery.
    func underDeliveries(
        difficulty: ShareDifficulty?, now: Timestamp
    ) -> [(delivery: DeliveryID, hashrate: Hashrate)] {
        guard let difficulty else { return [] }
        let all = Double(route.claims(now: now).reduce(0) { $0 &+ $1.hashrate.hashesPerSecond })
        let found: [(delivery: DeliveryID, hashrate: Hashrate)] = route.routesInForce(now: now).compactMap { route in
            let hashrate = Double(route.hashrate.hashesPerSecond)
            let expected = self.route.isShared ? all : hashrate
            guard let part = sold[route.delivery]?.shortfall(expected: expected, difficulty: difficulty, now: now) else {
                return nil
            }
            return (route.delivery, Hashrate(rounding: hashrate * part))
        }
        // The exchange takes it for what the rig can do: that is measured anew.
        if !found.isEmpty {
            reported = nil
            long = WorkWindow(width: .seconds(60), count: 60, now: now)
        }
        return found
    }

    /// The deliveries on it, for display.
    func slices(now: Timestamp) -> [SliceSnapshot] {
        let claims = route.claims(now: now)
        let all = claims.reduce(0.0) { $0 + Double($1.hashrate.hashesPerSecond) }
        return route.routesInForce(now: now).map { one in
            let share = route.isShared && all > 0 ? Double(one.hashrate.hashesPerSecond) / all : 1
            let meter = sold[one.delivery]
            return SliceSnapshot(
                delivery: one.delivery, sold: one.hashrate, share: PartsPerMillion(Int64(share * 1_000_000)),
                metered: meter?.metered ?? .zero, hashrate1Minute: meter?.lastMinute(now: now) ?? Hashrate(hashesPerSecond: 0),
                isServed: connection?.delivery == one.delivery)
        }
    }

    func figuresSnapshot(now: Timestamp) -> RigFiguresSnapshot {
        let day = figures.day(now: now)
        let hour = long.sum(last: 60, at: now)
        return RigFiguresSnapshot(
            hashrate60Minutes: Hashrate(rounding: hour.units * Double(algorithm.hashesPerUnit) / 3600),
            hashrate24Hours: day.hashrate, online24Hours: day.online, bestUnits: figures.bestUnits, userAgent: figures.userAgent,
            accepted: figures.accepted, rejects: figures.rejects)
    }

    func hashrate(seconds: Int64, now: Timestamp) -> Hashrate {
        let sum = recent.sum(last: Int(seconds / 5), at: now)
        return Hashrate(rounding: sum.units * Double(algorithm.hashesPerUnit) / Double(seconds))
    }
}
