import Routing
import TestSupport
import Units

/// A delivery as a layout plans it.
struct Planned {
    var id: DeliveryID
    /// In percent of the rig.
    var percent: Int64
    var from: Timestamp
    var until: Timestamp
    /// Its buyer cancels then.
    var cancelled: Timestamp?
    /// Its pools are away from, to.
    var outage: (from: Timestamp, to: Timestamp)?

    var end: Timestamp { min(until, cancelled ?? until) }
}

/// One rig, who bought parts of it when, and how it hashes.
struct Layout {
    var hashrate: Hashrate
    var deliveries: [Planned]
    var length: Interval
    /// Work lost at each switch.
    var switchCost = Interval.zero
    /// Hashes per share of a rig whose luck is random; nil: work is rate x time.
    var hashesPerShare: Int64?
    var times = SliceTimes()

    static let start = Timestamp(microseconds: 1_700_000_000_000_000)

    /// Random buyers over some hours, each for an hour at the most, never more than the whole rig.
    ///
    /// - Parameter shortest: of the terms, in seconds
    static func random(_ random: inout SeededRandom, hours: Int = 3, shortest: Int = 3600) -> Layout {
        let wish = random.pick([1, 2, 3, 5, 20])
        var layout = Layout(
            hashrate: Hashrate(hashesPerSecond: random.pick([1_000_000, 100_000_000_000_000, 3_000_000_000_000_000])), deliveries: [],
            length: .seconds(Int64(hours) * 3600))
        var time = random.int(0...60)
        while time < hours * 3600 {
            let from = start + .milliseconds(Int64(time) * 1000 + random.int64(0...999))
            let running = layout.deliveries.filter { $0.until > from }
            let free = 100 - running.reduce(0) { $0 + $1.percent }
            if running.count < wish, free >= 5 {
                let percent = wish == 20 ? 5 : random.chance(30) ? free : random.int64(5...free)
                let term = random.int64(Int64(shortest)...3600)
                layout.deliveries.append(Planned(
                    id: DeliveryID(Int64(layout.deliveries.count + 1)), percent: percent, from: from, until: from + .seconds(term)))
            }
            time += random.chance(60) ? random.int(0...30) : random.int(0...1200)
        }
        return layout
    }

    /// Buyers cancel, pools go away for a while, and each switch costs something.
    mutating func disturb(_ random: inout SeededRandom) {
        switchCost = .milliseconds(random.int64(0...2000))
        for index in deliveries.indices {
            let planned = deliveries[index]
            let seconds = (planned.until - planned.from).microseconds / 1_000_000
            if random.chance(20) { deliveries[index].cancelled = planned.from + .seconds(random.int64(1...seconds)) }
            guard random.chance(20) else { continue }
            let from = planned.from + .seconds(random.int64(0...seconds))
            deliveries[index].outage = (from, from + .seconds(random.int64(1...900)))
        }
    }

    func sold(_ planned: Planned) -> Hashrate {
        Hashrate(hashesPerSecond: hashrate.hashesPerSecond / 100 * planned.percent)
    }

    func work(_ hashrate: Hashrate, _ time: Interval) -> Double {
        Double(hashrate.hashesPerSecond) * Double(time.microseconds) / 1e6 / Double(Algorithm.sha256d.hashesPerUnit)
    }

    func allowance(_ planned: Planned) -> Work { Work(units: Int64(work(sold(planned), .seconds(200)))) }

    /// What its buyer pays for at the most by a time.
    func cap(_ planned: Planned, at time: Timestamp) -> Double {
        work(sold(planned), min(time, planned.end) - planned.from) * 1.05 + Double(allowance(planned).units)
    }
}

/// What came of a layout.
struct SliceOutcome {
    /// Metered for each delivery, in units.
    var work: [DeliveryID: Double] = [:]
    /// Shares of each delivery.
    var shares: [DeliveryID: Int] = [:]
    /// What the rig metered while each delivery ran, times the delivery's part.
    var fair: [DeliveryID: Double] = [:]
    var total = 0.0
    var switches = 0
    /// Between two switches that were not called for by an opening, an end or an outage.
    var shortestSlice = Interval.day
    var lost = Interval.zero
    /// The longest time that a delivery with something to get had to wait beyond four times its usual, in slices.
    var longestWait = 0.0
    var firstJob: [DeliveryID: Interval] = [:]
    /// Turns that broke a rule.
    var faults: [String] = []
}

/// Runs a layout through a rig's routing, as an edge would: it looks at changes, at turns' ends, and at each share.
struct SliceSimulation {
    let layout: Layout
    private var random: SeededRandom
    private var route: RigRoute
    private var now = Layout.start
    private var outcome = SliceOutcome()
    private var party: Party?
    private var parties: [Party] = []
    private var busyUntil = Layout.start
    private var sliceStart = Layout.start
    private var wasDisturbed = true
    private var position: Int64 = 0
    private var carry = 0.0
    private var nextShare = Layout.start
    private var waits: [DeliveryID: Timestamp] = [:]

    init(_ layout: Layout, seed: UInt64) {
        self.layout = layout
        random = SeededRandom(seed: seed)
        route = RigRoute(layout.times)
    }

    mutating func run() -> SliceOutcome {
        let end = Layout.start + layout.length
        let changes = Set(layout.deliveries.flatMap { planned in
            [planned.from, planned.end] + (planned.outage.map { [$0.from, $0.to] } ?? [])
        }).sorted()
        nextShare = now + pause()
        var upcoming = changes[...]
        while now < end {
            if upcoming.first == now {
                upcoming.removeFirst()
                change()
            }
            look()
            var next = min(end, upcoming.first ?? end, route.nextTurn(now: now) ?? end)
            if layout.hashesPerShare != nil { next = min(next, nextShare) }
            next = max(next, now + Interval(microseconds: 1))
            if let first = upcoming.first { next = min(next, first) }
            work(until: next)
            now = next
        }
        return outcome
    }

