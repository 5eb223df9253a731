internal import Exchange
internal import Settlement
internal import Units

/// Final and true-up runs: assess deliveries again that are closed, and book every difference.
extension SettlementWorker {
    /// Deliveries that one command brings back.
    private static let pageSize = 250
    private static let mostNotes = 1000
    /// Times that a page is read again because something changed meanwhile.
    private static let mostAttempts = 10
    /// Looks of a second at whether the tables have all that is committed.
    private static let mostLooks = 120

    /// A run of corrections on its way.
    private struct Correcting {
        let run: SettlementRun
        let valueAt: Timestamp
        let width: Int64
        var chunk: Int64 = 0
        var tally = SettlementTally()
    }

    func final(by account: AccountID?, note: String?) async throws -> SettlementRun? {
        let now = clock()
        let width = schedule.width ?? 1
        let progress = try await meter.progress()
        guard let since = progress.since, await gateway.isProjected() else { return nil }
        let from = progress.finalThrough ?? since.minute / width * width
        let end = min((now - schedule.disputeWindow).minute / width * width, oldestUnsettledEnd(width))
        guard from < end else { return nil }
        let to = SettlementSchedule.end(of: from, end)
        let run = try await begin(.final, from..<to, by: account, note: note)
        var correcting = Correcting(run: run, valueAt: Timestamp(microseconds: to * 60_000_000 - 1), width: width)
        let times = Timestamp(microseconds: from * 60_000_000)..<Timestamp(microseconds: to * 60_000_000)
        var cursor: DeliveryID?
        while true {
            let page = try await meter.ended(in: times, after: cursor, limit: SettlementWorker.pageSize)
            guard let last = page.last else { break }
            try await assessAgain(page, &correcting)
            cursor = last
        }
        try await assessLate(&correcting)
        return try await finish(run, correcting.tally)
    }

    /// No final run goes beyond the end of a delivery that is not settled to it; minutes since 1970.
    private func oldestUnsettledEnd(_ width: Int64) -> Int64 {
        let end = gateway.read { state in state.deliveries.values.lazy.compactMap(\.endedAt).min() }
        return end.map { $0.minute / width * width } ?? .max
    }

    /// Of one delivery that is closed, or of all that got work late.
    func trueUp(
        _ delivery: DeliveryID?, kind: SettlementKind = .trueUp, by account: AccountID?, note: String?
    ) async throws -> SettlementRun? {
        guard await gateway.isProjected() else { throw SettlementFailure.tablesBehind }
        if delivery == nil, try await meter.lateSlots(after: nil, limit: 1).isEmpty { return nil }
        if let delivery, try await meter.closed([delivery]).deliveries.isEmpty { return nil }
        let run = try await begin(kind, nil, by: account, note: note)
        var correcting = Correcting(run: run, valueAt: run.startedAt, width: schedule.width ?? 1)
        if let delivery { try await assessAgain([delivery], &correcting) } else { try await assessLate(&correcting) }
        return try await finish(run, correcting.tally)
    }

    /// Deliveries that are noted for late work. Those that are open keep their notes: initial runs bill them, a later run looks
    /// whether all is well.
    private func assessLate(_ correcting: inout Correcting) async throws {
        var cursor: LateSlot?
        var refused: Set<DeliveryID> = []
        while true {
            let slots = try await meter.lateSlots(after: cursor, limit: SettlementWorker.mostNotes)
            guard let last = slots.last else { return }
            cursor = last
            let named = Set(slots.map(\.delivery))
            let open = gateway.read { state in named.filter { state.deliveries.contains($0) } }
            let closed = named.subtracting(open).sorted()
            for start in stride(from: 0, to: closed.count, by: SettlementWorker.pageSize) {
                let page = Array(closed[start..<min(start + SettlementWorker.pageSize, closed.count)])
                refused.formUnion(try await assessAgain(page, &correcting))
            }
            try await meter.forget(slots.filter { !open.contains($0.delivery) && !refused.contains($0.delivery) })
        }
    }

    /// One command, if nothing of it is refused. What it rests on is one snapshot of the tables; if anything was brought back since, it
    /// is read again.
    ///
    /// - Returns: those that were refused, each alone
    @discardableResult
    private func assessAgain(_ deliveries: [DeliveryID], _ correcting: inout Correcting) async throws -> [DeliveryID] {
        for attempt in 1...SettlementWorker.mostAttempts {
            try await waitForTables()
            let page = try await meter.closed(deliveries)
            var tally = correcting.tally
            let totals = try await corrections(of: page, correcting.width, &tally)
            tally.unknown += page.unknown
            if !totals.isEmpty {
                let named = Set(totals.map(\.delivery))
                let chunk = SettlementChunk(
                    run: correcting.run.number, chunk: correcting.chunk, valueAt: correcting.valueAt, totals: totals)
                let closed = page.deliveries.filter { named.contains($0.delivery.id) }
                let command = BooksCommand.trueUp(chunk, closed, reopenings: page.reopenings)
                let outcome = try await gateway.submit(CommandEnvelope(.books(command)))
                if case .rejected(.staleReopening) = outcome, attempt < SettlementWorker.mostAttempts { continue }
                correcting.chunk += 1
                if case .rejected(let rejection) = outcome {
                    guard deliveries.count > 1 else {
                        refused(rejection, correcting.run, correcting.chunk - 1, &correcting.tally)
                        return deliveries
                    }
                    let half = deliveries.count / 2
                    return try await assessAgain(Array(deliveries[..<half]), &correcting)
                        + assessAgain(Array(deliveries[half...]), &correcting)
                }
                tally.totals += Int64(totals.count)
            }
            correcting.tally = tally
            return []
        }
        return []
    }

    /// A burst of orders may keep the tables behind for some minutes.
    private func waitForTables() async throws {
        for _ in 0..<SettlementWorker.mostLooks {
            try Task.checkCancellation()
            if await gateway.isProjected() { return }
        }
        throw SettlementFailure.tablesBehind
    }

    private func corrections(
        of page: ClosedPage, _ width: Int64, _ tally: inout SettlementTally
    ) async throws -> [AssessedTotal] {
        let algorithm = gateway.read { $0.algorithm }
        let sums = try await meter.sums(of: page.deliveries.map(\.delivery.id), before: 0, cut: .max)
        var totals: [AssessedTotal] = []
        for start in stride(from: 0, to: page.deliveries.count, by: SettlementWorker.groupSize) {
            let group = page.deliveries[start..<min(start + SettlementWorker.groupSize, page.deliveries.count)]
            let readings = group.map {
                DeliveryReading(delivery: $0.delivery, metered: sums[$0.delivery.id] ?? .none, cut: .max)
            }
            for reading in try await detailed(readings, algorithm, where: { $0.needsDetail(algorithm) }) {
                tally.read(reading)
                if let total = reading.correction(width: width, algorithm), take(total, &tally) { totals.append(total) }
            }
        }
        return totals
    }
}
