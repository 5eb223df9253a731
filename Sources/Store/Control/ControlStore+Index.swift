internal import BinaryCoding
internal import Crypto
internal import Database
public import Market
internal import Settlement
public import Units

extension ControlStore: IndexRecords {
    public func indexPosition() async throws -> Int64? {
        try await database.read { try IndexSQL.position($0) }
    }

    public func publishIndex(before end: Int64, limit: Int64, at time: Timestamp) async throws -> Int64? {
        precondition(limit > 0, "nothing is to be published")
        // Read beside the writer's work; what is published meanwhile by another process is noticed below.
        typealias Found = (known: Int64?, range: Range<Int64>, minutes: [IndexValue], days: [Int64: Int64])
        let found = try await database.read { connection -> Found? in
            let known = try IndexSQL.position(connection)
            guard let start = try known ?? IndexSQL.firstMinute(connection) else { return nil }
            guard start < end else { return (known, start..<start, [], [:]) }
            let range = start..<min(end, start + limit)
            var days: [Int64: Int64] = [:]
            for day in range.lowerBound / 1440..<range.upperBound / 1440 { days[day] = try IndexSQL.deliveries(ofDay: day, connection) }
            return (known, range, try IndexSQL.minutes(range, at: time, connection), days)
        }
        guard let found else { return nil }
        guard !found.range.isEmpty else { return found.range.lowerBound }
        try await change { connection in
            guard try IndexSQL.move(from: found.known, to: found.range.upperBound, connection) else { return }
            for minute in found.minutes { try IndexSQL.insert(minute, into: .minute, connection) }
            for (day, deliveries) in found.days.sorted(by: { $0.key < $1.key }) {
                guard let value = try IndexSQL.day(day, deliveries: deliveries, at: time, connection) else { continue }
                try IndexSQL.insert(value, into: .day, connection)
            }
        }
        return try await indexPosition()
    }

    public func index(_ span: IndexSpan, after place: Int64, limit: Int) async throws -> [IndexValue] {
        try await database.read { connection in try IndexSQL.values(span, after: place, limit: limit, connection) }
    }

    public func newestIndex(_ span: IndexSpan) async throws -> IndexValue? {
        try await database.read { connection in
            let sql = "SELECT \(IndexSQL.columns(span)) FROM \(IndexSQL.table(span)) ORDER BY \(IndexSQL.place(span)) DESC LIMIT 1"
            return try connection.queryOne(sql).map { try IndexSQL.value($0) }
        }
    }
}

/// What was published, held against the slots that there are.
public struct IndexVerification: Hashable, Sendable {
    public struct Finding: Hashable, Sendable {
        public enum Kind: String, Sendable {
            /// The inputs are those of the publication, and make something else: the row is wrong.
            case broken
            /// There are other slots than at the publication: work came late, or has gone. Nothing is wrong with the row.
            case slotsChanged
        }

        public var kind: Kind
        public var span: IndexSpan
        /// Minutes, or days, since 1970.
        public var place: Int64
        /// nil: not published.
        public var published: Price?
        /// nil: no work.
        public var recomputed: Price?
    }

    public var minutes: Int64 = 0
    public var days: Int64 = 0
    /// Published minutes whose slots are not kept any more.
    public var expired: Int64 = 0
    public var findings: [Finding] = []

    public var isBroken: Bool { findings.contains { $0.kind == .broken } }
}

