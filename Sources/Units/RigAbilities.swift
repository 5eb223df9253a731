/// What a rig said it can do, as one word: edges report it, and the journal and the tables keep it, as its version mask.
///
/// BIP 320 leaves miners bits 13 to 28 of the version, so the lowest is free to say something else beside such a mask. A
/// word with any other bit is a mask and nothing else.
@frozen
public struct RigAbilities: Hashable, Sendable {
    /// The mask, and in its lowest bit whether the rig takes `mining.set_extranonce`.
    public var word: UInt32

    @usableFromInline static let usualMask: UInt32 = 0x1fff_e000

    @inlinable public init(word: UInt32) { self.word = word }

    @inlinable public init(versionMask: UInt32, takesExtranonce: Bool) {
        let isUsual = versionMask & ~RigAbilities.usualMask == 0
        word = isUsual && takesExtranonce ? versionMask | 1 : versionMask
    }

    /// The version bits that it rolls (BIP 310).
    @inlinable public var versionMask: UInt32 { takesExtranonce ? word & ~1 : word }
    @inlinable public var takesExtranonce: Bool { word & ~RigAbilities.usualMask == 1 }

    /// The smallest extranonce2 of a pool that the rig can work for (design, section 7).
    ///
    /// Jobs are folded from 6 bytes on. Rigs that take `mining.set_extranonce` can do with 5, and with 2 if they roll 16
    /// version bits: then what is left of the extranonce lasts for ten minutes and more at 30 PH/s.
    public var smallestExtranonce2: Int64 {
        guard takesExtranonce else { return 6 }
        return versionMask.nonzeroBitCount >= 16 ? 2 : 5
    }
}
