internal import OrderBook
internal import Settlement
public import Units

/// Farms whose rigs come by themselves, and are sent away for a while.
extension Exchange {
    mutating func decide(_ command: FleetCommand, _ rules: MarketRules) throws(Rejection) -> Outcome {
        switch command {
        case .setLogin(let farm, let owner, let change): try setLogin(of: farm, owner, change)
        case .registerWorker(let farm, let worker): try registerWorker(of: farm, worker, rules)
        case .curtail(let farm, let owner, let cap, let ramp, let until):
            try curtail(farm, by: owner, cap: cap, ramp: ramp, until: until)
        case .liftCurtailment(let farm, let owner): try liftCurtailment(of: farm, by: owner)
        }
    }

    // MARK: - Logins

    private mutating func setLogin(
        of id: FarmID, _ owner: AccountID, _ change: FarmLoginChange
    ) throws(Rejection) -> Outcome {
        guard let farm = state.farms[id], farm.owner == owner else { throw .farmUnknown }
        if let digest = change.passwordDigest, digest.count != 32 { throw .passwordInvalid }
        if let fallback = change.fallback, state.targets[fallback]?.owner != owner { throw .poolTargetUnknown }
        if let most = change.mostRigs, !(1...FarmLogin.mostRigsEver).contains(most) { throw .mostRigsOutOfRange }
        let former = state.farmLogins[id]
        var login = if let former { former } else { try newLogin(of: id, owner, change) }
        if let name = change.name, login.user != Exchange.loginUser(owner, name) { throw .farmLoginNameFixed }
        login.passwordDigest = change.passwordDigest ?? login.passwordDigest
        login.fallback = change.fallback ?? login.fallback
        login.mostRigs = change.mostRigs ?? login.mostRigs
        if login != former { emit(.fleet(.loginSet(login))) }
        return .farm(id)
    }

    private func newLogin(of farm: FarmID, _ owner: AccountID, _ change: FarmLoginChange) throws(Rejection) -> FarmLogin {
        guard let name = change.name, let digest = change.passwordDigest, let fallback = change.fallback else {
            throw .farmLoginIncomplete
        }
        guard Exchange.isName(name) else { throw .rigNameInvalid }
        let user = Exchange.loginUser(owner, name)
        guard state.farmByLogin[user] == nil else { throw .farmLoginNameTaken }
        return FarmLogin(
            farm: farm, user: user, passwordDigest: digest, fallback: fallback, mostRigs: FarmLogin.usualMostRigs)
    }

    /// Two dots stand in the names of its rigs, one in those of rigs that were registered: they never meet.
    private static func loginUser(_ owner: AccountID, _ name: String) -> String { "a\(owner).\(name)" }

    private mutating func registerWorker(
        of id: FarmID, _ worker: String, _ rules: MarketRules
    ) throws(Rejection) -> Outcome {
        guard let login = state.farmLogins[id], let farm = state.farms[id] else { throw .farmLoginUnknown }
        guard Exchange.isName(worker) else { throw .rigNameInvalid }
        let user = "\(login.user).\(worker)"
        if let known = state.rigByUser[user] { return .rig(known, user: user) }
        guard state.rigsByLogin.count(of: id) < Int(login.mostRigs) else { throw .farmFull }
        try checkRoomForRig(of: farm.owner)
        let rig = RigID(state.counters.rig)
        emit(.rigRegistered(Rig(
            id: rig, owner: farm.owner, user: user, passwordDigest: login.passwordDigest, fallback: login.fallback)))
        emit(.rigAssigned(rig, id))
        var returned = Returned()
        enforceCurtailment(of: id, &returned)
        match(returned)
        if let offer = farm.offer, !offer.isOver(at: time) { place(offer, of: id, farm.owner, on: [rig], rules) }
        return .rig(rig, user: user)
    }

    // MARK: - Curtailment

    /// Also while the market is halted: power is not the market's to give.
    private mutating func curtail(
        _ id: FarmID, by owner: AccountID?, cap: Lots, ramp: Interval, until: Timestamp?
    ) throws(Rejection) -> Outcome {
        guard let farm = state.farms[id], owner == nil || farm.owner == owner else { throw .farmUnknown }
        guard cap >= .zero, ramp >= .zero, ramp <= Curtailment.longestRamp else { throw .curtailmentOutOfRange }
        if let until, until <= time || until > time + Exchange.longestPlan { throw .curtailmentOutOfRange }
        emit(.fleet(.curtailed(Curtailment(farm: id, cap: cap, ramp: ramp, since: time, until: until))))
        var returned = Returned()
        let kept = plan(id, state.rigs(of: id).map(\.id), cap: cap).kept
        cut(state.rigs(of: id).map(\.id).filter { !kept.contains($0) && !state.cuts.contains($0) }, of: id, &returned)
        planReturns(of: id, keeping: kept, ramp, &returned)
        match(returned)
        return .farm(id)
    }

