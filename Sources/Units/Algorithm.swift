/// A proof of work that markets trade, with its conventions: what a unit of work is, and what miners and pools mean by a
/// difficulty.
///
/// Every conversion between difficulties, units of work and targets goes through one of these. The raw value is the symbol
/// of its market.
public enum Algorithm: String, Hashable, Sendable, CaseIterable, CustomStringConvertible {
    /// Bitcoin's: SHA-256 twice. Difficulty 1 is 2^32 expected hashes.
    case sha256d = "SHA256D"
    /// Litecoin's: scrypt with N = 1024, r = 1, p = 1. Pools call 65,536 expected hashes difficulty 1.
    case scrypt = "SCRYPT"

    public var description: String { rawValue }

    /// Expected hashes behind one unit of work; a multiple of 128 (see `Tariff.charge`).
    ///
    /// Of scrypt: few enough for a share of a processor's rig to be some units, enough for 10 TH/s to be summed in 64 bits for
    /// seven years.
    public var hashesPerUnit: Int64 {
        switch self {
        case .sha256d: 65_536
        case .scrypt: 256
        }
    }

    /// Units of work that a share of difficulty 1 stands for.
    public var unitsPerDifficulty: Int64 {
        switch self {
        case .sha256d: 65_536
        case .scrypt: 256
        }
    }

    /// The difficulty 1 of its pools.
    public var difficultyOne: ShareDifficulty { ShareDifficulty(units: unitsPerDifficulty) }

    /// The place of 0xffff in the target of one unit: 0xffff x 2^240 / hashes is the target of so many expected hashes.
    private var shiftOfOneUnit: Int {
        switch self {
        case .sha256d: 224
        case .scrypt: 232
        }
    }

    /// The place of 0xffff in the target of difficulty 1.
    private var shiftOfDifficultyOne: Int {
        switch self {
        case .sha256d: 208
        case .scrypt: 224
        }
    }

    /// The largest hash that is a share of an assigned difficulty, rounded down.
    public func target(of difficulty: ShareDifficulty) -> Target {
        Target.divide(0xffff, shiftedLeft: shiftOfOneUnit, by: UInt64(difficulty.units))
    }

    /// The largest hash that is a share of a difficulty as it was stated, rounded down, saturated.
    public func target(of difficulty: DecimalDifficulty) -> Target {
        Target.divide(0xffff, shiftedLeft: shiftOfDifficultyOne, times: difficulty.power, by: difficulty.mantissa)
    }

    /// The largest whole number of work units that is not above a difficulty; 0 below one unit, saturated.
    public func wholeUnits(of difficulty: DecimalDifficulty) -> Int64 {
        Int64(clamping: Int128(difficulty.mantissa) * Int128(unitsPerDifficulty) / Int128(difficulty.power))
    }

    /// floor(target of one unit / target), saturated at Int64.max: the most units that a share whose hash is this number, or
    /// an assignment with this target, can stand for. Zero saturates.
    public func units(of target: Target) -> Int64 {
        Target.quotient(Target(l0: 0, l1: 0, l2: 0, l3: 0xffff << UInt64(shiftOfOneUnit - 192)), by: target)
    }

    /// An assigned difficulty as it is sent in `mining.set_difficulty`.
    ///
    /// The exact decimal of every whole difficulty and of all below 100; of others it is rounded down to what a decimal holds.
    public func decimal(_ difficulty: ShareDifficulty) -> DecimalDifficulty {
        // units / 2^k = units x 5^k / 10^k; reduced while even tens remain.
        var scale = unitsPerDifficulty.trailingZeroBitCount
        var mantissa = (0..<scale).reduce(Int128(difficulty.units)) { product, _ in product * 5 }
        while scale > 0, mantissa % 10 == 0 || mantissa > Int128(UInt64.max) {
            mantissa /= 10
            scale -= 1
        }
        return DecimalDifficulty(reduced: UInt64(clamping: mantissa), scale: scale)
    }
}
