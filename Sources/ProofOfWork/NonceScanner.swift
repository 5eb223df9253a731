import CHashing
public import Units

/// Searches a header's nonces on the processor; made once per header, used over ranges of nonces.
public struct NonceScanner: Sendable {
    private let header: BlockHeader
    private let target: Target
    private let algorithm: Algorithm
    private let midstate: (UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32)
    private let tail: (UInt32, UInt32, UInt32)

    /// The most nonces that one scan finds.
    private static let mostFound = 16

    /// - Parameter target: what a share must not exceed
    public init(header: BlockHeader, target: Target, algorithm: Algorithm = .sha256d) {
        self.header = header
        self.target = target
        self.algorithm = algorithm
        var state: (UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32) = (0, 0, 0, 0, 0, 0, 0, 0)
        var rest: (UInt32, UInt32, UInt32) = (0, 0, 0)
        header.withBytes { bytes in
            withUnsafeMutableBytes(of: &state) { out in
                hashing_midstate(
                    hashing_best(), bytes.bindMemory(to: UInt8.self).baseAddress,
                    out.bindMemory(to: UInt32.self).baseAddress)
            }
            withUnsafeMutableBytes(of: &rest) { $0.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[64..<76])) }
        }
        midstate = state
        tail = rest
    }

    /// Nonces in `start ..< start + count` (modulo 2^32) whose header meets the target, and how many were tried.
    ///
    /// Ends early after 16 candidates: go on at `start + tried`.
    public func scan(from start: UInt32, count: UInt64) -> (found: [UInt32], tried: UInt64) {
        switch algorithm {
        case .sha256d: scanDoubleSHA256(from: start, count: count)
        case .scrypt: scanOneByOne(from: start, count: count)
        }
    }

    private func scanDoubleSHA256(from start: UInt32, count: UInt64) -> (found: [UInt32], tried: UInt64) {
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: NonceScanner.mostFound) { found in
            found.initialize(repeating: 0)
            var tried: UInt64 = 0
            let hits = withUnsafeBytes(of: midstate) { state in
                withUnsafeBytes(of: tail) { rest in
                    hashing_scan(
                        hashing_best(), state.bindMemory(to: UInt32.self).baseAddress,
                        rest.bindMemory(to: UInt8.self).baseAddress, start, count, target.l3,
                        found.baseAddress, found.count, &tried)
                }
            }
            return (found[..<hits].filter { hash(nonce: $0).meets(target) }, tried)
        }
    }

    private func scanOneByOne(from start: UInt32, count: UInt64) -> (found: [UInt32], tried: UInt64) {
        var found: [UInt32] = []
        var tried: UInt64 = 0
        while tried < count, found.count < NonceScanner.mostFound {
            let nonce = start &+ UInt32(truncatingIfNeeded: tried)
            if hash(nonce: nonce).meets(target) { found.append(nonce) }
            tried += 1
        }
        return (found, tried)
    }

    /// The header's hash with this nonce.
    public func hash(nonce: UInt32) -> Hash256 {
        var changed = header
        changed.nonce = nonce
        return algorithm.proofOfWork.hash(changed)
    }
}
