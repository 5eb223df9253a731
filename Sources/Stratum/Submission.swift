/// A share as a miner states it in `mining.submit`.
public struct Submission: Hashable, Sendable {
    /// The worker's name, as authorized; at most 256 bytes.
    public var worker: String
    public var jobID: String
    /// 1...32 bytes; that the size is the job's is for the caller to check when sizes change during a connection.
    public var extranonce2: [UInt8]
    public var ntime: UInt32
    public var nonce: UInt32
    /// The rolled version bits (BIP 310's sixth parameter).
    public var versionBits: UInt32?

    public static let maximalWorkerBytes = 256
    public static let maximalExtranonce2Bytes = 32

    public init(
        worker: String, jobID: String, extranonce2: [UInt8], ntime: UInt32, nonce: UInt32, versionBits: UInt32? = nil
    ) {
        self.worker = worker
        self.jobID = jobID
        self.extranonce2 = extranonce2
        self.ntime = ntime
        self.nonce = nonce
        self.versionBits = versionBits
    }

    /// The header's version; nil when bits outside the mask are set.
    public func version(of job: Job, mask: UInt32) -> UInt32? {
        VersionRolling.version(job: job.version, bits: versionBits, mask: mask)
    }
}

/// Version rolling as BIP 310 defines it.
public enum VersionRolling {
    /// The mask that nearly all firmware uses.
    public static let usualMask: UInt32 = 0x1fff_e000

    /// `(job & ~mask) | (bits & mask)`; nil when a bit outside the mask is set. No bits leave the job's version as it is.
    public static func version(job: UInt32, bits: UInt32?, mask: UInt32) -> UInt32? {
        guard let bits else { return job }
        guard bits & ~mask == 0 else { return nil }
        guard mask != 0 else { return job }
        return job & ~mask | bits
    }
}

extension Submission {
    /// Reads the parameters of a `mining.submit`.
    init(parameters: inout ParameterReader) throws(WireError) {
        worker = try parameters.string(limit: Submission.maximalWorkerBytes)
        jobID = try parameters.string(limit: Job.maximalIDBytes)
        extranonce2 = try parameters.hexBytes(limit: Submission.maximalExtranonce2Bytes, .extranonce2)
        guard !extranonce2.isEmpty else { throw .invalid(.extranonce2) }
        ntime = try parameters.word(.ntime)
        nonce = try parameters.word(.nonce, padded: false)
        versionBits = try parameters.isAtEnd ? nil : parameters.optionalWord(.versionBits)
    }
}
