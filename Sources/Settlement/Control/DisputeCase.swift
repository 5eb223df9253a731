public import Units

/// A side of a delivery. The raw values are stored.
public enum DisputeParty: UInt8, Sendable, CaseIterable {
    case buyer = 1
    case seller = 2

    public var code: String { "\(self)" }
}

/// Who pays a credit. The raw values are stored.
public enum CreditBearer: UInt8, Sendable, CaseIterable {
    case buyer = 1
    case seller = 2
    case market = 3

    public var code: String { "\(self)" }
}

/// In what capacity somebody speaks in a dispute. The raw values are stored.
public enum DisputeRole: UInt8, Sendable, CaseIterable {
    case buyer = 1
    case seller = 2
    case finance = 3

    public var code: String { "\(self)" }
}

/// Where a dispute stands. The raw values are stored.
public enum DisputeStatus: UInt8, Sendable, CaseIterable {
    /// Nobody but the claimant has spoken. Next: any other.
    case open = 1
    /// The other side or finance has spoken. Next: any of the last three.
    case answered = 2
    case rejected = 3
    case credited = 4
    case withdrawn = 5

    public var code: String { "\(self)" }

    public var isClosed: Bool {
        switch self {
        case .open, .answered: false
        case .rejected, .credited, .withdrawn: true
        }
    }
}

/// What somebody does in a dispute.
public enum DisputeStep: Hashable, Sendable {
    case message(String)
    case reject(note: String)
    /// `amount` is paid by `bearer` to the claimant.
    case credit(amount: Satoshis, bearer: CreditBearer, note: String)
    case withdraw(note: String)
}

/// Why a step is refused; nothing changed.
public enum DisputeRefusal: Error, Hashable, Sendable {
    /// To be answered as if there were no such dispute.
    case notConcerned
    case closed
    case financeOnly
    /// Who decides is neither a party nor the one who opened it.
    case ownCase
    case claimantOnly
    /// Above what was claimed, or not positive.
    case amountOutOfRange
    /// Above what is left of the bill after all credits for the same work.
    case creditAboveBill(left: Satoshis)
    /// Nobody pays themselves.
    case bearerIsClaimant
    case tooManyMessages
    /// The time for objections is over; finance may open it.
    case windowOver
    /// The interval is not within the delivery's time, or not over yet.
    case intervalOutOfRange
    /// There is an open one by this party about the same work.
    case alreadyOpen
    case tooManyOpen

    /// Stable, for programs.
    public var code: String {
        switch self {
        case .notConcerned: "disputeUnknown"
        case .closed: "disputeClosed"
        case .financeOnly: "disputeFinanceOnly"
        case .ownCase: "disputeOwnCase"
        case .claimantOnly: "disputeClaimantOnly"
        case .amountOutOfRange: "creditOutOfRange"
        case .creditAboveBill: "creditAboveBill"
        case .bearerIsClaimant: "creditBearerIsClaimant"
        case .tooManyMessages: "disputeTooLong"
        case .windowOver: "disputeWindowOver"
        case .intervalOutOfRange: "disputeIntervalOutOfRange"
        case .alreadyOpen: "disputeAlreadyOpen"
        case .tooManyOpen: "disputeTooManyOpen"
        }
    }
}

/// What a credit books.
public struct CreditTerms: Hashable, Sendable {
    /// Positive: the buyer pays the seller.
    public var charge: Satoshis
    /// The market stands in for who would pay.
    public var isBorneByMarket: Bool

    public init(charge: Satoshis, isBorneByMarket: Bool) {
        self.charge = charge
        self.isBorneByMarket = isBorneByMarket
    }
}

/// What follows from a step.
public struct DisputeEffect: Hashable, Sendable {
    public var role: DisputeRole
    public var status: DisputeStatus
    public var credit: CreditTerms?

    public init(role: DisputeRole, status: DisputeStatus, credit: CreditTerms? = nil) {
        self.role = role
        self.status = status
        self.credit = credit
    }

    /// Refuses a credit above what the work's bill and the credits before it leave.
    public func check(left: Satoshis) throws(DisputeRefusal) {
        guard let credit, credit.charge.rawValue.magnitude > max(0, left.rawValue).magnitude else { return }
        throw .creditAboveBill(left: max(.zero, left))
    }
}

/// A buyer's or seller's objection, from its opening to its decision.
public struct DisputeCase: Hashable, Sendable {
    public static let mostSteps = 200
    /// A party's disputes that are not decided.
    public static let mostOpen = 100

