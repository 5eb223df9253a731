import ArgumentParser
import Database
import Foundation
import MigrationFiles
import Server
import Store

/// `hashspot migrate`: brings a database up to this program's schema.
struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate",
        abstract: "Create or upgrade the database's tables.",
        discussion: "Forward only, one migration a transaction. `serve` does it by itself for the embedded database.")

    @OptionGroup var storage: DatabaseOptions

    func run() async throws {
        let applied: [String]
        do {
            applied = try await Server.migrate(try storage.configuration())
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure(description: "not migrated: \(operatorText(error))")
        }
        print(applied.isEmpty ? "up to date" : "applied \(applied.joined(separator: ", "))")
    }
}

/// `hashspot report`: what was metered and what pools answered.
struct ReportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report", abstract: "Print reports from the database.", subcommands: [Pools.self])

    /// `hashspot report pools`
    struct Pools: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "pools",
            abstract: "Per pool target: shares verified, forwarded, and how the pool answered.")

        @OptionGroup var storage: DatabaseOptions

        @Flag(help: "Print JSON, an object a line.")
        var json = false

        func run() async throws {
            let database = try await storage.openTables()
            let counts: [PoolCount]
            do { counts = try await ReportStore(database).poolCounts() } catch {
                throw CommandFailure(description: "the report could not be made: \(operatorText(error))")
            }
            await database.close()
            for count in counts { print(json ? OutputJSON.line(Row(count)) : Row(count).text) }
        }

        private struct Row: Encodable {
            var target, owner: Int64
            var name, url, poolUser: String
            var validShares, validWorkUnits, forwarded, accepted, rejected, unanswered: Int64

            init(_ count: PoolCount) {
                (target, owner, name, url, poolUser) = (count.target, count.owner, count.name, count.url, count.poolUser)
                (validShares, validWorkUnits) = (count.validShares, count.validWork)
                (forwarded, accepted) = (count.forwarded, count.accepted)
                (rejected, unanswered) = (count.rejected, count.unanswered)
            }

            var text: String {
                "\(target) \(name) \(poolUser) at \(url): \(validShares) valid shares, \(validWorkUnits) work units, "
                    + "\(forwarded) forwarded, \(accepted) accepted, \(rejected) rejected, \(unanswered) unanswered"
            }
        }
    }
}