    /// Of the rigs that are cut already, those that fit under a higher cap come back, the others stay.
    private mutating func planReturns(of farm: FarmID, keeping kept: Set<RigID>, _ ramp: Interval, _ returned: inout Returned) {
        let rigs = state.cutsByFarm.members(of: farm).sorted()
        let staying = rigs.filter { !kept.contains($0) && state.cuts[$0]?.returnsAt != nil }
        if !staying.isEmpty { emit(.fleet(.returnsPlanned(farm, staying.map { RigReturn(rig: $0, at: nil) }))) }
        returnRigs(rigs.filter(kept.contains), of: farm, from: time, ramp, &returned)
    }

    /// At once, or over a ramp; nobody later than it was planned before.
    private mutating func returnRigs(
        _ rigs: [RigID], of farm: FarmID, from start: Timestamp, _ ramp: Interval, _ returned: inout Returned
    ) {
        guard !rigs.isEmpty else { return }
        guard ramp > .zero else { return readmit(rigs, of: farm, &returned) }
        let returns = ReturnRamp(start: start, length: ramp).returns(of: rigs).map { planned in
            let former = state.cuts[planned.rig]?.returnsAt
            return RigReturn(rig: planned.rig, at: former.flatMap { former in planned.at.map { min(former, $0) } } ?? planned.at)
        }
        emit(.fleet(.returnsPlanned(farm, returns)))
    }

    private func plan(_ farm: FarmID, _ rigs: [RigID], cap: Lots) -> CurtailmentPlan {
        CurtailmentPlan(rigs.compactMap { state.candidate($0) }, cap: state.hashrate(of: cap))
    }

    /// Sends rigs away: what they deliver ends, by their seller's doing.
    private mutating func cut(_ rigs: [RigID], of farm: FarmID, _ returned: inout Returned) {
        guard !rigs.isEmpty else { return }
        emit(.fleet(.rigsCut(farm, rigs)))
        for rig in rigs {
            for delivery in state.deliveries(on: rig) { end(delivery, .curtailed, at: time, &returned) }
            if let ask = state.rigs[rig]?.ask { refreshOffer(of: ask) }
        }
    }

    private mutating func readmit(_ rigs: [RigID], of farm: FarmID, _ returned: inout Returned) {
        emit(.fleet(.rigsReadmitted(farm, rigs)))
        for rig in rigs {
            guard let ask = state.rigs[rig]?.ask else { continue }
            refreshOffer(of: ask)
            if state.isOpen(ask) { returned.add(ask, .ask) }
        }
        endCurtailmentIfOver(farm)
    }

    private mutating func endCurtailmentIfOver(_ farm: FarmID) {
        guard state.curtailments[farm]?.isHolding == false, state.cutsByFarm.count(of: farm) == 0 else { return }
        emit(.fleet(.curtailmentEnded(farm)))
    }

    private mutating func liftCurtailment(of id: FarmID, by owner: AccountID?) throws(Rejection) -> Outcome {
        guard let farm = state.farms[id], owner == nil || farm.owner == owner else { throw .farmUnknown }
        guard let curtailment = state.curtailments[id], curtailment.isHolding else { throw .farmNotCurtailed }
        var returned = Returned()
        lift(curtailment, at: time, &returned)
        match(returned)
        return .farm(id)
    }

    private mutating func lift(_ curtailment: Curtailment, at: Timestamp, _ returned: inout Returned) {
        var lifted = curtailment
        lifted.liftedAt = at
        emit(.fleet(.curtailed(lifted)))
        let rigs = state.cutsByFarm.members(of: curtailment.farm).sorted()
        returnRigs(rigs, of: curtailment.farm, from: at, curtailment.ramp, &returned)
        endCurtailmentIfOver(curtailment.farm)
    }

    /// A curtailment's end has come, or that of some rigs' absence.
    mutating func followCurtailment(of farm: FarmID, at: Timestamp, _ returned: inout Returned) {
        if let curtailment = state.curtailments[farm], curtailment.isHolding, let until = curtailment.until, until <= at {
            lift(curtailment, at: until, &returned)
        }
        let due = state.cutsByFarm.members(of: farm).filter { rig in state.cuts[rig]?.returnsAt.map { $0 <= at } ?? false }
        guard !due.isEmpty else { return }
        readmit(due.sorted(), of: farm, &returned)
        enforceCurtailment(of: farm, &returned)
    }

