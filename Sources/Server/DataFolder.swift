internal import Database
internal import Foundation

/// The server's folder: made when missing, locked while the server runs.
final class DataFolder: Sendable {
    private let path: String
    private let lock: Int32

    init(_ path: String) throws(ServerStartError) {
        self.path = path
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw ServerStartError("The data folder \(path) cannot be made: \(error.localizedDescription)")
        }
        let descriptor = open(path + "/lock", O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw ServerStartError("The data folder \(path) is not writable: \(String(cString: strerror(errno)))")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw ServerStartError("The data folder \(path) is in use by another server")
        }
        lock = descriptor
    }

    /// Refuses a folder of which a database file has gone: a new one in its place would hide the loss.
    static func checkComplete(_ configuration: ServerConfiguration) throws(ServerStartError) {
        let names = ["journal.sqlite", "market.sqlite"]
        let missing = names.filter {
            let attributes = try? FileManager.default.attributesOfItem(atPath: configuration.file($0))
            return (attributes?[.size] as? NSNumber)?.int64Value ?? 0 == 0
        }
        guard let lost = missing.first, missing.count < names.count else { return }
        throw ServerStartError(
            "\(configuration.file(lost)) is missing or empty although the rest of the market is there: restore a backup")
    }

    /// Refuses a damaged spool. A missing one is no reason: the edge makes a new one, and says so.
    static func checkSpool(_ configuration: ServerConfiguration) throws(ServerStartError) {
        let path = configuration.file("spool.sqlite")
        guard FileManager.default.fileExists(atPath: path) else { return }
        do throws(DatabaseError) {
            try Database.openConnection(.sqlite(path: path), checksIntegrity: true).close()
        } catch {
            throw ServerStartError("The spool \(path) cannot be used: \(error) \(error.detail)")
        }
    }

    /// Gives the folder up; another server may start.
    func unlock() { close(lock) }

    /// The API's secret, made at the first start. Readable by the owner only.
    func secret() throws(ServerStartError) -> [UInt8] {
        let file = path + "/api.secret"
        if let known = FileManager.default.contents(atPath: file) {
            guard known.count >= 32 else { throw ServerStartError("The secret in \(file) is too short; remove the file") }
            return [UInt8](known)
        }
        var generator = SystemRandomNumberGenerator()
        let fresh = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        guard FileManager.default.createFile(
            atPath: file, contents: Data(fresh), attributes: [.posixPermissions: 0o600])
        else { throw ServerStartError("The secret cannot be written to \(file)") }
        return fresh
    }
}
