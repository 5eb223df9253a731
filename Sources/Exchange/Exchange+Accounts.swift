internal import Ledger
internal import Units

/// Money and things that accounts own.
extension Exchange {
    static let mostTextBytes = 256
    /// What an account may have registered.
    static let mostPoolTargets = 1000
    static let mostFarms = 1000

    /// Whether a stranger's text can be kept: no database's text holds a NUL.
    static func isText(_ text: String, _ bytes: ClosedRange<Int>) -> Bool {
        bytes.contains(text.utf8.count) && !text.utf8.contains(0)
    }

    mutating func deposit(_ account: AccountID, _ amount: Satoshis, _ reference: String) throws(Rejection) -> Outcome {
        guard amount > .zero, amount <= Satoshis.supply,
            -state.balance(.custody).rawValue <= Satoshis.supply.rawValue - amount.rawValue
        else { throw .amountOutOfRange }
        guard account.rawValue > 0, Exchange.isText(reference, 1...128) else { throw .textTooLong }
        guard state.deposits[DepositKey(account: account, reference: reference)] == nil else {
            throw .duplicateReference
        }
        let entry = post(.deposit, reference: reference, [
            Posting(.available(account), amount), Posting(.custody, -amount),
        ])
        var returned = Returned()
        resume([account], &returned)
        match(returned)
        return .entry(entry)
    }

    /// - Parameters:
    ///   - valueAt: the time that it counts for; nil: now
    ///   - by: who asked for it; nil: the market itself
    @discardableResult
    mutating func post(
        _ kind: EntryKind, valueAt: Timestamp? = nil, by: AccountID? = nil, reason: String? = nil, reference: String,
        _ postings: [Posting]
    ) -> Int64 {
        let id = state.counters.entry
        emit(.entryPosted(LedgerEntry(
            id: id, kind: kind, at: time, valueAt: valueAt, reference: reference, postings: postings, by: by, reason: reason)))
        return id
    }

    mutating func createPoolTarget(
        _ owner: AccountID, name: String, url: String, user: String, password: String
    ) throws(Rejection) -> Outcome {
        guard owner.rawValue > 0,
            [name, url, user].allSatisfy({ Exchange.isText($0, 1...Exchange.mostTextBytes) }),
            Exchange.isText(password, 0...Exchange.mostTextBytes)
        else { throw .textTooLong }
        guard state.targetsByAccount.count(of: owner) < Exchange.mostPoolTargets else { throw .tooManyPoolTargets }
        let id = PoolTargetID(state.counters.target)
        emit(.poolTargetCreated(PoolTarget(
            id: id, owner: owner, name: name, url: url, user: user, password: password, status: .unverified)))
        return .poolTarget(id)
    }

    mutating func recordVerification(_ id: PoolTargetID, _ status: PoolStatus) throws(Rejection) -> Outcome {
        guard let target = state.targets[id] else { throw .poolTargetUnknown }
        let status = status.storable
        guard target.status != status else { return .done }
        emit(.poolTargetChanged(id, status))
        if case .verified = status {
            var returned = Returned()
            for order in state.bids(of: target.owner) where order.bid?.targets.contains(id) == true {
                if order.status == .suspended(.poolsUnusable) { revive(order.id) }
                if let order = state.orders[order.id], order.open > .zero { returned.add(order) }
            }
            match(returned)
        }
        var returned = Returned()
        reviewPools(of: target.owner, id, &returned)
        match(returned)
        return .done
    }

    /// A pool can do less than before: what none of its buyer's pools can take any more ends, and bids wait whose pools have
    /// all failed. O(the account's bids, deliveries)
    mutating func reviewPools(of owner: AccountID, _ target: PoolTargetID, _ returned: inout Returned) {
        let running = state.deliveries.values.filter {
            $0.isRunning && $0.buyer == owner && state.orders[$0.bid]?.bid?.targets.contains(target) == true
        }
        for bid in state.bids(of: owner) where bid.bid?.targets.contains(target) == true && bid.status == .active {
            let isAnyVerified = bid.bid?.targets.contains { state.isVerified($0) } ?? false
            if !isAnyVerified { emit(.orderSuspended(bid.id, .poolsUnusable)) }
        }
        for delivery in running.sorted(by: { $0.id < $1.id }) {
            guard case .online(_, _, let mask)? = state.rigs.with(delivery.rig, { $0.presence }) else { continue }
            let targets = state.orders[delivery.bid]?.bid?.targets ?? []
            if state.usable(targets, versionMask: mask).isEmpty { end(delivery, .poolsUnusable, at: time, &returned) }
        }
    }

    mutating func registerRig(
        _ owner: AccountID, name: String, digest: [UInt8], fallback: PoolTargetID
    ) throws(Rejection) -> Outcome {
        guard Exchange.isName(name) else { throw .rigNameInvalid }
        guard digest.count == 32 else { throw .passwordInvalid }
        guard state.targets[fallback]?.owner == owner else { throw .poolTargetUnknown }
        let user = "a\(owner).\(name)"
        guard state.rigByUser[user] == nil else { throw .rigNameTaken }
        try checkRoomForRig(of: owner)
        let id = RigID(state.counters.rig)
        emit(.rigRegistered(Rig(id: id, owner: owner, user: user, passwordDigest: digest, fallback: fallback)))
        return .rig(id, user: user)
    }

    func checkRoomForRig(of owner: AccountID) throws(Rejection) {
        // Each may have an ask.
        let most = max(100, Int(state.rules?.mostOrders ?? MarketRules.usualMostOrders))
        guard state.rigsByAccount.count(of: owner) < most else { throw .tooManyRigs }
    }

    static func isName(_ name: String) -> Bool { (1...32).contains(name.utf8.count) && name.utf8.allSatisfy(isNameByte) }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}

extension PoolStatus {
    /// The same with texts that a database can hold: they come from pools.
    var storable: PoolStatus {
        switch self {
        case .unverified: return self
        case .verified(var pool):
            pool.difficulty = pool.difficulty.storable
            return .verified(pool)
        case .failed(let reason): return .failed(reason: reason.storable)
        }
    }
}

extension String {
    /// At most 256 characters of it, without NUL.
    var storable: String {
        String(String(String.UnicodeScalarView(unicodeScalars.filter { $0.value != 0 })).prefix(256))
    }
}
