internal import Exchange
internal import Logging
internal import Settlement
internal import Units

/// Initial and ad-hoc runs: bill what is there of deliveries that are not settled to their end.
extension SettlementWorker {
    static let chunkSize = 1000
    /// Deliveries whose slots are read one by one in one query.
    static let groupSize = 50

    /// What one run bills.
    struct Span {
        /// Of the lines; minutes since 1970.
        var interval: Range<Int64>
        /// Slots of earlier minutes are billed.
        var cut: Int64
        /// The time that caps allow for.
        var until: Timestamp
        var valueAt: Timestamp
        /// Minutes of an interval.
        var width: Int64

        /// All that is there.
        init(uncutSince minute: Int64, now: Timestamp) {
            interval = min(minute, now.minute)..<now.minute + 1
            cut = .max
            until = now
            valueAt = now
            width = 1
        }

        init(_ interval: Range<Int64>, width: Int64) {
            self.interval = interval
            self.width = width
            cut = interval.upperBound
            until = Timestamp(microseconds: cut * 60_000_000)
            valueAt = Timestamp(microseconds: cut * 60_000_000 - 1)
        }
    }

    func initial() async throws -> Int64? {
        guard let width = schedule.width else { return try await uncut() }
        var number: Int64?
        var progress = try await meter.progress()
        if let broken = progress.brokenOff, let interval = broken.minutes {
            _ = try await carryOut(broken, Span(interval, width: width), deliveries: open())
            number = broken.number
            progress = try await meter.progress()
        }
        let cut = schedule.cut(at: clock(), width: width)
        var from = progress.initialThrough ?? firstMinute(before: cut, width)
        while from < cut {
            let to = SettlementSchedule.end(of: from, cut)
            let run = try await begin(.initial, from..<to, by: nil, note: nil)
            number = try await carryOut(run, Span(from..<to, width: width), deliveries: open()).number
            from = to
        }
        return number
    }

    private func uncut() async throws -> Int64? {
        let deliveries = open()
        guard !deliveries.isEmpty else { return nil }
        let last = try await meter.runs(before: nil, limit: 1).first?.startedAt.minute
        let run = try await begin(.initial, nil, by: nil, note: nil)
        return try await carryOut(run, Span(uncutSince: last ?? 0, now: run.startedAt), deliveries: deliveries).number
    }

    /// What is there now, of whole minutes where runs are cut; of one delivery, if it is closed, as a correction.
    func adHoc(_ delivery: DeliveryID?, by account: AccountID, note: String?) async throws -> SettlementRun? {
        var deliveries = open()
        if let delivery {
            guard deliveries.contains(delivery) else { return try await trueUp(delivery, kind: .adHoc, by: account, note: note) }
            deliveries = [delivery]
        }
        guard !deliveries.isEmpty else { return nil }
        let now = clock()
        guard let width = schedule.width else {
            let last = try await meter.runs(before: nil, limit: 1).first?.startedAt.minute
            let run = try await begin(.adHoc, nil, by: account, note: note)
            return try await carryOut(run, Span(uncutSince: last ?? 0, now: now), deliveries: deliveries)
        }
        let from = try await meter.progress().initialThrough ?? firstMinute(before: now.minute, width)
        guard from < now.minute else { return nil }
        let run = try await begin(.adHoc, from..<now.minute, by: account, note: note)
        return try await carryOut(run, Span(from..<now.minute, width: width), deliveries: deliveries)
    }

    private func open() -> [DeliveryID] { gateway.read { Array($0.deliveries.keys) }.sorted() }

    /// Where the first interval of all begins: with the oldest delivery, or just before the cut.
    private func firstMinute(before cut: Int64, _ width: Int64) -> Int64 {
        let oldest = gateway.read { state in state.deliveries.values.lazy.map(\.openedAt).min() }
        return oldest.map { $0.minute / width * width } ?? cut - width
    }

    // MARK: - Pages

    private func carryOut(_ run: SettlementRun, _ span: Span, deliveries: [DeliveryID]) async throws -> SettlementRun {
        var tally = SettlementTally()
        for (chunk, start) in stride(from: 0, to: deliveries.count, by: SettlementWorker.chunkSize).enumerated() {
            let page = deliveries[start..<min(start + SettlementWorker.chunkSize, deliveries.count)]
            let totals = try await totals(of: page, span, &tally)
            guard !totals.isEmpty else { continue }
            tally.totals += Int64(totals.count)
            let command = SettlementChunk(run: run.number, chunk: Int64(chunk), valueAt: span.valueAt, totals: totals)
            let outcome = try await gateway.submit(CommandEnvelope(.books(.settle(command))))
            if case .rejected(let rejection) = outcome { refused(rejection, run, Int64(chunk), &tally) }
        }
        return try await finish(run, tally)
    }

