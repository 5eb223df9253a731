internal import Exchange
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import Market
internal import Settlement
internal import Units

/// Finance and settlement: runs, periods, expired work.
enum SettlementEndpoints {
    static let all: [Endpoint] = [
        .keyed(.get, "/v1/settlement/runs", [.finance], runs),
        .keyed(.post, "/v1/settlement/runs", [.finance], run),
        .keyed(.get, "/v1/settlement/expired", [.finance], expired),
        .keyed(.post, "/v1/settlement/expired/acknowledge", [.finance], acknowledge),
        .keyed(.get, "/v1/periods", [.finance], periods),
        .keyed(.post, "/v1/periods", [.finance], close),
    ]

    // MARK: - Runs

    private static func runs(_ call: Call) async throws -> Response {
        let page = try PageRequest(call.query(PageRequest.parameters))
        let found = try await call.settlement { desk in
            try await desk.runs(before: page.after == 0 ? nil : page.after, limit: page.limit + 1)
        }
        return try .json(Page(found.map { ($0.number, RunModel($0)) }, limit: page.limit))
    }

    private static func run(_ call: Call) async throws -> Response {
        _ = try call.query()
        let fields = try call.fields(["kind", "deliveryID", "note"])
        let kinds: [SettlementKind] = [.final, .trueUp, .adHoc]
        let kind = try fields.choice("kind", Dictionary(uniqueKeysWithValues: kinds.map { ($0.rawValue, $0) }))
        guard let kind else { throw fields.flaw("kind", "fieldMissing", "This field is required.") }
        let delivery = try fields.optionalInteger("deliveryID", in: 1...Int64.max).map { DeliveryID($0) }
        let note = try fields.optionalText("note", bytes: 1...1000)
        if kind == .final, delivery != nil {
            throw fields.flaw("deliveryID", "fieldOutOfRange", "Final runs are of all deliveries whose dispute window is over.")
        }
        let run = try await call.settlement { desk in
            try await desk.run(kind, of: delivery, by: call.principal.account, note: note)
        }
        guard let run else { throw Problem(.conflict, "nothingToSettle", "There is nothing that such a run would look at.") }
        return try .json(RunModel(run), status: .created, location: "/v1/settlement/runs")
    }

    // MARK: - Expired work

    /// The cursor is the number of rows before.
    private static func expired(_ call: Call) async throws -> Response {
        let page = try PageRequest(call.query(PageRequest.parameters))
        let found = try await call.settlement { try await $0.expiredWork(after: page.after, limit: page.limit + 1) }
        let items = found.enumerated().map { (page.after + Int64($0.offset) + 1, ExpiredModel($0.element)) }
        return try .json(Page(items, limit: page.limit))
    }

    private static func acknowledge(_ call: Call) async throws -> Response {
        _ = try call.query()
        let through = try call.fields(["appliedThrough"]).time("appliedThrough")
        let count = try await call.settlement {
            try await $0.acknowledgeExpired(appliedThrough: through, by: call.principal.account)
        }
        return try .json(AcknowledgedModel(acknowledged: count))
    }

    // MARK: - Periods

    private static func periods(_ call: Call) async throws -> Response {
        let byDay = try call.query(["unit"]).choice("unit", ["day": true, "month": false]) ?? false
        let found = try await call.settlement { try await $0.periods(byDay: byDay) }
        let closed = call.services.market.read { $0.books.closedThrough }
        return try .json(PeriodsModel(
            items: found.map { PeriodModel($0.period, $0.state) }, closedThrough: closed.microseconds > 0 ? closed.description : nil))
    }

    private static func close(_ call: Call) async throws -> Response {
        _ = try call.query()
        let fields = try call.fields(["period"])
        guard let period = AccountingPeriod(try fields.text("period", bytes: 7...10)) else {
            throw fields.flaw("period", "fieldOutOfRange", "This must be a month or a day, as 2026-11 or 2026-11-30.")
        }
        let refusal = try await call.settlement { try await $0.close(period, by: call.principal.account) }
        if let refusal { throw Problem(refusal) }
        return try .json(PeriodModel(period, .closed))
    }
}

