import Exchange
import Ledger
import Units

/// What came with the treasury, by names that stay when others are added.
extension GoldenExamples {
    static let treasuryCommands: [(name: String, value: Command)] = ([
        ("recordDeposit", .recordDeposit(account: AccountID(3), amount: Satoshis(70), reference: "Überweisung 7", by: AccountID(9))),
        ("recordDeposit.unknown", .recordDeposit(account: nil, amount: Satoshis(70), reference: "r", by: AccountID(9))),
        ("requestWithdrawal", .requestWithdrawal(account: AccountID(3), amount: Satoshis(7), destination: "bc1q ✓", by: AccountID(3))),
        ("proposeAdjustment", .proposeAdjustment(corrections, reason: "Rundung", by: AccountID(9))),
        ("proposeReversal", .proposeReversal(entry: 400, kind: .deposit, corrections, reason: "doppelt", by: AccountID(9))),
        ("approve", .approve(TransferID(17), account: nil, by: AccountID(8))),
        ("approve.account", .approve(TransferID(17), account: AccountID(3), by: AccountID(8))),
        ("reject", .reject(TransferID(17), reason: "unbekannt", by: AccountID(8))), ("cancel", .cancel(TransferID(17), by: AccountID(3))),
        ("complete", .complete(TransferID(17), reference: "tx 9", by: AccountID(8))),
        ("freeze", .freeze(AccountID(3), true, reason: "Pfändung", by: AccountID(9))),
        ("thaw", .freeze(AccountID(3), false, reason: "erledigt", by: AccountID(9))),
    ] as [(String, TreasuryCommand)]).map { ($0.0, .treasury($0.1)) }

    static let treasuryEvents: [(name: String, value: Event)] = TransferKind.allCases.map {
        ("transferChanged.\($0)", .treasury(.transferChanged(transfer($0, .pending))))
    } + TransferStatus.allCases.map { ("transferChanged.\($0)", .treasury(.transferChanged(transfer(.withdrawal, $0)))) } + [
        ("freezeChanged", .treasury(.freezeChanged(AccountID(3), Freeze(by: AccountID(9), at: at, reason: "Pfändung")))),
        ("freezeChanged.none", .treasury(.freezeChanged(AccountID(3), nil))),
        ("orderClosed.accountFrozen", .orderClosed(OrderID(8), .accountFrozen)),
        ("entryPosted.newAccounts", .entryPosted(LedgerEntry(
            id: 600, kind: .adjustment, at: at, reference: "transfer:17",
            postings: [Posting(.suspense, Satoshis(-3)), Posting(.leaving(AccountID(3)), Satoshis(3))]))),
    ]

    static let treasury: Treasury = {
        var treasury = Treasury()
        treasury.transfer = 18
        return treasury
    }()

    static let corrections = [Posting(.available(AccountID(3)), Satoshis(5)), Posting(.loss, Satoshis(-5))]

    private static func transfer(_ kind: TransferKind, _ status: TransferStatus) -> Transfer {
        Transfer(
            id: TransferID(17), kind: kind, status: status, account: kind == .withdrawal ? AccountID(3) : nil, amount: Satoshis(70),
            reference: "tx 9", destination: kind == .withdrawal ? "bc1q" : nil, postings: kind == .adjustment ? corrections : [],
            reverses: kind == .reversal ? 400 : nil, reason: "Rundung", note: status == .rejected ? "unbekannt" : nil,
            requestedBy: AccountID(3), requestedAt: at, decidedBy: status == .pending ? nil : AccountID(8),
            decidedAt: status == .pending ? nil : at + .seconds(5), completedBy: status == .completed ? AccountID(9) : nil,
            completedAt: status == .completed ? at + .seconds(6) : nil, entry: 401)
    }
}
