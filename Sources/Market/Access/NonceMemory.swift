public import Units

/// How far a signed request's time may be from ours.
public struct SignatureWindow: Hashable, Sendable {
    /// To both sides.
    public var most: Interval

    /// - Precondition: from a second to a day
    public init(_ most: Interval = .seconds(300)) {
        precondition(most >= .seconds(1) && most <= .seconds(86_400), "a time window is a second to a day")
        self.most = most
    }
}

/// Remembers the nonces of signed requests, so that none is taken twice, in bounded memory.
///
/// Per key, nonces are kept in slices by the request's own time, as long as that time is within the window. Requests of before
/// ``start`` are refused: an earlier process may have taken them. At the bound the oldest slice of the key with the most nonces
/// is forgotten, and that key's requests of that time are refused from then on: the window of who floods becomes narrower, and
/// nothing is ever taken twice. Nonces are remembered as 128 bits of a digest.
public struct NonceMemory: Sendable {
    public enum Verdict: Hashable, Sendable {
        case fresh
        case reused
        /// The request's time is outside of the window.
        case outsideWindow
        /// Within the window, but its time is forgotten: before our start, or behind this key's flood.
        case forgotten
    }

    private struct Memory: Sendable {
        /// Nonces by the slice of the request's time.
        var slices: [Int64: Set<UInt128>] = [:]
        var count = 0
        /// Slices before this one are forgotten.
        var floor = Int64.min
    }

    public let window: SignatureWindow
    public let start: Timestamp
    public let capacity: Int
    public private(set) var count = 0
    private var memories: [KeyID: Memory] = [:]
    private var sweptSlice = Int64.min
    /// A sixtieth of the window.
    private let sliceLength: Int64

    /// - Parameter start: when this memory begins
    /// - Precondition: room for one nonce
    public init(window: SignatureWindow, capacity: Int, start: Timestamp) {
        precondition(capacity > 0, "a nonce memory has room for a nonce")
        self.window = window
        self.capacity = capacity
        self.start = start
        sliceLength = max(1, window.most.microseconds / 60)
    }

    /// Judges a request's time alone.
    public func isWithinWindow(_ time: Timestamp, now: Timestamp) -> Bool {
        let (difference, overflow) = time.microseconds.subtractingReportingOverflow(now.microseconds)
        return !overflow && difference.magnitude <= UInt64(window.most.microseconds)
    }

    /// Takes a nonce once.
    ///
    /// - Parameters:
    ///   - nonce: 128 bits of its digest
    ///   - time: the request's own
    /// - Complexity: O(1) mostly; once in a slice, and at the bound, O(keys with nonces)
    public mutating func take(_ nonce: UInt128, of key: KeyID, time: Timestamp, now: Timestamp) -> Verdict {
        guard isWithinWindow(time, now: now) else { return .outsideWindow }
        // Clients write milliseconds: those of the start's millisecond count as after it.
        guard time.microseconds / 1000 >= start.microseconds / 1000 else { return .forgotten }
        sweep(now)
        let slice = time.microseconds / sliceLength
        guard slice >= memories[key]?.floor ?? .min else { return .forgotten }
        if memories[key]?.slices[slice]?.contains(nonce) == true { return .reused }
        while count >= capacity { forgetOldestSlice() }
        // It may have been this key's.
        guard slice >= memories[key]?.floor ?? .min else { return .forgotten }
        memories[key, default: Memory()].slices[slice, default: []].insert(nonce)
        memories[key, default: Memory()].count += 1
        count += 1
        return .fresh
    }

    /// Drops what is outside of the window by now.
    private mutating func sweep(_ now: Timestamp) {
        let oldest = (now - window.most).microseconds / sliceLength
        guard oldest > sweptSlice else { return }
        sweptSlice = oldest
        for (key, memory) in memories {
            var kept = memory
            for (slice, nonces) in memory.slices where slice < oldest {
                kept.slices[slice] = nil
                kept.count -= nonces.count
                count -= nonces.count
            }
            memories[key] = kept.slices.isEmpty && kept.floor <= oldest ? nil : kept
        }
    }

    private mutating func forgetOldestSlice() {
        guard let (key, memory) = memories.max(by: { ($0.value.count, $1.key) < ($1.value.count, $0.key) }),
            let slice = memory.slices.keys.min()
        else { preconditionFailure("a full memory has nonces") }
        var kept = memory
        let gone = kept.slices.removeValue(forKey: slice)?.count ?? 0
        kept.count -= gone
        kept.floor = slice + 1
        count -= gone
        memories[key] = kept
    }
}
