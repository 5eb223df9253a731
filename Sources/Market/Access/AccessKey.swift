public import Units

/// The kinds of ``Identifier`` that only keys have.
public enum AccessKeyKind {}
/// An API key's number.
public typealias KeyID = Identifier<AccessKeyKind>

/// How a key's holder shows that they have it.
public enum KeyKind: String, Sendable, Hashable, CaseIterable {
    /// Sends the secret itself, as a bearer token.
    case bearer
    /// Signs each request with the secret, which is never sent.
    case signed
}

/// An API key without its secrets.
public struct AccessKey: Hashable, Sendable {
    public var id: KeyID
    public var account: AccountID
    public var kind: KeyKind
    /// What a signing client calls the key; nil for bearer keys.
    public var name: String?
    /// What its owner calls it.
    public var label: String
    public var grant: KeyGrant
    public var createdAt: Timestamp
    public var revokedAt: Timestamp?
    /// To the hour or so; nil: never.
    public var lastUsedAt: Timestamp?
    /// When the newest secret was made.
    public var rotatedAt: Timestamp
    /// Until when the secret before it is good; nil when there is none.
    public var previousUntil: Timestamp?

    public init(
        id: KeyID, account: AccountID, kind: KeyKind, name: String?, label: String, grant: KeyGrant, createdAt: Timestamp,
        revokedAt: Timestamp? = nil, lastUsedAt: Timestamp? = nil, rotatedAt: Timestamp, previousUntil: Timestamp? = nil
    ) {
        self.id = id
        self.account = account
        self.kind = kind
        self.name = name
        self.label = label
        self.grant = grant
        self.createdAt = createdAt
        self.revokedAt = revokedAt
        self.lastUsedAt = lastUsedAt
        self.rotatedAt = rotatedAt
        self.previousUntil = previousUntil
    }
}

/// A secret that a request may be signed with.
public struct SigningSecret: Hashable, Sendable {
    public var bytes: [UInt8]
    /// nil: as long as the key.
    public var until: Timestamp?

    public init(bytes: [UInt8], until: Timestamp? = nil) {
        self.bytes = bytes
        self.until = until
    }
}

/// A key as it is needed to judge a request.
public struct Credential: Sendable {
    public var key: AccessKey
    public var accountName: String
    public var roles: Set<Role>
    /// Of a signed key, newest first; none for bearer keys.
    public var secrets: [SigningSecret]
    /// Until when the bearer secret that was shown is good; nil: as long as the key.
    public var bearerUntil: Timestamp?

    public init(key: AccessKey, accountName: String, roles: Set<Role>, secrets: [SigningSecret] = [], bearerUntil: Timestamp? = nil) {
        self.key = key
        self.accountName = accountName
        self.roles = roles
        self.secrets = secrets
        self.bearerUntil = bearerUntil
    }
}

/// A secret to be kept: of bearer keys only the digest, of signed keys the bytes (sealed).
public enum NewSecret: Hashable, Sendable {
    case digest([UInt8])
    case signing([UInt8])
}

/// What makes a change of keys repeatable: a repetition (same key and digest) finds what the first request made.
public struct KeyRequest: Hashable, Sendable {
    public var key: String
    public var digest: [UInt8]

    public init(key: String, digest: [UInt8]) {
        self.key = key
        self.digest = digest
    }
}

/// A key to be made.
public struct NewAccessKey: Hashable, Sendable {
    public var account: AccountID
    /// Of signed keys, unique.
    public var name: String?
    public var label: String
    public var grant: KeyGrant
    public var secret: NewSecret
    /// The key that makes it; nil: an operator.
    public var createdBy: KeyID?

    public init(account: AccountID, name: String?, label: String, grant: KeyGrant, secret: NewSecret, createdBy: KeyID?) {
        self.account = account
        self.name = name
        self.label = label
        self.grant = grant
        self.secret = secret
        self.createdBy = createdBy
    }
}

/// Why keys were not changed as asked.
public enum KeyError: Error, Hashable, Sendable {
    case unknown
    case accountUnknown
    case revoked
    /// The account has as many live keys as it may.
    case tooMany
    /// The repeatable request's key was used with another request.
    case requestReused
}

/// API keys, in the database.
public protocol KeyDirectory: Sendable {
    /// The bearer key of which a secret has this SHA-256, revoked and expired ones included; nil when there is none.
    func credential(digest: [UInt8]) async throws -> Credential?
    /// The signed key of this name, revoked and expired ones included; nil when there is none.
    func credential(name: String) async throws -> Credential?
    /// An account's keys by number, after `cursor`, at most `limit`, revoked ones included.
    func keys(of account: AccountID, after cursor: Int64, limit: Int) async throws -> [AccessKey]
    func key(_ id: KeyID, of account: AccountID) async throws -> AccessKey?
    /// Makes a key, or finds the one that the same request made.
    ///
    /// - Throws: ``KeyError``
    func create(_ new: NewAccessKey, request: KeyRequest?, at: Timestamp) async throws -> AccessKey
    /// Gives a key a new secret; the one before it is good until `previousUntil`, all earlier ones end now.
    ///
    /// - Throws: ``KeyError``
    func rotate(
        _ id: KeyID, of account: AccountID, to secret: NewSecret, previousUntil: Timestamp, request: KeyRequest?, at: Timestamp
    ) async throws -> AccessKey
    /// Ends a key; one that has ended already stays as it is.
    ///
    /// - Throws: ``KeyError``
    func revoke(_ id: KeyID, of account: AccountID, at: Timestamp) async throws
    /// Notes that a key was used.
    func noteUse(_ id: KeyID, at: Timestamp) async throws
}

/// The most live keys of an account.
public enum KeyLimits {
    public static let liveKeys = 64
    public static let networks = 32
    public static let labelBytes = 64
}
