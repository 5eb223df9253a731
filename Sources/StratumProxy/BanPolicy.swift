public import Units

/// What is put up with, and for how long whoever goes beyond is kept out.
public struct BanPolicy: Sendable, Hashable {
    /// Offences are counted over this time.
    public var window = Interval.seconds(600)
    /// The first ban; each further one is twice as long, up to the longest.
    public var firstBan = Interval.seconds(60)
    public var longestBan = Interval.seconds(3600)
    /// A subject that has behaved for so long after a ban starts anew.
    public var forgiveness = Interval.seconds(86_400)
    /// Failed logins of one user name from one network; then that name is not looked at from there.
    public var failedLogins = 10
    /// User names that failed to log in from one network, each counted once.
    public var failedNames = 50
    /// Connections of one network that ended for malformed lines before any login.
    public var malformedFromAddress = 20
    /// Connections of one network that ended without any login.
    public var unusedConnections = 600
    /// Connections of one rig that ended for malformed lines or floods.
    public var malformedFromRig = 5
    /// Connections of one rig that ended for invalid shares.
    public var invalidShareRuns = 3
    /// Connections of one rig that ended within five seconds of its login.
    public var shortSessions = 100
    /// Connections of one network at one time; further ones are closed at once.
    public var connectionsPerAddress = 16_384
    /// Networks that are never banned and have no limit: farms behind one address.
    public var allowed: [AddressBlock] = []
    /// Subjects that offences are remembered of; the oldest are forgotten first.
    public var maximalSubjects = 65_536
    /// Bans at one time; beyond that the one that ends first is lifted.
    public var maximalBans = 16_384

    public init() {}
}

/// What a peer did wrong.
enum Offence: Hashable {
    case failedLogin, malformed, invalidShares, churn
}

/// Who is counted. A credential comes first: an address answers only for what nobody logged in to do.
enum BanSubject: Hashable, CustomStringConvertible {
    case rig(RigID)
    /// A user name, as tried from one network: whoever guesses keeps out nobody but himself.
    case login(user: String, from: SourceAddress)
    case address(SourceAddress)

    var description: String {
        switch self {
        case .rig(let id): "rig \(id)"
        case .login(let user, let network): "login \(BanSubject.printable(user)) from \(network)"
        case .address(let network): "address \(network)"
        }
    }

    /// User names come from strangers.
    private static func printable(_ user: String) -> String {
        String(String.UnicodeScalarView(user.unicodeScalars.prefix(64).map { $0.properties.generalCategory.isPlain ? $0 : "?" }))
    }
}

/// Somebody who is kept out.
public struct BanSnapshot: Sendable, Hashable {
    /// For people.
    public var subject: String
    public var reason: String
    public var until: Timestamp
}

extension Unicode.GeneralCategory {
    /// Neither a control character nor one that changes how text around it looks.
    fileprivate var isPlain: Bool {
        switch self {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
        default: true
        }
    }
}
