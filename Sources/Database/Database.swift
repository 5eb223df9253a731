public import MigrationFiles
internal import Synchronization

/// A database with one connection for writing and several for reading, each on a serial queue of its
/// own. Callers await; nothing blocks the cooperative pool.
public final class Database: Sendable {
    public struct Configuration: Sendable, Hashable {
        /// Connections for reading, opened when first needed; 1 and up.
        public var readers: Int
        /// How many writes, and how many reads, may wait; one more is answered `DatabaseError.busy`.
        public var maximumWaiting: Int
        /// Whether SQLite reads the whole file for damage when it is opened. Takes time with its size.
        public var checksIntegrity: Bool

        public init(readers: Int = 4, maximumWaiting: Int = 1024, checksIntegrity: Bool = false) {
            self.readers = readers
            self.maximumWaiting = maximumWaiting
            self.checksIntegrity = checksIntegrity
        }
    }

    public let dialect: SQLDialect
    private let writer: ConnectionQueue
    private let readers: ReaderPool
    private let maximumWaiting: Int
    /// Writes queued or running.
    private let writes = Mutex(0)

    private init(_ location: DatabaseLocation, _ configuration: Configuration) {
        dialect = location.dialect
        writer = ConnectionQueue(
            location, label: "hashspot.database.writer", checksIntegrity: configuration.checksIntegrity
        )
        let connections = (0..<max(configuration.readers, 1)).map {
            ConnectionQueue(location, label: "hashspot.database.reader.\($0)")
        }
        readers = ReaderPool(connections, maximumWaiting: configuration.maximumWaiting)
        maximumWaiting = configuration.maximumWaiting
    }

    /// Opens the connection for writing, so that a wrong location is told at once. An SQLite file is
    /// made if it is not there, its folder is not.
    public static func open(
        _ location: DatabaseLocation,
        configuration: Configuration = Configuration()
    ) async throws(DatabaseError) -> Database {
        let database = Database(location, configuration)
        do {
            try await database.withWriterConnection { _ in }
        } catch let error as DatabaseError {
            throw error
        } catch {
            throw .unavailable(detail: "\(error)")
        }
        return database
    }

    /// A blocking connection for an owner with a thread of its own.
    public static func openConnection(
        _ location: DatabaseLocation,
        checksIntegrity: Bool = false
    ) throws(DatabaseError) -> any SQLConnection {
        switch location {
        case .sqlite(let path): try SQLiteConnection(path: path, checksIntegrity: checksIntegrity)
        case .postgres(let url): try PostgresConnection(url: url)
        }
    }

    /// Reads one snapshot. What `body` throws is rethrown.
    public func read<T: Sendable>(
        _ body: @escaping @Sendable (any SQLConnection) throws -> T
    ) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            readers.perform({ connection in try connection.transaction(.read) { try body(connection) } }) {
                continuation.resume(with: $0)
            }
        }
    }

    /// One transaction, committed when `body` returns; what it throws is rethrown, and nothing kept.
    @discardableResult
    public func write<T: Sendable>(
        _ body: @escaping @Sendable (any SQLConnection) throws -> T
    ) async throws -> T {
        try await withWriterConnection { connection in try connection.transaction { try body(connection) } }
    }

    /// The same, blocking the calling thread. Not for tasks and event loops, nor inside `write`.
    @discardableResult
    public func writeSync<T: Sendable>(_ body: @Sendable (any SQLConnection) throws -> T) throws -> T {
        try writer.performSync { connection in try connection.transaction { try body(connection) } }
    }

    /// Lends the connection for writing, without a transaction. One that `body` leaves open is rolled back.
    @discardableResult
    public func withWriterConnection<T: Sendable>(
        _ body: @escaping @Sendable (any SQLConnection) throws -> T
    ) async throws -> T {
        try admitWrite()
        return try await withCheckedThrowingContinuation { continuation in
            writer.perform({ connection in
                defer { connection.rollback() }
                return try body(connection)
            }) { result in
                self.writes.withLock { $0 -= 1 }
                continuation.resume(with: result)
            }
        }
    }

    /// Brings the schema up to what the program was built with.
    public func migrate(_ stream: MigrationStream) async throws -> MigrationReport {
        try await withWriterConnection { connection in try Migrator(stream).migrate(connection) }
    }

    /// Ends all connections after what is running; later uses throw `DatabaseError.closed`.
    public func close() async {
        await readers.close()
        await writer.close()
    }

    private func admitWrite() throws(DatabaseError) {
        let isAdmitted = writes.withLock { writes in
            guard writes <= maximumWaiting else { return false }
            writes += 1
            return true
        }
        guard isAdmitted else { throw .busy(detail: "\(maximumWaiting) writes are waiting") }
    }
}
