internal import Exchange
internal import HTTPTypes
internal import Hummingbird
internal import Market
internal import Metering
internal import Units

/// Refused shares by firmware.
enum RejectEndpoints {
    static let all: [Endpoint] = [.keyed(.get, "/v1/rigs/rejects", [.seller], list)]

    /// Firmwares that are listed one by one.
    private static let mostNamed = 50

    private static func list(_ call: Call) async throws -> Response {
        let query = try call.query(["farm"])
        let farm = try query.integer("farm", in: 1...Int64.max).map { FarmID($0) }
        let scope = call.principal.scope(unless: .admin)
        let live = await call.services.edge.rigs()
        let mine = call.services.market.read { state in
            live.filter { id, _ in
                state.rigs[id].map { scope.covers($0.owner) && (farm == nil || $0.farm == farm) } ?? false
            }
        }
        let (named, others) = FirmwareFigures.summed(mine.values.compactMap { $0.figures?.firmware }, most: mostNamed)
        return try .json(RejectsModel(items: named.map(FirmwareModel.init), others: others.map(FirmwareModel.init)))
    }
}

private struct RejectsModel: Encodable {
    var items: [FirmwareModel]
    /// All firmwares beyond those that are listed.
    var others: FirmwareModel?
}

private struct FirmwareModel: Encodable {
    /// What the miner says at its subscription; absent when it says nothing, and of all others.
    var userAgent: String?
    var rigs: Int64
    var accepted: Int64
    var rejected: Int64
    var reasons: [String: Int64]

    init(_ figures: FirmwareFigures) {
        userAgent = figures.userAgent
        rigs = figures.rigs
        accepted = figures.accepted
        rejected = figures.rejects.total
        reasons = figures.rejects.byCode
    }
}

extension RejectCounts {
    /// Every reason with its number.
    fileprivate var byCode: [String: Int64] {
        Dictionary(uniqueKeysWithValues: RejectReason.allCases.map { ($0.code, self[$0]) })
    }
}

/// What a rig did, by its edge.
struct RigFiguresModel: Encodable {
    struct Shares: Encodable {
        var valid: Int64
        var stale: Int64
        var duplicate: Int64
        var lowDifficulty: Int64
        var invalid: Int64
        var notKept: Int64
    }

    var hashesPerSecond5Minutes: Int64
    var hashesPerSecond60Minutes: Int64
    var hashesPerSecond24Hours: Int64
    var onlineSeconds24Hours: Int64
    /// Best share; 65,536 are difficulty 1. Absent before the first.
    var bestShareWork: Int64?
    var shares: Shares
    var rejects: [String: Int64]
    var blocks: Int64

    init(_ figures: LiveFigures) {
        hashesPerSecond5Minutes = figures.hashrate5Minutes.hashesPerSecond
        hashesPerSecond60Minutes = figures.hashrate60Minutes.hashesPerSecond
        hashesPerSecond24Hours = figures.hashrate24Hours.hashesPerSecond
        onlineSeconds24Hours = figures.online24Hours.microseconds / 1_000_000
        bestShareWork = figures.bestUnits
        shares = Shares(
            valid: figures.valid, stale: figures.stale, duplicate: figures.duplicate, lowDifficulty: figures.lowDifficulty,
            invalid: figures.invalid, notKept: figures.notKept)
        rejects = figures.firmware.rejects.byCode
        blocks = figures.blocks
    }
}
