import Exchange
import Ledger
import Settlement
import Units

/// Lines, recomputed.
extension Auditor {
    /// Sums of a delivery's lines.
    struct Billed: Equatable {
        var work: Int64 = 0
        var fault: Int64 = 0
        var charge: Int64 = 0
        var unpaid: Int64 = 0
        var unrecovered: Int64 = 0

        init() {}

        init(_ delivery: Delivery) {
            (work, fault) = (delivery.settledWork.units, delivery.settledFault.units)
            charge = delivery.charged.rawValue
            (unpaid, unrecovered) = (delivery.unpaid.rawValue, delivery.unrecovered.rawValue)
        }
    }

    struct Piece: Equatable {
        var code: ChargeCode
        var from: Int64
        var to: Int64
        var work: Int64
    }

    mutating func see(_ line: SettlementLine, at time: Timestamp) {
        lines += 1
        let name = "\(line.code) line of delivery \(line.delivery)"
        check(line.at == time && line.fromMinute < line.toMinute, "\(name) is of another time")
        check(line.valueAt == expectedValueAt(time), "\(name) counts for \(line.valueAt)")
        check((line.code == .credit) == (line.credit != nil), "\(name) is and is not a credit")
        if line.code != .credit {
            pieces[line.delivery, default: []].append(
                Piece(code: line.code, from: line.fromMinute, to: line.toMinute, work: line.work.units))
        }
        switch line.code {
        case .delivery, .late, .poolFault: see(billed: line, name)
        case .overDelivery, .poolFaultExcess, .expired:
            let amounts = line.amounts
            let all = [amounts.charge, amounts.sellerFee, amounts.buyerFee, line.fromHold, line.fromAvailable, line.fromLoss]
            check(all.allSatisfy { $0 == .zero } && line.sellerShort == .zero, "\(name) moves money")
            check(line.work.units > 0, "\(name) notes nothing")
        case .credit: see(credit: line, name)
        }
    }

    private func expectedValueAt(_ time: Timestamp) -> Timestamp {
        switch command {
        case .books(.settle(let chunk)), .books(.trueUp(let chunk, _, _)):
            let wanted = chunk.valueAt < time ? chunk.valueAt : time
            return wanted < state.books.closedThrough ? state.books.closedThrough : wanted
        default: return time
        }
    }

    private mutating func see(billed line: SettlementLine, _ name: String) {
        guard let delivery = state.deliveries[line.delivery] else { return check(false, "\(name), which is not there") }
        let key = BillingKey(bid: delivery.bid, ask: delivery.ask, rig: delivery.rig, tariff: delivery.tariff)
        var sums = weighted[key] ?? (0, 0, 0, 0)
        sums.n += Int128(delivery.terms.price.rawValue) * Int128(line.work.units)
        let charge = Auditor.charge(sums.n, delivery.terms.priceUnit, Auditor.hashes(state.rules))
        let seller = Int64(Int128(charge) * Int128(delivery.terms.sellerFee.rawValue) / 1_000_000)
        let buyer = Int64(Int128(charge) * Int128(delivery.terms.buyerFee.rawValue) / 1_000_000)
        let amounts = line.amounts
        check(line.work.units != 0, "\(name) bills nothing")
        // Of a correction's lines only all together are below the cap.
        var isCorrection = false
        if case .books(.trueUp) = command { isCorrection = true }
        check(isCorrection || line.work.units > 0, "\(name) takes work back")
        check(amounts.charge.rawValue == charge - sums.charge, "\(name) charges \(amounts.charge)")
        check(amounts.sellerFee.rawValue == seller - sums.seller, "\(name) takes \(amounts.sellerFee)")
        check(amounts.buyerFee.rawValue == buyer - sums.buyer, "\(name) adds \(amounts.buyerFee)")
        weighted[key] = (sums.n, charge, seller, buyer)
        seePayment(line, delivery, name)
        var sum = billed[line.delivery] ?? Billed()
        sum.work += line.work.units
        if line.code == .poolFault { sum.fault += line.work.units }
        sum.charge += amounts.charge.rawValue
        sum.unpaid += line.fromLoss.rawValue
        sum.unrecovered += line.sellerShort.rawValue
        check(min(sum.work - sum.fault, sum.fault, sum.unpaid, sum.unrecovered) >= 0, "\(name) leads below zero: \(sum)")
        billed[line.delivery] = sum
        let cap = Auditor.cap(
            delivery.hashrate, Auditor.elapsed(delivery, line.at), delivery.allowance, Auditor.hashes(state.rules))
        check(isCorrection || sum.work <= cap, "\(name) is above the cap")
    }

