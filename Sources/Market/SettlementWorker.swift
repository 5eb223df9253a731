internal import Exchange
public import Logging
public import Units

/// Bills metered work every interval: reads slots at a recorded watermark and submits cumulative totals.
public struct SettlementWorker: Sendable {
    /// Reports of a delivery count as complete this long after its end: the edges' grace.
    static let grace = Interval.seconds(5)
    static let chunkSize = 1000

    private let gateway: any MarketGateway
    private let meter: any MeterPort
    private let clock: @Sendable () -> Timestamp
    private let logger: Logger

    public init(
        gateway: any MarketGateway, meter: any MeterPort, logger: Logger,
        clock: @escaping @Sendable () -> Timestamp = MarketService.systemClock
    ) {
        self.gateway = gateway
        self.meter = meter
        self.clock = clock
        self.logger = logger
    }

    /// Runs at every interval until its task is cancelled.
    public func run(every interval: Duration) async {
        while !Task.isCancelled {
            do {
                try await Task.sleep(for: interval)
                try await runOnce()
            } catch is CancellationError {
                return
            } catch {
                logger.error("settlement run failed; the next one makes up for it", metadata: ["detail": "\(error)"])
            }
        }
    }

    /// One run over everything that is not settled to the end. Repeating it changes nothing.
    ///
    /// - Returns: the run's number; nil when there was nothing to do
    @discardableResult
    public func runOnce() async throws -> Int64? {
        let watermark = try await meter.watermark()
        let open = gateway.read { Array($0.deliveries.keys).sorted() }
        guard !open.isEmpty else { return nil }
        let run = try await meter.beginRun(at: clock(), watermark: watermark)
        for (number, start) in stride(from: 0, to: open.count, by: SettlementWorker.chunkSize).enumerated() {
            let chunk = Array(open[start..<min(start + SettlementWorker.chunkSize, open.count)])
            try await settle(chunk, run: run, chunk: Int64(number))
        }
        return run
    }

    private func settle(_ chunk: [DeliveryID], run: Int64, chunk number: Int64) async throws {
        guard let first = chunk.first, let last = chunk.last else { return }
        // In this order: work that is there later than the marks is looked at again.
        let marks = try await meter.reportMarks(of: gateway.read { state in Set(chunk.compactMap { state.deliveries[$0]?.rig }) })
        let work = try await meter.billableWork(from: first, through: last)
        let totals = gateway.read { state in
            chunk.compactMap { id -> DeliveryTotal? in
                guard let delivery = state.deliveries[id] else { return nil }
                let isFinal = SettlementWorker.isFinal(delivery, marks)
                let billable = work[id] ?? .zero
                guard isFinal || billable > delivery.settledWork else { return nil }
                return DeliveryTotal(delivery: id, billableWork: billable, isFinal: isFinal)
            }
        }
        guard !totals.isEmpty else { return }
        let outcome = try await gateway.submit(CommandEnvelope(.settle(run: run, chunk: number, totals)))
        if case .rejected(let rejection) = outcome {
            logger.error("settlement chunk refused", metadata: ["run": "\(run)", "code": "\(rejection.code)"])
        }
    }

    private static func isFinal(_ delivery: Delivery, _ marks: ReportMarks) -> Bool {
        switch delivery.phase {
        case .running: false
        case .ended(let at, _): marks.completeUntil(delivery.rig, since: delivery.openedAt) > at + grace
        }
    }
}
