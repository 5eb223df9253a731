import ArgumentParser
import Database
import Market
import Server
import Store
import Units
import WebAPI

/// A scope as it is typed.
enum ScopeArgument: String, ExpressibleByArgument, CaseIterable {
    case read, trade, rigs, finance, admin

    var scope: Scope {
        switch self {
        case .read: .read
        case .trade: .trade
        case .rigs: .rigs
        case .finance: .finance
        case .admin: .admin
        }
    }
}

/// `hashspot account key`: the API keys of an account.
struct KeyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key", abstract: "Manage an account's API keys. The server may be running; it notices within 10 seconds.",
        subcommands: [Create.self, List.self, Rotate.self, Revoke.self])
}

/// Which account's keys, and where.
struct KeyOptions: ParsableArguments {
    @OptionGroup var storage: DatabaseOptions

    @OptionGroup var secrets: SecretsOptions

    @Option(help: "The account's number.")
    var account: Int64

    @Flag(help: "Print JSON.")
    var json = false

    /// Works on the keys; what goes wrong is said in one line.
    func run(_ body: (KeyStore) async throws -> Void) async throws {
        let database = try await storage.openTables()
        do {
            var configuration = try storage.configuration()
            configuration.secretsKeyFile = secrets.secretsKey
            // Beside a database of its own a new master key would be one that the server has not.
            try await body(try Server.keys(configuration, database, making: configuration.tablesLocation.dialect == .sqlite))
        } catch {
            await database.close()
            switch error {
            case let failure as CommandFailure: throw failure
            case let error as KeyError: throw CommandFailure(description: KeyOptions.text(error))
            default: throw CommandFailure(description: operatorText(error))
            }
        }
        await database.close()
    }

    private static func text(_ error: KeyError) -> String {
        switch error {
        case .unknown: "the account has no such key"
        case .accountUnknown: "there is no such account"
        case .revoked: "the key was revoked"
        case .tooMany: "the account has \(KeyLimits.liveKeys) live keys already: revoke one"
        case .requestReused: "the request was made before"
        }
    }

    func printed(_ key: AccessKey, secret: String? = nil) {
        if json {
            print(OutputJSON.line(KeyOutput(key, secret: secret)))
            return
        }
        let scopes = key.grant.scopes.sorted().map(\.rawValue).joined(separator: ",")
        var parts = ["key \(key.id)", key.kind.rawValue, scopes, key.label]
        if !key.grant.networks.isEmpty { parts.append("from " + key.grant.networks.map(\.description).joined(separator: ",")) }
        if let end = key.grant.expiresAt { parts.append("until \(end)") }
        if let end = key.revokedAt { parts.append("revoked \(end)") }
        parts.append(key.lastUsedAt.map { "last used about \($0)" } ?? "never used")
        print(parts.joined(separator: "  "))
        if let name = key.name { print("  X-Auth name \(name)") }
        if let secret { print("  secret \(secret)") }
    }
}

private struct KeyOutput: Encodable {
    var id: Int64
    var account: Int64
    var kind: String
    var key: String?
    var label: String
    var scopes: [String]
    var networks: [String]
    var expiresAt: String?
    var revokedAt: String?
    var lastUsedAt: String?
    var secret: String?

    init(_ key: AccessKey, secret: String?) {
        id = key.id.rawValue
        account = key.account.rawValue
        kind = key.kind.rawValue
        self.key = key.name
        label = key.label
        scopes = key.grant.scopes.sorted().map(\.rawValue)
        networks = key.grant.networks.map(\.description)
        expiresAt = key.grant.expiresAt?.description
        revokedAt = key.revokedAt?.description
        lastUsedAt = key.lastUsedAt?.description
        self.secret = secret
    }
}

/// A new secret, as it is shown once and as it is kept.
private func newSecret(_ kind: KeyKind) -> (shown: String, kept: NewSecret) {
    let random = APIServices.systemRandomBytes(32)
    switch kind {
    case .bearer:
        let shown = APIKey.make(random: random)
        return (shown, .digest(APIKey.digest(shown)))
    case .signed:
        let shown = APIKey.makeSigningSecret(random: random)
        return (shown, .signing(Array(shown.utf8)))
    }
}

