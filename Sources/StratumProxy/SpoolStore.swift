import BinaryCoding
import Crypto
import Database
import Metering
import MigrationFiles
import Units

/// How far a spool's numbering had come when it was opened.
struct SpoolState: Sendable {
    var epoch: Int64
    var lastShare: Int64
    var lastJob: Int64
    /// Sessions from here up to `sessionLimit` may be given out.
    var nextSession: Int64
    var sessionLimit: Int64
    var completeUntil: Timestamp
    /// Billable work by delivery in records that the database has not confirmed, by batch; 0 for unsealed records.
    var unshipped: [UnshippedWork]
}

struct UnshippedWork: Sendable {
    /// 0 when not yet sealed.
    var sequence: Int64
    var work: [DeliveryID: Work]
}

/// A sealed batch as it is shipped.
struct ShippableBatch: Sendable {
    var batch: SealedBatch
    var encoded: [UInt8]
    var digest: [UInt8]
}

/// Why the spool did not take records. The text is for the log.
enum SpoolFailure: Error, Sendable, CustomStringConvertible {
    case full(bytes: Int64)
    case database(DatabaseError)
    case migration(MigrationError)
    case otherEdge
    case corrupt(String)
    case notOpen

    var description: String {
        switch self {
        case .full(let bytes): "\(bytes) bytes wait for the database"
        case .database(let error): error.detail
        case .migration(let error): error.description
        case .otherEdge: "made by another edge"
        case .corrupt(let what): "corrupt: \(what)"
        case .notOpen: "not open"
        }
    }
}

/// The spool's file: records by commit, sealed batches, numbering. Used from one thread.
final class SpoolStore {
    private let connection: any SQLConnection
    private let edge: EdgeID
    private let maximalBytes: Int64
    private var epoch: Int64 = 0
    private var lastSequence: Int64 = 0
    private var completeUntil = Timestamp(microseconds: 0)
    /// Committed records that no batch has yet.
    private var unsealed: [MeterRecord] = []
    private var waitingBytes: Int64 = 0

    /// Odd, so that starts do not meet the same prefixes again (they are the numbers' low 16 bits) for 65,536 starts.
    /// Many: a fleet that comes back takes two for each rig while the next ones are being reserved.
    static let sessionsReserved: Int64 = 32_771

    init(path: String, edge: EdgeID, maximalBytes: Int64) throws(SpoolFailure) {
        self.edge = edge
        self.maximalBytes = maximalBytes
        do throws(DatabaseError) {
            connection = try Database.openConnection(.sqlite(path: path), checksIntegrity: true)
        } catch {
            throw .database(error)
        }
        do throws(MigrationError) {
            _ = try Migrator(.spool).migrate(connection)
        } catch {
            connection.close()
            throw .migration(error)
        }
    }

    func close() { connection.close() }

    // MARK: opening

    /// The epoch of an existing spool; nil when it is new.
    func knownEpoch() throws(SpoolFailure) -> Int64? {
        let row = try rewrapping { () throws(DatabaseError) in
            try connection.queryOne("SELECT edge, epoch FROM spool WHERE id = 1").map { row throws(DatabaseError) in
                (edge: try row.int64(0), epoch: try row.int64(1))
            }
        }
        guard let row else { return nil }
        guard row.edge == edge.rawValue else { throw .otherEdge }
        return row.epoch
    }

    /// Loads what an earlier run left, after making the spool's row if it is new.
    func open(newEpoch: Int64?) throws(SpoolFailure) -> SpoolState {
        if let newEpoch {
            try rewrapping { () throws(DatabaseError) in
                _ = try connection.execute(
                    "INSERT INTO spool (id, edge, epoch) VALUES (1, $1, $2)", [SQLValue(edge.rawValue), SQLValue(newEpoch)])
            }
        }
        let row = try rewrapping { () throws(DatabaseError) in
            try connection.queryOne(
                """
                SELECT epoch, last_share, last_job, next_session, last_sequence, complete_until
                FROM spool WHERE id = 1
                """)
        }
        guard let row else { throw .notOpen }
        let unsealedWork = try loadUnsealed()
        let sealedWork = try loadSealed()
        return try rewrapping { () throws(DatabaseError) in
            epoch = try row.int64(0)
            lastSequence = try row.int64(4)
            completeUntil = Timestamp(microseconds: try row.int64(5))
            let next = try row.int64(3)
            return SpoolState(
                epoch: epoch, lastShare: try row.int64(1), lastJob: try row.int64(2), nextSession: next,
                sessionLimit: try reserveSessions(), completeUntil: latest(),
                unshipped: sealedWork + [UnshippedWork(sequence: 0, work: unsealedWork)])
        }
    }

