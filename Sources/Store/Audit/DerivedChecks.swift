internal import Database
internal import Units

/// An invariant of tables that derive from the ledger or are chained by themselves, checked by those who know them.
struct DerivedCheck: Sendable {
    var invariant: AuditInvariant
    var run: @Sendable (Database, inout AuditTally) async throws -> Void

    static let chain = DerivedCheck(
        invariant: AuditInvariant("ledger.chain", "every ledger entry gives the hash that was chained with it")
    ) { database, tally in
        let report = try await LedgerChain(database).check()
        tally.looked("ledger.chain", report.checked)
        for flaw in report.flaws { tally.broken("ledger.chain", flaw.description) }
        // The check names a hundred.
        for _ in report.flaws.count..<max(report.flaws.count, Int(report.flawCount)) { tally.broken("ledger.chain", "a further entry") }
        if report.lastChained < report.lastEntry {
            tally.note("ledger.chain", "entries \(report.lastChained + 1) to \(report.lastEntry), which wait to be chained")
        }
    }

    static let snapshots = DerivedCheck(
        invariant: AuditInvariant("ledger.snapshots", "balances kept of closed times are the sums of what counts for them")
    ) { database, tally in
        tally.looked("ledger.snapshots", try await database.read { try $0.count("SELECT count(*) FROM balance_snapshots") })
        for difference in try await BalanceSnapshots(database).check() {
            tally.broken(
                "ledger.snapshots",
                "\(AuditText.account(kind: difference.kind, owner: difference.owner)) on \(difference.until), by \(difference.basis)",
                found: "\(difference.excess.rawValue) more than the postings")
        }
    }

    static let trail = DerivedCheck(
        invariant: AuditInvariant("trail.chain", "the audit trail is complete and unchanged")
    ) { database, tally in
        guard try await database.read({ try $0.hasTable("audit_trail") }) else { return }
        tally.looked("trail.chain", try await database.read { try $0.count("SELECT count(*) FROM audit_trail") })
        guard let number = try await ControlStore(database).firstTrailFlaw() else { return }
        tally.broken("trail.chain", "row \(number) of the audit trail", found: "it is missing, or not what was written")
    }
}
