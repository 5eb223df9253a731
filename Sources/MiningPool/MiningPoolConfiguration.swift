public import Units
import Stratum

/// How a ``MiningPool`` works.
public struct MiningPoolConfiguration: Sendable {
    public var host = "127.0.0.1"
    /// 0 takes any free port.
    public var port = 0
    /// Lines go through TLS.
    public var tls: TLSFiles?
    /// Serves the accounts as JSON; nil does not, 0 takes any free port.
    public var httpPort: Int?
    /// Bytes, 1...8.
    public var extranonce1Size = 4
    /// Bytes, 1...16.
    public var extranonce2Size = 8
    /// What shares are checked by.
    public var algorithm = Algorithm.sha256d
    public var difficulty = DecimalDifficulty.one
    /// Give a connection the difficulty it suggests, from its next job on.
    public var obeysSuggestions = false
    /// Header bits that miners may roll; 0 is none.
    public var versionMask: UInt32 = 0x1fff_e000
    /// Time between jobs of one block.
    public var jobInterval = Duration.seconds(30)
    /// Time between new previous blocks, which make all earlier jobs stale.
    public var blockInterval = Duration.seconds(600)
    /// The network's target in compact form: shares that meet it count as blocks. The default is SHA-256d's difficulty 65,536; see
    /// ``usualNbits(_:)``.
    public var nbits: UInt32 = 0x1b00_ffff
    /// Seconds that a share's ntime may be after the clock; it may not be before its job's.
    public var maximalNtimeLead: UInt32 = 7200
    /// Jobs are made from it; the same seed makes the same coinbases and branches.
    public var seed: UInt64 = 1
    public var maximalConnections = 10_000
    /// How often the accounts are logged; nil never.
    public var reportInterval: Duration? = .seconds(10)

    public init() {}

    /// Difficulty 65,536, as pools of the algorithm count.
    public static func usualNbits(_ algorithm: Algorithm) -> UInt32 {
        switch algorithm {
        case .sha256d: 0x1b00_ffff
        case .scrypt: 0x1d00_ffff
        }
    }

    /// PEM files.
    public struct TLSFiles: Sendable, Hashable {
        /// The certificate, then those between it and its authority.
        public var certificatePath: String
        public var keyPath: String

        public init(certificatePath: String, keyPath: String) {
            self.certificatePath = certificatePath
            self.keyPath = keyPath
        }
    }
}

/// A way in which a pool misbehaves, for tests.
public enum MiningPoolFault: Hashable, Sendable {
    case none
    /// Refuses this many of a hundred valid shares with error 20.
    case refuse(percent: Int)
    /// Neither answers nor sends anything.
    case silent
    /// Closes every connection, also new ones.
    case close
}
