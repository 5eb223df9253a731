import ArgumentParser
import Database
import Server

/// Where the market's data are.
struct DatabaseOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Folder of the embedded database and the spool.", valueName: "folder"))
    var data = "hashspot-data"

    @Option(help: ArgumentHelp("A Postgres database instead of the embedded one.", valueName: "postgres://..."))
    var database: String?

    func location() throws -> DatabaseLocation? {
        guard let database else { return nil }
        do {
            let location = try DatabaseLocation(database)
            guard location.dialect == .postgres else {
                throw CommandFailure(description: "--database is not a postgres:// URL; use --data for the embedded database")
            }
            return location
        } catch let error as DatabaseError {
            throw CommandFailure(description: "--database: \(operatorText(error))")
        }
    }

    func configuration() throws -> ServerConfiguration {
        var configuration = ServerConfiguration(dataFolder: data)
        configuration.database = try location()
        return configuration
    }

    /// Opens the tables of a market that a server or `hashspot migrate` has made.
    func openTables() async throws -> Database {
        do {
            return try await Server.openTables(try configuration())
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure(description: operatorText(error))
        }
    }
}
