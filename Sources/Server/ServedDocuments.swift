internal import Documents
internal import Foundation
internal import Settlement
internal import Store
internal import Units
internal import WebAPI

/// The desk for documents over the tables and the signing key's file.
struct ServedDocuments: DocumentDesk {
    let store: DocumentStore
    let signingKeyFile: String
    let now: @Sendable () -> Timestamp

    func list(_ kind: DocumentKind, account: AccountID?, after cursor: Int64, limit: Int) async throws -> [DocumentSummary] {
        try await store.list([kind], account: account, after: cursor, limit: limit)
    }

    func find(_ kind: DocumentKind, _ number: Int64, version: Int64?) async throws -> DocumentSummary? {
        try await store.find(kind, number, version: version)
    }

    func content(_ document: DocumentSummary, _ form: DocumentForm) async throws -> any DocumentContent {
        let file = try await store.file(document.position)
        guard let format = ExportFormat(rawValue: form.rawValue) else { return SpooledContent(file: file) }
        let path = FileManager.default.temporaryDirectory.appending(path: "hashspot-\(UUID().uuidString)").path()
        // Once it is open nobody needs its name.
        defer { unlink(path) }
        try DocumentTable.export(file, format, path: path, madeAt: document.issuedAt)
        return SpooledContent(file: try SpoolFile(reading: path))
    }

    func issue(_ request: DocumentRequest, by: AccountID) async throws -> DocumentSummary {
        try await store.issue(
            request, closedThrough: try await store.closedThrough(), key: try SigningKey(file: signingKeyFile), by: by, at: now())
    }

    func parties(_ account: AccountID?) async throws -> [EffectiveParty] { try await store.parties(account) }

    func record(_ party: EffectiveParty, by: AccountID) async throws { try await store.record(party, by: by, at: now()) }

    func rates(from day: AccountingPeriod?, limit: Int) async throws -> [DailyRate] { try await store.rates(from: day, limit: limit) }

    func importRates(_ file: [UInt8], reason: String?, by: AccountID) async throws -> RateImportOutcome {
        let result = try await store.importRates(file, reason: reason, by: by, at: now())
        return RateImportOutcome(
            added: result.added, corrected: result.corrected, unchanged: result.unchanged, flaws: result.flaws)
    }

    func signingKeys() async throws -> [ListedSigningKey] {
        try await store.keys().map { ListedSigningKey(id: $0.key.id, key: $0.key.key, firstUsed: $0.firstUsed) }
    }
}

private struct SpooledContent: DocumentContent {
    let file: SpoolFile

    func read() throws -> [UInt8] { try file.read() }
}
