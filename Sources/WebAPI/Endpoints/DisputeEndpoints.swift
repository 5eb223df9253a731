internal import HTTPTypes
internal import Hummingbird
internal import Market
internal import Settlement
internal import Units

/// Objections to bills.
enum DisputeEndpoints {
    static let all: [Endpoint] = [
        .keyed(.post, "/v1/disputes", [.buyer, .seller, .finance], open),
        .keyed(.get, "/v1/disputes", [], list),
        .keyed(.get, "/v1/disputes/{id}", [], get),
        .keyed(.post, "/v1/disputes/{id}/messages", [.buyer, .seller, .finance], message),
        .keyed(.post, "/v1/disputes/{id}/withdraw", [.buyer, .seller, .finance], withdraw),
        .keyed(.post, "/v1/disputes/{id}/resolve", [.finance], resolve),
    ]

    static let textBytes = 1...4000

    private static func open(_ call: Call) async throws -> Response {
        _ = try call.query()
        let fields = try call.fields(["line", "deliveryID", "from", "to", "claimant", "amount", "reason"])
        let new = NewDispute(
            subject: try subject(fields), by: call.account, isFinance: call.isFinance,
            claimant: try fields.choice("claimant", DisputeParty.byCode),
            claimed: Satoshis(try fields.integer("amount", in: 1...Satoshis.supply.rawValue)),
            reason: try fields.text("reason", bytes: textBytes))
        let once = try call.idempotency()
        let number = try await call.control { try await $0.open(new, once: once, at: call.services.now()) }
        return try .json(try await model(number, call), status: .created, location: "/v1/disputes/\(number)")
    }

    /// A line, or whole minutes of a delivery.
    private static func subject(_ fields: Fields) throws(Problem) -> NewDispute.Subject {
        if let line = try fields.optionalInteger("line", in: 1...Int64.max) {
            for name in ["deliveryID", "from", "to"] where fields.value(name) != nil {
                throw fields.flaw(name, "fieldsContradict", "A line says its delivery and interval itself.")
            }
            return .line(line)
        }
        let delivery = DeliveryID(try fields.integer("deliveryID", in: 1...Int64.max))
        let (from, to) = (try fields.time("from"), try fields.time("to"))
        for (name, time) in [("from", from), ("to", to)] where time.microseconds % 60_000_000 != 0 {
            throw fields.flaw(name, "fieldOutOfRange", "An interval is of whole minutes.")
        }
        guard from < to else { throw fields.flaw("to", "fieldOutOfRange", "An interval ends after it begins.") }
        return .interval(delivery, minutes: from.minute..<to.minute)
    }

    private static func list(_ call: Call) async throws -> Response {
        let page = try PageRequest(try call.query(PageRequest.parameters))
        let account = call.principal.scope(unless: .finance).account
        let records = try await call.control { try await $0.disputes(of: account, after: page.after, limit: page.limit + 1) }
        return try .json(Page(records.map { ($0.number, DisputeModel($0)) }, limit: page.limit))
    }

    private static func get(_ call: Call) async throws -> Response {
        _ = try call.query()
        return try .json(try await model(try call.pathNumber(), call))
    }

    private static func message(_ call: Call) async throws -> Response {
        _ = try call.query()
        let text = try call.fields(["text"]).text("text", bytes: textBytes)
        return try await step(.message(text), call, status: .created)
    }

    private static func withdraw(_ call: Call) async throws -> Response {
        _ = try call.query()
        return try await step(.withdraw(note: try call.fields(["note"]).optionalText("note", bytes: textBytes) ?? ""), call)
    }

    private static func resolve(_ call: Call) async throws -> Response {
        _ = try call.query()
        let fields = try call.fields(["outcome", "amount", "bearer", "note"])
        // The reason of a ledger entry, perhaps.
        let note = try fields.text("note", bytes: 1...1000)
        guard let isCredited = try fields.choice("outcome", ["rejected": false, "credited": true]) else {
            throw fields.flaw("outcome", "fieldMissing", "This field is required.")
        }
        guard isCredited else {
            for name in ["amount", "bearer"] where fields.value(name) != nil {
                throw fields.flaw(name, "fieldsContradict", "Nothing is paid when a dispute is rejected.")
            }
            return try await step(.reject(note: note), call)
        }
        let amount = Satoshis(try fields.integer("amount", in: 1...Satoshis.supply.rawValue))
        guard let bearer = try fields.choice("bearer", CreditBearer.byCode) else {
            throw fields.flaw("bearer", "fieldMissing", "This field is required.")
        }
        return try await step(.credit(amount: amount, bearer: bearer, note: note), call)
    }

    private static func step(_ step: DisputeStep, _ call: Call, status: HTTPResponse.Status = .ok) async throws -> Response {
        let number = try call.pathNumber()
        let once = try call.idempotency()
        try await call.control {
            try await $0.step(step, in: number, by: call.account, isFinance: call.isFinance, once: once, at: call.services.now())
        }
        return try .json(try await model(number, call), status: status)
    }

    private static func model(_ number: Int64, _ call: Call) async throws(Problem) -> DisputeModel {
        let record = try await call.control { try await $0.dispute(number) }
        guard let record, record.dispute.role(of: call.account, isFinance: call.isFinance) != nil else {
            throw Problem(ControlRefusal.dispute(.notConcerned))
        }
        return DisputeModel(record)
    }
}

extension DisputeParty: Coded {}
extension CreditBearer: Coded {}
extension DisputeStatus: Coded {}
extension DisputeRole: Coded {}
extension DisputeEvent.Kind: Coded {}

private struct DisputeModel: Encodable {
    struct Event: Encodable {
        var id: Int64
        var at: String
        var by: Int64
        var role: String
        var kind: String
        var text: String
        var credited: Int64?
        var bearer: String?

        init(_ event: DisputeEvent) {
            id = event.number
            at = event.at.description
            by = event.actor.rawValue
            role = event.role.code
            kind = event.kind.code
            text = event.text
            credited = event.credited?.rawValue
            bearer = event.bearer?.code
        }
    }

    struct Credit: Encodable {
        var id: Int64
        var isBooked: Bool
    }

    var id: Int64
    var openedAt: String
    var openedBy: Int64
    var claimant: String
    var buyer: Int64
    var seller: Int64
    var deliveryID: Int64
    var line: Int64?
    var from: String
    var to: String
    var claimed: Int64
    var reason: String
    var status: String
    var events: [Event]
    var credit: Credit?

    init(_ record: DisputeRecord) {
        id = record.number
        openedAt = record.openedAt.description
        openedBy = record.dispute.openedBy.rawValue
        claimant = record.dispute.claimant.code
        buyer = record.dispute.buyer.rawValue
        seller = record.dispute.seller.rawValue
        deliveryID = record.delivery.rawValue
        line = record.line
        from = Timestamp(microseconds: record.interval.lowerBound * 60_000_000).description
        to = Timestamp(microseconds: record.interval.upperBound * 60_000_000).description
        claimed = record.dispute.claimed.rawValue
        reason = record.reason
        status = record.dispute.status.code
        events = record.events.map(Event.init)
        credit = record.credit.map { Credit(id: $0.number, isBooked: $0.isBooked) }
    }
}
