/// The extranonce sizes that rigs see, in bytes.
public struct ExtranonceLayout: Hashable, Sendable {
    public var extranonce1Size: Int
    public var extranonce2Size: Int

    /// - Parameters: sizes of 1...8 bytes each; without an extranonce1 of its own a rig has the pool's
    public init(extranonce1Size: Int, extranonce2Size: Int) {
        precondition((0...8).contains(extranonce1Size), "extranonce1 size out of range")
        precondition((1...8).contains(extranonce2Size), "extranonce2 size out of range")
        self.extranonce1Size = extranonce1Size
        self.extranonce2Size = extranonce2Size
    }

    /// 2 + 4: taken by every known miner, folds into every pool from size 6.
    public static let standard = ExtranonceLayout(extranonce1Size: 2, extranonce2Size: 4)

    /// What rigs that obey `mining.set_extranonce` get at a pool whose extranonce2 has this size; nil below 2.
    ///
    /// | pool's size | rig's layout | |
    /// |---|---|---|
    /// | from 6 | 2 + 4 | the standard one: nothing needs to be set |
    /// | 4, 5 | 1 + 3, 1 + 4 | 256 rigs share a connection |
    /// | 2, 3 | 0 + 2, 0 + 3 | one rig a connection, with the pool's own extranonce1 |
    public static func fitting(poolExtranonce2Size size: Int) -> ExtranonceLayout? {
        switch size {
        case ..<2: nil
        case 2, 3: ExtranonceLayout(extranonce1Size: 0, extranonce2Size: size)
        case 4, 5: ExtranonceLayout(extranonce1Size: 1, extranonce2Size: size - 1)
        default: standard
        }
    }

    public var byteCount: Int { extranonce1Size + extranonce2Size }
    /// The rig has the pool's extranonce1 itself, so that nobody else can work on the connection.
    public var isAlone: Bool { extranonce1Size == 0 }
}

/// Why a pool cannot be folded into.
public enum FoldError: Error, Hashable, Sendable {
    /// The pool leaves fewer bytes than the rig's layout takes.
    case extranonce2TooSmall(needs: Int, has: Int)
}

/// Turns a pool's jobs into jobs for rigs whose extranonces never change (design, section 7).
///
/// The rig hashes `coinb1 | E | padding | rig extranonce1 | rig extranonce2 | coinb2`: the pool's coinbase with the pool's
/// extranonce1 `E` and `padding | rig extranonce1 | rig extranonce2` as the pool's extranonce2. The padding holds an epoch,
/// big-endian, so that a job can be issued again without repeating work.
public struct CoinbaseFold: Hashable, Sendable {
    public let layout: ExtranonceLayout
    public let poolExtranonce1: [UInt8]
    public let poolExtranonce2Size: Int

    public init(
        layout: ExtranonceLayout = .standard, poolExtranonce1: [UInt8], poolExtranonce2Size: Int
    ) throws(FoldError) {
        guard poolExtranonce2Size >= layout.byteCount else {
            throw .extranonce2TooSmall(needs: layout.byteCount, has: poolExtranonce2Size)
        }
        self.layout = layout
        self.poolExtranonce1 = poolExtranonce1
        self.poolExtranonce2Size = poolExtranonce2Size
    }

    /// Bytes between the pool's extranonce1 and the rig's.
    public var paddingSize: Int { poolExtranonce2Size - layout.byteCount }

    /// Epochs are 0 ..< capacity: 256^paddingSize, saturated at UInt64.max.
    ///
    /// It is 1 where the pool leaves no padding: then a job can be issued to a rig again only with its ntime a second
    /// later, within the pool's bounds, or not before the pool's next job.
    public var epochCapacity: UInt64 { paddingSize >= 8 ? .max : 1 << UInt64(8 * paddingSize) }

    /// The job for rigs; nil when the epoch is beyond the capacity. Its id is the one given, all else is the pool's.
    public func fold(_ job: Job, id: String, epoch: UInt64) -> Job? {
        guard let padding = padding(epoch) else { return nil }
        var folded = job
        folded.id = id
        // The rig puts the pool's extranonce1 in itself.
        if layout.isAlone { return folded }
        folded.coinb1.reserveCapacity(job.coinb1.count + poolExtranonce1.count + padding.count)
        folded.coinb1 += poolExtranonce1
        folded.coinb1 += padding
        return folded
    }

    /// The extranonce1 of a rig with this prefix.
    public func rigExtranonce1(prefix: [UInt8]) -> [UInt8] { layout.isAlone ? poolExtranonce1 : prefix }

    /// The extranonce2 that the pool has to be told for a rig's share; nil when a size or the epoch is wrong.
    ///
    /// - Parameter rigExtranonce1: the rig's own part: none where it has the pool's
    public func poolExtranonce2(epoch: UInt64, rigExtranonce1: [UInt8], rigExtranonce2: [UInt8]) -> [UInt8]? {
        guard rigExtranonce1.count == layout.extranonce1Size, rigExtranonce2.count == layout.extranonce2Size,
            let padding = padding(epoch)
        else { return nil }
        return padding + rigExtranonce1 + rigExtranonce2
    }

    private func padding(_ epoch: UInt64) -> [UInt8]? {
        guard epoch < epochCapacity else { return nil }
        return (0..<paddingSize).reversed().map { $0 >= 8 ? 0 : UInt8(truncatingIfNeeded: epoch >> UInt64(8 * $0)) }
    }
}
