public import Database
internal import Logging
public import Store

extension Server {
    /// API keys, with the master key of their secrets.
    ///
    /// - Parameter making: whether a missing master key is made, unless a file was named for it
    /// - Throws: ``ServerStartError``
    public static func keys(_ configuration: ServerConfiguration, _ database: Database, making: Bool) throws -> KeyStore {
        let path = configuration.secretsKeyFile ?? configuration.file("secrets.key")
        do {
            return KeyStore(database, sealing: try SecretsKeyFile.open(path, making: making && configuration.secretsKeyFile == nil))
        } catch { throw ServerStartError(error.description) }
    }

    /// The same for a server, which seals anew what an older master key sealed.
    static func openKeys(
        _ configuration: ServerConfiguration, _ database: Database, making: Bool, _ logger: Logger
    ) async throws -> KeyStore {
        let keys = try keys(configuration, database, making: making)
        let count = try await keys.reseal()
        if count > 0 { logger.info("signing secrets sealed under the newest master key", metadata: ["secrets": "\(count)"]) }
        return keys
    }
}
