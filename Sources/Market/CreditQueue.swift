internal import Exchange
public import Logging
internal import Settlement
internal import Units

/// Has the credits that disputes gave booked, in the order of their numbers, each exactly once.
public struct CreditQueue: Sendable {
    /// Credits read at a time.
    static let page = 100

    private let gateway: any MarketGateway
    private let records: any DisputeRecords
    private let logger: Logger

    public init(gateway: any MarketGateway, records: any DisputeRecords, logger: Logger) {
        self.gateway = gateway
        self.records = records
        self.logger = logger
    }

    /// Runs at every interval until its task is cancelled.
    public func run(every interval: Duration) async {
        await repeatedly(after: { interval }, "credits were not booked; the next run makes up for it", logger) { try await runOnce() }
    }

    /// Books all that wait. Repeating it changes nothing: the market takes no other number than the next.
    ///
    /// - Returns: how many were booked
    @discardableResult
    public func runOnce() async throws -> Int {
        var booked = 0
        while true {
            try Task.checkCancellation()
            let waiting = try await records.credits(after: gateway.read { $0.books.credits }, limit: CreditQueue.page)
            guard !waiting.isEmpty else { return booked }
            let run = try await records.newestRun()
            for credit in waiting {
                guard try await book(credit, run) else { return booked }
                booked += 1
            }
        }
    }

    /// - Returns: whether the next one can be booked
    private func book(_ credit: QueuedCredit, _ run: Int64) async throws -> Bool {
        let outcome = try await gateway.submit(CommandEnvelope(.books(.credit(Credit(
            number: credit.number, run: run, delivery: credit.delivery, buyer: credit.buyer, seller: credit.seller,
            fromMinute: credit.interval.lowerBound, toMinute: credit.interval.upperBound, charge: credit.terms.charge,
            isBorneByMarket: credit.terms.isBorneByMarket, dispute: credit.dispute, by: credit.approvedBy, reason: credit.reason)))))
        guard case .rejected(let rejection) = outcome else { return true }
        // Another process was faster: what is left is booked at the next interval.
        if rejection != .creditOutOfOrder {
            logger.error("a credit was refused; those after it wait", metadata: [
                "credit": "\(credit.number)", "code": "\(rejection.code)",
            ])
        }
        return false
    }
}
