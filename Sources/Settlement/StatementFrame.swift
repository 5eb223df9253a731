public import Units

/// What a statement says besides its entries and lines, and what its totals are checked against.
public struct StatementFrame: Hashable, Sendable {
    public var account: AccountID
    public var algorithm: Algorithm
    /// nil: any range, for drafts
    public var period: AccountingPeriod?
    public var start: Timestamp
    /// The first instant after it.
    public var end: Timestamp
    public var opening: CustomerFunds
    public var closing: CustomerFunds
    /// The ledger's own sums by kind of entry, of those with an effect: how many, and how much.
    public var movements: [Movement]
    public var market: LegalParty?
    public var party: LegalParty?
    /// nil: a draft, without number.
    public var issue: DocumentIssue?

    public struct Movement: Hashable, Sendable {
        public var kind: Int64
        public var entries: Int64
        public var amount: Int64

        public init(kind: Int64, entries: Int64, amount: Int64) {
            self.kind = kind
            self.entries = entries
            self.amount = amount
        }
    }

    public init(
        account: AccountID, algorithm: Algorithm, period: AccountingPeriod?, start: Timestamp, end: Timestamp,
        opening: CustomerFunds, closing: CustomerFunds, movements: [Movement], market: LegalParty?, party: LegalParty?,
        issue: DocumentIssue? = nil
    ) {
        self.account = account
        self.algorithm = algorithm
        self.period = period
        self.start = start
        self.end = end
        self.opening = opening
        self.closing = closing
        self.movements = movements
        self.market = market
        self.party = party
        self.issue = issue
    }

    /// What values are given in besides bitcoin.
    public var currency: String? { party?.currency ?? market?.currency }
}

/// A document's place among those of the market.
public struct DocumentIssue: Hashable, Sendable {
    /// 1, 2, 3 ... within its kind, without gaps.
    public var number: Int64
    /// 1, 2, 3 ...
    public var version: Int64
    /// In the chain of all issued documents: 1, 2, 3 ...
    public var position: Int64
    /// Digest of the document at the position before; 32 zeros for the first.
    public var previous: [UInt8]
    public var issuedAt: Timestamp
    /// Digest of the version that it takes the place of, and why.
    public var supersedes: Superseded?

    public struct Superseded: Hashable, Sendable {
        public var version: Int64
        public var digest: [UInt8]
        public var reason: String

        public init(version: Int64, digest: [UInt8], reason: String) {
            self.version = version
            self.digest = digest
            self.reason = reason
        }
    }

    public init(
        number: Int64, version: Int64, position: Int64, previous: [UInt8], issuedAt: Timestamp, supersedes: Superseded? = nil
    ) {
        self.number = number
        self.version = version
        self.position = position
        self.previous = previous
        self.issuedAt = issuedAt
        self.supersedes = supersedes
    }

    public var json: CanonicalJSON {
        .members([
            "number": .integer(number), "version": .integer(version), "position": .integer(position),
            "previous": .text(HexText.encode(previous)), "issuedAt": .text(issuedAt.description),
            "supersedes": supersedes.map {
                .members([
                    "version": .integer($0.version), "digest": .text(HexText.encode($0.digest)), "reason": .text($0.reason),
                ])
            } ?? .null,
        ])
    }

    public init?(_ json: CanonicalJSON) {
        guard let number = json["number"]?.integer, let version = json["version"]?.integer, let position = json["position"]?.integer,
            let previous = json["previous"]?.text.flatMap(HexText.decode), previous.count == 32,
            let issuedAt = json["issuedAt"]?.text.flatMap(DocumentTime.read)
        else { return nil }
        self.init(number: number, version: version, position: position, previous: previous, issuedAt: issuedAt)
        guard let old = json["supersedes"], old != .null else { return }
        guard let version = old["version"]?.integer, let digest = old["digest"]?.text.flatMap(HexText.decode),
            let reason = old["reason"]?.text
        else { return nil }
        supersedes = Superseded(version: version, digest: digest, reason: reason)
    }
}

/// Bytes as lower-case hexadecimal digits.
public enum HexText {
    private static let digits = Array("0123456789abcdef".utf8)

    public static func encode(_ bytes: some Sequence<UInt8>) -> String {
        String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// nil unless these are pairs of lower-case digits.
    public static func decode(_ text: String) -> [UInt8]? {
        let values = text.utf8.map { digits.firstIndex(of: $0) }
        guard values.count.isMultiple(of: 2), !values.contains(nil) else { return nil }
        return stride(from: 0, to: values.count, by: 2).map { UInt8((values[$0] ?? 0) << 4 | (values[$0 + 1] ?? 0)) }
    }
}
