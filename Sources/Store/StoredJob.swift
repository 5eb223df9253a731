internal import Database
internal import Market
internal import ProofOfWork
internal import Units

/// A job as it was issued to rigs: with a share's choices it gives the header that was hashed.
struct StoredJob: Hashable, Sendable {
    var target: PoolTargetID
    var poolJob: [UInt8]
    /// Everything before the pool's extranonce2.
    var prefix: [UInt8]
    var suffix: [UInt8]
    var branches: [Hash256]
    var previousHash: Hash256
    var nbits: UInt32

    /// nil when the stored bytes are not those of a job.
    init?(_ row: SQLRow) throws {
        target = PoolTargetID(try row.int64(0))
        poolJob = try row.blob(1)
        prefix = try row.blob(2)
        suffix = try row.blob(3)
        let branchBytes = try row.blob(4)
        guard branchBytes.count.isMultiple(of: Hash256.byteCount), let previous = Hash256(bytes: try row.blob(5)) else { return nil }
        branches = stride(from: 0, to: branchBytes.count, by: Hash256.byteCount).compactMap {
            Hash256(bytes: branchBytes[$0..<$0 + Hash256.byteCount])
        }
        previousHash = previous
        nbits = UInt32(truncatingIfNeeded: try row.int64(6))
    }

    /// The share's header and its hash; nil for a share that was never worth a header.
    func header(of share: ShareEvidence, _ algorithm: Algorithm) -> HeaderEvidence? {
        guard !share.hash.isEmpty, share.difficulty.units > 0 else { return nil }
        let coinbase = prefix + share.extranonce2 + suffix
        let root = DoubleSHA256.merkleRoot(coinbase: DoubleSHA256.hash(coinbase), branches: branches)
        let header = BlockHeader(
            version: share.version, previousBlock: previousHash, merkleRoot: root, ntime: share.ntime, nbits: nbits, nonce: share.nonce)
        return HeaderEvidence(
            poolTarget: target, poolJob: poolJob, coinbase: coinbase, branches: branches, merkleRoot: root, header: header.bytes,
            hash: algorithm.proofOfWork.hash(header), target: algorithm.target(of: ShareDifficulty(units: share.difficulty.units)))
    }
}

/// Jobs by number, each read once.
struct StoredJobs {
    private struct Name: Hashable {
        var edge, epoch, number: Int64
    }

    private let connection: any SQLConnection
    private var known: [Name: StoredJob?] = [:]

    init(_ connection: any SQLConnection) { self.connection = connection }

    mutating func job(_ edge: Int64, _ epoch: Int64, _ number: Int64) throws -> StoredJob? {
        let name = Name(edge: edge, epoch: epoch, number: number)
        if let job = known[name] { return job }
        let job = try connection.queryOne(
            """
            SELECT target, pool_job, coinbase_prefix, coinbase_suffix, branches, previous_hash, nbits FROM jobs
            WHERE edge = $1 AND epoch = $2 AND number = $3
            """, [.integer(edge), .integer(epoch), .integer(number)]
        ).flatMap { try StoredJob($0) }
        known[name] = .some(job)
        return job
    }
}
