import ArgumentParser
import Database
import Market
import Store
import Units
import WebAPI

/// A role as it is typed.
enum RoleArgument: String, ExpressibleByArgument, CaseIterable {
    case buyer, seller, finance, admin

    var role: Role {
        switch self {
        case .buyer: .buyer
        case .seller: .seller
        case .finance: .finance
        case .admin: .admin
        }
    }
}

/// `hashspot account`: who may use the market.
struct AccountCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "account", abstract: "Manage accounts.", subcommands: [Create.self, KeyCommand.self])

    /// `hashspot account create`
    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "create",
            abstract: "Create an account with an API key.",
            discussion: """
                Prints the account's number and its API key. The key is shown this once; the database keeps only its \
                digest. The server may be running meanwhile.

                Examples:
                  hashspot account create --data market --name alice --role buyer
                  hashspot account create --data market --name books --role finance --json
                """)

        @OptionGroup var storage: DatabaseOptions

        @Option(help: "A name of its own, 1 to 64 bytes.")
        var name: String

        @Option(help: "buyer, seller, finance or admin; may be given several times.")
        var role: [RoleArgument]

        @Flag(help: "Print JSON.")
        var json = false

        func run() async throws {
            guard (1...64).contains(name.utf8.count) else {
                throw CommandFailure(description: "--name is not 1 to 64 bytes long")
            }
            let database = try await storage.openTables()
            let key = APIKey.make(random: APIServices.systemRandomBytes(32))
            let account: AccountID
            do {
                let roles = Set(role.map(\.role))
                account = try await OperatorTrail(database).record(
                    "hashspot account create", subject: name, request: "roles \(roles.map(\.rawValue).sorted().joined(separator: ","))"
                ) {
                    try await AccountStore(database).create(
                        name: name, roles: roles, keyDigest: APIKey.digest(key), at: MarketService.systemClock())
                }
            } catch let failure as CommandFailure {
                throw failure
            } catch DatabaseError.constraintViolation {
                throw CommandFailure(description: "an account named \(name) exists already")
            } catch {
                throw CommandFailure(description: "the account was not created: \(operatorText(error))")
            }
            await database.close()
            if json {
                print(OutputJSON.line(Created(account: account.rawValue, name: name, key: key)))
            } else {
                print("account \(account)\nAPI key \(key)")
            }
        }

        private struct Created: Encodable {
            var account: Int64
            var name: String
            var key: String
        }
    }
}