    private mutating func seePayment(_ line: SettlementLine, _ delivery: Delivery, _ name: String) {
        let debit = line.amounts.charge.rawValue + line.amounts.buyerFee.rawValue
        let proceeds = line.amounts.charge.rawValue - line.amounts.sellerFee.rawValue
        let (fromHold, fromAvailable) = (line.fromHold.rawValue, line.fromAvailable.rawValue)
        let (fromLoss, short) = (line.fromLoss.rawValue, line.sellerShort.rawValue)
        let before = billed[line.delivery] ?? Billed()
        check(fromHold + fromAvailable + fromLoss == debit, "\(name) is paid otherwise")
        check(fromHold <= delivery.held.rawValue, "\(name) takes more than its hold")
        if debit >= 0 {
            check(min(fromHold, fromAvailable, fromLoss) >= 0, "\(name) pays backwards")
            check(fromHold == min(debit, delivery.held.rawValue), "\(name) spares its hold")
        } else {
            check(fromHold == 0 && fromLoss == -min(-debit, before.unpaid), "\(name) gives \(fromLoss) back to the market")
        }
        if proceeds >= 0 {
            check(short == -min(proceeds, before.unrecovered), "\(name) recovers \(short)")
        } else {
            check(0 <= short && short <= -proceeds, "\(name) is short of \(short)")
        }
        spent[delivery.bid, default: 0] += fromHold + fromAvailable
        moved[delivery.buyer, default: 0] -= fromHold + fromAvailable
        moved[delivery.seller, default: 0] += proceeds + short
        fees += line.amounts.sellerFee.rawValue + line.amounts.buyerFee.rawValue
        loss -= fromLoss + short
    }

    private mutating func see(credit line: SettlementLine, _ name: String) {
        guard case .books(.credit(let credit)) = command else { return check(false, "\(name) out of nothing") }
        credits += 1
        check(line.credit == credits && credit.number == credits, "\(name) is not the next credit")
        let charge = line.amounts.charge.rawValue
        check(charge == credit.charge.rawValue && charge != 0 && line.work == .zero, "\(name) is another one")
        let free = state.balance(.available(charge > 0 ? credit.buyer : credit.seller)).rawValue
        let paid = credit.isBorneByMarket ? 0 : min(max(charge, -charge), free)
        check(line.fromHold == .zero && line.amounts.sellerFee == .zero && line.amounts.buyerFee == .zero, "\(name) has fees")
        check(line.fromAvailable.rawValue == (charge > 0 ? paid : charge), "\(name) takes \(line.fromAvailable)")
        check(line.fromLoss.rawValue == (charge > 0 ? charge - paid : 0), "\(name) loses \(line.fromLoss)")
        check(line.sellerShort.rawValue == (charge > 0 ? 0 : -charge - paid), "\(name) is short of \(line.sellerShort)")
        moved[credit.buyer, default: 0] -= line.fromAvailable.rawValue
        moved[credit.seller, default: 0] += charge + line.sellerShort.rawValue
        loss -= line.fromLoss.rawValue + line.sellerShort.rawValue
    }

    // MARK: - Closed deliveries

    mutating func see(closed id: DeliveryID) { phases[id] = state.deliveries[id] }

