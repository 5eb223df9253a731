import ArgumentParser
import Database
import Exchange
import Market
import Metering
import Settlement
import Store
import Units

/// `hashspot explain`: what is behind a settlement line.
struct ExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Show what a settlement line follows from, down to headers that anyone can hash.",
        discussion: """
            The line, its delivery's terms, the formula with numbers filled in, the interval's slots minute by minute with verdicts and \
            the pool's answers, and the batches that brought them. Reads only; safe on a live database.

            Examples:
              hashspot explain 42000000 --data market
              hashspot explain 42000000 --shares --headers --json
            """)

    @Argument(help: "The line's number, as statements and reports show it.")
    var line: Int64

    @OptionGroup var storage: DatabaseOptions

    @Flag(help: "List single shares, as far back as they are kept.")
    var shares = false

    @Flag(help: "Rebuild the 80 bytes of each share's header, with a shell line that hashes them; implies --shares.")
    var headers = false

    @Flag(help: "Print JSON, an object a line: the line, slots, batches, shares.")
    var json = false

    /// Rows read at a time.
    private static let page = 500

    func run() async throws {
        let database = try await storage.openTables()
        do {
            try await explain(SettlementEvidenceStore(database))
        } catch {
            await database.close()
            if error is CommandFailure { throw error }
            throw CommandFailure(description: "the line could not be explained: \(operatorText(error))")
        }
        await database.close()
    }

    private func explain(_ store: SettlementEvidenceStore) async throws {
        guard let line = try await store.line(line) else { throw CommandFailure(description: "there is no settlement line \(line)") }
        let printer = LinePrinter(json: json, headers: headers, line)
        printer.showLine()
        try await slots(store, line, printer)
        try await batches(store, line, printer)
        if shares || headers { try await shares(store, line, printer) }
    }

    private func slots(_ store: SettlementEvidenceStore, _ line: LineEvidence, _ printer: LinePrinter) async throws {
        printer.heading("Slots, by minute: work and shares by verdict, and the pool's answers")
        var last: Int64 = 0
        while true {
            let page = try await store.slots(of: line, after: last, limit: ExplainCommand.page)
            for slot in page { printer.show(slot) }
            guard let end = page.last, page.count == ExplainCommand.page else { break }
            last = end.minute
        }
        if line.lacksSlots { printer.note("slots before \(line.slotsKeptFrom) are not kept any more") }
    }

    private func batches(_ store: SettlementEvidenceStore, _ line: LineEvidence, _ printer: LinePrinter) async throws {
        printer.heading("Batches that brought them")
        var last: BatchPlace?
        var isByTime = false
        while true {
            let page = try await store.batches(of: line, after: last, limit: ExplainCommand.page)
            for batch in page { printer.show(batch) }
            isByTime = isByTime || page.contains { $0.ofLine == nil }
            guard let end = page.last, page.count == ExplainCommand.page else { break }
            last = end.place
        }
        if isByTime { printer.note("by their time: which shares they held is not known any more") }
    }

    private func shares(_ store: SettlementEvidenceStore, _ line: LineEvidence, _ printer: LinePrinter) async throws {
        printer.heading("Shares")
        var last: SharePlace?
        while true {
            let page = try await store.shares(of: line, after: last, limit: ExplainCommand.page)
            for share in page { printer.show(share) }
            guard let end = page.last, page.count == ExplainCommand.page else { break }
            last = end.place
        }
        if line.lacksShares { printer.note("shares before \(line.sharesKeptFrom) are not kept any more") }
    }
}

/// Writes a line's evidence for people or programs.
private struct LinePrinter {
    let json: Bool
    let headers: Bool
    let line: LineEvidence

    init(json: Bool, headers: Bool, _ line: LineEvidence) {
        self.json = json
        self.headers = headers
        self.line = line
    }

    func heading(_ text: String) { if !json { print("\n\(text)") } }

    func note(_ text: String) { print(json ? OutputJSON.line(Note(note: text)) : "  (\(text))") }

    func showLine() {
        let formula = LineFormula(line)
        if json { return print(OutputJSON.line(LineRow(line, formula))) }
        let delivery = line.delivery
        let terms = delivery.terms
        print(
            """
            Line \(line.number), code \(line.code.code), run \(line.run) chunk \(line.chunk)
              booked \(line.at), counts for \(line.valueAt)
              interval \(line.start) to \(line.end)
              delivery \(delivery.id): rig \(delivery.rig), buyer \(delivery.buyer), seller \(delivery.seller), \
            opened \(delivery.openedAt)
              terms: \(terms.price.rawValue) satoshis a day for \(terms.priceUnit.hashesPerSecond) H/s, \
            seller's fee \(terms.sellerFee.rawValue) ppm, buyer's fee \(terms.buyerFee.rawValue) ppm
              work \(line.work.units) units of \(line.algorithm.hashesPerUnit) hashes; \(line.account.settledBefore.units) of the \
            delivery settled before; \(line.account.billableInInterval.units) billable in the interval as metered by now
              charge \(line.amounts.charge.rawValue), buyer's fee \(line.amounts.buyerFee.rawValue), \
            seller's fee \(line.amounts.sellerFee.rawValue) satoshis
              paid from the hold \(line.fromHold.rawValue), from available funds \(line.fromAvailable.rawValue), \
            by the market \(line.fromLoss.rawValue)
            """)
        showFormula(formula)
    }

