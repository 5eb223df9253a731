internal import Database
internal import Metering
internal import MigrationFiles
internal import Store
internal import StratumProxy

/// An edge's connections to the market's database, made when they are needed and can be: one set for routes and reports, one for
/// batches, so that these do not hold up those.
actor EdgeDatabases {
    private let location: DatabaseLocation
    private var control: Database?
    private var intake: Database?
    private var isClosed = false

    init(_ location: DatabaseLocation) { self.location = location }

    func forControl() async throws -> Database {
        if let control { return control }
        let opened = try await open(readers: 1)
        if let control {
            await opened.close()
            return control
        }
        control = opened
        return opened
    }

    func forBatches() async throws -> Database {
        if let intake { return intake }
        let opened = try await open(readers: 2)
        if let intake {
            await opened.close()
            return intake
        }
        intake = opened
        return opened
    }

    /// Migrations that the database lacks.
    func pendingMigrations() async throws -> [String] {
        try await forControl().withWriterConnection { try Migrator(.postgres).pending($0) }
    }

    func close() async {
        isClosed = true
        await control?.close()
        await intake?.close()
    }

    private func open(readers: Int) async throws -> Database {
        let opened = try await Database.open(location, configuration: .init(readers: readers))
        guard !isClosed else {
            await opened.close()
            throw DatabaseError.closed
        }
        return opened
    }
}

/// Sealed batches into the market's database, whenever it can be reached.
struct SeparateMeterSink: BatchSink {
    let databases: EdgeDatabases
    let rawShares: Bool

    func deliver(_ batch: SealedBatch, encoded: [UInt8], digest: [UInt8]) async throws {
        try await MeterStore(databases.forBatches(), rawShares: rawShares).apply(batch, digest: digest)
    }
}
