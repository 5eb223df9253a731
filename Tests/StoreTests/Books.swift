import Database
import Exchange
import Market
import MarketTestSupport
import Metering
import Store
import Units

/// Makes meter records.
struct Records {
    private(set) var number: Int64 = 0

    mutating func share(
        rig: Int64 = 1, delivery: Int64? = 1, job: Int64 = 1, at: Timestamp = History.start, verdict: Verdict = .valid,
        difficulty: Int64 = 10, isBillable: Bool = true, isForwarded: Bool = false
    ) -> ShareRecord {
        number += 1
        let hash = (0..<32).map { UInt8(truncatingIfNeeded: number >> (8 * min($0, 7))) }
        return ShareRecord(
            number: number, receivedAt: at, rig: RigID(rig), delivery: delivery.map { DeliveryID($0) }, job: job,
            verdict: verdict, difficulty: Work(units: difficulty), isBillable: isBillable, isForwarded: isForwarded,
            extranonce2: [1, 2, 3], ntime: .max, nonce: .max, version: .max, hash: verdict == .invalid ? [] : hash)
    }

    static func reply(_ share: ShareRecord, _ reply: PoolReply, code: Int64 = 0) -> MeterRecord {
        .poolReply(PoolReplyRecord(
            share: share.number, shareReceivedAt: share.receivedAt, rig: share.rig, delivery: share.delivery,
            reply: reply, errorCode: code))
    }

    static func job(_ number: Int64, target: Int64) -> MeterRecord {
        .job(JobRecord(
            number: number, target: PoolTargetID(target), poolJobID: [9], coinbasePrefix: [], coinbaseSuffix: [0],
            branches: [], previousHash: Array(repeating: 7, count: 32), version: .max, nbits: .max, ntime: .max))
    }
}

extension SealedBatch {
    static func make(
        edge: Int64 = 1, epoch: Int64 = 1, _ sequence: Int64, until: Timestamp = History.start, _ records: [MeterRecord]
    ) -> SealedBatch {
        SealedBatch(edge: EdgeID(edge), epoch: epoch, sequence: sequence, completeUntil: until, records: records)
    }
}

/// A market's tables after a random history whose billed work was really metered.
struct Books {
    let storage: Storage
    let database: Database
    let history: History

    static func with(_ engine: Engine, seed: UInt64, _ body: (Books) async throws -> Void) async throws {
        try await engine.withStorage { storage in
            try await storage.withTables { database in
                var history = History(seed: seed)
                var follower = Follower()
                while history.billed.count < 12 {
                    _ = follower.commit(history.commands(50), epoch: 1, at: history.now)
                }
                try await TableStore(database).project(follower.projection(at: history.now))
                var records = Records()
                let shares = history.billed.sorted { $0.key < $1.key }.map { delivery, billed in
                    MeterRecord.share(records.share(
                        rig: billed.rig.rawValue, delivery: delivery.rawValue, difficulty: billed.work.units))
                }
                let stale = records.share(verdict: .stale, isForwarded: true)
                let meter = MeterStore(database)
                try await meter.apply(.make(1, shares + [.share(stale)]), digest: [1])
                try await meter.apply(.make(2, []), digest: [2])
                try await body(Books(storage: storage, database: database, history: history))
            }
        }
    }
}