    private func showFormula(_ formula: LineFormula?) {
        print("\nFormula")
        guard let formula else {
            print(line.code == .credit ? "  (a credit: decided by a person)" : "  (\(line.code.code) work is counted and not charged)")
            return
        }
        for step in formula.steps { print("  \(step)") }
        print(formula.amounts == line.amounts ? "  The line is what the formula gives." : "  THE LINE IS NOT WHAT THE FORMULA GIVES.")
    }

    func show(_ slot: SlotEvidence) {
        if json { return print(OutputJSON.line(SlotRow(slot))) }
        let counts = slot.counts
        print(
            "  \(Timestamp(microseconds: slot.minute * 60_000_000)): \(counts.validWork.units) valid work, "
                + "\(counts.billableWork.units) billable; shares \(counts.validShares) valid, \(counts.staleShares) stale, "
                + "\(counts.duplicateShares) duplicate, \(counts.lowDifficultyShares) low difficulty, \(counts.invalidShares) invalid; "
                + "\(counts.forwardedShares) forwarded, \(counts.poolAccepted) accepted, \(counts.poolRejected) rejected, "
                + "\(counts.poolUnanswered) unanswered" + (slot.unlogged > 0 ? "; \(slot.unlogged) shares without rows" : ""))
    }

    func show(_ batch: BatchEvidence) {
        if json { return print(OutputJSON.line(BatchRow(batch))) }
        let place = "edge \(batch.place.edge), epoch \(batch.place.epoch), batch \(batch.place.sequence)"
        let shares = batch.shares.map { ", shares \($0.lowerBound) to \($0.upperBound)" } ?? ""
        let own = batch.ofLine.map { ", \($0) of this line" } ?? ""
        print("  \(place): \(batch.records) records\(shares)\(own), applied \(batch.appliedAt), sha256 \(HeaderEvidence.hex(batch.digest))")
    }

    func show(_ share: ShareEvidence) {
        if json { return print(OutputJSON.line(ShareRow(share, headers ? share.header : nil, line.algorithm))) }
        let place = share.place
        let reply = share.poolReply.map { ", pool \($0)" } ?? (share.isForwarded ? ", forwarded" : "")
        print(
            "  \(place.receivedAt) share \(place.edge)/\(place.epoch)/\(place.number): \(share.verdict), work \(share.difficulty.units)"
                + (share.isBillable ? ", billable" : "") + reply + ", job \(share.job)")
        guard headers else { return }
        guard let header = share.header else {
            print("    (no header: \(share.hash.isEmpty ? "it was not worth one" : "its job is not kept any more"))")
            return
        }
        print("    coinbase    \(HeaderEvidence.hex(header.coinbase))")
        print("    merkle root \(HeaderEvidence.hex(header.merkleRoot.bytes))")
        print("    header      \(HeaderEvidence.hex(header.header))")
        print("    hash        \(header.hash)\(header.hash.bytes == share.hash ? "" : " WHICH IS NOT WHAT WAS RECORDED")")
        print("    target      \(header.target)\(header.meetsTarget ? "" : " NOT MET")")
        if let check = header.shellCheck(line.algorithm) { print("    check       \(check)") }
    }
}

// MARK: - Objects

private struct Note: Encodable {
    var note: String
}

private struct LineRow: Encodable {
    var kind = "line"
    var number, run, chunk: Int64
    var bookedAt, valueAt, code, from, to: String
    var delivery, bid, ask, rig, buyer, seller: Int64
    var price, priceUnitHashesPerSecond, sellerFeePPM, buyerFeePPM: Int64
    var work, settledWorkBefore, billableWorkInInterval: Int64
    var charge, sellerFee, buyerFee, fromHold, fromAvailable, fromLoss, sellerShort: Int64
    var credit: Int64?
    var weightedWorkBefore, weightedWorkAfter: String?
    var formula: [String]
    var holds: Bool?

