internal import Exchange
public import Logging
public import Units

/// Publishes the index: each minute once all edges' reports of it are there, and a while longer; and tells the exchange the newest price.
///
/// After a pause it makes up for what was not published. What is published stays, whatever comes later.
public struct IndexWorker: Sendable {
    public struct Timing: Hashable, Sendable {
        /// A minute is published so long after its reports are complete.
        public var lag: Interval
        /// Then it is published even if an edge's reports are missing.
        public var longestWait: Interval

        public init(lag: Interval = .seconds(60), longestWait: Interval = .seconds(3600)) {
            self.lag = lag
            self.longestWait = longestWait
        }

        /// Minutes before this one may be published.
        public func end(complete: Timestamp, now: Timestamp) -> Int64 {
            let reports = max(complete, now - longestWait)
            return (min(reports, now) - lag).minute
        }
    }

    /// Minutes of one transaction.
    static let chunk: Int64 = 360

    private let gateway: any MarketGateway
    private let meter: any SettlementPort
    private let index: any IndexRecords
    private let timing: Timing
    private let clock: @Sendable () -> Timestamp
    private let logger: Logger

    public init(
        gateway: any MarketGateway, meter: any SettlementPort, index: any IndexRecords, timing: Timing = Timing(), logger: Logger,
        clock: @escaping @Sendable () -> Timestamp = MarketService.systemClock
    ) {
        self.gateway = gateway
        self.meter = meter
        self.index = index
        self.timing = timing
        self.clock = clock
        self.logger = logger
    }

    /// Runs at every interval until its task is cancelled.
    public func run(every interval: Duration) async {
        await repeatedly(after: { interval }, "the index was not published; the next run makes up for it", logger) { try await runOnce() }
    }

    /// Publishes all that may be by now.
    ///
    /// - Returns: the first minute that is not published; nil: nothing was ever delivered, or the tables are behind
    @discardableResult
    public func runOnce() async throws -> Int64? {
        let end = timing.end(complete: try await meter.watermark(), now: clock())
        // Deliveries whose work was reported are in the tables then.
        guard await gateway.isProjected() else { return nil }
        var position = try await index.indexPosition()
        while true {
            try Task.checkCancellation()
            let next = try await index.publishIndex(before: end, limit: IndexWorker.chunk, at: clock())
            guard let next, next < end, next != position else {
                position = next
                break
            }
            position = next
        }
        try await tellExchange()
        return position
    }

    /// For pegged orders; only when it changes.
    private func tellExchange() async throws {
        guard let newest = try await index.newestIndex(.minute) else { return }
        let price = IndexPrice(price: newest.value, at: Timestamp(microseconds: (newest.place + 1) * 60_000_000))
        let known = gateway.read { $0.status.index }
        guard price.at > clock() - .day else { return }
        if let known, known.price == price.price || known.at >= price.at { return }
        let outcome = try await gateway.submit(CommandEnvelope(.publishIndex(price)))
        if case .rejected(let rejection) = outcome {
            logger.warning("the exchange refused the index", metadata: ["code": "\(rejection.code)"])
        }
    }
}
