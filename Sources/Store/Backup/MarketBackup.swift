internal import Database
internal import Foundation
internal import Market
internal import MigrationFiles

/// Why there is no backup; the text is for the operator.
public enum BackupError: Error, CustomStringConvertible {
    case noMarket(folder: String)
    case targetExists(String)
    case oldSchema(file: String, missing: [String])
    case damaged(file: String, detail: String)
    case file(String, detail: String)

    public var description: String {
        switch self {
        case .noMarket(let folder): "there is no market in \(folder)"
        case .targetExists(let path): "\(path) is there already: a backup never overwrites anything"
        case .oldSchema(let file, let missing):
            "\(file) lacks \(missing.joined(separator: ", ")): run `hashspot migrate` first, or stop the server and copy the folder"
        case .damaged(let file, let detail): "\(file) is damaged: \(detail)"
        case .file(let path, let detail): "\(path): \(detail)"
        }
    }
}

/// A step of a backup that is done.
public struct BackupStep: Sendable, Hashable {
    public enum Part: String, Sendable, Hashable {
        case spool, tables, journal, secret, checked, drained
    }

    public var part: Part
    /// Size of what was written.
    public var bytes: Int64
}

/// What a backup holds.
public struct BackupReport: Sendable, Hashable {
    /// The last command in it.
    public var position: Int64
    /// Batches of the spool that the copied tables did not have, and now do.
    public var batches: Int
    public var bytes: Int64
}

/// A consistent copy of the embedded databases, of a running or stopped server, into a folder of its own.
///
/// The copies are made one after the other while everything goes on. The order makes them fit:
/// 1. The journal's position is read: everything answered until now will be in the backup.
/// 2. The spool: a batch leaves it only when the tables have it, so what is not in this copy is in the tables' copy.
/// 3. The tables.
/// 4. The journal, which so is never behind the tables. What it has beyond both its position at 1 and the tables' is cut
///    off: a settlement that saw work metered after 3 would bill more than the copy's meter knows.
/// 5. What the copied spool holds and the copied tables lack is brought into them, and no spool is kept: the restored market
///    makes a new one, under a new epoch of its edge. So no number of a batch, a share or a session is ever used again.
public struct MarketBackup: Sendable {
    private static let names = (journal: "journal.sqlite", tables: "market.sqlite", spool: "spool.sqlite", secret: "api.secret")

    private let source: String
    private let target: String
    private let recordsPerBatch: Int

    /// - Parameters:
    ///   - source: the data folder of a market
    ///   - target: a folder that is not there yet
    ///   - recordsPerBatch: how many records the edge seals in a batch
    public init(of source: String, to target: String, recordsPerBatch: Int) {
        self.source = source
        self.target = target.count > 1 && target.hasSuffix("/") ? String(target.dropLast()) : target
        self.recordsPerBatch = recordsPerBatch
    }

