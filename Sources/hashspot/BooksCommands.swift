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

/// `hashspot audit`: checks the books.
struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Check the invariants of ledger, holds, meter and bills.",
        discussion: "Reads one snapshot; safe on a live database. Exit status 1 if anything is broken.")

    @OptionGroup var storage: DatabaseOptions

    @Flag(help: "Print JSON, an object a line.")
    var json = false

    func run() async throws {
        let database = try await storage.openTables()
        let findings: [AuditFinding]
        do { findings = try await Audit(database).run() } catch {
            throw CommandFailure(description: "the audit could not be run: \(operatorText(error))")
        }
        await database.close()
        for finding in findings { print(line(finding)) }
        let broken = findings.count { $0.violations > 0 }
        if broken > 0 { throw CommandFailure(description: "\(broken) of \(findings.count) invariants are broken") }
    }

    private func line(_ finding: AuditFinding) -> String {
        if json { return OutputJSON.line(Row(invariant: finding.invariant, violations: finding.violations)) }
        return (finding.violations == 0 ? "ok      " : "BROKEN  ") + finding.invariant
            + (finding.violations == 0 ? "" : ": \(finding.violations)")
    }

    private struct Row: Encodable {
        var invariant: String
        var violations: Int64
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
