internal import Exchange
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import Market
internal import Metering
internal import Settlement
internal import Units

/// What is behind a settlement line: its formula, its slots, the batches that brought them, single shares with their headers.
enum SettlementLineEndpoints {
    static let all: [Endpoint] = [
        .keyed(.get, "/v1/settlement/lines/{id}", [], get),
        .keyed(.get, "/v1/settlement/lines/{id}/slots", [], slots),
        .keyed(.get, "/v1/settlement/lines/{id}/batches", [], batches),
        .keyed(.get, "/v1/settlement/lines/{id}/shares", [], shares),
    ]

    private static func get(_ call: Call) async throws -> Response {
        _ = try call.query()
        return try .json(SettlementLineModel(try await line(call)))
    }

    private static func slots(_ call: Call) async throws -> Response {
        let page = try PageRequest(try call.query(PageRequest.parameters))
        let line = try await line(call)
        let found = try await call.evidence { try await $0.slots(of: line, after: page.after, limit: page.limit + 1) }
        return try .json(Page(found.map { ($0.minute, SettlementSlotModel($0)) }, limit: page.limit))
    }

    private static func batches(_ call: Call) async throws -> Response {
        let query = try call.query(PageRequest.parameters)
        let limit = try pageLimit(query)
        let place = try placeNumbers(query, 3).map { BatchPlace(edge: $0[0], epoch: $0[1], sequence: $0[2]) }
        let line = try await line(call)
        let found = try await call.evidence { try await $0.batches(of: line, after: place, limit: limit + 1) }
        return try .json(Page(found.map { (cursor($0.place), SettlementBatchModel($0)) }, placed: limit))
    }

    private static func shares(_ call: Call) async throws -> Response {
        let query = try call.query(PageRequest.parameters)
        let limit = try pageLimit(query)
        let place = try placeNumbers(query, 4).map {
            SharePlace(receivedAt: Timestamp(microseconds: $0[0]), edge: $0[1], epoch: $0[2], number: $0[3])
        }
        let line = try await line(call)
        let found = try await call.evidence { try await $0.shares(of: line, after: place, limit: limit + 1) }
        return try .json(Page(found.map { (cursor($0.place), SettlementShareModel($0, line.algorithm)) }, placed: limit))
    }

    /// The line, if it is the caller's.
    private static func line(_ call: Call) async throws(Problem) -> LineEvidence {
        let number = try call.pathNumber()
        let scope = call.principal.scope(unless: .finance)
        let line = try await call.evidence { try await $0.line(number) }
        guard let line, scope.covers(line.delivery.buyer) || scope.covers(line.delivery.seller) else {
            throw Problem(.notFound, "settlementLineUnknown", "The account has no such settlement line.")
        }
        return line
    }

    // MARK: - Places

    private static func cursor(_ place: BatchPlace) -> String { "\(place.edge).\(place.epoch).\(place.sequence)" }

    private static func cursor(_ place: SharePlace) -> String {
        "\(place.receivedAt.microseconds).\(place.edge).\(place.epoch).\(place.number)"
    }

    private static func pageLimit(_ query: Query) throws(Problem) -> Int {
        Int(try query.integer("limit", in: 1...Int64(Limits.listLimit)) ?? Int64(Limits.defaultListLimit))
    }

    /// A cursor's numbers; nil on the first page.
    private static func placeNumbers(_ query: Query, _ count: Int) throws(Problem) -> [Int64]? {
        guard let text = query.text("cursor") else { return nil }
        let numbers = text.split(separator: ".", omittingEmptySubsequences: false).compactMap { part in
            part.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int64(part) : nil
        }
        guard numbers.count == count, text.split(separator: ".", omittingEmptySubsequences: false).count == count else {
            throw Problem(.badRequest, "parameterOutOfRange", "This must be the `nextCursor` of the page before.", field: "cursor")
        }
        return numbers
    }
}

extension Page {
    /// Cuts `found`, one more than the limit at most, by cursor.
    fileprivate init(_ found: [(cursor: String, item: Item)], placed limit: Int) {
        items = found.prefix(limit).map(\.item)
        nextCursor = found.count > limit ? found[limit - 1].cursor : nil
    }
}

