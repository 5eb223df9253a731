internal import Ledger
internal import Settlement
internal import Units

/// What a run has assessed, disputes' outcomes, and the ends of periods.
extension Exchange {
    mutating func decide(_ command: BooksCommand) throws(Rejection) -> Outcome {
        switch command {
        case .settle(let chunk): return try settle(chunk)
        case .trueUp(let chunk, let closed, let reopenings): return try trueUp(chunk, closed, reopenings: reopenings)
        case .credit(let credit): return try book(credit)
        case .closePeriod(let through, let account): return try closePeriod(through: through, by: account)
        }
    }

    /// Bills what is new; takes nothing back. Totals of deliveries that are closed are passed over.
    private mutating func settle(_ chunk: SettlementChunk) throws(Rejection) -> Outcome {
        try check(chunk)
        var page = page(of: chunk)
        for total in chunk.firstTotals { settle(total, .upwards, isReopened: false, &page) }
        conclude(page)
        return .done
    }

    /// Bills every difference, up or down.
    private mutating func trueUp(
        _ chunk: SettlementChunk, _ closed: [ClosedDelivery], reopenings: Int64
    ) throws(Rejection) -> Outcome {
        try check(chunk)
        let reopened = try reopenable(closed, by: chunk, reopenings)
        if !reopened.isEmpty { emit(.books(.reopened(reopened))) }
        let ids = Set(reopened.lazy.map(\.delivery.id))
        var page = page(of: chunk)
        for total in chunk.firstTotals { settle(total, .bothWays, isReopened: ids.contains(total.delivery), &page) }
        conclude(page)
        return .done
    }

    private func page(of chunk: SettlementChunk) -> SettlementPage {
        SettlementPage(run: chunk.run, chunk: chunk.chunk, valueAt: state.books.valueAt(chunk.valueAt, now: time))
    }

    private func check(_ chunk: SettlementChunk) throws(Rejection) {
        guard chunk.totals.count <= SettlementChunk.mostTotals else { throw .tooManyTotals }
        guard !chunk.totals.contains(where: { $0.isInconsistent }) else { throw .totalInconsistent }
    }

    /// Lines by code, in their order; a delivery that was brought back for it closes again.
    private mutating func settle(
        _ total: AssessedTotal, _ direction: WorkPiece.Direction, isReopened: Bool, _ page: inout SettlementPage
    ) {
        guard let delivery = state.deliveries[total.delivery] else { return }
        let cap = delivery.workCap(at: time, algorithm: state.algorithm)
        for piece in total.pieces(settled: delivery.settledWork, fault: delivery.settledFault, cap: cap, direction) {
            bill(piece, of: delivery.id, &page)
        }
        note(.overDelivery, total.overDelivery, total, page)
        note(.poolFaultExcess, total.faultExcess, total, page)
        if isReopened || total.isFinal && !delivery.isRunning { page.finish(delivery.id) }
    }

    /// A line of work that nobody pays.
    private mutating func note(_ code: ChargeCode, _ work: Work, _ total: AssessedTotal, _ page: SettlementPage) {
        guard work > .zero else { return }
        emit(.lineSettled(SettlementLine(
            delivery: total.delivery, run: page.run, chunk: page.chunk, at: time, valueAt: page.valueAt, code: code,
            fromMinute: total.fromMinute, toMinute: total.toMinute, work: work,
            amounts: LineAmounts(charge: .zero, sellerFee: .zero, buyerFee: .zero), fromHold: .zero, fromAvailable: .zero,
            fromLoss: .zero)))
    }

    // MARK: - Closed deliveries

    /// Those of the closed deliveries that have a total and are not in the state: with all that they need.
    private func reopenable(
        _ closed: [ClosedDelivery], by chunk: SettlementChunk, _ reopenings: Int64
    ) throws(Rejection) -> [ClosedDelivery] {
        guard !closed.isEmpty else { return [] }
        guard closed.count <= SettlementChunk.mostTotals else { throw .tooManyTotals }
        guard reopenings == state.books.reopenings else { throw .staleReopening }
        let named = Set(chunk.totals.lazy.map(\.delivery))
        var seen: Set<DeliveryID> = []
        var result: [ClosedDelivery] = []
        for delivery in closed {
            let id = delivery.delivery.id
            guard !delivery.isInconsistent, seen.insert(id).inserted, (1..<state.counters.delivery).contains(id.rawValue) else {
                throw .reopeningInvalid
            }
            guard named.contains(id), !state.deliveries.contains(id) else { continue }
            try checkOrders(of: delivery)
            result.append(delivery)
        }
        return result
    }

    /// That its orders and totals are here, or come with it as they will always be. An order that was in the state when they
    /// were read, and is not any more, may have changed since.
    private func checkOrders(of closed: ClosedDelivery) throws(Rejection) {
        var isAnyGone = false
        for (id, image) in [(closed.delivery.bid, closed.bid), (closed.delivery.ask, closed.ask)] where !state.orders.contains(id) {
            guard image != nil else { throw .staleReopening }
            isAnyGone = true
        }
        // Totals leave the state with the first of their orders.
        guard !state.billings.contains(closed.key) else { return }
        guard isAnyGone, closed.billing.unsettled == 0 else { throw .staleReopening }
    }