    /// Until it is complete, the copy is in a folder with `.partial` at the end of its name.
    ///
    /// - Parameter progress: called after each step
    /// - Throws: ``BackupError`` or the database's error; then nothing is left
    public func run(progress: @Sendable (BackupStep) async throws -> Void = { _ in }) async throws -> BackupReport {
        try checkSource()
        let partial = target + ".partial"
        for path in [target, partial] where FileManager.default.fileExists(atPath: path) {
            throw BackupError.targetExists(path)
        }
        try Self.attempt(partial) {
            try FileManager.default.createDirectory(
                atPath: partial, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        }
        do {
            let report = try await copy(to: partial, progress)
            try Self.attempt(target) { try FileManager.default.moveItem(atPath: partial, toPath: target) }
            return report
        } catch {
            try? FileManager.default.removeItem(atPath: partial)
            throw error
        }
    }

    private func checkSource() throws {
        for name in [Self.names.journal, Self.names.tables] where !FileManager.default.fileExists(atPath: "\(source)/\(name)") {
            throw BackupError.noMarket(folder: source)
        }
        for (name, stream) in [(Self.names.journal, MigrationStream.sqliteJournal), (Self.names.tables, .sqlite)] {
            let connection = try Database.openConnection(.sqlite(path: "\(source)/\(name)"))
            defer { connection.close() }
            let missing = try Migrator(stream).pending(connection)
            guard missing.isEmpty else { throw BackupError.oldSchema(file: name, missing: missing) }
        }
    }

    private func copy(to folder: String, _ progress: @Sendable (BackupStep) async throws -> Void) async throws -> BackupReport {
        let answered = try position(of: source)
        var bytes: Int64 = 0
        let hasSpool = FileManager.default.fileExists(atPath: "\(source)/\(Self.names.spool)")
        if hasSpool {
            try await progress(BackupStep(part: .spool, bytes: try copy(Self.names.spool, to: folder)))
        }
        for (part, name) in [(BackupStep.Part.tables, Self.names.tables), (.journal, Self.names.journal)] {
            let size = try copy(name, to: folder)
            bytes += size
            try await progress(BackupStep(part: part, bytes: size))
        }
        try copySecret(to: folder)
        try await progress(BackupStep(part: .secret, bytes: 0))
        for name in [Self.names.tables, Self.names.journal] + (hasSpool ? [Self.names.spool] : []) {
            try checkIntegrity("\(folder)/\(name)")
        }
        try await progress(BackupStep(part: .checked, bytes: bytes))
        let position = try cutJournal(in: folder, answered: answered)
        let batches = hasSpool ? try await drainSpool(in: folder) : 0
        for name in [Self.names.tables, Self.names.journal] { try Self.sync("\(folder)/\(name)") }
        try await progress(BackupStep(part: .drained, bytes: bytes))
        return BackupReport(position: position, batches: batches, bytes: bytes)
    }

    // MARK: - Files

    /// One snapshot of a file, while others write to it.
    private func copy(_ name: String, to folder: String) throws -> Int64 {
        let path = "\(folder)/\(name)"
        let connection = try Database.openConnection(.sqlite(path: "\(source)/\(name)"))
        defer { connection.close() }
        try connection.execute("VACUUM INTO $1", [.text(path)])
        let size = try Self.attempt(path) {
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
            return try FileManager.default.attributesOfItem(atPath: path)[.size] as? NSNumber
        }
        return size?.int64Value ?? 0
    }

    private func copySecret(to folder: String) throws {
        let path = "\(source)/\(Self.names.secret)"
        guard let secret = FileManager.default.contents(atPath: path) else { return }
        let copy = "\(folder)/\(Self.names.secret)"
        guard FileManager.default.createFile(atPath: copy, contents: secret, attributes: [.posixPermissions: 0o600]) else {
            throw BackupError.file(copy, detail: "cannot be written")
        }
        try Self.sync(copy)
    }

    private func checkIntegrity(_ path: String) throws {
        let connection = try Database.openConnection(.sqlite(path: path))
        defer { connection.close() }
        for check in ["integrity_check(1)", "foreign_key_check"] {
            guard let row = try connection.queryOne("PRAGMA \(check)") else { continue }
            let finding = (try? row.text(0)) ?? "\(row)"
            guard finding == "ok" else { throw BackupError.damaged(file: path, detail: finding) }
        }
    }

    private static func sync(_ path: String) throws {
        try attempt(path) {
            let handle = try FileHandle(forUpdating: URL(filePath: path))
            try handle.synchronize()
            try handle.close()
        }
    }

    private static func attempt<T>(_ path: String, _ body: () throws -> T) throws(BackupError) -> T {
        do { return try body() } catch { throw .file(path, detail: error.localizedDescription) }
    }

    // MARK: - Making the copies fit

    private func position(of folder: String) throws -> Int64 {
        let connection = try Database.openConnection(.sqlite(path: "\(folder)/\(Self.names.journal)"))
        defer { connection.close() }
        return try JournalPages(connection: connection).position().last
    }

    /// - Returns: where the journal's copy ends now
    private func cutJournal(in folder: String, answered: Int64) throws -> Int64 {
        let tables = try Database.openConnection(.sqlite(path: "\(folder)/\(Self.names.tables)"))
        defer { tables.close() }
        let projected = try tables.queryOne("SELECT last FROM projector WHERE id = 1")?.int64(0) ?? 0
        let end = max(answered, projected)
        let journal = try Database.openConnection(.sqlite(path: "\(folder)/\(Self.names.journal)"))
        defer { journal.close() }
        try journal.transaction {
            try journal.execute("DELETE FROM journal WHERE last > $1", [.integer(end)])
            let kept = try journal.queryOne("SELECT coalesce(max(last), 0) FROM journal")?.int64(0)
            guard kept == end else {
                throw BackupError.damaged(file: Self.names.journal, detail: "it has no row that ends at \(end)")
            }
            try journal.execute("UPDATE writer SET last = $1 WHERE id = 1", [.integer(end)])
        }
        return end
    }

    private func drainSpool(in folder: String) async throws -> Int {
        let path = "\(folder)/\(Self.names.spool)"
        let database = try await Database.open(.sqlite(path: "\(folder)/\(Self.names.tables)"))
        do {
            let spool = try SpoolContent(path: path, recordsPerBatch: recordsPerBatch)
            let applied = try await spool.ship(to: MeterStore(database), in: database)
            await database.close()
            for end in ["", "-wal", "-shm"] where FileManager.default.fileExists(atPath: path + end) {
                try Self.attempt(path) { try FileManager.default.removeItem(atPath: path + end) }
            }
            return applied
        } catch {
            await database.close()
            throw error
        }
    }
}
