internal import Foundation

/// A Postgres server that `Scripts/with-postgres` runs until `stop`, or until this process ends, however it ends: the
/// script stops the server when its command does, and that reads a pipe which only this process has open for writing.
public final class ThrowAwayPostgres: Sendable {
    /// Of the server's own database; its user needs no password.
    public let url: String
    /// Never written to.
    private let lifeline: Pipe
    private let process: Process

    /// - Parameter tlsFolder: has the certificate and the key for TLS, `server.crt` and `server.key`; nil: no TLS
    /// - Throws: ``TestPostgres/Missing`` if no server could be started
    public init(tlsFolder: String? = nil) throws {
        var environment = ProcessInfo.processInfo.environment
        environment["HASHSPOT_NO_INSTALL"] = "1"
        environment["HASHSPOT_POSTGRES_TLS"] = tlsFolder
        let process = Process()
        let lifeline = Pipe()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = [
            Self.script.path(), "bash", "-c", "echo \"$HASHSPOT_TEST_POSTGRES\"; exec >/dev/null; cat",
        ]
        process.environment = environment
        let output = Pipe()
        process.standardInput = lifeline
        process.standardOutput = output
        try process.run()
        self.process = process
        self.lifeline = lifeline
        url = Self.readLine(from: output.fileHandleForReading)
        guard url.hasPrefix("postgres://") else {
            throw TestPostgres.Missing(description: "Scripts/with-postgres started no server")
        }
    }

    /// Returns when the server is gone.
    public func stop() {
        try? lifeline.fileHandleForWriting.close()
        process.waitUntilExit()
    }

    private static var script: URL {
        URL(fileURLWithPath: #filePath).appending(path: "../../../Scripts/with-postgres").standardizedFileURL
    }

    private static func readLine(from handle: FileHandle) -> String {
        var line: [UInt8] = []
        while let byte = (try? handle.read(upToCount: 1))?.first, byte != UInt8(ascii: "\n") { line.append(byte) }
        return String(decoding: line, as: UTF8.self)
    }
}
