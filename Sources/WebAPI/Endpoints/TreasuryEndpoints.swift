internal import Exchange
internal import HTTPTypes
internal import Hummingbird
internal import Ledger
internal import Market
internal import Units

/// Deposits, withdrawals and corrections by two people, and frozen accounts.
enum TreasuryEndpoints {
    static let all: [Endpoint] = [
        .keyed(.post, "/v1/deposits", [.finance], deposit),
        .keyed(.post, "/v1/withdrawals", [], withdraw),
        .keyed(.post, "/v1/adjustments", [.finance], adjust),
        .keyed(.get, "/v1/transfers", [], list),
        .keyed(.get, "/v1/transfers/{id}", [], show),
        .keyed(.post, "/v1/transfers/{id}/approve", [.finance], approve),
        .keyed(.post, "/v1/transfers/{id}/reject", [.finance], reject),
        .keyed(.post, "/v1/transfers/{id}/complete", [.finance], complete),
        .keyed(.post, "/v1/transfers/{id}/cancel", [], cancel),
        .keyed(.get, "/v1/accounts/{id}/freeze", [.finance], showFreeze),
        .keyed(.put, "/v1/accounts/{id}/freeze", [.finance], freeze),
    ]

    // MARK: - Requests

    private static func deposit(_ call: Call) async throws -> Response {
        _ = try call.query()
        let fields = try call.fields(["account", "amount", "reference"])
        let isByOne = call.services.singlePersonDeposits
        let number = try isByOne
            ? fields.integer("account", in: 1...Int64.max) : fields.optionalInteger("account", in: 1...Int64.max)
        let amount = Satoshis(try fields.integer("amount", in: 1...Satoshis.supply.rawValue))
        let reference = try fields.text("reference", bytes: 1...128)
        var account: AccountID?
        if let number { account = try await call.existing(AccountID(number)) }
        if isByOne, let account {
            let outcome = try await call.submit(.deposit(account: account, amount: amount, reference: reference))
            guard case .entry(let entry) = outcome else { throw Problem.internalError }
            return try .json(
                DepositModel(entry: entry, account: account.rawValue, amount: amount.rawValue, reference: reference),
                status: .created)
        }
        return try await request(
            .recordDeposit(account: account, amount: amount, reference: reference, by: call.account), call)
    }

    private static func withdraw(_ call: Call) async throws -> Response {
        _ = try call.query()
        let fields = try call.fields(["account", "amount", "destination"])
        let amount = Satoshis(try fields.integer("amount", in: 1...Satoshis.supply.rawValue))
        let destination = try fields.text("destination", bytes: 1...256)
        let account = try await owner(try fields.optionalInteger("account", in: 1...Int64.max), call)
        return try await request(
            .requestWithdrawal(account: account, amount: amount, destination: destination, by: call.account), call)
    }

    private static func adjust(_ call: Call) async throws -> Response {
        _ = try call.query()
        let fields = try call.fields(["postings", "reverses", "reason"])
        let reason = try fields.text("reason", bytes: 1...256)
        guard let number = try fields.optionalInteger("reverses", in: 1...Int64.max) else {
            let postings = try await postings(fields, call)
            return try await request(.proposeAdjustment(postings, reason: reason, by: call.account), call)
        }
        guard fields.value("postings") == nil else {
            throw fields.flaw("postings", "fieldUnknown", "A reversal has the entry's own postings.")
        }
        // The answer to a repeated request does not depend on the tables.
        if case .transfer(let id)? = try call.earlierAnswer() { return try await created(id, call) }
        _ = await call.services.market.isProjected()
        guard let entry = try await call.report({ try await $0.ledgerEntry(number) }) else {
            throw fields.flaw("reverses", "entryUnknown", "There is no such ledger entry.")
        }
        return try await request(
            .proposeReversal(entry: entry.id, kind: entry.kind, entry.postings, reason: reason, by: call.account), call)
    }

