internal import Exchange
internal import OrderBook
internal import Units

/// What orders of both sides and farms' offers have in common.
extension Fields {
    static let instructions: Set<String> = [
        "timeInForce", "expiresAt", "postOnly", "minimumFill", "displayedLots", "selfTradePrevention", "peg",
    ]

    /// How an order trades. With an expiry it is good till date unless it says otherwise.
    func instructions() throws(Problem) -> Instructions {
        let expiresAt = try optionalTime("expiresAt")
        let usual = expiresAt == nil ? TimeInForce.goodTillCancelled : .goodTillDate
        return Instructions(
            timeInForce: try choice("timeInForce", TimeInForce.byCode) ?? usual, expiresAt: expiresAt,
            isPostOnly: try flag("postOnly") ?? false, minimumFill: try optionalLots("minimumFill") ?? Lots(1),
            displayed: try optionalLots("displayedLots"),
            selfTrade: try choice("selfTradePrevention", SelfTradePrevention.byCode) ?? .cancelIncoming, peg: try peg())
    }

    private func peg() throws(Problem) -> Peg? {
        guard let peg = try object("peg", ["reference", "offset"]) else { return nil }
        guard let reference = try peg.choice("reference", PegReference.byCode) else {
            throw peg.flaw("reference", "fieldMissing", "This field is required.")
        }
        return Peg(reference: reference, offset: try peg.integer("offset", in: Int64.min...Int64.max))
    }

    /// The offset of an amended peg.
    func pegOffset() throws(Problem) -> Int64? {
        try object("peg", ["offset"])?.integer("offset", in: Int64.min...Int64.max)
    }

    func price(_ name: String) throws(Problem) -> Price { Price(try integer(name, in: 1...Int64.max)) }

    func optionalPrice(_ name: String) throws(Problem) -> Price? {
        guard let number = try optionalInteger(name, in: 1...Int64.max) else { return nil }
        return Price(number)
    }

    func optionalLots(_ name: String) throws(Problem) -> Lots? {
        guard let number = try optionalInteger(name, in: 1...Int64.max) else { return nil }
        return Lots(number)
    }

    func optionalBudget() throws(Problem) -> Satoshis? {
        guard let number = try optionalInteger("budget", in: 1...Satoshis.supply.rawValue) else { return nil }
        return Satoshis(number)
    }

    func targets() throws(Problem) -> [PoolTargetID] {
        try integers("poolTargetIDs", in: 1...Int64.max).map { PoolTargetID($0) }
    }

    /// An ask's `lots`: an integer, or "all" (nil).
    func most() throws(Problem) -> Lots? {
        guard case .string(let text)? = value("lots") else { return Lots(try integer("lots", in: 1...Int64.max)) }
        guard text == "all" else { throw flaw("lots", "fieldOutOfRange", "This must be an integer or \"all\".") }
        return nil
    }

    /// The times of day at which an ask is for sale; over midnight where `from` is later than `to`.
    func schedule() throws(Problem) -> DailySchedule? {
        guard let objects = try objects("schedule", ["from", "to"]) else { return nil }
        var windows: [DailySchedule.Window] = []
        for object in objects {
            windows.append(DailySchedule.Window(from: try object.minuteOfDay("from"), to: try object.minuteOfDay("to")))
        }
        return DailySchedule(windows: windows)
    }
}

// MARK: - Amendments

extension Fields {
    static let amendmentsOfBids: Set<String> = [
        "price", "lots", "poolTargetIDs", "budget", "expiresAt", "minimumFill", "displayedLots", "peg",
    ]
    static let amendmentsOfAsks: Set<String> = [
        "price", "lots", "expiresAt", "minimumFill", "displayedLots", "schedule", "peg",
    ]

    func amendmentOfBid() throws(Problem) -> Amendment {
        var amendment = try amendment()
        amendment.lots = try optionalLots("lots")
        amendment.targets = try value("poolTargetIDs") == nil ? nil : targets()
        amendment.budget = change("budget", try optionalBudget())
        return amendment
    }

    func amendmentOfAsk() throws(Problem) -> Amendment {
        var amendment = try amendment()
        if value("lots") != nil {
            let most = try most()
            amendment.most = most.map { .set($0) } ?? .clear
        }
        amendment.schedule = change("schedule", try schedule())
        return amendment
    }

    private func amendment() throws(Problem) -> Amendment {
        try checkNotNull(["price", "lots", "poolTargetIDs", "minimumFill", "peg"])
        return Amendment(
            price: try optionalPrice("price"), expiresAt: change("expiresAt", try optionalTime("expiresAt")),
            minimumFill: try optionalLots("minimumFill"), displayed: change("displayedLots", try optionalLots("displayedLots")),
            offset: try pegOffset())
    }
}