extension ControlStore {
    /// Makes the published minutes of a range from the slots again, and the days that lie within from their minutes.
    ///
    /// - Parameter minutes: since 1970; what is not published yet is left out
    public func verifyIndex(_ minutes: Range<Int64>, progress: @Sendable (Int64) -> Void = { _ in }) async throws -> IndexVerification {
        var result = IndexVerification()
        let (position, kept, first) = try await database.read { connection in
            let first = try connection.queryOne("SELECT minute FROM index_minutes ORDER BY minute LIMIT 1")?.int64(0)
            return (try IndexSQL.position(connection) ?? 0, try IndexSQL.keptFrom(connection), first)
        }
        guard let first else { return result }
        // From the beginning of its day on: days are made of whole ones.
        let range = minutes.clamped(to: min(first / 1440 * 1440, position)..<position)
        for start in stride(from: range.lowerBound, to: range.upperBound, by: 1440) {
            let part = start..<min(start + 1440, range.upperBound)
            result.add(try await verify(part, keptFrom: kept))
            progress(part.upperBound)
        }
        let days = (range.lowerBound + 1439) / 1440..<max((range.lowerBound + 1439) / 1440, range.upperBound / 1440)
        for day in days { result.add(try await verify(day: day)) }
        return result
    }

    private func verify(_ range: Range<Int64>, keptFrom kept: Int64) async throws -> IndexVerification {
        try await database.read { connection in
            var result = IndexVerification()
            let published = try IndexSQL.values(.minute, in: range, connection)
            let made = Dictionary(
                uniqueKeysWithValues: try IndexSQL.minutes(range, at: Timestamp(microseconds: 0), connection).map { ($0.place, $0) })
            let known = Dictionary(uniqueKeysWithValues: published.map { ($0.place, $0) })
            for place in Set(made.keys).union(known.keys).sorted() {
                if known[place] != nil { result.minutes += 1 }
                if place < kept {
                    result.expired += known[place] == nil ? 0 : 1
                } else if let kind = IndexSQL.difference(known[place], made[place]) {
                    result.findings.append(.init(
                        kind: kind, span: .minute, place: place, published: known[place]?.value, recomputed: made[place]?.value))
                }
            }
            return result
        }
    }

    private func verify(day: Int64) async throws -> IndexVerification {
        try await database.read { connection in
            var result = IndexVerification()
            let published = try IndexSQL.values(.day, in: day..<day + 1, connection).first
            let made = try IndexSQL.day(day, deliveries: published?.deliveries ?? 1, at: Timestamp(microseconds: 0), connection)
            guard published != nil || made != nil else { return result }
            result.days = published == nil ? 0 : 1
            // Minutes never change: whatever differs is wrong.
            if IndexSQL.difference(published, made) != nil {
                result.findings.append(.init(kind: .broken, span: .day, place: day, published: published?.value, recomputed: made?.value))
            }
            return result
        }
    }
}

extension IndexVerification {
    fileprivate mutating func add(_ other: IndexVerification) {
        minutes += other.minutes
        days += other.days
        expired += other.expired
        findings += other.findings
    }
}

/// The statements behind it.
private enum IndexSQL {
    /// Slots lie no further before their delivery's begin: the difference of clocks.
    private static let marginBefore: Int64 = 120_000_000
    /// Nor beyond its end: the edges' grace, too.
    private static let marginAfter: Int64 = 600_000_000

    static func table(_ span: IndexSpan) -> String {
        switch span {
        case .minute: "index_minutes"
        case .day: "index_days"
        }
    }

    static func place(_ span: IndexSpan) -> String {
        switch span {
        case .minute: "minute"
        case .day: "day"
        }
    }

    static func columns(_ span: IndexSpan) -> String {
        let minutes =
            switch span {
            case .minute: "NULL"
            case .day: "minutes"
            }
        return "\(place(span)), value, numerator, work, lowest, highest, deliveries, CAST(\(minutes) AS BIGINT), inputs, published_at"
    }

    static func value(_ row: SQLRow) throws(DatabaseError) -> IndexValue {
        guard let numerator = Int128(try row.text(2)), let work = Int128(try row.text(3)) else { throw .decoding("an index's sums") }
        return IndexValue(
            place: try row.int64(0), value: Price(try row.int64(1)),
            price: VolumeWeightedPrice(
                numerator: numerator, work: work, lowest: Price(try row.int64(4)), highest: Price(try row.int64(5))),
            deliveries: try row.int64(6), minutes: try row.optionalInt64(7), inputs: try row.blob(8),
            publishedAt: Timestamp(microseconds: try row.int64(9)))
    }