    private func isRunning(_ planned: Planned) -> Bool { planned.from <= now && now < planned.end }

    private func isUp(_ planned: Planned) -> Bool { planned.outage.map { now < $0.from || now >= $0.to } ?? true }

    private mutating func change() {
        let running = layout.deliveries.filter(isRunning)
        let routes = running.map {
            Route(
                delivery: $0.id, bid: OrderID($0.id.rawValue), targets: [PoolTargetID(1)], validUntil: $0.until,
                maxWork: Work(units: Int64(layout.work(layout.sold($0), $0.until - $0.from) * 1.05) + layout.allowance($0).units),
                maxDifficulty: ShareDifficulty(units: 1), hashrate: layout.sold($0), allowance: layout.allowance($0))
        }
        position += 1
        let sold = running.reduce(0) { $0 + layout.sold($1).hashesPerSecond }
        let rest = layout.hashrate.hashesPerSecond - sold
        let isWhole = rest * 100 < layout.hashrate.hashesPerSecond
        route.apply(
            RouteUpdate(
                rig: RigID(1), position: position, routes: routes,
                unsold: Hashrate(hashesPerSecond: isWhole || routes.isEmpty ? 0 : rest)), now: now)
        wasDisturbed = true
    }

    private mutating func look() {
        let sharing = route.claims(now: now).map(\.party)
        if sharing != parties { wasDisturbed = true }
        parties = sharing
        let up = Set(layout.deliveries.filter { isRunning($0) && isUp($0) }.map { Party.delivery($0.id) })
        let next = route.turn(now: now) { $0 == .fallback || up.contains($0) }
        // As an edge does when nobody can be served.
        let chosen = next ?? .fallback
        if case .delivery(let id) = chosen {
            let planned = layout.deliveries[Int(id.rawValue) - 1]
            if now >= planned.end { outcome.faults.append("\(id) is served after its end") }
            if outcome.firstJob[id] == nil { outcome.firstJob[id] = now - planned.from }
        }
        countWaits(chosen)
        guard chosen != party else { return }
        if party != nil {
            outcome.switches += 1
            if !wasDisturbed { outcome.shortestSlice = min(outcome.shortestSlice, now - sliceStart) }
            outcome.lost = Interval(microseconds: outcome.lost.microseconds + layout.switchCost.microseconds)
        }
        party = chosen
        sliceStart = now
        busyUntil = now + layout.switchCost
        wasDisturbed = false
    }

    private mutating func countWaits(_ chosen: Party) {
        for planned in layout.deliveries where isRunning(planned) {
            // Who has all it bought already does not wait.
            let left = Double((planned.until - now).microseconds) * 1000 * Double(planned.percent) / 100
            let need = Double(route.behind(.delivery(planned.id))) + left
            guard isUp(planned), chosen != .delivery(planned.id), need >= Double(layout.times.least.microseconds) * 500 else {
                waits[planned.id] = now
                continue
            }
            let waited = now - (waits[planned.id] ?? planned.from)
            let length = Double(layout.times.length.microseconds)
            let beyond = (Double(waited.microseconds) - 4 * length * 100 / Double(planned.percent)) / length
            outcome.longestWait = max(outcome.longestWait, beyond)
        }
    }

    /// Exponential, for shares found at the rig's rate.
    private mutating func pause() -> Interval {
        guard let hashes = layout.hashesPerShare else { return .day }
        let mean = Double(hashes) / Double(layout.hashrate.hashesPerSecond) * 1e6
        return Interval(microseconds: max(1, Int64(-mean * logarithm(Double.random(in: 1e-12...1, using: &random)))))
    }

    private mutating func work(until next: Timestamp) {
        guard layout.hashesPerShare == nil else {
            guard next >= nextShare else { return }
            nextShare = next + pause()
            // What it finds while it switches is lost.
            if next >= busyUntil { meter((layout.hashesPerShare ?? 0) / Algorithm.sha256d.hashesPerUnit, at: next, shares: 1) }
            return
        }
        let from = max(now, min(busyUntil, next))
        carry += layout.work(layout.hashrate, next - from)
        let units = Int64(carry)
        carry -= Double(units)
        meter(units, at: next, shares: 0)
    }

    private mutating func meter(_ units: Int64, at time: Timestamp, shares: Int) {
        outcome.total += Double(units)
        for planned in layout.deliveries where planned.from <= now && time <= planned.end {
            outcome.fair[planned.id, default: 0] += Double(units) * Double(planned.percent) / 100
        }
        switch party {
        case .delivery(let id):
            route.meter(Work(units: units), delivery: id)
            outcome.work[id, default: 0] += Double(units)
            outcome.shares[id, default: 0] += shares
            if route.isBillable(id, now: time) { route.credit(Work(units: units), delivery: id) }
            let planned = layout.deliveries[Int(id.rawValue) - 1]
            let most = layout.work(layout.sold(planned), planned.until - planned.from) * 1.05 + Double(layout.allowance(planned).units)
            if outcome.work[id, default: 0] > most + 1 + Double(max(units, 0)) { outcome.faults.append("\(id) got more than it may") }
        case .fallback, nil: route.meter(Work(units: units), delivery: nil)
        }
    }
}

/// The natural logarithm, without Foundation.
private func logarithm(_ x: Double) -> Double {
    let exponent = Double(x.exponent)
    let y = (x.significand - 1) / (x.significand + 1)
    var term = y, sum = 0.0
    for n in stride(from: 1.0, through: 41, by: 2) {
        sum += term / n
        term *= y * y
    }
    return exponent * 0.693_147_180_559_945_3 + 2 * sum
}
