public import Database
internal import Exchange
public import Market
internal import Metering
internal import Settlement
internal import Units

/// The way back from a settlement line to headers, in SQL.
public struct SettlementEvidenceStore: SettlementEvidence {
    /// Rows of shares that are read at a time to find their batches.
    static let sharePage = 1000
    /// How long after an interval its batches are looked for by time.
    static let patience = Interval.seconds(600)

    let database: Database

    public init(_ database: Database) { self.database = database }

    // MARK: - The line

    public func line(_ number: Int64) async throws -> LineEvidence? {
        let columns = TableColumns.delivery.map { "d.\($0)" }.joined(separator: ", ")
        return try await database.read { connection in
            guard let row = try connection.queryOne(
                """
                SELECT \(columns), l.run, l.chunk, l.at, l.value_at, l.code, l.from_minute, l.to_minute, l.work, l.charge, l.seller_fee,
                       l.buyer_fee, l.from_hold, l.from_available, l.from_loss, l.seller_short, l.credit
                FROM settlement_lines l JOIN deliveries d ON d.id = l.delivery WHERE l.number = $1
                """, [.integer(number)]),
                let rules = try connection.marketRules()
            else { return nil }
            let delivery = try TableReader.delivery(row), first = TableColumns.delivery.count
            func value(_ index: Int) throws -> Int64 { try row.int64(first + index) }
            guard let code = ChargeCode(rawValue: UInt8(clamping: try value(4))) else {
                throw DatabaseError.decoding("unknown charge code")
            }
            let interval = try value(5)..<max(try value(5), try value(6))
            let billable = try connection.count(
                """
                SELECT CAST(sum(billable_work) AS BIGINT) FROM meter_slots WHERE delivery = $1 AND minute >= $2 AND minute < $3
                """, [.integer(delivery.id.rawValue), .integer(interval.lowerBound), .integer(interval.upperBound)])
            return LineEvidence(
                number: number, run: try value(0), chunk: try value(1), at: Timestamp(microseconds: try value(2)),
                valueAt: Timestamp(microseconds: try value(3)), code: code, interval: interval, work: Work(units: try value(7)),
                amounts: LineAmounts(
                    charge: Satoshis(try value(8)), sellerFee: Satoshis(try value(9)), buyerFee: Satoshis(try value(10))),
                fromHold: Satoshis(try value(11)), fromAvailable: Satoshis(try value(12)), fromLoss: Satoshis(try value(13)),
                sellerShort: Satoshis(try value(14)), credit: try row.optionalInt64(first + 15), delivery: delivery,
                algorithm: rules.algorithm, before: try Self.totals(before: number, of: delivery, rules.algorithm, connection),
                account: LineEvidence.Account(
                    settledBefore: try Self.settled(before: number, delivery.id, connection), billableInInterval: Work(units: billable)),
                slotsKeptFrom: try Self.keptFrom("meter_slots", connection), sharesKeptFrom: try Self.keptFrom("shares", connection))
        }
    }

    /// What the lines before it came to; sums by price, so that they fit.
    private static func totals(
        before number: Int64, of delivery: Delivery, _ algorithm: Algorithm, _ connection: any SQLConnection
    ) throws -> BillingTotals {
        let rows = try connection.query(
            """
            SELECT d.price, sum(l.work), sum(l.charge), sum(l.seller_fee), sum(l.buyer_fee)
            FROM deliveries d JOIN settlement_lines l ON l.delivery = d.id
            WHERE d.buyer = $1 AND d.bid = $2 AND d.ask = $3 AND d.rig = $4 AND d.tariff = $5 AND l.number < $6
              AND l.code BETWEEN 1 AND 3
            GROUP BY d.price
            """,
            [
                .integer(delivery.buyer.rawValue), .integer(delivery.bid.rawValue), .integer(delivery.ask.rawValue),
                .integer(delivery.rig.rawValue), .integer(delivery.tariff), .integer(number),
            ])
        var totals = BillingTotals()
        for row in rows {
            totals.weightedWork += Int128(try row.int64(0)) * (try row.sum(1))
            totals.charge += Satoshis(Int64(try row.sum(2)))
            totals.sellerFee += Satoshis(Int64(try row.sum(3)))
            totals.buyerFee += Satoshis(Int64(try row.sum(4)))
        }
        return totals
    }

    private static func settled(before number: Int64, _ delivery: DeliveryID, _ connection: any SQLConnection) throws -> Work {
        Work(units: try connection.count(
            """
            SELECT CAST(sum(work) AS BIGINT) FROM settlement_lines WHERE delivery = $1 AND number < $2 AND code BETWEEN 1 AND 3
            """, [.integer(delivery.rawValue), .integer(number)]))
    }