    /// They come back as they went.
    mutating func see(_ deliveries: [ClosedDelivery]) {
        reopenings += 1
        for closed in deliveries {
            let name = "reopened delivery \(closed.delivery.id)"
            check(state.deliveries[closed.delivery.id] == nil, "\(name) is here")
            check(Billed(closed.delivery) == billed[closed.delivery.id] ?? Billed(), "\(name) is not the sum of its lines")
            if let bid = closed.bid, state.orders[bid.id] == nil {
                check(bid.bid?.spent.rawValue == spent[bid.id] ?? 0, "\(name) has another bid")
            }
            if state.billings[closed.key] == nil {
                let totals = closed.billing.totals
                let sums = weighted[closed.key] ?? (0, 0, 0, 0)
                check(totals.weightedWork == sums.n && totals.charge.rawValue == sums.charge, "\(name) has other totals")
            }
        }
    }

    // MARK: - Whole commands

    /// That the command's lines are those that its totals ask for, and nothing that was brought back stays.
    mutating func inspectPieces(of s: MarketState, at time: Timestamp) {
        switch command {
        case .books(.settle(let chunk)): inspect(chunk, isBothWays: false, [], s, time)
        case .books(.trueUp(let chunk, let closed, _)): inspect(chunk, isBothWays: true, closed, s, time)
        default: break
        }
    }

    private mutating func inspect(
        _ chunk: SettlementChunk, isBothWays: Bool, _ closed: [ClosedDelivery], _ s: MarketState, _ time: Timestamp
    ) {
        var seen: Set<DeliveryID> = []
        for total in chunk.totals where seen.insert(total.delivery).inserted {
            let found = pieces[total.delivery] ?? []
            guard let delivery = s.deliveries[total.delivery] ?? phases[total.delivery] else {
                check(found.isEmpty, "lines of delivery \(total.delivery), which is not there")
                continue
            }
            let expected = expectedPieces(total, delivery, isBothWays, time)
            check(found == expected, "delivery \(delivery.id) has lines \(found), not \(expected)")
            let cap = Auditor.cap(delivery.hashrate, Auditor.elapsed(delivery, time), delivery.allowance, Auditor.hashes(s.rules))
            let work = billed[delivery.id]?.work ?? 0
            check(work <= max(cap, billedBefore[delivery.id]?.work ?? 0), "delivery \(delivery.id) is above its cap")
            let isLive = s.deliveries[total.delivery] != nil
            check(!(isLive && total.isFinal) || delivery.isRunning, "delivery \(delivery.id) was final")
        }
        for delivery in closed where seen.contains(delivery.delivery.id) {
            let isThere = s.deliveries[delivery.delivery.id] != nil && phases[delivery.delivery.id] != nil
            check(!isThere, "delivery \(delivery.delivery.id) stays")
        }
    }

    private func expectedPieces(
        _ total: AssessedTotal, _ delivery: Delivery, _ isBothWays: Bool, _ time: Timestamp
    ) -> [Piece] {
        let before = billedBefore[delivery.id] ?? Billed()
        let cap = Auditor.cap(delivery.hashrate, Auditor.elapsed(delivery, time), delivery.allowance, Auditor.hashes(state.rules))
        let work = total.billable.units > cap ? cap : total.billable.units
        let fault = total.fault.units > work ? work : total.fault.units
        var more = work - before.work, moreFault = fault - before.fault
        if !isBothWays {
            if more < 0 { more = 0 }
            if moreFault < 0 { moreFault = 0 }
            if moreFault > more { moreFault = more }
        }
        var plain = more - moreFault
        var result: [Piece] = []
        for late in total.late where plain > 0 {
            let part = late.work.units > plain ? plain : late.work.units
            result.append(Piece(code: .late, from: late.fromMinute, to: late.toMinute, work: part))
            plain -= part
        }
        let parts: [(ChargeCode, Int64)] = [
            (.delivery, plain), (.poolFault, moreFault), (.overDelivery, total.overDelivery.units),
            (.poolFaultExcess, total.faultExcess.units),
        ]
        for (code, work) in parts where work != 0 {
            result.append(Piece(code: code, from: total.fromMinute, to: total.toMinute, work: work))
        }
        return result
    }

    static func elapsed(_ delivery: Delivery, _ time: Timestamp) -> Int64 {
        var until = min(time, delivery.expiresAt)
        if case .ended(let end, _) = delivery.phase { until = min(until, end) }
        return until.microseconds - delivery.openedAt.microseconds
    }
}