extension Call {
    /// Reads what is behind lines; what goes wrong there is logged here and is not the caller's fault.
    fileprivate func evidence<T>(_ body: (any SettlementEvidence) async throws -> T) async throws(Problem) -> T {
        guard let evidence = services.evidence else { throw Problem.unavailable("What is behind settlement lines") }
        do { return try await body(evidence) } catch {
            logger.error("settlement evidence cannot be read", metadata: ["error": "\(error)"])
            throw Problem.unavailable("What is behind settlement lines")
        }
    }
}

// MARK: - Models

private struct SettlementLineModel: Encodable {
    struct Formula: Encodable {
        var weightedWorkBefore: String
        var weightedWorkAfter: String
        var chargeBefore: Int64
        var chargeAfter: Int64
        var charge: Int64
        var sellerFee: Int64
        var buyerFee: Int64
        /// Whether the line is what the formula gives.
        var holds: Bool
        var steps: [String]
    }

    struct Retention: Encodable {
        var slotsKeptFrom: String
        var slotsMayLack: Bool
        var sharesKeptFrom: String
        var sharesMayLack: Bool
    }

    var number: Int64
    var run: Int64
    var chunk: Int64
    var bookedAt: String
    var valueAt: String
    var code: String
    var from: String
    var to: String
    var deliveryID: Int64
    var bidID: Int64
    var askID: Int64
    var rigID: Int64
    var buyer: Int64
    var seller: Int64
    var price: Int64
    var priceUnitHashesPerSecond: Int64
    var sellerFeePPM: Int64
    var buyerFeePPM: Int64
    var hashesPerWorkUnit: Int64
    var soldHashesPerSecond: Int64
    var work: Int64
    var settledWorkBefore: Int64
    var billableWorkInInterval: Int64
    var charge: Int64
    var sellerFee: Int64
    var buyerFee: Int64
    var buyerDebit: Int64
    var sellerProceeds: Int64
    var fromHold: Int64
    var fromAvailable: Int64
    var fromLoss: Int64
    var sellerShort: Int64
    var credit: Int64?
    var formula: Formula?
    var retention: Retention

    init(_ line: LineEvidence) {
        number = line.number
        run = line.run
        chunk = line.chunk
        bookedAt = line.at.description
        valueAt = line.valueAt.description
        code = line.code.code
        from = line.start.description
        to = line.end.description
        deliveryID = line.delivery.id.rawValue
        bidID = line.delivery.bid.rawValue
        askID = line.delivery.ask.rawValue
        rigID = line.delivery.rig.rawValue
        buyer = line.delivery.buyer.rawValue
        seller = line.delivery.seller.rawValue
        price = line.delivery.terms.price.rawValue
        priceUnitHashesPerSecond = line.delivery.terms.priceUnit.hashesPerSecond
        sellerFeePPM = line.delivery.terms.sellerFee.rawValue
        buyerFeePPM = line.delivery.terms.buyerFee.rawValue
        hashesPerWorkUnit = Int64(line.algorithm.hashesPerUnit)
        soldHashesPerSecond = line.delivery.hashrate.hashesPerSecond
        work = line.work.units
        settledWorkBefore = line.account.settledBefore.units
        billableWorkInInterval = line.account.billableInInterval.units
        charge = line.amounts.charge.rawValue
        sellerFee = line.amounts.sellerFee.rawValue
        buyerFee = line.amounts.buyerFee.rawValue
        buyerDebit = line.amounts.debit.rawValue
        sellerProceeds = line.amounts.proceeds.rawValue
        fromHold = line.fromHold.rawValue
        fromAvailable = line.fromAvailable.rawValue
        fromLoss = line.fromLoss.rawValue
        sellerShort = line.sellerShort.rawValue
        credit = line.credit
        formula = LineFormula(line).map { Formula($0, of: line) }
        retention = Retention(
            slotsKeptFrom: line.slotsKeptFrom.description, slotsMayLack: line.lacksSlots,
            sharesKeptFrom: line.sharesKeptFrom.description, sharesMayLack: line.lacksShares)
    }
}

extension SettlementLineModel.Formula {
    init(_ formula: LineFormula, of line: LineEvidence) {
        // Decimal text: more than 64 bits.
        weightedWorkBefore = "\(formula.before.weightedWork)"
        weightedWorkAfter = "\(formula.after.weightedWork)"
        chargeBefore = formula.before.charge.rawValue
        chargeAfter = formula.after.charge.rawValue
        charge = formula.amounts.charge.rawValue
        sellerFee = formula.amounts.sellerFee.rawValue
        buyerFee = formula.amounts.buyerFee.rawValue
        holds = formula.amounts == line.amounts
        steps = formula.steps
    }
}

