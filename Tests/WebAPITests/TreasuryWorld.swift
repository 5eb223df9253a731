import Exchange
import Ledger
import Market
import Units

/// The ledger of a market in memory, by plain sums over its entries.
final class MemoryLedger: @unchecked Sendable {
    // Used under the market's lock only.
    var entries: [LedgerEntry] = []
    var transfers: [TransferID: Transfer] = [:]

    func take(_ event: Event) {
        switch event {
        case .entryPosted(let entry): entries.append(entry)
        case .treasury(.transferChanged(let transfer)): transfers[transfer.id] = transfer
        default: break
        }
    }

    func sums(_ isCounted: (LedgerEntry) -> Bool) -> [LedgerAccount: Satoshis] {
        var sums: [LedgerAccount: Satoshis] = [:]
        for entry in entries where isCounted(entry) {
            for posting in entry.postings { sums[posting.account, default: .zero] += posting.amount }
        }
        return sums
    }
}

extension MemoryMarket {
    func transfers(_ filter: TransferFilter, after cursor: Int64, limit: Int) async throws -> [Transfer] {
        try table { inside in
            Array(inside.ledger.transfers.values.filter {
                $0.id.rawValue > cursor && (filter.account == nil || $0.account == filter.account)
                    && (filter.kind == nil || $0.kind == filter.kind) && (filter.status == nil || $0.status == filter.status)
            }.sorted { $0.id < $1.id }.prefix(limit))
        }
    }

    func transfer(_ id: TransferID) async throws -> Transfer? { try table { $0.ledger.transfers[id] } }

    func ledgerEntry(_ number: Int64) async throws -> LedgerEntry? { try table { $0.ledger.entries.first { $0.id == number } } }

    func ledgerEntries(account: AccountID?, after cursor: Int64, limit: Int) async throws -> [ChainedEntry] {
        try table { inside in
            let all = inside.ledger.entries.compactMap { entry -> LedgerEntry? in
                guard let account else { return entry }
                var own = entry
                own.postings.removeAll { ![.available(account), .held(account), .leaving(account)].contains($0.account) }
                return own.postings.isEmpty ? nil : own
            }
            return all.filter { $0.id > cursor }.prefix(limit).map { ChainedEntry($0, hash: Array(repeating: 0xab, count: 32)) }
        }
    }

    func newestLedgerEntry() async throws -> Int64 { try table { $0.ledger.entries.last?.id ?? 0 } }

    func ledgerTotals(account: AccountID?, after cursor: Int64, through end: Int64) async throws -> LedgerTotals {
        var totals = LedgerTotals()
        for chained in try await ledgerEntries(account: account, after: cursor, limit: .max) where chained.entry.id <= end {
            totals.entries += 1
            totals.postings += Int64(chained.entry.postings.count)
            for posting in chained.entry.postings { totals.sum += Int128(posting.amount.rawValue) }
        }
        return totals
    }

    func trialBalance(asOf: Timestamp?, _ basis: LedgerBasis) async throws -> [LedgerBalance] {
        try table { inside in
            inside.ledger.sums { asOf == nil || (basis == .value ? $0.valueAt : $0.at) <= asOf! }
                .map { LedgerBalance($0, $1) }.sorted { $0.account < $1.account }
        }
    }

    func balances(of accounts: [LedgerAccount], asOf: Timestamp, _ basis: LedgerBasis) async throws -> [Satoshis] {
        try table { inside in
            let sums = inside.ledger.sums { (basis == .value ? $0.valueAt : $0.at) <= asOf }
            return accounts.map { sums[$0] ?? .zero }
        }
    }
}
