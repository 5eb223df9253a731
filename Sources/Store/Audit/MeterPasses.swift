internal import Database
internal import Units

/// Batches of every spool.
struct BatchPass: AuditPass {
    let invariants = [
        AuditInvariant("batch.gap", "batch sequences have no gap"),
        AuditInvariant("batch.shares", "each batch holds shares of its own, in the order of the batches"),
    ]

    private static let page: Int64 = 20_000
    private var hasBegun = false
    private var batches = RowPages(
        """
        SELECT edge, epoch, sequence, first_share, last_share FROM batches
        WHERE edge >= $1 AND (edge > $1 OR epoch > $2 OR (epoch = $2 AND sequence > $3))
        ORDER BY edge, epoch, sequence LIMIT $4
        """, from: [.integer(.min), .integer(.min), .integer(.min)], size: Int(BatchPass.page)
    ) { [$0[0], $0[1], $0[2]] }
    private var spool: (edge: Int64, epoch: Int64)?
    private var sequence: Int64 = 0
    private var lastShare: Int64 = 0

    mutating func step(_ connection: any SQLConnection, _ tally: inout AuditTally) throws -> Bool {
        if !hasBegun {
            hasBegun = true
            tally.expected = try connection.count("SELECT count(*) FROM batches")
        }
        for _ in 0..<BatchPass.page {
            guard let row = try batches.peek(connection) else { return false }
            batches.take()
            try check(row, &tally)
        }
        return true
    }

    private mutating func check(_ row: SQLRow, _ tally: inout AuditTally) throws {
        tally.read()
        for invariant in invariants { tally.looked(invariant.code) }
        let place = (edge: try row.int64(0), epoch: try row.int64(1)), next = try row.int64(2)
        if spool?.edge != place.edge || spool?.epoch != place.epoch { (spool, sequence, lastShare) = (place, 0, 0) }
        let name = "edge \(place.edge), epoch \(place.epoch)"
        if next != sequence + 1 {
            let missing = next - sequence == 2 ? "batch \(sequence + 1)" : "batches \(sequence + 1) to \(next - 1)"
            tally.broken("batch.gap", name, found: "\(missing) missing")
        }
        sequence = next
        guard let first = try row.optionalInt64(3), let last = try row.optionalInt64(4) else { return }
        if first <= lastShare || last < first {
            tally.broken(
                "batch.shares", "\(name), batch \(next)", expected: "shares from \(lastShare + 1) on", found: "\(first) to \(last)")
        }
        lastShare = max(last, lastShare)
    }
}

/// What is billed beside what the meter has verified.
struct BilledWorkPass: AuditPass {
    let invariants = [AuditInvariant("delivery.verified", "billed work is not above verified work")]

    private static let page: Int64 = 5000
    private var hasBegun = false
    private var last: Int64 = 0

    mutating func step(_ connection: any SQLConnection, _ tally: inout AuditTally) throws -> Bool {
        let kept = try connection.count("SELECT kept_from FROM retention WHERE name = 'meter_slots'")
        if !hasBegun {
            hasBegun = true
            tally.expected = try connection.count("SELECT count(*) FROM deliveries")
            if kept > 0 {
                tally.note("delivery.verified", "deliveries opened before \(Timestamp(microseconds: kept)): their slots are gone")
            }
        }
        guard let end = try DeliveryPass.end(connection, after: last, BilledWorkPass.page) else { return false }
        let page: [SQLValue] = [.integer(last), .integer(end)]
        let bounds = try connection.queryOne(
            """
            SELECT min(opened_at), max(coalesce(ended_at, expires_at)), count(*) FROM deliveries
            WHERE id > $1 AND id <= $2 AND opened_at >= $3
            """, page + [.integer(kept)])
        last = end
        guard let bounds, let from = try bounds.optionalInt64(0), let until = try bounds.optionalInt64(1) else { return true }
        tally.looked("delivery.verified", try bounds.int64(2))
        tally.read(try bounds.int64(2))
        try connection.forEach(
            BilledWorkPass.sql, page + [.integer(kept), .integer(from / 60_000_000 - 1440), .integer(until / 60_000_000 + 1440)]
        ) { row in
            tally.broken(
                "delivery.verified", "delivery \(try row.int64(0))", expected: "at most \(try row.decimal(2))", found: try row.decimal(1))
        }
        return true
    }

    /// By a day's margin for clocks no slot lies outside of its delivery's time: other days are not looked at.
    private static let sql = """
        SELECT d.id, d.settled_work, coalesce(s.work, 0) FROM deliveries d
        LEFT JOIN (
            SELECT delivery, sum(billable_work) AS work FROM meter_slots
            WHERE delivery > $1 AND delivery <= $2 AND minute BETWEEN $4 AND $5 GROUP BY delivery
        ) s ON s.delivery = d.id
        WHERE d.id > $1 AND d.id <= $2 AND d.opened_at >= $3 AND d.settled_work > coalesce(s.work, 0)
        ORDER BY d.id
        """
}