    // MARK: - Credits

    /// The one who is to pay pays what is available to them; the market bears the rest.
    private mutating func book(_ credit: Credit) throws(Rejection) -> Outcome {
        try check(credit)
        var sheet = SettlementSheet()
        let amount = max(credit.charge, -credit.charge)
        let (payer, payee) = credit.charge > .zero ? (credit.buyer, credit.seller) : (credit.seller, credit.buyer)
        let paid = credit.isBorneByMarket ? Satoshis.zero : min(amount, free(payer, sheet))
        sheet.add(.available(payer), -paid)
        sheet.add(.available(payee), amount)
        sheet.add(.loss, paid - amount)
        let isBuyers = credit.charge > .zero
        let valueAt = state.books.valueAt(time, now: time)
        emit(.lineSettled(SettlementLine(
            delivery: credit.delivery, run: credit.run, chunk: 0, at: time, valueAt: valueAt, code: .credit,
            fromMinute: credit.fromMinute, toMinute: credit.toMinute, work: .zero,
            amounts: LineAmounts(charge: credit.charge, sellerFee: .zero, buyerFee: .zero), fromHold: .zero,
            fromAvailable: isBuyers ? paid : credit.charge, fromLoss: isBuyers ? amount - paid : .zero,
            sellerShort: isBuyers ? .zero : amount - paid, credit: credit.number)))
        let entry = post(
            .credit, valueAt: valueAt, by: credit.by, reason: credit.reason, reference: "credit:\(credit.number)", sheet.postings)
        var returned = Returned()
        resume([payee], &returned)
        match(returned)
        return .entry(entry)
    }

    private func check(_ credit: Credit) throws(Rejection) {
        guard credit.number == state.books.credits + 1 else { throw .creditOutOfOrder }
        let most = Satoshis.supply
        // So that no balance overflows, whatever staff may do.
        guard credit.charge != .zero, -most <= credit.charge, credit.charge <= most,
            [credit.buyer, credit.seller].allSatisfy({ state.balance(.available($0)) <= most }), -most <= state.balance(.loss)
        else { throw .amountOutOfRange }
        guard Exchange.isText(credit.reason, 1...1000) else { throw .textTooLong }
        guard (1..<state.counters.delivery).contains(credit.delivery.rawValue) else { throw .deliveryUnknown }
        guard credit.buyer != credit.seller, [credit.buyer, credit.seller, credit.by].allSatisfy({ $0.rawValue > 0 }),
            Books.isInterval(credit.fromMinute, credit.toMinute)
        else { throw .creditInvalid }
        guard state.deliveries.with(credit.delivery, { $0.buyer == credit.buyer && $0.seller == credit.seller }) ?? true else {
            throw .creditInvalid
        }
    }

    // MARK: - Periods

    /// O(deliveries)
    private mutating func closePeriod(through: Timestamp, by account: AccountID) throws(Rejection) -> Outcome {
        guard through > state.books.closedThrough, through <= time, through.microseconds % 60_000_000 == 0,
            account.rawValue > 0
        else { throw .closingTimeInvalid }
        guard !state.deliveries.values.contains(where: { $0.openedAt < through }) else { throw .deliveriesUnsettled }
        emit(.books(.periodClosed(through: through, by: account)))
        return .done
    }
}

extension SettlementChunk {
    /// Of totals of one delivery the first one.
    fileprivate var firstTotals: [AssessedTotal] {
        var seen: Set<DeliveryID> = []
        seen.reserveCapacity(totals.count)
        return totals.filter { seen.insert($0.delivery).inserted }
    }
}

extension WorkPiece {
    enum Direction {
        /// What is less than settled stays as it is.
        case upwards
        case bothWays
    }
}

extension AssessedTotal {
    /// What is to be billed or taken back, by charge code: late work, then other work, then work during faults of the pool. Late
    /// work is a part of what is new and no fault; more than that is not late.
    ///
    /// - Parameters:
    ///   - settled: the delivery's work that is settled, `fault` of it during faults
    ///   - cap: the most cumulative work that is billed
    func pieces(settled: Work, fault settledFault: Work, cap: Work, _ direction: WorkPiece.Direction) -> [WorkPiece] {
        let target = min(billable, cap)
        var new = target - settled
        var newFault = min(fault, target) - settledFault
        switch direction {
        case .upwards:
            new = max(new, .zero)
            newFault = min(max(newFault, .zero), new)
        case .bothWays: break
        }
        var rest = new - newFault
        var pieces: [WorkPiece] = []
        for late in late {
            let work = min(late.work, rest)
            guard work > .zero else { break }
            pieces.append(WorkPiece(code: .late, fromMinute: late.fromMinute, toMinute: late.toMinute, work: work))
            rest -= work
        }
        if rest != .zero { pieces.append(WorkPiece(code: .delivery, fromMinute: fromMinute, toMinute: toMinute, work: rest)) }
        if newFault != .zero {
            pieces.append(WorkPiece(code: .poolFault, fromMinute: fromMinute, toMinute: toMinute, work: newFault))
        }
        return pieces
    }
}
