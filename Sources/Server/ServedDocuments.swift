internal import Dispatch
internal import Documents
internal import Foundation
internal import Settlement
internal import Store
internal import Synchronization
internal import Units
internal import WebAPI

/// The desk for documents over the tables and the signing key's file.
struct ServedDocuments: DocumentDesk {
    let store: DocumentStore
    let signingKeyFile: String
    let now: @Sendable () -> Timestamp
    let exports = ExportQueue()

    func list(_ kind: DocumentKind, account: AccountID?, after cursor: Int64, limit: Int) async throws -> [DocumentSummary] {
        try await store.list([kind], account: account, after: cursor, limit: limit)
    }

    func find(_ kind: DocumentKind, _ number: Int64, version: Int64?) async throws -> DocumentSummary? {
        try await store.find(kind, number, version: version)
    }

    func content(_ document: DocumentSummary, _ form: DocumentForm) async throws -> any DocumentContent {
        let file = try await store.file(document.position)
        guard let format = ExportFormat(rawValue: form.rawValue) else { return SpooledContent(file: file) }
        return try await exports.run { try ServedDocuments.exported(file, format, madeAt: document.issuedAt) }
    }

    /// The document in another form, in a file that only this process may read and that has no name any more.
    private static func exported(_ file: SpoolFile, _ format: ExportFormat, madeAt: Timestamp) throws -> SpooledContent {
        let path = FileManager.default.temporaryDirectory.appending(path: "hashspot-\(UUID().uuidString)").path()
        // The libraries that write it truncate what is there, and keep its mode.
        let descriptor = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw DocumentError("\(path) cannot be made: \(String(cString: strerror(errno)))") }
        close(descriptor)
        // Once it is open nobody needs its name.
        defer { unlink(path) }
        try DocumentTable.export(file, format, path: path, madeAt: madeAt)
        return SpooledContent(file: try SpoolFile(reading: path))
    }

    func issue(_ request: DocumentRequest, by: AccountID) async throws -> DocumentSummary {
        let key = try await store.signingKey(file: signingKeyFile)
        return try await store.issue(
            request, closedThrough: try await store.closedThrough(), key: key, by: by, at: now())
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

/// Makes exports one after another, on a thread that is not one of the cooperative pool's. Only so many may wait.
final class ExportQueue: Sendable {
    static let mostWaiting = 8

    private let queue = DispatchQueue(label: "hashspot.exports")
    /// Waiting, or the one that is being made.
    private let admitted = Mutex(0)

    /// - Throws: what `body` throws, or a `DocumentError` when too many wait already
    func run<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
        guard admit() else { throw DocumentError("\(ExportQueue.mostWaiting) exports are waiting already") }
        return try await withCheckedThrowingContinuation { continuation in
            queue.async {
                let result = Result { try body() }
                self.admitted.withLock { $0 -= 1 }
                continuation.resume(with: result)
            }
        }
    }

    private func admit() -> Bool {
        admitted.withLock { count in
            guard count <= ExportQueue.mostWaiting else { return false }
            count += 1
            return true
        }
    }
}

private struct SpooledContent: DocumentContent {
    let file: SpoolFile

    func read() throws -> [UInt8] { try file.read() }
}
