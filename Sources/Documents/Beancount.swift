public import Units

/// A plain-text ledger that beancount takes: https://beancount.github.io, in satoshis.
///
/// Signs are beancount's: assets and expenses positive, liabilities and income negative; the market's ledger has them the other way.
public final class BeancountJournal {
    private let file: SpoolFile
    private var balances: [Account: Int128] = [:]
    private var isInEntry = false
    private var sum: Int128 = 0

    /// An account of the ledger.
    public struct Account: Hashable, Sendable {
        public var kind: Int64
        public var owner: Int64

        public init(kind: Int64, owner: Int64) {
            self.kind = kind
            self.owner = owner
        }

        /// Its name there.
        public var name: String {
            switch kind {
            case 1: "Liabilities:Customers:A\(owner):Available"
            case 2: "Liabilities:Customers:A\(owner):Held"
            case 3: "Assets:Custody"
            case 4: "Income:Fees"
            case 5: "Expenses:Loss"
            case 6: "Liabilities:Suspense"
            case 7: "Liabilities:Customers:A\(owner):Leaving"
            default: "Equity:Other:K\(kind)"
            }
        }
    }

    public init(path: String, title: String) throws {
        file = try SpoolFile(writing: path)
        try file.write("; \(BeancountJournal.oneLine(title))\noption \"title\" \(BeancountJournal.quoted(title))\n")
        try file.write("option \"operating_currency\" \"SATS\"\n\n1970-01-01 commodity SATS\n")
        try file.write("  name: \"Satoshi, 1/100,000,000 bitcoin\"\n\n")
    }

    public func open(_ accounts: [Account]) throws {
        for account in accounts { try file.write("1970-01-01 open \(account.name) SATS\n") }
        try file.write("\n")
    }

    /// Begins a transaction.
    public func entry(_ number: Int64?, at: Timestamp, kind: String, reference: String, reason: String?) throws {
        try endEntry()
        isInEntry = true
        sum = 0
        let text = reason.map { "\(kind) \(reference): \($0)" } ?? "\(kind) \(reference)"
        try file.write("\(BeancountJournal.day(at)) * \(BeancountJournal.quoted(text))\n")
        if let number { try file.write("  entry: \(number)\n  valueAt: \"\(at)\"\n") }
    }

    /// A posting with the ledger's sign.
    public func posting(_ account: Account, _ amount: Int64) throws {
        balances[account, default: 0] += Int128(amount)
        sum += Int128(amount)
        try file.write("  \(account.name)  \(-Int128(amount)) SATS\n")
    }

    private func endEntry() throws {
        guard sum == 0 else { throw DocumentError("a ledger entry's postings sum to \(sum), not to zero") }
        if isInEntry { try file.write("\n") }
        isInEntry = false
    }

    /// Writes balance assertions and ends the file.
    ///
    /// - Parameters:
    ///   - expected: the ledger's own balances at that time
    ///   - end: the first instant that is not in the journal
    /// - Throws: when the postings sum to anything else
    public func finish(_ expected: [Account: Int64], end: Timestamp) throws {
        try endEntry()
        for account in Set(expected.keys).union(balances.keys).sorted(by: { $0.name < $1.name }) {
            let (ledger, own) = (Int128(expected[account] ?? 0), balances[account] ?? 0)
            guard ledger == own else { throw DocumentError("\(account.name) sums to \(own) in the journal, to \(ledger) in the ledger") }
            // An assertion holds at the beginning of its day: the first one that has nothing in it.
            let day = Timestamp(microseconds: end.microseconds + 86_400_000_000 - 1)
            try file.write("\(BeancountJournal.day(day)) balance \(account.name)  \(-own) SATS\n")
        }
        try file.flush()
    }

    private static func day(_ time: Timestamp) -> String { String(time.description.prefix(10)) }

    private static func oneLine(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : $0 }))
    }

    /// A string as beancount reads it; control characters become spaces.
    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for character in oneLine(text).unicodeScalars {
            if character == "\"" || character == "\\" { quoted.unicodeScalars.append("\\") }
            quoted.unicodeScalars.append(character)
        }
        return quoted + "\""
    }
}
