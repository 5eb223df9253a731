internal import Exchange
internal import HTTPTypes
internal import Hummingbird
internal import Market
internal import Units

/// Blocks that rigs found.
enum BlockEndpoints {
    static let all: [Endpoint] = [.keyed(.get, "/v1/blocks", [], list)]

    private static func list(_ call: Call) async throws -> Response {
        let query = try call.query(PageRequest.parameters.union(["delivery"]))
        let page = try PageRequest(query)
        let delivery = try query.integer("delivery", in: 1...Int64.max).map { DeliveryID($0) }
        let scope = call.principal.scope(unless: .admin)
        let found = call.services.market.read { state in
            page.select(state.blocks.values, number: \.id.rawValue) { block in
                (scope.covers(block.owner) || scope.covers(block.seller)) && (delivery == nil || block.report.delivery == delivery)
            }
        }
        return try .json(Page(found.map { ($0.id.rawValue, BlockModel($0)) }, limit: page.limit))
    }
}

private struct BlockModel: Encodable {
    var id: Int64
    /// As block explorers write it.
    var hash: String
    /// The 80 bytes that are hashed, in hex.
    var header: String
    var foundAt: String
    var owner: Int64
    var seller: Int64
    var rigID: Int64
    var deliveryID: Int64?
    var poolTargetID: Int64
    var poolJobID: String
    var isForwarded: Bool
    var verdict: String
    /// The pool's code, when it was rejected.
    var poolError: Int64?

    init(_ block: Block) {
        id = block.id.rawValue
        hash = Base16.encode(block.report.hash.reversed())
        header = Base16.encode(block.report.header)
        foundAt = block.report.receivedAt.description
        owner = block.owner.rawValue
        seller = block.seller.rawValue
        rigID = block.report.rig.rawValue
        deliveryID = block.report.delivery?.rawValue
        poolTargetID = block.report.target.rawValue
        poolJobID = block.report.poolJob
        isForwarded = block.report.isForwarded
        verdict = block.verdict.code
        poolError = block.verdict == .rejected ? block.poolError : nil
    }
}

extension BlockVerdict: Coded {
    var code: String {
        switch self {
        case .waiting: "waiting"
        case .accepted: "accepted"
        case .rejected: "rejected"
        case .unanswered: "unanswered"
        case .notForwarded: "notForwarded"
        }
    }
}

enum Base16 {
    static func encode(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