    private static func postings(_ fields: Fields, _ call: Call) async throws -> [Posting] {
        guard let items = try fields.objects("postings", ["account", "owner", "amount"]) else {
            throw fields.flaw("postings", "fieldMissing", "This or `reverses` is required.")
        }
        guard (2...16).contains(items.count) else { throw Problem(Rejection.postingsInvalid) }
        var postings: [Posting] = []
        for item in items {
            guard let kind = try item.choice("account", LedgerAccount.kindByCode) else {
                throw item.flaw("account", "fieldMissing", "This field is required.")
            }
            let owner = try item.optionalInteger("owner", in: 1...Int64.max) ?? 0
            guard let account = LedgerAccount(kind: kind, owner: owner) else {
                throw item.flaw("owner", "fieldOutOfRange", "Customers' accounts have an owner, the market's own have none.")
            }
            if owner > 0 { _ = try await call.existing(AccountID(owner)) }
            let supply = Satoshis.supply.rawValue
            postings.append(Posting(account, Satoshis(try item.integer("amount", in: -supply...supply))))
        }
        return postings
    }

    // MARK: - Decisions

    private static func approve(_ call: Call) async throws -> Response {
        _ = try call.query()
        let id = TransferID(try call.pathNumber())
        let fields = try call.fields(["account"])
        var account: AccountID?
        if let number = try fields.optionalInteger("account", in: 1...Int64.max) {
            account = try await call.existing(AccountID(number))
        }
        return try await decide(.approve(id, account: account, by: call.account), call)
    }

    private static func reject(_ call: Call) async throws -> Response {
        _ = try call.query()
        let id = TransferID(try call.pathNumber())
        let reason = try call.fields(["reason"]).text("reason", bytes: 1...256)
        return try await decide(.reject(id, reason: reason, by: call.account), call)
    }

    private static func complete(_ call: Call) async throws -> Response {
        _ = try call.query()
        let id = TransferID(try call.pathNumber())
        let reference = try call.fields(["reference"]).text("reference", bytes: 1...128)
        return try await decide(.complete(id, reference: reference, by: call.account), call)
    }

    private static func cancel(_ call: Call) async throws -> Response {
        _ = try call.query()
        let id = TransferID(try call.pathNumber())
        try call.noFields()
        // What belongs to others is unknown, whatever became of it.
        _ = try await visible(id, call)
        return try await decide(.cancel(id, by: call.account), call)
    }

    // MARK: - Looking

    private static func list(_ call: Call) async throws -> Response {
        let query = try call.query(PageRequest.parameters.union(["account", "kind", "status"]))
        let page = try PageRequest(query)
        let number = try query.integer("account", in: 1...Int64.max)
        let kind = try query.choice("kind", TransferKind.byCode)
        let status = try query.choice("status", TransferStatus.byCode)
        var account = number.map { AccountID($0) }
        if !call.principal.may(.finance) { account = try await owner(number, call) }
        _ = await call.services.market.isProjected()
        let filter = TransferFilter(account: account, kind: kind, status: status)
        let found = try await call.report { try await $0.transfers(filter, after: page.after, limit: page.limit + 1) }
        return try .json(Page(found.map { ($0.id.rawValue, TransferModel($0)) }, limit: page.limit))
    }

    private static func show(_ call: Call) async throws -> Response {
        _ = try call.query()
        return try .json(TransferModel(try await visible(TransferID(try call.pathNumber()), call)))
    }

    private static func visible(_ id: TransferID, _ call: Call) async throws -> Transfer {
        guard let transfer = try await transfer(id, call),
            call.principal.may(.finance) || transfer.account == call.account || transfer.requestedBy == call.account
        else { throw Problem(Rejection.transferUnknown) }
        return transfer
    }

    // MARK: - Frozen accounts

    private static func showFreeze(_ call: Call) async throws -> Response {
        _ = try call.query()
        return try .json(try await freezeModel(try await pathAccount(call), call))
    }

    private static func freeze(_ call: Call) async throws -> Response {
        _ = try call.query()
        let fields = try call.fields(["isFrozen", "reason"])
        guard let isFrozen = try fields.flag("isFrozen") else {
            throw fields.flaw("isFrozen", "fieldMissing", "This field is required.")
        }
        let reason = try fields.text("reason", bytes: 1...256)
        let account = try await pathAccount(call)
        _ = try await call.submit(.treasury(.freeze(account, isFrozen, reason: reason, by: call.account)))
        return try .json(try await freezeModel(account, call))
    }

