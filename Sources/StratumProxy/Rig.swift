import Metering
import Routing
import Units

/// A rig as its edge knows it, connected or not.
final class Rig {
    let id: RigID
    var entry: RigEntry?
    var route = RigRoute()
    weak var connection: MinerConnection?
    var lastSession: Int64 = 0
    var counts = ShareCounts()
    var switches: Int64 = 0
    var figures: RigFigures
    /// The delivery whose pools were reported as unusable.
    var reportedUnusable: DeliveryID?
    private(set) var recent: WorkWindow
    private(set) var long: WorkWindow
    /// Work for the running delivery, from its start.
    private(set) var sold: WorkWindow
    private var soldDelivery: DeliveryID?
    private var soldSince: Timestamp
    private var reported: Double?

    init(id: RigID, now: Timestamp) {
        self.id = id
        recent = WorkWindow(width: .seconds(5), count: 62, now: now)
        long = WorkWindow(width: .seconds(60), count: 60, now: now)
        sold = WorkWindow(width: .seconds(60), count: 60, now: now)
        soldSince = now
        figures = RigFigures(now: now)
    }

    /// Valid work came.
    func add(_ work: Work, delivery: DeliveryID?, at now: Timestamp) {
        recent.add(work, at: now)
        long.add(work, at: now)
        if let delivery, delivery == soldDelivery { sold.add(work, at: now) }
    }

    /// Time passed. To be called every second or so.
    func mark(isWorking: Bool, now: Timestamp) {
        recent.mark(active: true, at: now)
        long.mark(active: isWorking, at: now)
        let running = route.routeInForce(now: now)?.delivery
        if running != soldDelivery {
            soldDelivery = running
            soldSince = now
            sold = WorkWindow(width: .seconds(60), count: 60, now: now)
        }
        sold.mark(active: running != nil, at: now)
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
        guard sum.shares >= 30, let rate = sum.hashesPerSecond else { return nil }
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

    /// The delivered hashrate, if it is too low: below 80 % over the last 10 minutes or more and 60 expected shares.
    ///
    /// Starts to look anew after it has found something.
    func underDelivery(difficulty: ShareDifficulty?, now: Timestamp) -> (delivery: DeliveryID, hashrate: Hashrate)? {
        guard let route = route.routeInForce(now: now), route.delivery == soldDelivery, let difficulty,
            now - soldSince >= .seconds(660)
        else { return nil }
        let expected = Double(route.hashrate.hashesPerSecond)
        let perShare = Double(difficulty.units) * Double(Work.hashesPerUnit)
        let minutes = max(10, Int((60 * perShare / expected / 60).rounded(.up)))
        // The unfinished minute is one more bucket.
        guard expected > 0, minutes < 60, now - soldSince >= .seconds(Int64(minutes + 1) * 60) else { return nil }
        let sum = sold.sum(last: minutes + 1, at: now)
        guard let rate = sum.hashesPerSecond, rate < expected * 0.8 else { return nil }
        soldSince = now
        return (route.delivery, Hashrate(rounding: rate))
    }

    func figuresSnapshot(now: Timestamp) -> RigFiguresSnapshot {
        let day = figures.day(now: now)
        let hour = long.sum(last: 60, at: now)
        return RigFiguresSnapshot(
            hashrate60Minutes: Hashrate(rounding: hour.units * Double(Work.hashesPerUnit) / 3600),
            hashrate24Hours: day.hashrate, online24Hours: day.online, bestUnits: figures.bestUnits, userAgent: figures.userAgent,
            accepted: figures.accepted, rejects: figures.rejects)
    }

    func hashrate(seconds: Int64, now: Timestamp) -> Hashrate {
        let sum = recent.sum(last: Int(seconds / 5), at: now)
        return Hashrate(rounding: sum.units * Double(Work.hashesPerUnit) / Double(seconds))
    }
}