    /// No share received from now on may be older than this.
    private func latest() -> Timestamp {
        var latest = completeUntil
        for record in unsealed {
            guard case .share(let share) = record else { continue }
            latest = max(latest, share.receivedAt)
        }
        return latest
    }

    private func loadUnsealed() throws(SpoolFailure) -> [DeliveryID: Work] {
        let rows = try rewrapping { () throws(DatabaseError) in
            try connection.query("SELECT count, records FROM record_group ORDER BY id")
        }
        for row in rows {
            let (count, bytes) = try rewrapping { () throws(DatabaseError) in (try row.int(0), try row.blob(1)) }
            waitingBytes += Int64(bytes.count)
            do throws(BinaryCodingError) {
                var reader = BinaryReader(bytes)
                for _ in 0..<count { unsealed.append(try MeterRecord(from: &reader)) }
                try reader.finish()
            } catch {
                throw .corrupt("record group: \(error)")
            }
        }
        return SpoolStore.billable(unsealed)
    }

    private func loadSealed() throws(SpoolFailure) -> [UnshippedWork] {
        var found: [UnshippedWork] = []
        let rows = try rewrapping { () throws(DatabaseError) in
            try connection.query("SELECT sequence, length(body) FROM sealed_batch ORDER BY sequence")
        }
        for row in rows {
            let (sequence, length) = try rewrapping { () throws(DatabaseError) in (try row.int64(0), try row.int64(1)) }
            waitingBytes += length
            guard let batch = try batch(sequence: sequence) else { continue }
            let work = SpoolStore.billable(batch.batch.records)
            if !work.isEmpty { found.append(UnshippedWork(sequence: sequence, work: work)) }
        }
        return found
    }

    private static func billable(_ records: [MeterRecord]) -> [DeliveryID: Work] {
        var work: [DeliveryID: Work] = [:]
        for record in records {
            guard case .share(let share) = record, share.isBillable, share.verdict == .valid,
                let delivery = share.delivery
            else { continue }
            work[delivery, default: .zero] += share.difficulty
        }
        return work
    }

    /// Sets sessions aside durably and returns the limit below which they may be given out.
    func reserveSessions() throws(DatabaseError) -> Int64 {
        let row = try connection.queryOne(
            "UPDATE spool SET next_session = next_session + $1 WHERE id = 1 RETURNING next_session",
            [SQLValue(SpoolStore.sessionsReserved)])
        guard let row else { throw .decoding("no spool row") }
        return try row.int64(0)
    }

    // MARK: writing

    /// Makes records durable. On failure nothing of them is kept.
    func commit(_ records: [MeterRecord], lastShare: Int64, lastJob: Int64) throws(SpoolFailure) {
        guard waitingBytes < maximalBytes else { throw .full(bytes: waitingBytes) }
        var writer = BinaryWriter(reservingCapacity: records.count * 128)
        for record in records { record.encode(into: &writer) }
        let bytes = writer.bytes
        try transaction { () throws(DatabaseError) in
            if !records.isEmpty {
                _ = try connection.execute(
                    "INSERT INTO record_group (count, records) VALUES ($1, $2)", [SQLValue(records.count), SQLValue(bytes)])
            }
            _ = try connection.execute(
                "UPDATE spool SET last_share = max(last_share, $1), last_job = max(last_job, $2) WHERE id = 1",
                [SQLValue(lastShare), SQLValue(lastJob)])
        }
        unsealed += records
        waitingBytes += Int64(bytes.count)
    }

