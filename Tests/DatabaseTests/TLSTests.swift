import Database
import Foundation
import TestSupport
import Testing

/// A server with a certificate for `localhost`, from an authority that only this test knows.
@Suite("TLS", .enabled(if: Certificates.canBeMade, "openssl, which makes the certificates, is not installed"))
struct TLSTests {
    private func open(_ url: String) -> DatabaseError? {
        databaseError {
            let connection = try Database.openConnection(DatabaseLocation(url))
            defer { connection.close() }
            #expect(try connection.queryOne("SELECT CAST(ssl AS INTEGER) FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == SQLRow([1]))
        }
    }

    private func expectUnavailable(_ error: DatabaseError?, _ text: String, _ location: SourceLocation = #_sourceLocation) {
        guard case .unavailable(let detail) = error else {
            Issue.record("\(String(describing: error))", sourceLocation: location)
            return
        }
        #expect(detail.contains(text), "\(detail)", sourceLocation: location)
    }

    @Test("takes the server whose certificate and name are right, and no other")
    func verification() throws {
        let certificates = try Certificates()
        defer { certificates.remove() }
        let server = try ThrowAwayPostgres(tlsFolder: certificates.folder.path)
        defer { server.stop() }
        let localhost = server.url.replacing("127.0.0.1", with: "localhost")
        let right = "?sslmode=verify-full&sslrootcert=\(certificates.file("authority.crt"))"
        let wrong = "?sslmode=verify-full&sslrootcert=\(certificates.file("stranger.crt"))"

        #expect(open(localhost + right) == nil)
        expectUnavailable(open(localhost + wrong), "certificate verify failed")
        expectUnavailable(open(server.url + right), "does not match host name")
        expectUnavailable(open(localhost + "?sslmode=verify-full&sslrootcert=/nowhere.crt"), "/nowhere.crt")
        // Encrypted, but anybody's.
        #expect(open(server.url + "?sslmode=require") == nil)
    }

    @Test("is refused by a server that has none")
    func noTLS() throws {
        let database = try TestPostgres.createDatabase()
        defer { database.drop() }
        let error = open(database.url + "?sslmode=require")
        expectUnavailable(error, "does not support SSL")
    }
}

/// An authority, a certificate of its for `localhost`, and another authority that has nothing to do with it.
private struct Certificates {
    struct Failed: Error {
        let output: String
    }

    let folder: TemporaryFolder

    private static let program = ["/usr/bin/openssl", "/usr/local/bin/openssl", "/opt/homebrew/bin/openssl"]
        .first { FileManager.default.isExecutableFile(atPath: $0) }

    static var canBeMade: Bool { program != nil }

    init() throws {
        folder = try TemporaryFolder()
        for name in ["authority", "stranger"] {
            try openssl("req", "-x509", "-subj", "/CN=\(name)", "-days", "2", "-out", file("\(name).crt"), newKey: name)
        }
        try openssl("req", "-subj", "/CN=localhost", "-out", file("server.csr"), newKey: "server")
        try Data("subjectAltName=DNS:localhost".utf8).write(to: URL(fileURLWithPath: file("names")))
        try openssl(
            "x509", "-req", "-in", file("server.csr"), "-CA", file("authority.crt"), "-CAkey", file("authority.key"),
            "-set_serial", "1", "-days", "2", "-extfile", file("names"), "-out", file("server.crt"))
    }

    func file(_ name: String) -> String { folder.file(name) }

    func remove() { folder.remove() }

    private func openssl(_ arguments: String..., newKey: String? = nil) throws {
        let key = newKey.map { ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", file("\($0).key")] }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Self.program ?? "")
        process.arguments = arguments + (key ?? [])
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failed(output: String(decoding: text, as: UTF8.self)) }
    }
}
