public import Units

/// A movement of what is in custody, as one side has it.
public struct CustodyMovement: Hashable, Sendable {
    /// Number of the ledger's entry, or the statements' source.
    public var origin: String
    public var reference: String
    public var at: Timestamp
    /// Positive: came in.
    public var amount: Satoshis

    public init(origin: String, reference: String, at: Timestamp, amount: Satoshis) {
        self.origin = origin
        self.reference = reference
        self.at = at
        self.amount = amount
    }
}

/// Compares the ledger's custody postings with statements, by reference and amount.
public enum CustodyMatching {
    /// What does not agree among movements before `until`. Later ones may be the other side of earlier ones, and are not missed
    /// themselves. O(n log n).
    public static func breaks(ledger: [CustodyMovement], statements: [CustodyMovement], until: Timestamp) -> [FoundBreak] {
        let ours = Dictionary(grouping: ledger, by: \.reference)
        let theirs = Dictionary(grouping: statements, by: \.reference)
        var found: [FoundBreak] = []
        for reference in Set(ours.keys).union(theirs.keys).sorted() {
            found += breaks(reference, ours[reference] ?? [], theirs[reference] ?? [], until)
        }
        return found
    }

    private static func breaks(
        _ reference: String, _ ledger: [CustodyMovement], _ statements: [CustodyMovement], _ until: Timestamp
    ) -> [FoundBreak] {
        var ours = sorted(ledger), theirs = sorted(statements)
        var matched: Set<Satoshis> = []
        ours.removeAll { movement in
            guard let place = theirs.firstIndex(where: { $0.amount == movement.amount }) else { return false }
            matched.insert(movement.amount)
            theirs.remove(at: place)
            return true
        }
        (ours, theirs) = (netted(ours), netted(theirs))
        var found: [FoundBreak] = []
        func isDuplicate(_ movement: CustodyMovement) -> Bool { matched.contains(movement.amount) }
        // What is left on both sides is one movement with two amounts, unless it is one too many of those that agree.
        var mine = ours.filter { !isDuplicate($0) }, foreign = theirs.filter { !isDuplicate($0) }
        while let ledger = mine.first, let statement = foreign.first {
            mine.removeFirst()
            foreign.removeFirst()
            guard min(ledger.at, statement.at) < until else { continue }
            found.append(differing(reference, ledger, statement))
        }
        found += (mine + ours.filter(isDuplicate)).filter { $0.at < until }.map { missing($0, isDuplicate($0)) }
        found += (foreign + theirs.filter(isDuplicate)).filter { $0.at < until }.map { surplus($0, isDuplicate($0)) }
        return found
    }

    /// Without what one side took back itself: a deposit that was returned, or a transfer between two sources.
    private static func netted(_ movements: [CustodyMovement]) -> [CustodyMovement] {
        var rest: [CustodyMovement] = []
        for movement in movements {
            if let place = rest.firstIndex(where: { $0.amount == -movement.amount }) {
                rest.remove(at: place)
            } else {
                rest.append(movement)
            }
        }
        return rest
    }

    private static func sorted(_ movements: [CustodyMovement]) -> [CustodyMovement] {
        movements.sorted { ($0.at, $0.origin, $0.amount) < ($1.at, $1.origin, $1.amount) }
    }

    private static func differing(_ reference: String, _ ledger: CustodyMovement, _ statement: CustodyMovement) -> FoundBreak {
        FoundBreak(
            kind: .amountDiffers, key: "\(reference) | entry \(ledger.origin) | \(statement.origin)", at: min(ledger.at, statement.at),
            amount: statement.amount.rawValue - ledger.amount.rawValue,
            cause: "Entry \(ledger.origin) of the ledger moves \(ledger.amount), the statement of \(statement.origin) "
                + "\(statement.amount), both under \(reference).")
    }

    private static func missing(_ ledger: CustodyMovement, _ isDuplicate: Bool) -> FoundBreak {
        FoundBreak(
            kind: isDuplicate ? .duplicateInLedger : .missingInCustody, key: "\(ledger.reference) | entry \(ledger.origin)",
            at: ledger.at, amount: -ledger.amount.rawValue,
            cause: "Entry \(ledger.origin) of the ledger moves \(ledger.amount) under \(ledger.reference), "
                + (isDuplicate ? "once more than the statements." : "and no statement has that."))
    }

    private static func surplus(_ statement: CustodyMovement, _ isDuplicate: Bool) -> FoundBreak {
        FoundBreak(
            kind: isDuplicate ? .duplicateInCustody : .missingInLedger, key: "\(statement.reference) | \(statement.origin)",
            at: statement.at, amount: statement.amount.rawValue,
            cause: "The statement of \(statement.origin) moves \(statement.amount) under \(statement.reference), "
                + (isDuplicate ? "once more than the ledger." : "and the ledger does not have that."))
    }

    /// Compares balances at a time: what is there, what the ledger says is there, and what is owed to customers.
    public static func balanceBreaks(custody: Satoshis, ledger: Satoshis, liabilities: Satoshis, at time: Timestamp) -> [FoundBreak] {
        var found: [FoundBreak] = []
        // One of each: a later run that finds it at another time finds the same thing.
        if custody != ledger {
            found.append(FoundBreak(
                kind: .balanceDiffers, key: "balance", at: time, amount: custody.rawValue - ledger.rawValue,
                cause: "Statements say that \(custody) are in custody, the ledger says \(ledger)."))
        }
        if custody < liabilities {
            found.append(FoundBreak(
                kind: .liabilitiesNotCovered, key: "liabilities", at: time, amount: custody.rawValue - liabilities.rawValue,
                cause: "Statements say that \(custody) are in custody, and \(liabilities) are owed to customers."))
        }
        return found
    }
}