    func refused(_ rejection: Rejection, _ run: SettlementRun, _ chunk: Int64, _ tally: inout SettlementTally) {
        logger.error("settlement chunk refused", metadata: ["run": "\(run.number)", "code": "\(rejection.code)"])
        tally.refused("chunk \(chunk) was refused: \(rejection.code)")
    }

    private func totals(
        of page: ArraySlice<DeliveryID>, _ span: Span, _ tally: inout SettlementTally
    ) async throws -> [AssessedTotal] {
        let (deliveries, algorithm) = gateway.read { state in (page.compactMap { state.deliveries[$0] }, state.algorithm) }
        // In this order: work that is there later than the marks is looked at again.
        let marks = try await meter.reportMarks(of: Set(deliveries.map(\.rig)))
        let patience = clock() - schedule.disputeWindow
        let final = Set(deliveries.lazy.filter { SettlementWorker.isComplete($0, marks, span, patience) }.map(\.id))
        let sums = try await sums(of: deliveries, final, span)
        var totals: [AssessedTotal] = []
        for start in stride(from: 0, to: deliveries.count, by: SettlementWorker.groupSize) {
            let group = deliveries[start..<min(start + SettlementWorker.groupSize, deliveries.count)]
            let readings = group.map { delivery in
                DeliveryReading(
                    delivery: delivery, metered: sums[delivery.id] ?? .none, cut: final.contains(delivery.id) ? .max : span.cut)
            }
            for reading in try await detailed(readings, algorithm, where: {
                $0.mayExceed(algorithm) || $0.metered.before > $0.delivery.settledWork
            }) {
                tally.read(reading)
                let isFinal = final.contains(reading.delivery.id)
                let until = isFinal ? Timestamp(microseconds: .max) : span.until
                if let total = reading.newTotal(span.interval, until: until, isFinal: isFinal, width: span.width, algorithm) {
                    if take(total, &tally) { totals.append(total) }
                }
            }
        }
        return totals
    }

    /// What contradicts itself, as only a broken edge can make it, must not keep its neighbours from being settled.
    func take(_ total: AssessedTotal, _ tally: inout SettlementTally) -> Bool {
        guard total.isInconsistent else { return true }
        logger.error("a delivery's slots contradict themselves; it is not settled", metadata: ["delivery": "\(total.delivery)"])
        tally.refused("delivery \(total.delivery) is not settled: its slots contradict themselves")
        return false
    }

    /// All its work is there, and before the cut. An edge that was lost is not waited for longer than disputes are: what it may
    /// still send is late work.
    ///
    /// - Parameter patience: what ended before, and holds nothing any more, is complete
    private static func isComplete(_ delivery: Delivery, _ marks: ReportMarks, _ span: Span, _ patience: Timestamp) -> Bool {
        guard let end = delivery.endedAt else { return false }
        if delivery.held == .zero, end < patience { return true }
        return marks.completeUntil(delivery.rig, since: delivery.openedAt) > end + grace && (end + grace).minute < span.cut
    }

    /// Those that are complete are read without a cut: whatever its clock said, no slot is left behind.
    private func sums(
        of deliveries: [Delivery], _ final: Set<DeliveryID>, _ span: Span
    ) async throws -> [DeliveryID: MeteredSums] {
        let before = span.cut == .max ? 0 : span.interval.lowerBound
        let ids = deliveries.map(\.id)
        let running = try await meter.sums(of: ids.filter { !final.contains($0) }, before: before, cut: span.cut)
        let complete = try await meter.sums(of: ids.filter { final.contains($0) }, before: before, cut: .max)
        return running.merging(complete) { $1 }
    }

    /// Adds slots and lines to the readings that need them.
    func detailed(
        _ readings: [DeliveryReading], _ algorithm: Algorithm, where needsDetail: (DeliveryReading) -> Bool
    ) async throws -> [DeliveryReading] {
        let wanted = readings.filter(needsDetail).map(\.delivery.id)
        guard !wanted.isEmpty else { return readings }
        let slots = try await meter.slots(of: wanted)
        let lines = try await meter.settledLines(of: wanted)
        return readings.map { reading in
            var reading = reading
            reading.slots = (slots[reading.delivery.id] ?? []).filter { $0.minute < reading.cut }
            reading.lines = lines[reading.delivery.id] ?? SettledLines()
            return reading
        }
    }
}
