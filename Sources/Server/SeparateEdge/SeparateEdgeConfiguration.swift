public import Database
public import StratumProxy

/// Everything that an edge in a process of its own needs to know before it starts.
public struct SeparateEdgeConfiguration: Sendable {
    /// The edge's name in its market: one process at a time has it.
    public var name: String
    /// Folder of the spool and of the copy of what the edge was told; created when missing.
    public var dataFolder: String
    /// The market's database, on Postgres.
    public var database: DatabaseLocation
    public var stratumHost = "127.0.0.1"
    /// 0 takes any free port.
    public var stratumPort = 3333
    /// What sellers are told to point their rigs at; nil: the address that is listened on.
    public var publicStratumURL: String?
    /// Lets buyers name pools at private, loopback and link-local addresses.
    public var allowsPrivatePools = false
    public var transport = StratumTransport()
    /// Whether each share becomes a row beside its slot, so that a bill can be traced to headers.
    public var rawShares = true
    /// How often the edge looks for new routes.
    public var lookInterval: Duration = .milliseconds(100)
    /// The time of day; another one only in tests.
    public var clock: any WallClock = SystemClock()

    public init(name: String, dataFolder: String, database: DatabaseLocation) {
        self.name = name
        self.dataFolder = dataFolder
        self.database = database
    }

    func file(_ name: String) -> String { dataFolder + "/" + name }

    /// Why an edge cannot have a name; nil when it can.
    static func flaw(inName name: String) -> String? {
        let isPlain = name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) }
        if name.isEmpty || name.utf8.count > 64 || !isPlain {
            return "An edge's name has 1 to 64 letters, digits, dots, dashes or underscores"
        }
        return name == "embedded" ? "The name 'embedded' is that of the edge inside of a server" : nil
    }
}

/// Why an edge ended by itself: one line for the operator.
public struct SeparateEdgeEnd: Error, CustomStringConvertible {
    public let description: String
}