    private static func keptFrom(_ table: String, _ connection: any SQLConnection) throws -> Timestamp {
        Timestamp(microseconds: try connection.count("SELECT kept_from FROM retention WHERE name = $1", [.text(table)]))
    }

    // MARK: - Slots

    public func slots(of line: LineEvidence, after minute: Int64, limit: Int) async throws -> [SlotEvidence] {
        let columns = MeterStore.countColumns.joined(separator: ", ")
        return try await database.read { connection in
            try connection.query(
                """
                SELECT rig, minute, unlogged_shares, \(columns) FROM meter_slots
                WHERE delivery = $1 AND minute >= $2 AND minute < $3 ORDER BY minute, rig LIMIT $4
                """,
                [
                    .integer(line.delivery.id.rawValue), .integer(max(line.interval.lowerBound, minute &+ 1)),
                    .integer(line.interval.upperBound), .integer(Int64(limit)),
                ]
            ).map { row in
                SlotEvidence(
                    rig: RigID(try row.int64(0)), minute: try row.int64(1), counts: try MeterStore.counts(row, from: 3),
                    unlogged: try row.int64(2))
            }
        }
    }

    // MARK: - Batches

    public func batches(of line: LineEvidence, after place: BatchPlace?, limit: Int) async throws -> [BatchEvidence] {
        try await database.read { connection in
            try Self.knowsBatches(line, connection)
                ? Self.batchesByShares(line, after: place, limit, connection) : Self.batchesByTime(line, after: place, limit, connection)
        }
    }

    /// Whether the interval's shares are there, and their batches say which they hold.
    private static func knowsBatches(_ line: LineEvidence, _ connection: any SQLConnection) throws -> Bool {
        guard let share = try connection.queryOne(
            """
            SELECT edge, epoch, number FROM shares WHERE delivery = $1 AND received_at >= $2 AND received_at < $3
            ORDER BY received_at LIMIT 1
            """,
            [.integer(line.delivery.id.rawValue), .integer(line.start.microseconds), .integer(line.end.microseconds)])
        else { return false }
        return try batch(try share.int64(0), try share.int64(1), share: try share.int64(2), connection) != nil
    }

    /// The interval's shares in the order of their numbers, and the batch of each.
    private static func batchesByShares(
        _ line: LineEvidence, after place: BatchPlace?, _ limit: Int, _ connection: any SQLConnection
    ) throws -> [BatchEvidence] {
        var shares = RowPages(
            """
            SELECT edge, epoch, number FROM shares
            WHERE delivery = \(line.delivery.id.rawValue) AND received_at >= \(line.start.microseconds)
              AND received_at < \(line.end.microseconds)
              AND edge >= $1 AND (edge > $1 OR epoch > $2 OR (epoch = $2 AND number > $3))
            ORDER BY edge, epoch, number LIMIT $4
            """, from: try firstShare(after: place, connection), size: sharePage) { [$0[0], $0[1], $0[2]] }
        var found: [BatchEvidence] = []
        while let row = try shares.peek(connection) {
            let (edge, epoch, number) = (try row.int64(0), try row.int64(1), try row.int64(2))
            if let last = found.last, last.place.edge == edge, last.place.epoch == epoch, last.shares?.contains(number) == true {
                found[found.count - 1].ofLine? += 1
            } else if let batch = try batch(edge, epoch, share: number, connection) {
                guard found.count < limit else { break }
                found.append(batch)
            }
            shares.take()
        }
        return found
    }

    /// The number of the last share of the batch at `place`: what is after it.
    private static func firstShare(after place: BatchPlace?, _ connection: any SQLConnection) throws -> [SQLValue] {
        guard let place else { return [.integer(0), .integer(0), .integer(0)] }
        let last = try connection.queryOne(
            "SELECT last_share FROM batches WHERE edge = $1 AND epoch = $2 AND sequence = $3",
            [.integer(place.edge), .integer(place.epoch), .integer(place.sequence)])?.optionalInt64(0)
        return [.integer(place.edge), .integer(place.epoch), .integer(last ?? .max)]
    }

    private static let batchColumns = "edge, epoch, sequence, digest, complete_until, applied_at, records, first_share, last_share"

