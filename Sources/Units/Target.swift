/// A 256-bit unsigned number: a block hash read as a number, or the bound it must not exceed.
@frozen
public struct Target: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Limbs from the least significant to the most significant.
    public var l0: UInt64, l1: UInt64, l2: UInt64, l3: UInt64

    @inlinable public init(l0: UInt64, l1: UInt64, l2: UInt64, l3: UInt64) {
        (self.l0, self.l1, self.l2, self.l3) = (l0, l1, l2, l3)
    }

    public static let zero = Target(l0: 0, l1: 0, l2: 0, l3: 0)
    public static let max = Target(l0: .max, l1: .max, l2: .max, l3: .max)

    @inlinable public static func < (a: Target, b: Target) -> Bool {
        if a.l3 != b.l3 { return a.l3 < b.l3 }
        if a.l2 != b.l2 { return a.l2 < b.l2 }
        if a.l1 != b.l1 { return a.l1 < b.l1 }
        return a.l0 < b.l0
    }

    /// 64 hexadecimal digits, most significant first, as block hashes are usually written.
    public var description: String {
        func hex(_ limb: UInt64) -> String {
            let text = String(limb, radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }
        return hex(l3) + hex(l2) + hex(l1) + hex(l0)
    }

    /// The target that `nbits` (a header's compact form) encodes; nil if it is negative, zero or above 256 bits.
    ///
    /// Source: Bitcoin's consensus rules, "compact size" of difficulty targets.
    public init?(nbits: UInt32) {
        let exponent = Int(nbits >> 24)
        let mantissa = UInt64(nbits & 0x007f_ffff)
        guard nbits & 0x0080_0000 == 0, mantissa != 0 else { return nil }
        if exponent <= 3 {
            let value = mantissa >> UInt64(8 * (3 - exponent))
            guard value != 0 else { return nil }
            self.init(l0: value, l1: 0, l2: 0, l3: 0)
            return
        }
        let shift = 8 * (exponent - 3)
        let width = 64 - mantissa.leadingZeroBitCount
        guard width + shift <= 256 else { return nil }
        let low = mantissa << UInt64(shift % 64)
        let high = shift % 64 == 0 ? 0 : mantissa >> UInt64(64 - shift % 64)
        switch shift / 64 {
        case 0: self.init(l0: low, l1: high, l2: 0, l3: 0)
        case 1: self.init(l0: 0, l1: low, l2: high, l3: 0)
        case 2: self.init(l0: 0, l1: 0, l2: low, l3: high)
        default: self.init(l0: 0, l1: 0, l2: 0, l3: low)
        }
    }
}

/// A difficulty that Hashspot assigns: a whole number of the market's work units, at least 1.
///
/// A share found at it is credited exactly that much work. Its target and its decimal are the ``Algorithm``'s to say.
@frozen
public struct ShareDifficulty: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var units: Int64

    /// - Precondition: units >= 1
    @inlinable public init(units: Int64) {
        precondition(units >= 1, "a share stands for at least one unit of work")
        self.units = units
    }

    @inlinable public static func < (a: ShareDifficulty, b: ShareDifficulty) -> Bool { a.units < b.units }
    @inlinable public var work: Work { Work(units: units) }
    public var description: String { "\(work)" }
}

/// A difficulty as a pool or miner states it: an exact decimal, mantissa x 10^-scale, above zero.
///
/// What it is in units of work and as a target is the ``Algorithm``'s to say.
@frozen
public struct DecimalDifficulty: Hashable, Sendable, CustomStringConvertible {
    public var mantissa: UInt64
    /// Digits after the decimal point, 0...18.
    public var scale: Int

    /// nil when not above zero or when scale is not in 0...18.
    public init?(mantissa: UInt64, scale: Int) {
        guard mantissa > 0, (0...18).contains(scale) else { return nil }
        (self.mantissa, self.scale) = (mantissa, scale)
    }

    init(reduced mantissa: UInt64, scale: Int) { (self.mantissa, self.scale) = (mantissa, scale) }

    /// What a pool means that never stated one.
    public static let one = DecimalDifficulty(reduced: 1, scale: 0)

    /// 10^scale
    var power: UInt64 { (0..<scale).reduce(1) { power, _ in power * 10 } }

    public var description: String {
        let digits = String(mantissa)
        guard scale > 0 else { return digits }
        let padded = String(repeating: "0", count: Swift.max(0, scale + 1 - digits.count)) + digits
        var text = padded.dropLast(scale) + "." + padded.suffix(scale)
        while text.last == "0" { text.removeLast() }
        if text.last == "." { text.removeLast() }
        return String(text)
    }
}

extension Target {
    /// floor(value x 2^shift x factor / divisor), saturated at 2^256 - 1.
    static func divide(_ value: UInt64, shiftedLeft shift: Int, times factor: UInt64 = 1, by divisor: UInt64) -> Target {
        precondition(divisor > 0, "division by zero")
        // value x factor in two limbs, placed at bit `shift` of a six-limb number.
        let product = value.multipliedFullWidth(by: factor)
        var limbs: [UInt64] = Array(repeating: 0, count: 7)
        let word = shift / 64, bit = UInt64(shift % 64)
        let parts: [UInt64] = [product.low, product.high]
        for (i, part) in parts.enumerated() {
            limbs[word + i] |= part << bit
            if bit != 0 { limbs[word + i + 1] |= part >> (64 - bit) }
        }
        var remainder: UInt64 = 0
        for i in limbs.indices.reversed() {
            let (quotient, rest) = divisor.dividingFullWidth((remainder, limbs[i]))
            limbs[i] = quotient
            remainder = rest
        }
        if limbs[4...].contains(where: { $0 != 0 }) { return .max }
        return Target(l0: limbs[0], l1: limbs[1], l2: limbs[2], l3: limbs[3])
    }
}