    private static func pathAccount(_ call: Call) async throws -> AccountID {
        let account = AccountID(try call.pathNumber())
        do { return try await call.existing(account) } catch {
            throw error.code == "accountUnknown" ? Problem(.notFound, error.code, error.detail) : error
        }
    }

    private static func freezeModel(_ account: AccountID, _ call: Call) async throws -> FreezeModel {
        FreezeModel(account, call.services.market.read { $0.freezes[account] })
    }

    // MARK: - Parts

    /// The caller's own account, or for finance another one.
    static func owner(_ number: Int64?, _ call: Call) async throws -> AccountID {
        guard let number, number != call.account.rawValue else { return call.account }
        guard call.principal.may(.finance) else {
            throw Problem(.forbidden, "roleMissing", "Other accounts need a key with the role finance.", field: "account")
        }
        return try await call.existing(AccountID(number))
    }

    private static func request(_ command: TreasuryCommand, _ call: Call) async throws -> Response {
        guard case .transfer(let id) = try await call.submit(.treasury(command)) else { throw Problem.internalError }
        return try await created(id, call)
    }

    private static func created(_ id: TransferID, _ call: Call) async throws -> Response {
        guard let transfer = try await transfer(id, call) else { throw Problem.unavailable("The reports") }
        return try .json(TransferModel(transfer), status: .created, location: "/v1/transfers/\(id)")
    }

    private static func decide(_ command: TreasuryCommand, _ call: Call) async throws -> Response {
        guard case .transfer(let id) = try await call.submit(.treasury(command)) else { throw Problem.internalError }
        guard let transfer = try await transfer(id, call) else { throw Problem.unavailable("The reports") }
        return try .json(TransferModel(transfer))
    }

    /// As it is now: those at their end are in the tables only.
    private static func transfer(_ id: TransferID, _ call: Call) async throws -> Transfer? {
        if let live = call.services.market.read({ $0.transfers[id] }) { return live }
        _ = await call.services.market.isProjected()
        return try await call.report { try await $0.transfer(id) }
    }
}

// MARK: - Models

/// A deposit that one person booked.
private struct DepositModel: Encodable {
    /// Number of the ledger entry.
    var entry: Int64
    var account: Int64
    var amount: Int64
    var reference: String
}

private struct TransferModel: Encodable {
    var id: Int64
    var kind: String
    var status: String
    var account: Int64?
    var amount: Int64
    var reference: String?
    var destination: String?
    var postings: [PostingModel]?
    var reverses: Int64?
    var reason: String?
    var note: String?
    var requestedBy: Int64
    var requestedAt: String
    var decidedBy: Int64?
    var decidedAt: String?
    var completedBy: Int64?
    var completedAt: String?
    /// The last ledger entry that it led to.
    var entry: Int64?

    init(_ transfer: Transfer) {
        id = transfer.id.rawValue
        kind = transfer.kind.code
        status = transfer.status.code
        account = transfer.account?.rawValue
        amount = transfer.amount.rawValue
        reference = transfer.reference
        destination = transfer.destination
        postings = transfer.postings.isEmpty ? nil : transfer.postings.map { PostingModel($0) }
        reverses = transfer.reverses
        reason = transfer.reason
        note = transfer.note
        requestedBy = transfer.requestedBy.rawValue
        requestedAt = transfer.requestedAt.description
        decidedBy = transfer.decidedBy?.rawValue
        decidedAt = transfer.decidedAt?.description
        completedBy = transfer.completedBy?.rawValue
        completedAt = transfer.completedAt?.description
        entry = transfer.entry
    }
}

/// A signed amount on a ledger account.
struct PostingModel: Encodable {
    var account: String
    /// Of customers' accounts.
    var owner: Int64?
    var amount: Int64

    init(_ posting: Posting) {
        account = posting.account.kindCode
        owner = posting.account.code.owner > 0 ? posting.account.code.owner : nil
        amount = posting.amount.rawValue
    }
}

private struct FreezeModel: Encodable {
    var account: Int64
    var isFrozen: Bool
    var by: Int64?
    var at: String?
    var reason: String?

    init(_ account: AccountID, _ freeze: Freeze?) {
        self.account = account.rawValue
        isFrozen = freeze != nil
        by = freeze?.by.rawValue
        at = freeze?.at.description
        reason = freeze?.reason
    }
}
