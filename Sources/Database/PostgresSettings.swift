internal import CPostgres
#if canImport(Glibc)
internal import Glibc
#elseif canImport(Darwin)
internal import Darwin
#endif

/// How a session is made from a URL. What ``defaults`` and ``sessionDefaults`` say the URL may say otherwise.
enum PostgresSettings {
    /// libpq's own, <https://www.postgresql.org/docs/current/libpq-connect.html>; `tcp_user_timeout` in milliseconds, other
    /// times in seconds. A peer that vanished is noticed after 30 s, sent data or not.
    static let defaults = [
        ("connect_timeout", "5"), ("application_name", "hashspot"), ("tcp_user_timeout", "30000"), ("keepalives", "1"),
        ("keepalives_idle", "15"), ("keepalives_interval", "5"), ("keepalives_count", "3"),
    ]

    /// The session's, as `options=-c name=value` of the URL would set them.
    static let sessionDefaults = [
        ("statement_timeout", "5min"), ("lock_timeout", "10s"), ("idle_in_transaction_session_timeout", "1min"),
    ]

    /// Keywords and values for libpq, of which a later one has the last word.
    static func parameters(_ url: String) -> [(String, String)] {
        let ours = sessionDefaults.map { "-c \($0)=\($1)" }.joined(separator: " ")
        let theirs = option("options", of: url) ?? getenv("PGOPTIONS").map { String(cString: $0) } ?? ""
        return defaults + [("dbname", url), ("options", "\(ours) \(theirs)"), ("client_encoding", "UTF8")]
    }

    /// What the URL says of a keyword.
    static func option(_ keyword: String, of url: String) -> String? {
        guard let options = PQconninfoParse(url, nil) else { return nil }
        defer { PQconninfoFree(options) }
        var option = options
        while let name = option.pointee.keyword {
            if String(cString: name) == keyword { return option.pointee.val.map { String(cString: $0) } }
            option += 1
        }
        return nil
    }
}

extension DatabaseLocation {
    /// The same without limits to a statement's time and to the pauses within a transaction: for work on all of a database.
    public var forLongWork: DatabaseLocation {
        switch self {
        case .sqlite: return self
        case .postgres(let url):
            let theirs = PostgresSettings.option("options", of: url) ?? ""
            let options = "\(theirs) -c statement_timeout=0 -c idle_in_transaction_session_timeout=0"
            let encoded = options.utf8.map { byte in
                let character = Character(UnicodeScalar(byte))
                return character.isASCII && (character.isLetter || character.isNumber) ? String(character) : "%\(hex(byte))"
            }
            // The last one counts.
            return .postgres(url: url + (url.contains("?") ? "&" : "?") + "options=" + encoded.joined())
        }
    }

    private func hex(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 16)
        return byte < 16 ? "0" + digits : digits
    }
}
