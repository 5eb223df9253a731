internal import HTTPTypes
internal import Hummingbird
internal import Market
internal import Settlement
internal import Units

/// What is in custody against the ledger, and the meter against pools.
enum ReconciliationEndpoints {
    static let all: [Endpoint] = [
        .keyed(.post, "/v1/custody-statements", [.finance], importCustody),
        .keyed(.post, "/v1/pool-statements", [.finance], importPools),
        .keyed(.post, "/v1/reconciliations", [.finance], reconcile),
        .keyed(.get, "/v1/reconciliations", [.finance], runs),
        .keyed(.get, "/v1/breaks", [.finance], list),
        .keyed(.get, "/v1/breaks/{id}", [.finance], get),
        .keyed(.post, "/v1/breaks/{id}/assign", [.finance], assign),
        .keyed(.post, "/v1/breaks/{id}/resolve", [.finance], resolve),
    ]

    /// Of what may be off, if nobody says: 1 %.
    static let defaultTolerance: Int64 = 10_000

    // MARK: - Imports

    private static func importCustody(_ call: Call) async throws -> Response {
        let query = try call.query(["source"])
        guard let source = query.text("source"), (1...64).contains(source.utf8.count),
            source.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control })
        else { throw Problem(.badRequest, "parameterOutOfRange", "The source is a name of 1 to 64 bytes.", field: "source") }
        let file = try call.csv()
        let once = try call.idempotency()
        let (number, items) = try await call.control {
            try await $0.importCustody(file, source: source, by: call.account, once: once, at: call.services.now())
        }
        return try .json(StatementModel(id: number, source: source, items: items), status: .created)
    }

    private static func importPools(_ call: Call) async throws -> Response {
        _ = try call.query()
        let file = try call.csv()
        let once = try call.idempotency()
        let days = try await call.control { try await $0.importPools(file, by: call.account, once: once, at: call.services.now()) }
        return try .json(PoolStatementModel(days: days), status: .created)
    }

    // MARK: - Runs

    private static func reconcile(_ call: Call) async throws -> Response {
        _ = try call.query()
        let fields = try call.fields(["area", "from", "to", "tolerancePPM"])
        guard let area = try fields.choice("area", ReconciliationArea.byCode) else {
            throw fields.flaw("area", "fieldMissing", "This field is required.")
        }
        let to = try fields.time("to")
        guard to <= call.services.now() else { throw fields.flaw("to", "fieldOutOfRange", "What is to come cannot be compared.") }
        let from = try fields.optionalTime("from") ?? Timestamp(microseconds: 0)
        guard from < to else { throw fields.flaw("to", "fieldOutOfRange", "This must be after from.") }
        let tolerance = try fields.optionalInteger("tolerancePPM", in: 0...1_000_000) ?? defaultTolerance
        let request = ReconciliationRequest(
            area: area, from: from, to: to, tolerance: PartsPerMillion(tolerance), by: call.account)
        let once = try call.idempotency()
        let run = try await call.control { try await $0.reconcile(request, once: once, at: call.services.now()) }
        return try .json(RunModel(run), status: .created)
    }

    private static func runs(_ call: Call) async throws -> Response {
        let page = try PageRequest(try call.query(PageRequest.parameters))
        let runs = try await call.control { try await $0.runs(after: page.after, limit: page.limit + 1) }
        return try .json(Page(runs.map { ($0.run, RunModel($0)) }, limit: page.limit))
    }

    // MARK: - Breaks

    private static func list(_ call: Call) async throws -> Response {
        let query = try call.query(PageRequest.parameters.union(["area", "status", "assignee", "format"]))
        let page = try PageRequest(query)
        let filter = BreakFilter(
            area: try query.choice("area", ReconciliationArea.byCode), status: try query.choice("status", BreakStatus.byCode),
            assignee: try query.integer("assignee", in: 1...Int64.max).map { AccountID($0) })
        let isCSV = try query.isCSV()
        // A table is all of it, whatever page is asked for.
        let size = isCSV ? Limits.reportPage : page.limit + 1
        let found = try await call.control { try await $0.breaks(filter, after: page.after, limit: size) }
        guard isCSV else { return try .json(Page(found.map { ($0.number, BreakModel($0)) }, limit: page.limit)) }
        return .csv(
            "breaks", header: BreakModel.columns, first: found, limit: Limits.reportPage, number: \.number, row: BreakModel.row
        ) { after, limit in
            try await call.control { try await $0.breaks(filter, after: after, limit: limit) }
        }
    }

    private static func get(_ call: Call) async throws -> Response {
        _ = try call.query()
        return try .json(try await model(try call.pathNumber(), call))
    }

    private static func assign(_ call: Call) async throws -> Response {
        _ = try call.query()
        let number = try call.pathNumber()
        let fields = try call.fields(["account", "note"])
        let assignee = AccountID(try fields.integer("account", in: 1...Int64.max))
        let note = try fields.optionalText("note", bytes: 0...DisputeEndpoints.textBytes.upperBound) ?? ""
        let once = try call.idempotency()
        try await call.control {
            try await $0.assign(number, to: assignee, note: note, by: call.account, once: once, at: call.services.now())
        }
        return try .json(try await model(number, call))
    }

    private static func resolve(_ call: Call) async throws -> Response {
        _ = try call.query()
        let number = try call.pathNumber()
        let note = try call.fields(["note"]).text("note", bytes: DisputeEndpoints.textBytes)
        let once = try call.idempotency()
        try await call.control { try await $0.resolve(number, note: note, by: call.account, once: once, at: call.services.now()) }
        return try .json(try await model(number, call))
    }

    private static func model(_ number: Int64, _ call: Call) async throws(Problem) -> BreakModel {
        guard let record = try await call.control({ try await $0.breakRecord(number) }) else { throw Problem(ControlRefusal.breakUnknown) }
        return BreakModel(record)
    }
}

