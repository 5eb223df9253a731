internal import BinaryCoding
internal import Crypto
internal import Database
internal import Market
internal import Metering
internal import Units

/// What a copied spool holds: batches that the database had not confirmed, and records that no batch had yet.
struct SpoolContent: Sendable {
    private struct Numbering {
        var edge: EdgeID
        var epoch: Int64
        var lastSequence: Int64
        var completeUntil: Timestamp
    }

    private var sealed: [(batch: SealedBatch, digest: [UInt8])] = []
    /// Records in no batch yet, as the edge will have sealed them next: oldest first, so many at a time.
    private var unsealed: [SealedBatch] = []
    private var source: (edge: EdgeID, epoch: Int64)?

    /// - Throws: ``BackupError`` if something in it cannot be read
    init(path: String, recordsPerBatch: Int) throws {
        let connection = try Database.openConnection(.sqlite(path: path))
        defer { connection.close() }
        guard let row = try connection.queryOne("SELECT edge, epoch, last_sequence, complete_until FROM spool WHERE id = 1")
        else { return }
        let numbering = Numbering(
            edge: EdgeID(try row.int64(0)), epoch: try row.int64(1), lastSequence: try row.int64(2),
            completeUntil: Timestamp(microseconds: try row.int64(3)))
        source = (numbering.edge, numbering.epoch)
        for row in try connection.query("SELECT digest, body FROM sealed_batch ORDER BY sequence") {
            let (digest, body) = (try row.blob(0), try row.blob(1))
            guard Self.digest(body) == digest else { throw BackupError.damaged(file: path, detail: "a batch's digest") }
            sealed.append((try Self.decoding(path) { () throws(BinaryCodingError) in try SealedBatch(decoding: body) }, digest))
        }
        let records = try Self.unsealedRecords(connection, path)
        for start in stride(from: 0, to: records.count, by: recordsPerBatch) {
            unsealed.append(SealedBatch(
                edge: numbering.edge, epoch: numbering.epoch, sequence: numbering.lastSequence + Int64(unsealed.count) + 1,
                completeUntil: numbering.completeUntil,
                records: Array(records[start..<min(start + recordsPerBatch, records.count)])))
        }
    }

    private static func unsealedRecords(_ connection: any SQLConnection, _ path: String) throws -> [MeterRecord] {
        var records: [MeterRecord] = []
        for row in try connection.query("SELECT count, records FROM record_group ORDER BY id") {
            let (count, bytes) = (try row.int64(0), try row.blob(1))
            records += try decoding(path) { () throws(BinaryCodingError) in
                var reader = BinaryReader(bytes)
                var group: [MeterRecord] = []
                for _ in 0..<count { group.append(try MeterRecord(from: &reader)) }
                try reader.finish()
                return group
            }
        }
        return records
    }

    private static func decoding<T>(_ path: String, _ body: () throws(BinaryCodingError) -> T) throws(BackupError) -> T {
        do throws(BinaryCodingError) { return try body() } catch { throw .damaged(file: path, detail: "\(error)") }
    }

    private static func digest(_ bytes: [UInt8]) -> [UInt8] { Array(SHA256.hash(data: bytes)) }

    /// Brings into the tables what they do not have. They were copied after the spool: what it had not sealed may be in their
    /// next batches of its epoch, with more behind it.
    ///
    /// - Returns: how many batches were new
    func ship(to meter: MeterStore, in database: Database) async throws -> Int {
        guard let source else { return 0 }
        let known = try await database.read { connection in
            try connection.queryOne(
                "SELECT coalesce(max(sequence), 0) FROM batches WHERE edge = $1 AND epoch = $2",
                [.integer(source.edge.rawValue), .integer(source.epoch)])?.int64(0) ?? 0
        }
        // Those that it knows are compared by their digests.
        for (batch, digest) in sealed { try await meter.apply(batch, digest: digest) }
        let rest = unsealed.filter { $0.sequence > known }
        for batch in rest { try await meter.apply(batch, digest: Self.digest(batch.encoded())) }
        return sealed.count { $0.batch.sequence > known } + rest.count
    }
}