    static func values(_ span: IndexSpan, after place: Int64, limit: Int, _ connection: any SQLConnection) throws -> [IndexValue] {
        let column = IndexSQL.place(span)
        return try connection.query(
            "SELECT \(columns(span)) FROM \(table(span)) WHERE \(column) > $1 ORDER BY \(column) LIMIT $2",
            [.integer(place), .integer(Int64(limit))]
        ).map { try value($0) }
    }

    static func values(_ span: IndexSpan, in range: Range<Int64>, _ connection: any SQLConnection) throws -> [IndexValue] {
        try values(span, after: range.lowerBound - 1, limit: range.count, connection).filter { range.contains($0.place) }
    }

    static func insert(_ value: IndexValue, into span: IndexSpan, _ connection: any SQLConnection) throws {
        guard let lowest = value.price.lowest, let highest = value.price.highest else { return }
        var columns = [place(span), "value", "numerator", "work", "lowest", "highest", "deliveries", "inputs", "published_at"]
        var values: [SQLValue] = [
            .integer(value.place), .integer(value.value.rawValue), .text("\(value.price.numerator)"), .text("\(value.price.work)"),
            .integer(lowest.rawValue), .integer(highest.rawValue), .integer(value.deliveries), .blob(value.inputs),
            .integer(value.publishedAt.microseconds),
        ]
        if let minutes = value.minutes {
            columns.append("minutes")
            values.append(.integer(minutes))
        }
        let places = (1...columns.count).map { "$\($0)" }.joined(separator: ", ")
        try connection.execute("INSERT INTO \(table(span)) (\(columns.joined(separator: ", "))) VALUES (\(places))", values)
    }

    // MARK: - Position

    static func position(_ connection: any SQLConnection) throws(DatabaseError) -> Int64? {
        try connection.queryOne("SELECT minute FROM index_position WHERE id = 1")?.int64(0)
    }

    /// - Returns: whether it was where it was thought to be
    static func move(from known: Int64?, to minute: Int64, _ connection: any SQLConnection) throws(DatabaseError) -> Bool {
        guard let known else {
            return try connection.execute(
                "INSERT INTO index_position (id, minute) VALUES (1, $1) ON CONFLICT (id) DO NOTHING", [.integer(minute)]) == 1
        }
        return try connection.execute(
            "UPDATE index_position SET minute = $1 WHERE id = 1 AND minute = $2", [.integer(minute), .integer(known)]) == 1
    }

    /// The first minute that there can be work of; nil: nothing was ever delivered.
    static func firstMinute(_ connection: any SQLConnection) throws(DatabaseError) -> Int64? {
        guard let opened = try connection.queryOne("SELECT opened_at FROM deliveries ORDER BY id LIMIT 1")?.int64(0) else { return nil }
        return max((opened - marginBefore) / 60_000_000, try keptFrom(connection))
    }

    /// Slots are complete from this minute on.
    static func keptFrom(_ connection: any SQLConnection) throws(DatabaseError) -> Int64 {
        let row = try connection.queryOne("SELECT coalesce(max(kept_from), 0) FROM retention WHERE name = 'meter_slots'")
        return (try row?.int64(0) ?? 0) / 60_000_000
    }

    // MARK: - From slots

    /// The first conditions find the deliveries of the range; the others do not depend on it, so that a minute is the same in
    /// ranges of any length.
    private static let slots = """
        FROM deliveries d JOIN meter_slots s ON s.delivery = d.id AND s.minute >= $1 AND s.minute < $2 AND s.billable_work > 0
        WHERE d.opened_at < $4 AND (d.ended_at IS NULL OR d.ended_at >= $3)
          AND s.minute * 60000000 >= d.opened_at - \(marginBefore)
          AND (d.ended_at IS NULL OR s.minute * 60000000 <= d.ended_at + \(marginAfter))
        """

