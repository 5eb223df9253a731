internal import Exchange
internal import HTTPTypes
internal import Hummingbird
internal import Ledger
internal import Market
internal import Units

/// Balances.
enum MoneyEndpoints {
    static let all: [Endpoint] = [
        .keyed(.get, "/v1/balances", [], balances),
        .keyed(.get, "/v1/ledger/balances", [.finance], ledger),
    ]

    private static func balances(_ call: Call) async throws -> Response {
        let query = try call.query(["account", "asOf"])
        var account = call.account
        if let number = try query.integer("account", in: 1...Int64.max) {
            guard number == account.rawValue || call.principal.may(.finance) else {
                throw Problem(
                    .forbidden, "roleMissing", "Other accounts' balances need a key with the role finance.",
                    field: "account")
            }
            account = try await call.existing(AccountID(number))
        }
        guard let asOf = try query.endOfTime("asOf") else {
            return try .json(call.services.market.read { BalanceModel($0, account) })
        }
        _ = await call.services.market.isProjected()
        let (owner, time) = (account, asOf)
        let found = try await call.report {
            try await $0.balances(of: [.available(owner), .held(owner), .leaving(owner)], asOf: time, .value)
        }
        return try .json(BalanceModel(owner, found, time))
    }

    private static func ledger(_ call: Call) async throws -> Response {
        _ = try call.query()
        return try .json(call.services.market.read(LedgerModel.init))
    }
}

/// In satoshis.
private struct BalanceModel: Encodable {
    var account: Int64
    var available: Int64
    var held: Int64
    /// On its way out.
    var leaving: Int64
    /// Whether it may not trade now and takes nothing out; not told of times past.
    var isFrozen: Bool?
    var asOf: String?

    init(_ state: MarketState, _ account: AccountID) {
        self.account = account.rawValue
        available = state.balance(.available(account)).rawValue
        held = state.balance(.held(account)).rawValue
        leaving = state.balance(.leaving(account)).rawValue
        isFrozen = state.isFrozen(account)
    }

    /// - Parameter balances: available, held, leaving
    init(_ account: AccountID, _ balances: [Satoshis], _ asOf: Timestamp) {
        self.account = account.rawValue
        (available, held, leaving) = (balances[0].rawValue, balances[1].rawValue, balances[2].rawValue)
        self.asOf = asOf.description
    }
}

/// In satoshis: the market's own accounts, its customers' in sum, and the sum of all, which is zero.
private struct LedgerModel: Encodable {
    var custody: Int64
    var fees: Int64
    var loss: Int64
    var suspense: Int64
    var customersAvailable: Int64
    var customersHeld: Int64
    var customersLeaving: Int64
    var total: Int64

    init(_ state: MarketState) {
        custody = state.balance(.custody).rawValue
        fees = state.balance(.fees).rawValue
        loss = state.balance(.loss).rawValue
        suspense = state.balance(.suspense).rawValue
        var available = Int128(0), held = Int128(0), leaving = Int128(0)
        for account in state.balances.keys {
            switch account {
            case .available: available += Int128(state.balance(account).rawValue)
            case .held: held += Int128(state.balance(account).rawValue)
            case .leaving: leaving += Int128(state.balance(account).rawValue)
            case .custody, .fees, .loss, .suspense: break
            }
        }
        customersAvailable = Int64(clamping: available)
        customersHeld = Int64(clamping: held)
        customersLeaving = Int64(clamping: leaving)
        total = Int64(clamping: state.ledgerTotal)
    }
}
