import BinaryCoding
import Crypto
import Database
import Exchange
import Foundation
import Market
import MarketTestSupport
import Metering
import MigrationFiles
import Store
import Synchronization
import TestSupport
import Testing
import Units

/// The edge's spool beside a market, as the edge leaves it.
private struct SpoolFile {
    let path: String

    init(beside tables: DatabaseLocation) throws {
        guard case .sqlite(let file) = tables else { preconditionFailure("the embedded database") }
        path = URL(filePath: file).deletingLastPathComponent().appending(path: "spool.sqlite").path()
        let connection = try open()
        defer { connection.close() }
        _ = try Migrator(.spool).migrate(connection)
        try connection.execute("INSERT INTO spool (id, edge, epoch) VALUES (1, 1, 1)")
    }

    private func open() throws -> any SQLConnection { try Database.openConnection(.sqlite(path: path)) }

    func keep(_ records: [MeterRecord]) throws {
        let connection = try open()
        defer { connection.close() }
        var writer = BinaryWriter()
        for record in records { record.encode(into: &writer) }
        try connection.execute(
            "INSERT INTO record_group (count, records) VALUES ($1, $2)", [SQLValue(records.count), SQLValue(writer.bytes)])
    }

    func seal(_ batch: SealedBatch) throws {
        let connection = try open()
        defer { connection.close() }
        let bytes = batch.encoded()
        try connection.execute(
            "INSERT INTO sealed_batch (sequence, digest, body) VALUES ($1, $2, $3)",
            [SQLValue(batch.sequence), SQLValue(digest(bytes)), SQLValue(bytes)])
        try connection.execute("DELETE FROM record_group")
        try connection.execute("UPDATE spool SET last_sequence = $1", [SQLValue(batch.sequence)])
    }

    func remove(_ batch: SealedBatch) throws {
        let connection = try open()
        defer { connection.close() }
        try connection.execute("DELETE FROM sealed_batch WHERE sequence = $1", [SQLValue(batch.sequence)])
    }
}

private func digest(_ bytes: [UInt8]) -> [UInt8] { Array(SHA256.hash(data: bytes)) }

/// Shares of a delivery, numbered.
private struct Shares {
    let delivery: DeliveryID
    let rig: RigID
    private var number: Int64 = 0

    init(of delivery: DeliveryID, rig: RigID) {
        self.delivery = delivery
        self.rig = rig
    }

    mutating func next(_ count: Int) -> [MeterRecord] {
        (0..<count).map { _ in
            number += 1
            return .share(ShareRecord(
                number: number, receivedAt: History.start, rig: rig, delivery: delivery, job: 1, verdict: .valid,
                difficulty: Work(units: 2), isBillable: true, isForwarded: false, extranonce2: [1], ntime: 1, nonce: 1, version: 1,
                hash: digest([UInt8(truncatingIfNeeded: number), UInt8(truncatingIfNeeded: number >> 8)])))
        }
    }
}

private func batch(_ sequence: Int64, _ records: [MeterRecord]) -> SealedBatch {
    SealedBatch(edge: EdgeID(1), epoch: 1, sequence: sequence, completeUntil: History.start, records: records)
}

/// A market with a running delivery and a spool; short work of what an edge does.
private struct MeteredMarket {
    let market: TestMarket
    let meter: MeterStore
    let spool: SpoolFile
    let delivery: DeliveryID
    let folder: String
    var shares: Shares

    static func with(_ body: (inout MeteredMarket) async throws -> Void) async throws {
        try await Engine.sqlite.withStorage { storage in
            try await TestMarket.with(storage) { market in
                let delivery = try await market.openDelivery()
                let rig = try #require(market.writer.read { $0.deliveries[delivery]?.rig })
                let meter = MeterStore(market.database)
                #expect(try await meter.allotEpoch(edge: EdgeID(1), at: History.start) == 1)
                let spool = try SpoolFile(beside: storage.tables)
                var metered = MeteredMarket(
                    market: market, meter: meter, spool: spool, delivery: delivery,
                    folder: URL(filePath: spool.path).deletingLastPathComponent().path(), shares: Shares(of: delivery, rig: rig))
                try await body(&metered)
            }
        }
    }

    /// What the edge does with a sealed batch.
    func ship(_ batch: SealedBatch) async throws {
        try await meter.apply(batch, digest: digest(batch.encoded()))
        try spool.remove(batch)
    }