    private static func parameters(_ range: Range<Int64>) -> [SQLValue] {
        [
            .integer(range.lowerBound), .integer(range.upperBound), .integer(range.lowerBound * 60_000_000 - marginAfter),
            .integer(range.upperBound * 60_000_000 + marginBefore),
        ]
    }

    /// Minutes with work, in order.
    static func minutes(_ range: Range<Int64>, at time: Timestamp, _ connection: any SQLConnection) throws -> [IndexValue] {
        var found: [IndexValue] = []
        var open: OpenMinute?
        try connection.forEach(
            "SELECT s.minute, s.delivery, s.rig, d.price, s.billable_work \(slots) ORDER BY s.minute, s.delivery, s.rig", parameters(range)
        ) { row in
            let minute = try row.int64(0)
            if let done = open, done.minute != minute {
                if let value = done.value(at: time) { found.append(value) }
                open = nil
            }
            var current = open ?? OpenMinute(minute: minute)
            current.add(
                DeliveryID(try row.int64(1)), rig: try row.int64(2), Price(try row.int64(3)), Work(units: try row.int64(4)))
            open = current
        }
        if let value = open?.value(at: time) { found.append(value) }
        return found
    }

    static func deliveries(ofDay day: Int64, _ connection: any SQLConnection) throws(DatabaseError) -> Int64 {
        try connection.queryOne("SELECT count(DISTINCT s.delivery) \(slots)", parameters(day * 1440..<(day + 1) * 1440))?.int64(0) ?? 0
    }

    /// From its minutes; nil without any.
    static func day(_ day: Int64, deliveries: Int64, at time: Timestamp, _ connection: any SQLConnection) throws -> IndexValue? {
        let minutes = try values(.minute, in: day * 1440..<(day + 1) * 1440, connection)
        var price = VolumeWeightedPrice()
        var inputs = SHA256()
        for minute in minutes {
            price.add(minute.price)
            var writer = BinaryWriter(reservingCapacity: 128)
            writer.write(minute.place)
            writer.write(minute.price.numerator)
            writer.write(minute.price.work)
            writer.write(minute.inputs)
            inputs.update(data: writer.bytes)
        }
        guard let value = price.value else { return nil }
        let most = minutes.reduce(0) { max($0, $1.deliveries) }
        return IndexValue(
            place: day, value: value, price: price, deliveries: max(deliveries, most), minutes: Int64(minutes.count),
            inputs: Array(inputs.finalize()), publishedAt: time)
    }

    /// nil: they are the same.
    static func difference(_ published: IndexValue?, _ made: IndexValue?) -> IndexVerification.Finding.Kind? {
        guard let published, let made, published.inputs == made.inputs else { return .slotsChanged }
        let isSame = published.value == made.value && published.price == made.price && published.deliveries == made.deliveries
            && published.minutes == made.minutes
        return isSame ? nil : .broken
    }

    private struct OpenMinute {
        let minute: Int64
        private var price = VolumeWeightedPrice()
        private var deliveries: Int64 = 0
        private var last: DeliveryID?
        private var inputs = SHA256()

        init(minute: Int64) { self.minute = minute }

        /// In order of deliveries.
        mutating func add(_ delivery: DeliveryID, rig: Int64, _ price: Price, _ work: Work) {
            self.price.add(work, at: price)
            if delivery != last { deliveries += 1 }
            last = delivery
            var writer = BinaryWriter(reservingCapacity: 64)
            for number in [minute, delivery.rawValue, rig, price.rawValue, work.units] { writer.write(number) }
            inputs.update(data: writer.bytes)
        }

        func value(at time: Timestamp) -> IndexValue? {
            price.value.map {
                IndexValue(
                    place: minute, value: $0, price: price, deliveries: deliveries, minutes: nil, inputs: Array(inputs.finalize()),
                    publishedAt: time)
            }
        }
    }
}