/// Slots beside the shares' own rows: sold work by deliveries, unsold work by days.
struct SlotPass: AuditPass {
    let invariants = [
        AuditInvariant("slot.shares", "every slot is the sum of its shares"),
        AuditInvariant("slot.counts", "a slot bills no more than it verified, and pools answer no more than was forwarded"),
    ]

    private static let page: Int64 = 1000
    private var last: Int64 = 0
    /// First minute that is complete, in shares and slots.
    private var firstMinute: Int64?
    private var nextMinute: Int64?

    mutating func step(_ connection: any SQLConnection, _ tally: inout AuditTally) throws -> Bool {
        let kept = try connection.count("SELECT max(kept_from) FROM retention WHERE name IN ('shares', 'meter_slots')") / 60_000_000
        let first = max(kept, firstMinute ?? kept, (tally.since?.microseconds ?? 0) / 60_000_000)
        if firstMinute == nil {
            firstMinute = first
            if first > 0 { tally.note("slot.shares", "minutes before \(Timestamp(microseconds: first * 60_000_000))") }
            tally.expected = try connection.count("SELECT count(*) FROM meter_slots WHERE minute >= $1", [.integer(first)])
        }
        if let end = try SlotPass.end(connection, after: last, first) {
            try check(connection, [.integer(last + 1), .integer(end), .integer(first), .integer(.max / 60_000_000 - 1)], &tally)
            last = end
            return true
        }
        guard let day = try unsoldDay(connection, from: max(first, nextMinute ?? first)) else { return false }
        try check(connection, [.integer(0), .integer(0), .integer(max(first, day * 1440)), .integer(day * 1440 + 1439)], &tally)
        nextMinute = (day + 1) * 1440
        return true
    }

    /// The last delivery of the next page, among those that have slots or shares.
    private static func end(_ connection: any SQLConnection, after last: Int64, _ first: Int64) throws -> Int64? {
        func end(_ sql: String, _ from: Int64) throws -> Int64? {
            try connection.queryOne(sql, [.integer(last), .integer(from)])?.optionalInt64(0)
        }
        if let end = try DeliveryPass.end(connection, after: last, page) { return end }
        // What belongs to no delivery that there is.
        return try [
            end("SELECT max(delivery) FROM meter_slots WHERE delivery > $1 AND minute >= $2", first),
            end("SELECT max(delivery) FROM shares WHERE delivery > $1 AND received_at >= $2", first * 60_000_000),
        ].compactMap { $0 }.max()
    }

    /// The next day with unsold work, in days since 1970.
    private func unsoldDay(_ connection: any SQLConnection, from minute: Int64) throws -> Int64? {
        let slot = try connection.queryOne(
            "SELECT min(minute) FROM meter_slots WHERE delivery = 0 AND minute >= $1", [.integer(minute)])?.optionalInt64(0)
        let share = try connection.queryOne(
            "SELECT min(received_at) FROM shares WHERE delivery = 0 AND received_at >= $1", [.integer(minute * 60_000_000)]
        )?.optionalInt64(0)
        return [slot, share.map { $0 / 60_000_000 }].compactMap { $0 }.min().map { $0 / 1440 }
    }

    private func check(_ connection: any SQLConnection, _ place: [SQLValue], _ tally: inout AuditTally) throws {
        let rows = try connection.count(
            "SELECT count(*) FROM meter_slots WHERE delivery BETWEEN $1 AND $2 AND minute BETWEEN $3 AND $4", place)
        for invariant in invariants { tally.looked(invariant.code, rows) }
        tally.read(rows)
        if tally.wants("slot.shares") {
            try connection.forEach(SlotPass.sums, place) { row in
                tally.broken("slot.shares", SlotPass.name(row), found: try SlotPass.differences(row))
            }
        }
        guard tally.wants("slot.counts") else { return }
        try connection.forEach(SlotPass.counts, place) { row in
            tally.broken("slot.counts", SlotPass.name(row), found: try SlotPass.excess(row))
        }
    }

    private static func name(_ row: SQLRow) -> String {
        func number(_ index: Int) -> String { (try? row.decimal(index)) ?? "?" }
        let minute = (try? row.int64(2)).map { "\(Timestamp(microseconds: $0 * 60_000_000))" } ?? "?"
        return "slot of delivery \(number(0)), rig \(number(1)), \(minute)"
    }

    private static let columns = [
        "valid_shares", "valid_work", "billable_work", "stale_shares", "stale_work", "duplicate_shares", "low_difficulty_shares",
        "invalid_shares", "forwarded_shares",
    ]

    private static func differences(_ row: SQLRow) throws -> String {
        try columns.enumerated().compactMap { index, column in
            let more = try row.sum(3 + index)
            return more == 0 ? nil : "\(column) \(more > 0 ? "+" : "")\(more)"
        }.joined(separator: ", ") + " against its shares"
    }

    private static func excess(_ row: SQLRow) throws -> String {
        "billable \(try row.int64(3)) of \(try row.int64(4)) verified, \(try row.decimal(5)) answers to \(try row.int64(6)) forwarded"
    }

