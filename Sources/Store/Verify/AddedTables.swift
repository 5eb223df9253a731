internal import Database
internal import Exchange
internal import Ledger
internal import Market
internal import Settlement
internal import Units

/// All tables that are only ever added to, compared with the events that make their rows.
///
/// Columns and values are spelled out here once more on purpose: a slip in what writes them is found.
struct AddedTables {
    private var entries: AddedRows
    private var postings: AddedRows
    private var lines: AddedRows
    private var answers: RecordedAnswers

    init(_ connection: any SQLConnection) {
        entries = AddedRows("ledger_entries", ["id", "kind", "at", "value_at", "reference", "booked_by", "reason"], keyCount: 1,
            connection)
        postings = AddedRows(
            "ledger_postings", ["entry", "line", "account_kind", "owner", "amount"], keyCount: 2, connection)
        lines = AddedRows(
            "settlement_lines",
            [
                "number", "delivery", "run", "chunk", "at", "work", "charge", "seller_fee", "buyer_fee", "from_hold",
                "from_available", "from_loss", "value_at", "code", "from_minute", "to_minute", "seller_short", "credit",
            ], keyCount: 1, connection)
        answers = RecordedAnswers(connection)
    }

    /// A command's events.
    mutating func take(_ command: JournalledCommand, sequence: Int64, _ findings: inout FindingList) throws {
        var place: Int64 = 0
        for event in command.events {
            switch event {
            case .entryPosted(let entry): try take(entry, &findings)
            case .lineSettled(let line):
                try take(line, number: sequence * 1_000_000 + place, &findings)
                place += 1
            case .answerRecorded(let key, let answer): try answers.expect(key, answer, &findings)
            case .marketDefined, .poolTargetCreated, .poolTargetChanged, .rigRegistered, .rigOnline, .rigOffline, .rigMeasured,
                .orderPlaced, .askOffered, .orderSuspended, .orderResumed, .orderStamped, .orderClosed, .deliveryOpened,
                .deliveryEnded, .deliveryClosed, .orderAmended, .ordersRepriced, .phaseChanged, .rulesScheduled, .rulesChanged,
                .indexPublished, .farmCreated, .rigAssigned, .farmOffered, .silenceSet, .holdReleased, .fleet, .blockFound,
                .blockJudged, .books:
                break
            }
        }
    }

    private mutating func take(_ entry: LedgerEntry, _ findings: inout FindingList) throws {
        let row: [SQLValue] = [
            .integer(entry.id), .integer(Int64(entry.kind.rawValue)), .integer(entry.at.microseconds),
            .integer(entry.valueAt.microseconds), .text(entry.reference), entry.by.map { .integer($0.rawValue) } ?? .null,
            entry.reason.map { .text($0) } ?? .null,
        ]
        try entries.expect(SQLRow(row), &findings)
        for (line, posting) in entry.postings.enumerated() {
            let code = posting.account.code
            let numbers: [Int64] = [entry.id, Int64(line), Int64(code.kind), code.owner, posting.amount.rawValue]
            try postings.expect(SQLRow(numbers.map { .integer($0) }), &findings)
        }
    }

    private mutating func take(_ line: SettlementLine, number: Int64, _ findings: inout FindingList) throws {
        let numbers: [Int64] = [
            number, line.delivery.rawValue, line.run, line.chunk, line.at.microseconds, line.work.units,
            line.amounts.charge.rawValue, line.amounts.sellerFee.rawValue, line.amounts.buyerFee.rawValue,
            line.fromHold.rawValue, line.fromAvailable.rawValue, line.fromLoss.rawValue, line.valueAt.microseconds,
            Int64(line.code.rawValue), line.fromMinute, line.toMinute, line.sellerShort.rawValue,
        ]
        try lines.expect(SQLRow(numbers.map { .integer($0) } + [line.credit.map { .integer($0) } ?? .null]), &findings)
    }

    /// At the tables' position: rows that should not be there.
    mutating func end(_ counters: Counters, position: Int64, _ findings: inout FindingList) throws {
        try entries.end(before: counters.entry, &findings)
        try postings.end(before: counters.entry, &findings)
        try lines.end(before: (position + 1) * 1_000_000, &findings)
        try answers.end(before: counters.answer, &findings)
    }

    func digests() -> [TableDigest] {
        [entries.tableDigest(), postings.tableDigest(), lines.tableDigest(), answers.tableDigest()]
    }
}