extension Call {
    /// The body as a file of comma-separated values.
    func csv() throws(Problem) -> [UInt8] {
        let type = request.headers[.contentType]?.split(separator: ";").first.map {
            $0.lowercased().filter { $0 != " " && $0 != "\t" }
        }
        guard type == "text/csv" else {
            throw Problem(.unsupportedMediaType, "contentTypeUnsupported", "Send `Content-Type: text/csv`.", field: "Content-Type")
        }
        return body
    }
}

extension ReconciliationArea: Coded {}
extension BreakStatus: Coded {}
extension BreakKind: Coded {}
extension BreakEventKind: Coded {}

private struct StatementModel: Encodable {
    var id: Int64
    var source: String
    var items: Int64
}

private struct PoolStatementModel: Encodable {
    var days: Int64
}

private struct RunModel: Encodable {
    var id: Int64
    var area: String
    var at: String
    var requestedBy: Int64
    var from: String
    var to: String
    var tolerancePPM: Int64
    var compared: Int64
    var breaks: Int64
    var newBreaks: Int64
    /// Of custody, in satoshis at `to`.
    var custody: Int64?
    var ledger: Int64?
    var liabilities: Int64?

    init(_ run: ReconciliationRun) {
        id = run.run
        area = run.request.area.code
        at = run.at.description
        requestedBy = run.request.by.rawValue
        from = run.request.from.description
        to = run.request.to.description
        tolerancePPM = run.request.tolerance.rawValue
        compared = run.compared
        breaks = run.breaks
        newBreaks = run.news
        custody = run.custody?.rawValue
        ledger = run.ledger?.rawValue
        liabilities = run.liabilities?.rawValue
    }
}

private struct BreakModel: Encodable {
    struct Event: Encodable {
        var id: Int64
        var at: String
        /// Absent: a run.
        var by: Int64?
        var run: Int64?
        var kind: String
        var status: String
        var amount: Int64
        var assignee: Int64?
        var text: String

        init(_ event: BreakEvent) {
            id = event.number
            at = event.at.description
            by = event.actor?.rawValue
            run = event.run
            kind = event.kind.code
            status = event.state.status.code
            amount = event.state.amount
            assignee = event.assignee?.rawValue
            text = event.text
        }
    }

    var id: Int64
    var area: String
    var kind: String
    var key: String
    var at: String
    var foundAt: String
    var cause: String
    var status: String
    var amount: Int64
    var unit: String
    var assignee: Int64?
    var events: [Event]

    init(_ record: BreakRecord) {
        id = record.number
        area = record.area.code
        kind = record.name.kind.code
        key = record.name.key
        at = record.at.description
        foundAt = record.foundAt.description
        cause = record.cause
        status = record.last.state.status.code
        amount = record.last.state.amount
        unit = record.name.kind.unit
        assignee = record.last.assignee?.rawValue
        events = record.events.map(Event.init)
    }

    static let columns = ["break", "area", "kind", "key", "at_utc", "found_at_utc", "status", "amount", "unit", "assignee", "cause"]

    static func row(_ record: BreakRecord) -> [String] {
        let model = BreakModel(record)
        return [
            "\(model.id)", model.area, model.kind, model.key, model.at, model.foundAt, model.status, "\(model.amount)", model.unit,
            model.assignee.map { "\($0)" } ?? "", model.cause,
        ]
    }
}
