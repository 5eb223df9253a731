public import Settlement
public import Units

/// Forms that a document is served in.
public enum DocumentForm: String, Sendable, CaseIterable {
    /// The canonical bytes with their seal: what can be verified.
    case document
    case csv, json, xlsx, pdf

    var contentType: String {
        switch self {
        case .document: "application/vnd.hashspot.document"
        case .csv: "text/csv; charset=utf-8; header=present"
        case .json: "application/json"
        case .xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
        case .pdf: "application/pdf"
        }
    }

    var fileEnding: String { self == .document ? "jsonl" : rawValue }
}

/// A file that is read once, piece by piece.
public protocol DocumentContent: Sendable {
    /// The next bytes; empty at the end.
    func read() throws -> [UInt8]
}

/// A public key that documents are signed with.
public struct ListedSigningKey: Hashable, Sendable {
    public var id: String
    /// 32 bytes, Ed25519.
    public var key: [UInt8]
    public var firstUsed: Timestamp

    public init(id: String, key: [UInt8], firstUsed: Timestamp) {
        self.id = id
        self.key = key
        self.firstUsed = firstUsed
    }
}

/// What came of an import of rates: nothing is kept if there are flaws.
public struct RateImportOutcome: Hashable, Sendable {
    public var added: Int
    public var corrected: Int
    public var unchanged: Int
    public var flaws: [ImportFlaw]

    public init(added: Int, corrected: Int, unchanged: Int, flaws: [ImportFlaw]) {
        self.added = added
        self.corrected = corrected
        self.unchanged = unchanged
        self.flaws = flaws
    }
}

/// Statements, invoices and notes, and what they need.
public protocol DocumentDesk: Sendable {
    /// By position, after `cursor`; of one account (of notes, either side) or of all.
    func list(_ kind: DocumentKind, account: AccountID?, after cursor: Int64, limit: Int) async throws -> [DocumentSummary]
    /// nil for `version`: the newest.
    func find(_ kind: DocumentKind, _ number: Int64, version: Int64?) async throws -> DocumentSummary?
    func content(_ document: DocumentSummary, _ form: DocumentForm) async throws -> any DocumentContent
    /// - Throws: `DocumentRefusal`
    func issue(_ request: DocumentRequest, by: AccountID) async throws -> DocumentSummary
    /// One account's and the market's, or all.
    func parties(_ account: AccountID?) async throws -> [EffectiveParty]
    /// - Throws: `DocumentRefusal`
    func record(_ party: EffectiveParty, by: AccountID) async throws
    func rates(from day: AccountingPeriod?, limit: Int) async throws -> [DailyRate]
    func importRates(_ file: [UInt8], reason: String?, by: AccountID) async throws -> RateImportOutcome
    func signingKeys() async throws -> [ListedSigningKey]
}