private struct SettlementSlotModel: Encodable {
    var minute: String
    var rigID: Int64
    var validWork: Int64
    var billableWork: Int64
    var staleWork: Int64
    var validShares: Int64
    var staleShares: Int64
    var duplicateShares: Int64
    var lowDifficultyShares: Int64
    var invalidShares: Int64
    var forwardedShares: Int64
    var poolAccepted: Int64
    var poolRejected: Int64
    var poolUnanswered: Int64
    var unloggedShares: Int64

    init(_ slot: SlotEvidence) {
        minute = Timestamp(microseconds: slot.minute * 60_000_000).description
        rigID = slot.rig.rawValue
        validWork = slot.counts.validWork.units
        billableWork = slot.counts.billableWork.units
        staleWork = slot.counts.staleWork.units
        validShares = slot.counts.validShares
        staleShares = slot.counts.staleShares
        duplicateShares = slot.counts.duplicateShares
        lowDifficultyShares = slot.counts.lowDifficultyShares
        invalidShares = slot.counts.invalidShares
        forwardedShares = slot.counts.forwardedShares
        poolAccepted = slot.counts.poolAccepted
        poolRejected = slot.counts.poolRejected
        poolUnanswered = slot.counts.poolUnanswered
        unloggedShares = slot.unlogged
    }
}

private struct SettlementBatchModel: Encodable {
    var edge: Int64
    var epoch: Int64
    var sequence: Int64
    var digest: String
    var completeUntil: String
    var appliedAt: String
    var records: Int64
    var firstShare: Int64?
    var lastShare: Int64?
    var sharesOfLine: Int64?

    init(_ batch: BatchEvidence) {
        edge = batch.place.edge
        epoch = batch.place.epoch
        sequence = batch.place.sequence
        digest = Base16.encode(batch.digest)
        completeUntil = batch.completeUntil.description
        appliedAt = batch.appliedAt.description
        records = batch.records
        firstShare = batch.shares?.lowerBound
        lastShare = batch.shares?.upperBound
        sharesOfLine = batch.ofLine
    }
}

private struct SettlementShareModel: Encodable {
    struct Header: Encodable {
        var poolTargetID: Int64
        var poolJob: String
        var coinbase: String
        var branches: [String]
        var merkleRoot: String
        var header: String
        var hash: String
        var target: String
        var meetsTarget: Bool
        var isAsRecorded: Bool
        var shellCheck: String?
    }

    var edge: Int64
    var epoch: Int64
    var number: Int64
    var receivedAt: String
    var rigID: Int64
    var job: Int64
    var verdict: String
    var work: Int64
    var isBillable: Bool
    var isForwarded: Bool
    var poolReply: String?
    var poolError: Int64?
    var extranonce2: String
    var ntime: Int64
    var nonce: Int64
    var version: Int64
    var hash: String?
    var header: Header?

    init(_ share: ShareEvidence, _ algorithm: Algorithm) {
        edge = share.place.edge
        epoch = share.place.epoch
        number = share.place.number
        receivedAt = share.place.receivedAt.description
        rigID = share.rig.rawValue
        job = share.job
        verdict = share.verdict.lineCode
        work = share.difficulty.units
        isBillable = share.isBillable
        isForwarded = share.isForwarded
        poolReply = share.poolReply?.lineCode
        poolError = share.poolReply == .rejected ? share.poolError : nil
        extranonce2 = Base16.encode(share.extranonce2)
        ntime = Int64(share.ntime)
        nonce = Int64(share.nonce)
        version = Int64(share.version)
        hash = share.hash.isEmpty ? nil : Base16.encode(share.hash.reversed())
        header = share.header.map { header in
            Header(
                poolTargetID: header.poolTarget.rawValue, poolJob: String(decoding: header.poolJob, as: UTF8.self),
                coinbase: Base16.encode(header.coinbase), branches: header.branches.map { Base16.encode($0.bytes) },
                merkleRoot: Base16.encode(header.merkleRoot.bytes), header: Base16.encode(header.header), hash: header.hash.description,
                target: header.target.description, meetsTarget: header.meetsTarget, isAsRecorded: header.hash.bytes == share.hash,
                shellCheck: header.shellCheck(algorithm))
        }
    }
}

extension Verdict {
    fileprivate var lineCode: String { "\(self)" }
}

extension PoolReply {
    fileprivate var lineCode: String { "\(self)" }
}
