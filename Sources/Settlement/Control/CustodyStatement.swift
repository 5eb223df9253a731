public import Units

/// A wallet's or bank account's movements, as a file has them: `date,reference,amount,balance,description`.
///
/// `date` is a day (its first instant) or a time in UTC as RFC 3339 has it; `amount` and `balance` are satoshis, or BTC where they have
/// a decimal point; an amount that came in is positive; `balance` may be empty. Lines are in order of time, and where two lines
/// that follow each other have balances, the second is the first plus its amount.
public struct CustodyStatement: Hashable, Sendable {
    public struct Item: Hashable, Sendable {
        public var line: Int
        public var at: Timestamp
        public var reference: String
        public var amount: Satoshis
        public var balance: Satoshis?
        public var description: String

        public init(line: Int, at: Timestamp, reference: String, amount: Satoshis, balance: Satoshis?, description: String) {
            self.line = line
            self.at = at
            self.reference = reference
            self.amount = amount
            self.balance = balance
            self.description = description
        }
    }

    public static let columns = ["date", "reference", "amount", "balance", "description"]
    public static let mostReferenceBytes = 128
    public static let mostDescriptionBytes = 500

    /// In the file's order.
    public private(set) var items: [Item] = []

    /// All of the file, or what is wrong with it.
    public init(csv bytes: [UInt8]) throws(ImportFlaws) {
        let table = try ImportTable(bytes, columns: CustodyStatement.columns)
        var flaws: [ImportFlaw] = []
        var lines: [String: Int] = [:]
        for row in table.rows {
            do throws(Flaw) {
                let item = try CustodyStatement.item(row)
                if let first = lines[item.reference] { throw Flaw("the reference is that of line \(first)") }
                try CustodyStatement.check(item, after: items.last)
                lines[item.reference] = row.line
                items.append(item)
            } catch {
                flaws.append(ImportFlaw(line: row.line, reason: error.reason))
            }
        }
        guard flaws.isEmpty else { throw ImportFlaws(flaws) }
    }

    private struct Flaw: Error {
        var reason: String

        init(_ reason: String) { self.reason = reason }
    }

    private static func item(_ row: ImportTable.Row) throws(Flaw) -> Item {
        let fields = row.fields
        guard let at = ImportText.time(fields[0]) else { throw Flaw("the date is not one, such as 2026-01-31 or 2026-01-31T12:00:00Z") }
        guard ImportText.isText(fields[1], 1...mostReferenceBytes) else {
            throw Flaw("the reference must have 1 to \(mostReferenceBytes) bytes and no control characters")
        }
        guard let amount = ImportText.satoshis(fields[2]), amount != .zero else {
            throw Flaw("the amount is neither satoshis (an integer) nor BTC (with a point and up to 8 digits after it), or zero")
        }
        var balance: Satoshis?
        if !fields[3].isEmpty {
            guard let given = ImportText.satoshis(fields[3]) else { throw Flaw("the balance is neither satoshis nor BTC") }
            balance = given
        }
        guard ImportText.isText(fields[4], 0...mostDescriptionBytes) else {
            throw Flaw("the description must have at most \(mostDescriptionBytes) bytes and no control characters")
        }
        return Item(line: row.line, at: at, reference: fields[1], amount: amount, balance: balance, description: fields[4])
    }

    private static func check(_ item: Item, after last: Item?) throws(Flaw) {
        guard let last else { return }
        guard item.at >= last.at else { throw Flaw("the date is before that of line \(last.line)") }
        guard let before = last.balance, let after = item.balance else { return }
        guard before + item.amount == after else {
            throw Flaw("the balance is not that of line \(last.line) plus the amount")
        }
    }
}

/// What a pool says that it counted, as a file has it: `target,day,shares,work`; shares or work may be empty.
public struct PoolStatement: Hashable, Sendable {
    public struct Item: Hashable, Sendable {
        public var line: Int
        public var target: PoolTargetID
        /// Days since 1970, UTC.
        public var day: Int64
        public var shares: Int64?
        public var work: Int64?

        public init(line: Int, target: PoolTargetID, day: Int64, shares: Int64?, work: Int64?) {
            self.line = line
            self.target = target
            self.day = day
            self.shares = shares
            self.work = work
        }
    }

    public static let columns = ["target", "day", "shares", "work"]

    public private(set) var items: [Item] = []

