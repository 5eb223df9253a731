internal import Units

/// An entry as the ledger's hash chain covers it. The form never changes: auditors recompute it.
extension LedgerEntry {
    /// The bytes whose SHA-256 is the entry's hash: the previous entry's hash (32 zero bytes before the first), then
    /// as big-endian integers of 8 bytes its number, kind, time of booking and value date (microseconds since 1970) and
    /// the person who asked for it (0: the market), then the reference and the reason, each with its length in UTF-8 before it
    /// (4 bytes; of a reason that is not there ffffffff), then the number of postings (4 bytes) and of each the account's
    /// kind and owner and the amount (8 bytes each).
    ///
    /// - Precondition: `previous` has 32 bytes
    public func chainForm(after previous: [UInt8]) -> [UInt8] {
        precondition(previous.count == 32, "a hash has 32 bytes")
        var bytes = previous
        bytes.reserveCapacity(90 + reference.utf8.count + (reason?.utf8.count ?? 0) + 24 * postings.count)
        for number in [id, Int64(kind.rawValue), at.microseconds, valueAt.microseconds, by?.rawValue ?? 0] { bytes.write(number) }
        bytes.write(reference)
        bytes.write(reason)
        bytes.write(UInt32(postings.count))
        for posting in postings {
            let (kind, owner) = posting.account.code
            for number in [Int64(kind), owner, posting.amount.rawValue] { bytes.write(number) }
        }
        return bytes
    }
}

extension [UInt8] {
    fileprivate mutating func write(_ number: some FixedWidthInteger) {
        for shift in stride(from: number.bitWidth - 8, through: 0, by: -8) { append(UInt8(truncatingIfNeeded: number >> shift)) }
    }

    fileprivate mutating func write(_ text: String?) {
        guard let text else { return write(UInt32.max) }
        write(UInt32(text.utf8.count))
        append(contentsOf: text.utf8)
    }
}
