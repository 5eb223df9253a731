internal import Exchange
public import Logging
internal import Settlement
public import Units

/// Makes the settlement runs: from meter slots to commands (design, section 8).
///
/// What a run bills follows from the slots and from what is settled, so a run that was broken off is made up for by repeating it.
public struct SettlementWorker: Sendable {
    /// Reports of a delivery count as complete this long after its end: the edges' grace.
    static let grace = Interval.seconds(5)
    /// Runs that wait for their turn at most.
    private static let mostWaiting = 4

    let gateway: any MarketGateway
    let meter: any SettlementPort
    let schedule: SettlementSchedule
    let clock: @Sendable () -> Timestamp
    let logger: Logger
    private let program: String
    private let turns = Turns(mostWaiting: SettlementWorker.mostWaiting)

    /// - Parameter program: name and version, for the runs' rows
    public init(
        gateway: any MarketGateway, meter: any SettlementPort, schedule: SettlementSchedule = .uncut, program: String = "hashspot",
        logger: Logger, clock: @escaping @Sendable () -> Timestamp = MarketService.systemClock
    ) {
        self.gateway = gateway
        self.meter = meter
        self.schedule = schedule
        self.clock = clock
        self.logger = logger
        self.program = "\(program), rules \(JournalBody.rulesVersion)"
    }

    /// Makes the runs that are due until its task is cancelled.
    public func run() async {
        await repeatedly(
            after: { schedule.pause(from: clock()) }, "settlement run failed; the next one makes up for it", logger
        ) {
            try await runOnce()
            try await runFinal()
        }
    }

    /// The initial run that is due. Repeating it changes nothing.
    ///
    /// - Returns: the run's number; nil when there was nothing to do
    @discardableResult
    public func runOnce() async throws -> Int64? { try await turns.run { try await initial() } }

    /// The final run that is due: every delivery that ended in its interval is assessed again, and those with late work.
    ///
    /// - Returns: the run's number; nil when there was nothing to do
    @discardableResult
    public func runFinal() async throws -> Int64? { try await turns.run { try await final(by: nil, note: nil)?.number } }

    /// A run that a person asks for.
    ///
    /// - Parameters:
    ///   - kind: ``SettlementKind/final``, ``SettlementKind/trueUp`` or ``SettlementKind/adHoc``
    ///   - delivery: the only one to look at; with true-up and ad-hoc runs
    /// - Returns: nil when there was nothing to do
    public func run(
        _ kind: SettlementKind, of delivery: DeliveryID? = nil, by account: AccountID, note: String?
    ) async throws -> SettlementRun? {
        try await turns.run {
            switch kind {
            case .initial: nil
            case .final: try await final(by: account, note: note)
            case .trueUp: try await trueUp(delivery, by: account, note: note)
            case .adHoc: try await adHoc(delivery, by: account, note: note)
            }
        }
    }

    // MARK: - Runs' rows

    func begin(_ kind: SettlementKind, _ minutes: Range<Int64>?, by account: AccountID?, note: String?) async throws -> SettlementRun {
        var run = SettlementRun(
            kind: kind, minutes: minutes, startedAt: clock(), watermark: try await meter.watermark(), program: program,
            requestedBy: account, note: note)
        run.number = try await meter.begin(run)
        return run
    }

    func finish(_ run: SettlementRun, _ tally: SettlementTally) async throws -> SettlementRun {
        var run = run
        run.inputDigest = tally.inputDigest
        run.deliveries = tally.deliveries
        run.totals = tally.totals
        run.note = tally.note(run.note)
        run.finishedAt = clock()
        try await meter.finish(run)
        return run
    }
}

extension SettlementSchedule {
    /// Runs bill all that is there.
    public static let uncut = SettlementSchedule(interval: .milliseconds(500))
}

/// Why a run could not go on; the next one makes up for it.
public enum SettlementFailure: Error, Hashable, Sendable {
    /// The tables do not have all that is committed.
    case tablesBehind
}