    public init(csv bytes: [UInt8]) throws(ImportFlaws) {
        let table = try ImportTable(bytes, columns: PoolStatement.columns)
        var flaws: [ImportFlaw] = []
        var seen: [[Int64]: Int] = [:]
        for row in table.rows {
            guard let item = PoolStatement.item(row) else {
                flaws.append(ImportFlaw(
                    line: row.line,
                    reason: "a pool target's number, a day such as 2026-01-31, and shares or work (not negative) are expected"))
                continue
            }
            if let first = seen.updateValue(row.line, forKey: [item.target.rawValue, item.day]) {
                flaws.append(ImportFlaw(line: row.line, reason: "target and day are those of line \(first)"))
            }
            items.append(item)
        }
        guard flaws.isEmpty else { throw ImportFlaws(flaws) }
    }

    private static func item(_ row: ImportTable.Row) -> Item? {
        let fields = row.fields
        guard let target = ImportText.integer(fields[0]), target > 0, let day = AccountingPeriod(fields[1]), day.day != nil
        else { return nil }
        func count(_ text: String) -> Int64?? {
            if text.isEmpty { return .some(nil) }
            guard let number = ImportText.integer(text), number >= 0 else { return nil }
            return number
        }
        guard let shares = count(fields[2]), let work = count(fields[3]), shares != nil || work != nil else { return nil }
        return Item(
            line: row.line, target: PoolTargetID(target), day: day.start.microseconds / Interval.day.microseconds, shares: shares,
            work: work)
    }
}

/// Fields of imported files.
enum ImportText {
    /// A day's first instant, or a time in UTC with whole seconds or up to six digits of their fraction.
    static func time(_ text: String) -> Timestamp? {
        if let day = AccountingPeriod(text) { return day.day == nil ? nil : day.start }
        let bytes = Array(text.utf8)
        guard bytes.count >= 20, bytes.last == UInt8(ascii: "Z"), bytes[10] == UInt8(ascii: "T"),
            let day = AccountingPeriod(String(text.prefix(10))), day.day != nil,
            bytes[13] == UInt8(ascii: ":"), bytes[16] == UInt8(ascii: ":"),
            let hour = digits(bytes[11..<13]), let minute = digits(bytes[14..<16]), let second = digits(bytes[17..<19]),
            hour < 24, minute < 60, second < 60
        else { return nil }
        var micros: Int64 = 0
        let rest = bytes[19..<(bytes.count - 1)]
        if let point = rest.first {
            let fraction = rest.dropFirst()
            guard point == UInt8(ascii: "."), (1...6).contains(fraction.count) else { return nil }
            let sixth = Array(fraction) + Array(repeating: UInt8(ascii: "0"), count: 6 - fraction.count)
            guard let value = digits(sixth) else { return nil }
            micros = value
        }
        return Timestamp(microseconds: day.start.microseconds + ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros)
    }

    /// Satoshis as an integer, or BTC with a point and 1 to 8 digits after it; at most all there can be.
    static func satoshis(_ text: String) -> Satoshis? {
        var bytes = Array(text.utf8)[...]
        let isNegative = bytes.first == UInt8(ascii: "-")
        if isNegative { bytes = bytes.dropFirst() }
        let amount: Int64?
        if let point = bytes.firstIndex(of: UInt8(ascii: ".")) {
            let fraction = bytes[(point + 1)...]
            guard (1...8).contains(fraction.count) else { return nil }
            amount = digits(Array(bytes[..<point]) + Array(fraction) + Array(repeating: UInt8(ascii: "0"), count: 8 - fraction.count))
            guard point > bytes.startIndex else { return nil }
        } else {
            amount = digits(bytes)
        }
        guard let amount, amount <= Satoshis.supply.rawValue else { return nil }
        return Satoshis(isNegative ? -amount : amount)
    }

    static func integer(_ text: String) -> Int64? { digits(Array(text.utf8)) }

    static func isText(_ text: String, _ bytes: ClosedRange<Int>) -> Bool {
        bytes.contains(text.utf8.count) && text.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control }
    }

    /// 1 to 18 of them.
    private static func digits(_ bytes: some Collection<UInt8>) -> Int64? {
        guard (1...18).contains(bytes.count), bytes.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return bytes.reduce(0) { $0 * 10 + Int64($1 - 0x30) }
    }
}