    /// Slots with shares whose rows were not kept are not compared.
    private static let sums = """
        SELECT delivery, rig, minute, \(columns.map { "sum(\($0))" }.joined(separator: ", ")) FROM (
            SELECT delivery, rig, minute, \(columns.joined(separator: ", ")), unlogged_shares
            FROM meter_slots WHERE delivery BETWEEN $1 AND $2 AND minute BETWEEN $3 AND $4
            UNION ALL
            SELECT delivery, rig, received_at / 60000000,
                   CASE WHEN verdict = 1 THEN -1 ELSE 0 END,
                   CASE WHEN verdict = 1 THEN -difficulty ELSE 0 END,
                   CASE WHEN verdict = 1 AND billable = 1 THEN -difficulty ELSE 0 END,
                   CASE WHEN verdict = 2 THEN -1 ELSE 0 END,
                   CASE WHEN verdict = 2 THEN -difficulty ELSE 0 END,
                   CASE WHEN verdict = 3 THEN -1 ELSE 0 END,
                   CASE WHEN verdict = 4 THEN -1 ELSE 0 END,
                   CASE WHEN verdict = 5 THEN -1 ELSE 0 END,
                   -forwarded, 0
            FROM shares
            WHERE delivery BETWEEN $1 AND $2 AND received_at >= $3 * 60000000 AND received_at < ($4 + 1) * 60000000
        ) AS both_sides GROUP BY delivery, rig, minute
        HAVING sum(unlogged_shares) = 0 AND (\(columns.map { "sum(\($0)) <> 0" }.joined(separator: " OR ")))
        ORDER BY delivery, rig, minute
        """

    /// An answer may come before its share, and waits for it.
    private static let counts = """
        SELECT delivery, rig, minute, billable_work, valid_work, pool_accepted + pool_rejected + pool_unanswered, forwarded_shares
        FROM meter_slots
        WHERE delivery BETWEEN $1 AND $2 AND minute BETWEEN $3 AND $4
          AND (billable_work > valid_work OR valid_work < 0 OR billable_work < 0
               OR (unlogged_shares = 0 AND pool_accepted + pool_rejected + pool_unanswered > forwarded_shares
                   AND NOT EXISTS (SELECT 1 FROM waiting_replies)))
        ORDER BY delivery, rig, minute
        """
}

/// Hashes of all valid shares that are kept.
///
/// Two shares with one header may lie any time apart, and hashes have no index. They are read in ranges of the hash, so many that one has
/// at most some 10 million: the database sorts a range, and neighbours are compared as they come. Each range is one scan of the shares, or
/// of the days that `since` leaves.
struct HeaderPass: AuditPass {
    let invariants = [AuditInvariant("share.header", "every header is valid at most once")]

    /// Hashes in one range.
    static let most: Int64 = 10_000_000

    private var range: Int64 = 0
    private var ranges: Int64?
    private let mostInRange: Int64

    init(most: Int64 = HeaderPass.most) { mostInRange = most }

    private struct Share {
        var hash: [UInt8]
        var name: String
    }

    mutating func step(_ connection: any SQLConnection, _ tally: inout AuditTally) throws -> Bool {
        let since = max(
            tally.since?.microseconds ?? 0, try connection.count("SELECT kept_from FROM retention WHERE name = 'shares'"))
        if ranges == nil {
            let count = try connection.count("SELECT count(*) FROM shares WHERE verdict = 1 AND received_at >= $1", [.integer(since)])
            if since > 0 { tally.note("share.header", "shares received before \(Timestamp(microseconds: since))") }
            tally.expected = count
            // By the hash's first two bytes, which are as good as random.
            ranges = min(65_536, max(1, count / mostInRange + 1))
        }
        guard let ranges, range < ranges else { return false }
        let start = 65_536 * range / ranges, end = 65_536 * (range + 1) / ranges
        range += 1
        var upper = ""
        var parameters: [SQLValue] = [.integer(since), .blob(HeaderPass.bytes(start))]
        if end < 65_536 {
            upper = " AND hash < $3"
            parameters.append(.blob(HeaderPass.bytes(end)))
        }
        var first: Share?
        try connection.forEach(
            """
            SELECT hash, edge, epoch, number FROM shares
            WHERE verdict = 1 AND received_at >= $1 AND hash >= $2\(upper)
            ORDER BY hash, edge, epoch, number
            """, parameters
        ) { row in
            tally.read()
            tally.looked("share.header")
            let hash = try row.blob(0)
            let name = "share \(try row.int64(1))/\(try row.int64(2))/\(try row.int64(3))"
            guard let known = first, known.hash == hash else {
                first = Share(hash: hash, name: name)
                return
            }
            tally.broken("share.header", name, found: "the header of \(known.name) again, hash \(HeaderPass.hex(hash.reversed()))")
        }
        return range < ranges
    }

    private static func bytes(_ number: Int64) -> [UInt8] { [UInt8(number >> 8), UInt8(number & 0xff)] }

    private static func hex(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
