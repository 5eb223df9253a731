internal import Exchange
internal import Store
internal import Units

/// Reports of an edge that wait for the database: of what is superseded only the last, so that an outage costs no more than there
/// are rigs and deliveries; of workers and blocks only so many. A value.
struct ReportQueue {
    /// What a later report supersedes.
    fileprivate enum Subject: Hashable {
        case start
        case arrival(RigID)
        case departure(RigID)
        case measurement(RigID)
        case pools(DeliveryID)
        case underDelivery(DeliveryID)
        case worker(FarmID, String)
        case block([UInt8])
        case judgement([UInt8])

        /// nil: there are no more than rigs and deliveries.
        var bound: Bound? {
            switch self {
            case .start, .arrival, .departure, .measurement, .pools, .underDelivery: nil
            case .worker: .workers
            case .block: .blocks
            case .judgement: .judgements
            }
        }
    }

    /// Of what there are too many to keep them all.
    fileprivate enum Bound { case workers, blocks, judgements }

    /// May wait of each: a miner comes again, and the log has all of a block.
    static let mostOfAKind = 4096
    private var counts: [Bound: Int] = [:]

    private var waiting: [Subject: (number: Int64, report: EdgeReport)] = [:]
    private var lastNumber: Int64 = 0

    var count: Int { waiting.count }
    var isEmpty: Bool { waiting.isEmpty }

    /// False when there is no room for it.
    @discardableResult
    mutating func add(_ report: EdgeReport) -> Bool {
        lastNumber += 1
        switch report.kind {
        case .started:
            waiting = [.start: (lastNumber, report)]
            counts = [:]
        case .rigOnline(let rig, _, _):
            // Says that all before is over.
            waiting[.departure(rig)] = nil
            waiting[.measurement(rig)] = nil
            waiting[.arrival(rig)] = (lastNumber, report)
        case .rigOffline(let rig, _):
            // The arrival stays: if the exchange has an earlier session, only that ends it.
            waiting[.measurement(rig)] = nil
            waiting[.departure(rig)] = (lastNumber, report)
        case .rigMeasured(let rig, _, _): waiting[.measurement(rig)] = (lastNumber, report)
        case .poolsUnusable(let delivery, _): waiting[.pools(delivery)] = (lastNumber, report)
        case .underDelivered(let delivery, _): waiting[.underDelivery(delivery)] = (lastNumber, report)
        case .workerCame(let farm, let worker, _): return addBounded(.worker(farm, worker), report, supersedes: true)
        // The first word counts, as for the exchange.
        case .blockFound(let block): return addBounded(.block(block.hash), report, supersedes: false)
        case .blockJudged(let hash, _, _): return addBounded(.judgement(hash), report, supersedes: false)
        }
        return true
    }

    private mutating func addBounded(_ subject: Subject, _ report: EdgeReport, supersedes: Bool) -> Bool {
        guard waiting[subject] == nil else {
            if supersedes { waiting[subject] = (lastNumber, report) }
            return true
        }
        guard let bound = subject.bound, counts[bound, default: 0] < ReportQueue.mostOfAKind else { return false }
        counts[bound, default: 0] += 1
        waiting[subject] = (lastNumber, report)
        return true
    }

    /// A part that was handed out, to be named when it has arrived.
    struct Part {
        fileprivate var subjects: [(Subject, Int64)] = []
        var reports: [EdgeReport] = []
    }

    /// The first so many, in order. They stay until they have arrived.
    func first(_ most: Int) -> Part {
        var part = Part()
        for (subject, item) in waiting.sorted(by: { $0.value.number < $1.value.number }).prefix(most) {
            part.subjects.append((subject, item.number))
            part.reports.append(item.report)
        }
        return part
    }

    /// What was superseded meanwhile stays.
    mutating func remove(_ part: Part) {
        for (subject, number) in part.subjects where waiting[subject]?.number == number {
            waiting[subject] = nil
            if let bound = subject.bound { counts[bound, default: 1] -= 1 }
        }
    }
}