    /// Bills what was metered.
    func settle(run: Int64) async throws {
        let work = try await meter.billableWork(from: delivery, through: delivery)[delivery] ?? .zero
        try await market.submit(.settle(run: run, chunk: 0, [DeliveryTotal(delivery: delivery, billableWork: work, isFinal: false)]))
    }

    var target: String { folder + "backup" }

    func backup(recordsPerBatch: Int = 20_000) -> MarketBackup {
        MarketBackup(of: folder, to: target, recordsPerBatch: recordsPerBatch)
    }

    var copy: Storage {
        Storage(tables: .sqlite(path: target + "/market.sqlite"), journal: .sqlite(path: target + "/journal.sqlite"))
    }

    func checkCopy(shares: Int64, batches: [Int64]) async throws {
        let report = try await JournalVerifier(tables: copy.tables, journal: copy.journal).run()
        #expect(report.findings == [])
        #expect(try copy.query("SELECT count(*) FROM shares")[0].int64(0) == shares)
        #expect(try copy.query("SELECT sequence FROM batches ORDER BY sequence").map { try $0.int64(0) } == batches)
        #expect(try await copy.withTables { try await Audit($0).run() }.filter { $0.violations > 0 } == [])
    }
}

@Suite("Backup")
struct BackupTests {
    /// Everything goes on while the files are copied one after the other.
    @Test func copiesMadeUnderLoadFit() async throws {
        try await MeteredMarket.with { metered in
            let first = metered.shares.next(1), second = metered.shares.next(2), third = metered.shares.next(3)
            try metered.spool.seal(batch(1, first))
            try await metered.ship(batch(1, first))
            try metered.spool.seal(batch(2, second))
            try metered.spool.keep(third)
            try await metered.settle(run: 1)
            try await metered.market.deposit("before")
            let before = try metered.market.storage.positions().journal

            var later = metered
            let (more, last) = (later.shares.next(1), later.shares.next(4))
            let frozen = later
            let report = try await metered.backup().run { step in
                switch step.part {
                case .spool:
                    // What the copy has not sealed is in the tables' next batch, with more.
                    try await frozen.ship(batch(2, second))
                    try frozen.spool.seal(batch(3, third + more))
                    try await frozen.ship(batch(3, third + more))
                    try await frozen.settle(run: 2)
                    await frozen.market.service.projected()
                case .tables:
                    // Billed for work that the tables' copy does not know.
                    try frozen.spool.seal(batch(4, last))
                    try await frozen.ship(batch(4, last))
                    try await frozen.settle(run: 3)
                    try await frozen.market.deposit("after the tables")
                case .journal, .secret, .checked, .drained: try await frozen.market.deposit("after \(step.part)")
                }
            }
            #expect(report.position > before)
            #expect(report.batches == 0)
            try await metered.checkCopy(shares: 7, batches: [1, 2, 3])
            #expect(!FileManager.default.fileExists(atPath: metered.target + "/spool.sqlite"))
            #expect(try metered.copy.positions().journal == report.position)

            // The restored market goes on, with an epoch of its own for its edge.
            let copy = metered.copy
            try await TestMarket.with(copy) { restored in
                #expect(try restored.deposits(named: "before") == 1)
                #expect(try restored.deposits(named: "after the tables") == 0)
                try await restored.deposit("afterwards")
                #expect(try await MeterStore(restored.database).allotEpoch(edge: EdgeID(1), at: History.start) == 2)
                await restored.service.projected()
            }
            #expect(try await JournalVerifier(tables: copy.tables, journal: copy.journal).run().findings == [])
            // And so does the original.
            let original = metered.market
            await original.service.projected()
            #expect(try await JournalVerifier(tables: original.storage.tables, journal: original.storage.journal).run().findings == [])
            #expect(try original.deposits(named: "after drained") == 1)
        }
    }

    /// What the projector had not done when the backup began is in it all the same.
    @Test func answersGivenBeforeAreInIt() async throws {
        try await MeteredMarket.with { metered in
            await metered.market.service.projected()
            metered.market.tables.isAway.withLock { $0 = true }
            try await metered.market.deposit("answered")
            let positions = try metered.market.storage.positions()
            #expect(positions.tables < positions.journal)
            let report = try await metered.backup().run()
            #expect(report.position == positions.journal)
            let copied = try metered.copy.positions()
            #expect(copied.tables == positions.tables)
            #expect(copied.journal == positions.journal)
            metered.market.tables.isAway.withLock { $0 = false }
            try await TestMarket.with(metered.copy) { restored in
                let found = try restored.deposits(named: "answered")
                #expect(found == 1)
            }
        }
    }