    public let buyer: AccountID
    public let seller: AccountID
    public let claimant: DisputeParty
    public let openedBy: AccountID
    /// Above zero.
    public let claimed: Satoshis
    public private(set) var status: DisputeStatus
    public private(set) var steps: Int

    /// - Parameters:
    ///   - status: as stored; a new one is open
    ///   - steps: taken so far
    public init(
        buyer: AccountID, seller: AccountID, claimant: DisputeParty, openedBy: AccountID, claimed: Satoshis,
        status: DisputeStatus = .open, steps: Int = 0
    ) {
        self.buyer = buyer
        self.seller = seller
        self.claimant = claimant
        self.openedBy = openedBy
        self.claimed = claimed
        self.status = status
        self.steps = steps
    }

    /// As what somebody may speak: a party as itself, even if it has the role finance; nil: they see nothing of it.
    public func role(of account: AccountID, isFinance: Bool) -> DisputeRole? {
        if account == buyer { return .buyer }
        if account == seller { return .seller }
        return isFinance ? .finance : nil
    }

    /// Takes a step, if it is allowed.
    public mutating func take(_ step: DisputeStep, by account: AccountID, isFinance: Bool) throws(DisputeRefusal) -> DisputeEffect {
        guard let role = role(of: account, isFinance: isFinance) else { throw .notConcerned }
        guard !status.isClosed else { throw .closed }
        let effect = try effect(of: step, by: account, role, isFinance)
        status = effect.status
        steps += 1
        return effect
    }

    private func effect(
        of step: DisputeStep, by account: AccountID, _ role: DisputeRole, _ isFinance: Bool
    ) throws(DisputeRefusal) -> DisputeEffect {
        switch step {
        case .message:
            guard steps < DisputeCase.mostSteps else { throw .tooManyMessages }
            return DisputeEffect(role: role, status: isClaimant(role) ? status : .answered)
        case .withdraw:
            guard isClaimant(role) || account == openedBy else { throw .claimantOnly }
            return DisputeEffect(role: role, status: .withdrawn)
        case .reject:
            try checkDecider(account, role, isFinance)
            return DisputeEffect(role: role, status: .rejected)
        case .credit(let amount, let bearer, _):
            try checkDecider(account, role, isFinance)
            guard amount > .zero, amount <= claimed else { throw .amountOutOfRange }
            let terms = CreditTerms(charge: try charge(amount, bearer), isBorneByMarket: bearer == .market)
            return DisputeEffect(role: role, status: .credited, credit: terms)
        }
    }

    private func isClaimant(_ role: DisputeRole) -> Bool {
        switch (role, claimant) {
        case (.buyer, .buyer), (.seller, .seller): true
        case (.buyer, .seller), (.seller, .buyer), (.finance, _): false
        }
    }

    private func checkDecider(_ account: AccountID, _ role: DisputeRole, _ isFinance: Bool) throws(DisputeRefusal) {
        guard isFinance else { throw .financeOnly }
        guard role == .finance, account != openedBy else { throw .ownCase }
    }

    /// What the buyer pays the seller for it: negative, the seller gives back.
    private func charge(_ amount: Satoshis, _ bearer: CreditBearer) throws(DisputeRefusal) -> Satoshis {
        switch (claimant, bearer) {
        case (.buyer, .buyer), (.seller, .seller): throw .bearerIsClaimant
        case (.buyer, .seller), (.buyer, .market): -amount
        case (.seller, .buyer), (.seller, .market): amount
        }
    }
}

/// Whether an objection comes in time, and to work that there was.
public enum DisputeWindow {
    /// - Parameters:
    ///   - interval: minutes since 1970, the end excluded
    ///   - delivery: from when until when it ran; the end is nil while it runs
    ///   - end: from when the window counts: when the line was booked, or the interval was over
    ///   - isFinance: who opens it may do so at any time
    public static func check(
        interval: Range<Int64>, delivery: (openedAt: Timestamp, endedAt: Timestamp?), end: Timestamp, now: Timestamp,
        window: Interval, isFinance: Bool
    ) throws(DisputeRefusal) {
        // Jobs of before the end are worked on for some seconds.
        let last = (delivery.endedAt ?? now).minute + 1
        guard !interval.isEmpty, interval.lowerBound >= delivery.openedAt.minute, interval.upperBound <= last + 1,
            interval.upperBound <= now.minute + 1
        else { throw .intervalOutOfRange }
        guard isFinance || now <= end + window else { throw .windowOver }
    }
}
