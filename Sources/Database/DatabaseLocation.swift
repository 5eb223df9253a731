internal import CPostgres

/// Where a database is.
public enum DatabaseLocation: Sendable, Hashable {
    case sqlite(path: String)
    /// A `postgres://` or `postgresql://` URL as libpq understands it, several hosts and TLS included:
    /// `?sslmode=verify-full&sslrootcert=/path/ca.pem` checks the server's certificate and name.
    ///
    /// Unless the URL says otherwise, connecting takes at most 5 s (`connect_timeout`), and a peer that vanished is noticed
    /// after 30 s (`tcp_user_timeout` in ms; `keepalives_idle`, `keepalives_interval` in s, `keepalives_count`). The session
    /// ends a statement after 5 min (`statement_timeout`), the wait for a lock after 10 s (`lock_timeout`), and itself after
    /// 1 min of nothing within a transaction (`idle_in_transaction_session_timeout`); a URL changes these by
    /// `options=-c%20statement_timeout%3D30s`. Migrations have no limit.
    case postgres(url: String)

    /// `postgres://...`, `postgresql://...`, `sqlite:path`, or the path of an SQLite file.
    public init(_ text: String) throws(DatabaseError) {
        if text.hasPrefix("postgres://") || text.hasPrefix("postgresql://") {
            try Self.check(url: text)
            self = .postgres(url: text)
            return
        }
        let path = text.hasPrefix("sqlite:") ? String(text.dropFirst("sqlite:".count)) : text
        guard !path.isEmpty else { throw .invalidLocation("a database's path is empty") }
        guard !path.utf8.contains(0) else { throw .invalidLocation("a database's path contains NUL") }
        if let end = path.range(of: "://") {
            let scheme = path[..<end.lowerBound]
            throw .invalidLocation("'\(scheme)' is not a kind of database: use postgres://, sqlite: or a file's path")
        }
        self = .sqlite(path: path)
    }

    public var dialect: SQLDialect {
        switch self {
        case .sqlite: .sqlite
        case .postgres: .postgres
        }
    }

    private static func check(url: String) throws(DatabaseError) {
        guard !url.utf8.contains(0) else { throw .invalidLocation("a database's URL contains NUL") }
        // libpq's own text may quote the password, so it is not passed on.
        var message: UnsafeMutablePointer<CChar>?
        defer { PQfreemem(message) }
        guard let options = PQconninfoParse(url, &message) else {
            throw .invalidLocation(
                "the Postgres URL is not of the form postgres://user:password@host:port/database?option=value"
            )
        }
        PQconninfoFree(options)
    }
}

extension DatabaseLocation: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The location without its password.
    public var description: String {
        switch self {
        case .sqlite(let path): "sqlite:\(path)"
        case .postgres(let url): Self.redacted(url)
        }
    }

    public var debugDescription: String { description }

    public var customMirror: Mirror { Mirror(self, children: ["location": description]) }

    private static func redacted(_ url: String) -> String {
        let query = url.firstIndex(of: "?") ?? url.endIndex
        let base = url[..<query]
        guard let at = base.lastIndex(of: "@"), let slashes = base.range(of: "://") else { return String(base) }
        let user = base[slashes.upperBound..<at].split(separator: ":", maxSplits: 1).first ?? ""
        return "\(base[..<slashes.upperBound])\(user)@\(base[base.index(after: at)...])"
    }
}

extension StringProtocol {
    /// Where `other` occurs first; here so that Foundation is not needed for it.
    fileprivate func range(of other: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(other) { return start..<index(start, offsetBy: other.count) }
            formIndex(after: &start)
        }
        return nil
    }
}