    /// Rigs that joined a curtailed farm, or hash more than before, may be too many for its cap. O(the farm's rigs)
    mutating func enforceCurtailment(of farm: FarmID, _ returned: inout Returned) {
        guard let curtailment = state.curtailments[farm], curtailment.isHolding else { return }
        let admitted = state.rigs(of: farm).map(\.id).filter { !state.cuts.contains($0) }
        let kept = plan(farm, admitted, cap: curtailment.cap).kept
        guard kept.count < admitted.count else { return }
        cut(admitted.filter { !kept.contains($0) }, of: farm, &returned)
    }

    /// A rig left the farm that it was cut with, or came into one that is curtailed.
    mutating func followMove(of rig: RigID, to farm: FarmID?, _ returned: inout Returned) {
        if let cut = state.cuts[rig], cut.farm != farm { readmit([rig], of: cut.farm, &returned) }
        if let farm { enforceCurtailment(of: farm, &returned) }
    }
}

extension MarketState {
    /// Saturated: a cap may be more than there is.
    fileprivate func hashrate(of cap: Lots) -> Hashrate {
        let (product, isTooMuch) = cap.rawValue.multipliedReportingOverflow(by: rules?.lot.hashesPerSecond ?? 1)
        return Hashrate(hashesPerSecond: isTooMuch ? .max : product)
    }

    fileprivate func candidate(_ id: RigID) -> CurtailmentPlan.Candidate? {
        guard let rig = rigs[id] else { return nil }
        var sold: Int64 = 0
        var price: Price?
        for delivery in deliveries(on: id) {
            sold += delivery.hashrate.hashesPerSecond
            price = max(price ?? delivery.terms.price, delivery.terms.price)
        }
        return CurtailmentPlan.Candidate(
            rig: id, hashrate: Hashrate(hashesPerSecond: max(sold, rig.measured.hashesPerSecond)), price: price,
            isOnline: rig.isOnline)
    }

    // MARK: - What is stored and derived

    mutating func evolve(_ event: FleetEvent) {
        switch event {
        case .loginSet(let login): change(login)
        case .curtailed(let curtailment):
            curtailments.set(curtailment.farm, curtailment)
            scheduleTimer(of: curtailment)
        case .curtailmentEnded(let farm): curtailments.remove(farm)
        case .rigsCut(let farm, let rigs): for rig in rigs { cut(rig, CutRig(farm: farm)) }
        case .returnsPlanned(let farm, let returns):
            for planned in returns { cuts.update(planned.rig) { $0.returnsAt = planned.at } }
            if let curtailment = curtailments[farm] { scheduleTimer(of: curtailment) }
        case .rigsReadmitted(let farm, let rigs):
            for rig in rigs {
                cuts.remove(rig)
                cutsByFarm.remove(rig)
            }
            if let curtailment = curtailments[farm] { scheduleTimer(of: curtailment) }
        }
    }

    private mutating func change(_ login: FarmLogin) {
        set(login)
        for id in rigsByLogin.members(of: login.farm) {
            rigs.update(id) { ($0.passwordDigest, $0.fallback) = (login.passwordDigest, login.fallback) }
        }
    }

    mutating func set(_ login: FarmLogin) {
        farmLogins.set(login.farm, login)
        farmByLogin[login.user] = login.farm
    }

    mutating func cut(_ rig: RigID, _ cut: CutRig) {
        cuts.set(rig, cut)
        cutsByFarm.insert(rig, of: cut.farm)
    }

    /// A rig that was registered or loaded may have come by a farm's login.
    mutating func linkLogin(of rig: Rig) {
        guard !farmByLogin.isEmpty, let name = FarmLogin.user(before: rig.user)?.user, let farm = farmByLogin[name] else { return }
        rigsByLogin.insert(rig.id, of: farm)
    }

    /// For its end, or for the next rig that comes back. O(the rigs that it cut)
    mutating func scheduleTimer(of curtailment: Curtailment) {
        var next = curtailment.isHolding ? curtailment.until : nil
        cutsByFarm.forEach(of: curtailment.farm) { rig in
            guard let at = cuts[rig]?.returnsAt else { return }
            next = next.map { min($0, at) } ?? at
        }
        if let next { timers.schedule(.curtailment(curtailment.farm), at: next) }
    }

    /// The farm whose login this is.
    public func farmLogin(user: String) -> FarmLogin? { farmByLogin[user].flatMap { farmLogins[$0] } }

    /// Rigs that came by a farm's login.
    public func loginCount(of farm: FarmID) -> Int { rigsByLogin.count(of: farm) }

    /// Rigs that came by a farm's login, whatever farm they are in now.
    public func rigs(byLoginOf farm: FarmID) -> [RigID] { rigsByLogin.members(of: farm).sorted() }

    /// Rigs of a farm that may not hash now.
    public func cutCount(of farm: FarmID) -> Int { cutsByFarm.count(of: farm) }
}