    /// The batch that holds a share; batches have their shares in the order of their numbers. O(log n)
    private static func batch(
        _ edge: Int64, _ epoch: Int64, share: Int64, _ connection: any SQLConnection
    ) throws -> BatchEvidence? {
        let spool = "edge = \(edge) AND epoch = \(epoch)"
        let next = "FROM batches WHERE \(spool) AND sequence >= $1 AND last_share IS NOT NULL ORDER BY sequence LIMIT 1"
        let sequence = try connection.firstNumber(
            "SELECT sequence, last_share \(next)", reaching: share,
            through: try connection.count("SELECT max(sequence) FROM batches WHERE \(spool)") + 1)
        guard let row = try connection.queryOne("SELECT \(batchColumns) \(next)", [.integer(sequence)]) else { return nil }
        var batch = try evidence(row)
        guard batch.shares?.contains(share) == true else { return nil }
        batch.ofLine = 1
        return batch
    }

    /// Those whose reports reach into the interval and shortly after.
    private static func batchesByTime(
        _ line: LineEvidence, after place: BatchPlace?, _ limit: Int, _ connection: any SQLConnection
    ) throws -> [BatchEvidence] {
        let after = place ?? BatchPlace(edge: 0, epoch: 0, sequence: 0)
        return try connection.query(
            """
            SELECT \(batchColumns) FROM batches
            WHERE complete_until > $1 AND complete_until <= $2
              AND edge >= $3 AND (edge > $3 OR epoch > $4 OR (epoch = $4 AND sequence > $5))
            ORDER BY edge, epoch, sequence LIMIT $6
            """,
            [
                .integer(line.start.microseconds), .integer((line.end + patience).microseconds), .integer(after.edge),
                .integer(after.epoch), .integer(after.sequence), .integer(Int64(limit)),
            ]
        ).map { try evidence($0) }
    }

    private static func evidence(_ row: SQLRow) throws -> BatchEvidence {
        var shares: ClosedRange<Int64>?
        if let first = try row.optionalInt64(7), let last = try row.optionalInt64(8), first <= last { shares = first...last }
        return BatchEvidence(
            place: BatchPlace(edge: try row.int64(0), epoch: try row.int64(1), sequence: try row.int64(2)), digest: try row.blob(3),
            completeUntil: Timestamp(microseconds: try row.int64(4)), appliedAt: Timestamp(microseconds: try row.int64(5)),
            records: try row.int64(6), shares: shares, ofLine: nil)
    }

    // MARK: - Shares

    public func shares(of line: LineEvidence, after place: SharePlace?, limit: Int) async throws -> [ShareEvidence] {
        try await database.read { connection in
            let after = place ?? SharePlace(receivedAt: line.start, edge: 0, epoch: 0, number: 0)
            let rows = try connection.query(
                """
                SELECT received_at, edge, epoch, number, rig, verdict, difficulty, billable, forwarded, pool_reply, pool_error, job,
                       extranonce2, ntime, nonce, version, hash
                FROM shares
                WHERE delivery = $1 AND received_at >= $2 AND received_at < $3
                  AND (received_at > $2 OR edge > $4 OR (edge = $4 AND (epoch > $5 OR (epoch = $5 AND number > $6))))
                ORDER BY received_at, edge, epoch, number LIMIT $7
                """,
                [
                    .integer(line.delivery.id.rawValue), .integer(max(after.receivedAt, line.start).microseconds),
                    .integer(line.end.microseconds), .integer(after.edge), .integer(after.epoch), .integer(after.number),
                    .integer(Int64(limit)),
                ])
            var jobs = StoredJobs(connection)
            return try rows.map { row in
                var share = try Self.share(row)
                if let job = try jobs.job(share.place.edge, share.place.epoch, share.job) {
                    share.header = job.header(of: share, line.algorithm)
                }
                return share
            }
        }
    }

    private static func share(_ row: SQLRow) throws -> ShareEvidence {
        guard let verdict = Verdict(rawValue: UInt8(clamping: try row.int64(5))) else { throw DatabaseError.decoding("unknown verdict") }
        return ShareEvidence(
            place: SharePlace(
                receivedAt: Timestamp(microseconds: try row.int64(0)), edge: try row.int64(1), epoch: try row.int64(2),
                number: try row.int64(3)),
            rig: RigID(try row.int64(4)), verdict: verdict, difficulty: Work(units: try row.int64(6)), isBillable: try row.bool(7),
            isForwarded: try row.bool(8), poolReply: try row.optionalInt64(9).flatMap { PoolReply(rawValue: UInt8(clamping: $0)) },
            poolError: try row.optionalInt64(10), job: try row.int64(11), extranonce2: try row.blob(12),
            ntime: UInt32(truncatingIfNeeded: try row.int64(13)), nonce: UInt32(truncatingIfNeeded: try row.int64(14)),
            version: UInt32(truncatingIfNeeded: try row.int64(15)), hash: try row.blob(16), header: nil)
    }
}