extension KeyCommand {
    /// `hashspot account key create`
    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "create", abstract: "Make an API key.",
            discussion: """
                Prints the key with its secret, which is shown this once.

                Examples:
                  hashspot account key create --data market --account 3 --label bot --scope read --scope trade --signed
                  hashspot account key create --data market --account 3 --label books --scope read --network 192.0.2.0/24 --days 90
                """)

        @OptionGroup var options: KeyOptions

        @Option(help: "What the key is for, 1 to 64 bytes.")
        var label: String

        @Option(help: "read, trade, rigs, finance or admin; may be given several times.")
        var scope: [ScopeArgument]

        @Option(help: ArgumentHelp("From where it may be used; may be given several times.", valueName: "192.0.2.0/24"))
        var network: [String] = []

        @Option(help: ArgumentHelp("How long it is good.", valueName: "days"))
        var days: Int64?

        @Flag(help: "A key that signs requests, in place of a bearer token.")
        var signed = false

        func run() async throws {
            guard (1...KeyLimits.labelBytes).contains(label.utf8.count) else {
                throw CommandFailure(description: "--label is not 1 to \(KeyLimits.labelBytes) bytes long")
            }
            guard !scope.isEmpty else { throw CommandFailure(description: "--scope is missing") }
            guard days.map({ (1...36_500).contains($0) }) ?? true else {
                throw CommandFailure(description: "--days is not from 1 to 36500")
            }
            guard network.count <= KeyLimits.networks else {
                throw CommandFailure(description: "--network is given more than \(KeyLimits.networks) times")
            }
            let now = MarketService.systemClock()
            let grant = KeyGrant(
                scopes: Set(scope.map(\.scope)), networks: try networks(network, option: "--network"),
                expiresAt: days.map { now + .seconds($0 * 86_400) })
            let (shown, kept) = newSecret(signed ? .signed : .bearer)
            let name = signed ? APIKey.makeName(random: APIServices.systemRandomBytes(16)) : nil
            try await options.run { keys in
                let key = try await keys.create(
                    NewAccessKey(
                        account: AccountID(options.account), name: name, label: label, grant: grant, secret: kept, createdBy: nil),
                    request: nil, at: now)
                options.printed(key, secret: shown)
            }
        }
    }

    /// `hashspot account key list`
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "Show an account's API keys, revoked ones too.")

        @OptionGroup var options: KeyOptions

        func run() async throws {
            try await options.run { keys in
                var cursor: Int64 = 0
                while true {
                    let page = try await keys.keys(of: AccountID(options.account), after: cursor, limit: 100)
                    for key in page { options.printed(key) }
                    guard let last = page.last else { return }
                    cursor = last.id.rawValue
                }
            }
        }
    }

    /// `hashspot account key rotate`
    struct Rotate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "rotate", abstract: "Give an API key a new secret, which is shown this once.")

        @OptionGroup var options: KeyOptions

        @Option(help: "The key's number.")
        var key: Int64

        @Option(help: ArgumentHelp("How long the secret before stays good.", valueName: "seconds"))
        var overlap: Int64 = 0

        func run() async throws {
            guard (0...604_800).contains(overlap) else {
                throw CommandFailure(description: "--overlap is not from 0 to 604800 seconds")
            }
            let (id, account, now) = (KeyID(key), AccountID(options.account), MarketService.systemClock())
            try await options.run { keys in
                guard let old = try await keys.key(id, of: account) else { throw KeyError.unknown }
                let (shown, kept) = newSecret(old.kind)
                let rotated = try await keys.rotate(
                    id, of: account, to: kept, previousUntil: now + .seconds(overlap), request: nil, at: now)
                options.printed(rotated, secret: shown)
            }
        }
    }

    /// `hashspot account key revoke`
    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "revoke", abstract: "End an API key.")

        @OptionGroup var options: KeyOptions

        @Option(help: "The key's number.")
        var key: Int64

        func run() async throws {
            try await options.run { keys in
                try await keys.revoke(KeyID(key), of: AccountID(options.account), at: MarketService.systemClock())
                if !options.json { print("key \(key) is revoked") }
            }
        }
    }
}