extension Call {
    /// Asks settlement; what goes wrong there is logged here and is not the caller's fault.
    fileprivate func settlement<T>(_ body: (any SettlementDesk) async throws -> T) async throws(Problem) -> T {
        guard let desk = services.settlement else { throw Problem.unavailable("Settlement") }
        do { return try await body(desk) } catch {
            if let error = error as? GatewayError { throw Problem(error) }
            logger.error("settlement failed", metadata: ["error": "\(error)"])
            throw Problem.unavailable("Settlement")
        }
    }
}

extension Problem {
    fileprivate init(_ refusal: PeriodRefusal) {
        switch refusal {
        case .refused(let rejection): self.init(rejection)
        case .notEnded, .alreadyClosed, .earlierOpen, .notFinal, .deliveriesUnsettled:
            self.init(.conflict, refusal.code, refusal.explanation, field: "period")
        }
    }
}

extension PeriodRefusal {
    fileprivate var explanation: String {
        switch self {
        case .notEnded: "The period has not ended."
        case .alreadyClosed: "The period is closed."
        case .earlierOpen: "Close the periods before it first."
        case .notFinal(let through):
            "Final settlement has not covered it: "
                + (through.map { "it has come to \(Timestamp(microseconds: $0 * 60_000_000))." } ?? "there was none yet.")
        case .deliveriesUnsettled: "Deliveries from before its end are not settled to their end."
        case .refused(let rejection): "\(rejection)"
        }
    }
}

// MARK: - Models

private struct RunModel: Encodable {
    var run: Int64
    var kind: String
    var from: String?
    var to: String?
    var startedAt: String
    var finishedAt: String?
    var watermark: String
    var program: String?
    /// SHA-256 in hex.
    var inputDigest: String?
    var deliveries: Int64
    var totals: Int64
    var requestedBy: Int64?
    var note: String?

    init(_ run: SettlementRun) {
        self.run = run.number
        kind = run.kind.rawValue
        from = run.minutes.map { Timestamp(microseconds: $0.lowerBound * 60_000_000).description }
        to = run.minutes.map { Timestamp(microseconds: $0.upperBound * 60_000_000).description }
        startedAt = run.startedAt.description
        finishedAt = run.finishedAt?.description
        watermark = run.watermark.description
        program = run.program
        inputDigest = run.inputDigest.map { Base16.encode($0) }
        deliveries = run.deliveries
        totals = run.totals
        requestedBy = run.requestedBy?.rawValue
        note = run.note
    }
}

private struct ExpiredModel: Encodable {
    var edge: Int64
    var epoch: Int64
    var sequence: Int64
    var deliveryID: Int64?
    var rigID: Int64
    var minute: String
    var validShares: Int64
    var validWork: Int64
    var billableWork: Int64
    var appliedAt: String
    var acknowledgedBy: Int64?
    var acknowledgedAt: String?

    init(_ work: ExpiredWork) {
        edge = work.edge.rawValue
        epoch = work.epoch
        sequence = work.sequence
        deliveryID = work.delivery?.rawValue
        rigID = work.rig.rawValue
        minute = Timestamp(microseconds: work.minute * 60_000_000).description
        validShares = work.validShares
        validWork = work.validWork.units
        billableWork = work.billableWork.units
        appliedAt = work.appliedAt.description
        acknowledgedBy = work.acknowledgedBy?.rawValue
        acknowledgedAt = work.acknowledgedAt?.description
    }
}

private struct AcknowledgedModel: Encodable {
    var acknowledged: Int
}

private struct PeriodModel: Encodable {
    var period: String
    var state: String
    var start: String
    var end: String

    init(_ period: AccountingPeriod, _ state: PeriodState) {
        self.period = period.description
        self.state = state.rawValue
        start = period.start.description
        end = period.end.description
    }
}

private struct PeriodsModel: Encodable {
    var items: [PeriodModel]
    var closedThrough: String?
}