    var unsealedCount: Int { unsealed.count }

    /// Puts all unsealed records into batches; the last of them promises `completeUntil`, earlier ones no more than before.
    func seal(completeUntil: Timestamp, recordsPerBatch: Int) throws(SpoolFailure) {
        var batches: [SealedBatch] = []
        var start = 0
        repeat {
            let end = min(start + recordsPerBatch, unsealed.count)
            let isLast = end == unsealed.count
            batches.append(SealedBatch(
                edge: edge, epoch: epoch, sequence: lastSequence + Int64(batches.count) + 1,
                completeUntil: isLast ? max(completeUntil, self.completeUntil) : self.completeUntil,
                records: Array(unsealed[start..<end])))
            start = end
        } while start < unsealed.count
        let encoded = batches.map { $0.encoded() }
        guard let last = batches.last else { return }
        try transaction { () throws(DatabaseError) in
            for (batch, bytes) in zip(batches, encoded) {
                _ = try connection.execute(
                    "INSERT INTO sealed_batch (sequence, digest, body) VALUES ($1, $2, $3)",
                    [SQLValue(batch.sequence), SQLValue(SpoolStore.digest(bytes)), SQLValue(bytes)])
            }
            _ = try connection.execute("DELETE FROM record_group")
            _ = try connection.execute(
                "UPDATE spool SET last_sequence = $1, complete_until = $2 WHERE id = 1",
                [SQLValue(last.sequence), SQLValue(last.completeUntil.microseconds)])
        }
        unsealed.removeAll(keepingCapacity: true)
        lastSequence = last.sequence
        self.completeUntil = last.completeUntil
    }

    static func digest(_ bytes: [UInt8]) -> [UInt8] { Array(SHA256.hash(data: bytes)) }

    // MARK: shipping

    func oldestBatch() throws(SpoolFailure) -> ShippableBatch? {
        let row = try rewrapping { () throws(DatabaseError) in
            try connection.queryOne("SELECT sequence FROM sealed_batch ORDER BY sequence LIMIT 1")
        }
        guard let row else { return nil }
        return try batch(sequence: try rewrapping { () throws(DatabaseError) in try row.int64(0) })
    }

    private func batch(sequence: Int64) throws(SpoolFailure) -> ShippableBatch? {
        let row = try rewrapping { () throws(DatabaseError) in
            try connection.queryOne("SELECT digest, body FROM sealed_batch WHERE sequence = $1", [SQLValue(sequence)])
        }
        guard let row else { return nil }
        let (digest, body) = try rewrapping { () throws(DatabaseError) in (try row.blob(0), try row.blob(1)) }
        guard SpoolStore.digest(body) == digest else { throw .corrupt("batch \(sequence): digest") }
        do throws(BinaryCodingError) {
            return ShippableBatch(batch: try SealedBatch(decoding: body), encoded: body, digest: digest)
        } catch {
            throw .corrupt("batch \(sequence): \(error)")
        }
    }

    /// The database has it.
    func remove(_ batch: ShippableBatch) throws(SpoolFailure) {
        try rewrapping { () throws(DatabaseError) in
            _ = try connection.execute("DELETE FROM sealed_batch WHERE sequence = $1", [SQLValue(batch.batch.sequence)])
        }
        waitingBytes = max(0, waitingBytes - Int64(batch.encoded.count))
    }

    func waitingBatches() throws(SpoolFailure) -> Int {
        try rewrapping { () throws(DatabaseError) in
            try connection.queryOne("SELECT count(*) FROM sealed_batch")?.int(0) ?? 0
        }
    }

    // MARK: errors

    private func transaction(_ body: () throws(DatabaseError) -> Void) throws(SpoolFailure) {
        try rewrapping { () throws(DatabaseError) in
            try connection.begin(.write)
            do throws(DatabaseError) {
                try body()
                try connection.commit()
            } catch {
                connection.rollback()
                throw error
            }
        }
    }

    private func rewrapping<T>(_ body: () throws(DatabaseError) -> T) throws(SpoolFailure) -> T {
        do { return try body() } catch { throw .database(error) }
    }
}
