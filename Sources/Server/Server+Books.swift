internal import Database
internal import Foundation
internal import MigrationFiles
public import Store
internal import StratumProxy

// What is done with a market's stored data beside the server, or without one.

extension Server {
    /// Proves journal and tables; may run beside a server.
    public static func verify(
        _ configuration: ServerConfiguration, progress: @escaping @Sendable (ReplayProgress) -> Void
    ) async throws -> StorageVerification {
        try await checkSchema(configuration)
        return try await JournalVerifier(tables: configuration.tablesLocation, journal: configuration.journalLocation)
            .run(progress: progress)
    }

    /// Makes the tables that derive from the journal anew. No server may run.
    ///
    /// - Parameters:
    ///   - deposing: on Postgres, even if others use the database
    ///   - continuing: from where an interrupted rebuild ended
    /// - Returns: the tables' position
    public static func rebuild(
        _ configuration: ServerConfiguration, deposing: Bool, continuing: Bool,
        progress: @escaping @Sendable (ReplayProgress) -> Void
    ) async throws -> Int64 {
        let rebuilder = TableRebuilder(tables: configuration.tablesLocation, journal: configuration.journalLocation)
        guard configuration.tablesLocation.dialect == .sqlite else {
            try await checkSchema(configuration)
            return try await rebuilder.run(deposing: deposing, continuing: continuing, progress: progress)
        }
        try checkExists(configuration)
        let folder = try DataFolder(configuration.dataFolder)
        defer { folder.unlock() }
        try await checkSchema(configuration)
        return try await rebuilder.run(continuing: continuing, progress: progress)
    }

    /// Copies the embedded databases of a running or stopped server into a new folder.
    public static func backup(
        _ configuration: ServerConfiguration, to target: String, progress: @Sendable (BackupStep) async throws -> Void
    ) async throws -> BackupReport {
        guard configuration.tablesLocation.dialect == .sqlite else {
            throw ServerStartError("Postgres is backed up by its own means: see docs/operations.md")
        }
        try checkExists(configuration)
        let records = EdgeConfiguration.SpoolTimes().recordsPerBatch
        return try await MarketBackup(of: configuration.dataFolder, to: target, recordsPerBatch: records).run(progress: progress)
    }

    /// That there is a whole market, of this program's schema.
    private static func checkSchema(_ configuration: ServerConfiguration) async throws {
        if configuration.tablesLocation.dialect == .sqlite {
            try checkExists(configuration)
            let journal = try Database.openConnection(configuration.journalLocation)
            defer { journal.close() }
            let pending = try Migrator(.sqliteJournal).pending(journal)
            guard pending.isEmpty else {
                throw ServerStartError("The journal lacks \(pending.joined(separator: ", ")): run `hashspot migrate` first")
            }
        }
        await (try openTables(configuration)).close()
    }

    private static func checkExists(_ configuration: ServerConfiguration) throws(ServerStartError) {
        guard case .sqlite(let tables) = configuration.tablesLocation, case .sqlite(let journal) = configuration.journalLocation
        else { return }
        guard [tables, journal].contains(where: { FileManager.default.fileExists(atPath: $0) }) else {
            throw ServerStartError("There is no market in \(configuration.dataFolder)")
        }
        try DataFolder.checkComplete(configuration)
    }
}