    init(_ line: LineEvidence, _ formula: LineFormula?) {
        (number, run, chunk) = (line.number, line.run, line.chunk)
        (bookedAt, valueAt, code) = (line.at.description, line.valueAt.description, line.code.code)
        (from, to) = (line.start.description, line.end.description)
        let delivery = line.delivery
        (self.delivery, bid, ask) = (delivery.id.rawValue, delivery.bid.rawValue, delivery.ask.rawValue)
        (rig, buyer, seller) = (delivery.rig.rawValue, delivery.buyer.rawValue, delivery.seller.rawValue)
        price = delivery.terms.price.rawValue
        priceUnitHashesPerSecond = delivery.terms.priceUnit.hashesPerSecond
        (sellerFeePPM, buyerFeePPM) = (delivery.terms.sellerFee.rawValue, delivery.terms.buyerFee.rawValue)
        work = line.work.units
        (settledWorkBefore, billableWorkInInterval) = (line.account.settledBefore.units, line.account.billableInInterval.units)
        (charge, sellerFee) = (line.amounts.charge.rawValue, line.amounts.sellerFee.rawValue)
        (buyerFee, fromHold) = (line.amounts.buyerFee.rawValue, line.fromHold.rawValue)
        (fromAvailable, fromLoss) = (line.fromAvailable.rawValue, line.fromLoss.rawValue)
        (sellerShort, credit) = (line.sellerShort.rawValue, line.credit)
        weightedWorkBefore = formula.map { "\($0.before.weightedWork)" }
        weightedWorkAfter = formula.map { "\($0.after.weightedWork)" }
        self.formula = formula?.steps ?? []
        holds = formula.map { $0.amounts == line.amounts }
    }
}

private struct SlotRow: Encodable {
    var kind = "slot"
    var minute: String
    var rig, validWork, billableWork, staleWork, validShares, staleShares, duplicateShares, lowDifficultyShares, invalidShares: Int64
    var forwardedShares, poolAccepted, poolRejected, poolUnanswered, unloggedShares: Int64

    init(_ slot: SlotEvidence) {
        minute = Timestamp(microseconds: slot.minute * 60_000_000).description
        let counts = slot.counts
        rig = slot.rig.rawValue
        (validWork, billableWork, staleWork) = (counts.validWork.units, counts.billableWork.units, counts.staleWork.units)
        (validShares, staleShares) = (counts.validShares, counts.staleShares)
        (duplicateShares, lowDifficultyShares, invalidShares) = (counts.duplicateShares, counts.lowDifficultyShares, counts.invalidShares)
        (forwardedShares, poolAccepted) = (counts.forwardedShares, counts.poolAccepted)
        (poolRejected, poolUnanswered, unloggedShares) = (counts.poolRejected, counts.poolUnanswered, slot.unlogged)
    }
}

private struct BatchRow: Encodable {
    var kind = "batch"
    var edge, epoch, sequence, records: Int64
    var sha256, completeUntil, appliedAt: String
    var firstShare, lastShare, sharesOfLine: Int64?

    init(_ batch: BatchEvidence) {
        (edge, epoch, sequence) = (batch.place.edge, batch.place.epoch, batch.place.sequence)
        records = batch.records
        sha256 = HeaderEvidence.hex(batch.digest)
        (completeUntil, appliedAt) = (batch.completeUntil.description, batch.appliedAt.description)
        (firstShare, lastShare, sharesOfLine) = (batch.shares?.lowerBound, batch.shares?.upperBound, batch.ofLine)
    }
}

private struct ShareRow: Encodable {
    var kind = "share"
    var edge, epoch, number, rig, job, work: Int64
    var receivedAt, verdict: String
    var isBillable, isForwarded: Bool
    var poolReply: String?
    var hash: String?
    var coinbase, merkleRoot, header, target, check: String?
    /// Whether the header, hashed again, is what was recorded, and meets its target.
    var isProven: Bool?

    init(_ share: ShareEvidence, _ evidence: HeaderEvidence?, _ algorithm: Algorithm) {
        (edge, epoch, number) = (share.place.edge, share.place.epoch, share.place.number)
        (rig, job, work) = (share.rig.rawValue, share.job, share.difficulty.units)
        (receivedAt, verdict) = (share.place.receivedAt.description, "\(share.verdict)")
        (isBillable, isForwarded) = (share.isBillable, share.isForwarded)
        poolReply = share.poolReply.map { "\($0)" }
        hash = share.hash.isEmpty ? nil : HeaderEvidence.hex(share.hash.reversed())
        guard let evidence else { return }
        coinbase = HeaderEvidence.hex(evidence.coinbase)
        merkleRoot = HeaderEvidence.hex(evidence.merkleRoot.bytes)
        header = HeaderEvidence.hex(evidence.header)
        target = evidence.target.description
        check = evidence.shellCheck(algorithm)
        isProven = share.isProven
    }
}
