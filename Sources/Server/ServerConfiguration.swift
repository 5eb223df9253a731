public import Certificates
public import Database
public import Exchange
public import Market
public import Store
public import Units
public import WebAPI

/// Everything that a server needs to know before it starts.
public struct ServerConfiguration: Sendable {
    /// Folder of the embedded database, the edge's spool and the API's secret; created when missing.
    public var dataFolder: String
    /// Where journal and tables are; nil: SQLite files in the data folder.
    public var database: DatabaseLocation?
    public var apiHost = "127.0.0.1"
    /// 0 takes any free port.
    public var apiPort = 8080
    /// The API's certificate; nil: HTTP in the clear.
    public var apiTLS: CertificateFiles?
    /// How often its files are looked at.
    public var certificateCheck: Duration = .seconds(10)
    /// Whether rigs connect to this process; if not, to edges in processes of their own, which need Postgres.
    public var hasEdge = true
    public var stratumHost = "127.0.0.1"
    /// 0 takes any free port.
    public var stratumPort = 3333
    /// What sellers are told to point their rigs at; nil: the address that is listened on.
    public var publicStratumURL: String?
    /// How rigs and pools are connected to.
    public var transport = StratumTransport()
    public var rules = MarketRules.sha256d
    /// The file of master keys for secrets at rest; nil: `secrets.key` in the data folder, made when missing.
    public var secretsKeyFile: String?
    /// How requests to the API are admitted.
    public var access = AccessSettings()
    /// Lets buyers name pools at private, loopback and link-local addresses.
    public var allowsPrivatePools = false
    /// Lets one person credit deposits; otherwise another must approve them.
    public var singlePersonDeposits = false
    public var settlementInterval: Duration = .seconds(300)
    /// From a delivery's end to its final run; a day at least.
    public var disputeWindow = Interval.day
    /// When minutes of the index are published.
    public var indexTiming = IndexWorker.Timing()
    /// How often failed pools that bids wait for are tried again.
    public var verificationInterval: Duration = .seconds(30)

    /// The rigs of an edge in a process of its own count as away after so much silence of it.
    public var longestEdgeSilence: Duration = .seconds(60)

    /// Whether each share becomes a row beside its slot, so that a bill can be traced to headers.
    public var rawShares = true
    /// File of the key that documents are signed with, made at the first issue; nil: `signing.key` in the data folder.
    public var signingKey: String?

    /// How long metered rows are kept.
    public var retention = RetentionPolicy()

    public init(dataFolder: String) { self.dataFolder = dataFolder }

    /// The market's tables.
    public var tablesLocation: DatabaseLocation { database ?? .sqlite(path: file("market.sqlite")) }
    /// The journal: a file of its own on SQLite, so that projecting does not hold its lock.
    public var journalLocation: DatabaseLocation { database ?? .sqlite(path: file("journal.sqlite")) }

    /// The file of the key that documents are signed with.
    public var signingKeyFile: String { signingKey ?? file("signing.key") }

    func file(_ name: String) -> String { dataFolder + "/" + name }
}

/// Why a server does not start: one line that says what to do.
public struct ServerStartError: Error, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}