    @Test func whatTheSpoolHoldsIsBroughtIntoTheTables() async throws {
        try await MeteredMarket.with { metered in
            let first = metered.shares.next(1), second = metered.shares.next(2), rest = metered.shares.next(5)
            try metered.spool.seal(batch(1, first))
            try await metered.ship(batch(1, first))
            try metered.spool.seal(batch(2, second))
            try metered.spool.keep(Array(rest.prefix(2)))
            try metered.spool.keep(Array(rest.dropFirst(2)))
            #expect(try await metered.backup(recordsPerBatch: 2).run().batches == 4)
            try await metered.checkCopy(shares: 8, batches: [1, 2, 3, 4, 5])
            // Nothing of that touched the original.
            #expect(try metered.market.storage.query("SELECT count(*) FROM batches")[0].int64(0) == 1)
        }
    }

    /// Of several batches made of what the spool's copy has not sealed, the tables' copy has the first ones.
    @Test func batchesThatTheTablesHaveAreNotBroughtTwice() async throws {
        try await MeteredMarket.with { metered in
            let rest = metered.shares.next(5)
            try metered.spool.keep(rest)
            let frozen = metered
            let report = try await metered.backup(recordsPerBatch: 2).run { step in
                guard step.part == .spool else { return }
                try await frozen.ship(batch(1, Array(rest[0..<2])))
                try await frozen.ship(batch(2, Array(rest[2..<4])))
            }
            #expect(report.batches == 1)
            try await metered.checkCopy(shares: 5, batches: [1, 2, 3])
        }
    }

    @Test func nothingIsOverwritten() async throws {
        try await MeteredMarket.with { metered in
            for name in ["backup", "backup.partial"] {
                let path = metered.folder + name
                try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
                let error = await #expect(throws: BackupError.self) { try await metered.backup().run() }
                #expect(error?.description.contains(path) == true)
                #expect(try FileManager.default.contentsOfDirectory(atPath: path) == [])
                try FileManager.default.removeItem(atPath: path)
            }
            let empty = metered.folder + "empty"
            await #expect(throws: BackupError.self) {
                try await MarketBackup(of: empty, to: metered.target, recordsPerBatch: 1).run()
            }
            #expect(!FileManager.default.fileExists(atPath: empty))
            #expect(!FileManager.default.fileExists(atPath: metered.target))
        }
    }

    @Test func copiesAreForTheirOwnerOnly() async throws {
        try await MeteredMarket.with { metered in
            let secret = Data((0..<32).map { UInt8($0) })
            #expect(FileManager.default.createFile(atPath: metered.folder + "api.secret", contents: secret))
            _ = try await metered.backup().run()
            #expect(FileManager.default.contents(atPath: metered.target + "/api.secret") == secret)
            func mode(_ path: String) throws -> Int? {
                (try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? NSNumber)?.intValue
            }
            #expect(try mode(metered.target + "/api.secret") == 0o600)
            #expect(try mode(metered.target) == 0o700)
            #expect(try mode(metered.target + "/market.sqlite") == 0o600)
            #expect(try mode(metered.target + "/journal.sqlite") == 0o600)
        }
    }

    /// A damaged source makes no backup, and leaves none behind.
    @Test func aDamagedSpoolIsNamed() async throws {
        try await MeteredMarket.with { metered in
            try metered.spool.seal(batch(1, metered.shares.next(3)))
            let connection = try Database.openConnection(.sqlite(path: metered.spool.path))
            try connection.execute("UPDATE sealed_batch SET body = X'0102'")
            connection.close()
            let error = await #expect(throws: BackupError.self) { try await metered.backup().run() }
            #expect(error?.description.contains("digest") == true)
            #expect(!FileManager.default.fileExists(atPath: metered.target))
            #expect(!FileManager.default.fileExists(atPath: metered.target + ".partial"))
        }
    }

    @Test func anOldSchemaIsRefused() async throws {
        try await Engine.sqlite.withStorage(schema: 1) { storage in
            guard case .sqlite(let path) = storage.tables else { return }
            let folder = URL(filePath: path).deletingLastPathComponent().path()
            let error = await #expect(throws: BackupError.self) {
                try await MarketBackup(of: folder, to: folder + "backup", recordsPerBatch: 1).run()
            }
            #expect(error?.description.contains("hashspot migrate") == true)
        }
    }
}
