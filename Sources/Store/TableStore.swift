public import Database
internal import Exchange
internal import Ledger
public import Market
internal import Settlement
internal import Units

/// The tables that people query, written by the projector and read at start-up.
public struct TableStore: TablesPort {
    let database: Database

    public init(_ database: Database) { self.database = database }

    public func load() async throws -> StoredTables {
        try await database.read { connection in
            guard let position = try connection.queryOne(
                "SELECT last, at, rules_version, state_hash FROM projector WHERE id = 1", [])
            else { throw DatabaseError.decoding("the projector row is missing") }
            return StoredTables(
                last: try position.int64(0), at: Timestamp(microseconds: try position.int64(1)),
                rulesVersion: try position.int64(2), stateHash: UInt64(bitPattern: try position.int64(3)),
                state: try TableReader(connection).state())
        }
    }

    public func project(_ projection: Projection) async throws {
        try await database.write { connection in
            let moved = try connection.execute(
                """
                UPDATE projector SET last = $1, at = $2, rules_version = $3, state_hash = $4
                WHERE id = 1 AND last = $5
                """,
                [
                    .integer(projection.last), .integer(projection.at.microseconds), .integer(projection.rulesVersion),
                    .integer(Int64(bitPattern: projection.stateHash)), .integer(projection.previous),
                ])
            if moved != 1 {
                // A commit whose reply was lost: the tables are there already.
                let last = try connection.queryOne("SELECT last FROM projector WHERE id = 1", [])?.int64(0)
                guard last == projection.last else { throw ProjectionError.notAt(projection.previous) }
                return
            }
            let writer = TableWriter(connection)
            try writer.write(projection.changes)
            try writer.write(projection.appended)
        }
    }
}

/// Somebody else moved the tables.
enum ProjectionError: Error, CustomStringConvertible {
    case notAt(Int64)

    var description: String {
        switch self {
        case .notAt(let position): "the tables are not at position \(position): another server projects into them"
        }
    }
}
