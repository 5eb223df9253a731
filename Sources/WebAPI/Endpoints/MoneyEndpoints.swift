internal import Exchange
internal import HTTPTypes
internal import Hummingbird
internal import Ledger
internal import Market
internal import Units

/// Deposits and balances.
enum MoneyEndpoints {
    static let all: [Endpoint] = [
        .keyed(.post, "/v1/deposits", [.finance], deposit),
        .keyed(.get, "/v1/balances", [], balances),
        .keyed(.get, "/v1/ledger/balances", [.finance], ledger),
    ]

    private static func deposit(_ call: Call) async throws -> Response {
        _ = try call.query()
        let fields = try call.fields(["account", "amount", "reference"])
        let account = AccountID(try fields.integer("account", in: 1...Int64.max))
        let amount = Satoshis(try fields.integer("amount", in: 1...Satoshis.supply.rawValue))
        let reference = try fields.text("reference", bytes: 1...128)
        let outcome = try await call.submit(
            .deposit(account: try await call.existing(account), amount: amount, reference: reference))
        guard case .entry(let entry) = outcome else { throw Problem.internalError }
        return try .json(
            DepositModel(
                entry: entry, account: account.rawValue, amount: amount.rawValue, reference: reference),
            status: .created)
    }

    private static func balances(_ call: Call) async throws -> Response {
        let query = try call.query(["account"])
        var account = call.account
        if let number = try query.integer("account", in: 1...Int64.max) {
            guard number == account.rawValue || call.principal.may(.finance) else {
                throw Problem(
                    .forbidden, "roleMissing", "Other accounts' balances need a key with the role finance.",
                    field: "account")
            }
            account = try await call.existing(AccountID(number))
        }
        return try .json(call.services.market.read { BalanceModel($0, account) })
    }

    private static func ledger(_ call: Call) async throws -> Response {
        _ = try call.query()
        return try .json(call.services.market.read(LedgerModel.init))
    }
}

private struct DepositModel: Encodable {
    /// Number of the ledger entry.
    var entry: Int64
    var account: Int64
    var amount: Int64
    var reference: String
}

/// In satoshis.
private struct BalanceModel: Encodable {
    var account: Int64
    var available: Int64
    var held: Int64

    init(_ state: MarketState, _ account: AccountID) {
        self.account = account.rawValue
        available = state.balance(.available(account)).rawValue
        held = state.balance(.held(account)).rawValue
    }
}

/// In satoshis: the market's own accounts, its customers' in sum, and the sum of all, which is zero.
private struct LedgerModel: Encodable {
    var custody: Int64
    var fees: Int64
    var loss: Int64
    var customersAvailable: Int64
    var customersHeld: Int64
    var total: Int64

    init(_ state: MarketState) {
        custody = state.balance(.custody).rawValue
        fees = state.balance(.fees).rawValue
        loss = state.balance(.loss).rawValue
        var available = Int128(0), held = Int128(0)
        for account in state.balances.keys {
            switch account {
            case .available: available += Int128(state.balance(account).rawValue)
            case .held: held += Int128(state.balance(account).rawValue)
            case .custody, .fees, .loss: break
            }
        }
        customersAvailable = Int64(clamping: available)
        customersHeld = Int64(clamping: held)
        total = Int64(clamping: state.ledgerTotal)
    }
}
