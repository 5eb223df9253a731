internal import HTTPTypes
internal import Hummingbird
internal import Market
internal import NIOCore
internal import Units

/// What staff did.
enum AuditTrailEndpoints {
    static let all: [Endpoint] = [.keyed(.get, "/v1/audit-trail", [.finance, .admin], list)]

    private static func list(_ call: Call) async throws -> Response {
        let query = try call.query(PageRequest.parameters.union(["actor", "action", "from", "to", "format"]))
        let page = try PageRequest(query)
        let filter = AuditFilter(
            actor: try query.integer("actor", in: 0...Int64.max).map { AccountID($0) }, action: query.text("action"),
            from: try query.time("from"), to: try query.time("to"))
        let isCSV = try query.isCSV()
        // A table is all of it, whatever page is asked for.
        let size = isCSV ? Limits.reportPage : page.limit + 1
        let records = try await call.control { try await $0.trail(filter, after: page.after, limit: size) }
        guard isCSV else {
            return try .json(Page(records.map { ($0.number, AuditModel($0)) }, limit: page.limit))
        }
        return .csv(
            "audit-trail",
            header: [
                "number", "at_utc", "actor", "actor_name", "action", "subject", "request", "sha256", "status", "code", "request_id",
                "chain",
            ], first: records, limit: Limits.reportPage, number: \.number, row: AuditModel.row
        ) { after, limit in
            try await call.control { try await $0.trail(filter, after: after, limit: limit) }
        }
    }
}

private struct AuditModel: Encodable {
    var id: Int64
    var at: String
    /// 0: somebody with access to the database.
    var actor: Int64
    var actorName: String
    var action: String
    var subject: String
    var request: String
    var sha256: String
    var isRead: Bool
    /// Absent: not known.
    var status: Int64?
    var code: String?
    var requestID: String
    var chain: String

    init(_ record: AuditRecord) {
        id = record.number
        at = record.at.description
        actor = record.act.actor.rawValue
        actorName = record.act.actorName
        action = record.act.action
        subject = record.act.subject
        request = record.act.request
        sha256 = Hex.encode(record.act.digest)
        isRead = record.isRead
        status = record.outcome?.status
        code = record.outcome?.code
        requestID = record.act.requestID
        chain = Hex.encode(record.chain)
    }

    static func row(_ record: AuditRecord) -> [String] {
        let model = AuditModel(record)
        return [
            "\(model.id)", model.at, "\(model.actor)", model.actorName, model.action, model.subject, model.request, model.sha256,
            model.status.map { "\($0)" } ?? "", model.code ?? "", model.requestID, model.chain,
        ]
    }
}
