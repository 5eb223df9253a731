/// 32 bytes that name a block, a transaction or a merkle node, in the order in which they are hashed (internal order).
///
/// Read as a little-endian number a block's hash must not exceed its target; people write that number in hex,
/// which shows the bytes in reverse.
@frozen
public struct Hash256: Hashable, Sendable, CustomStringConvertible {
    /// Bytes 0-7, 8-15, 16-23 and 24-31, each read little-endian: the number's limbs, least significant first.
    public var l0: UInt64, l1: UInt64, l2: UInt64, l3: UInt64

    @inlinable public init(l0: UInt64, l1: UInt64, l2: UInt64, l3: UInt64) {
        (self.l0, self.l1, self.l2, self.l3) = (l0, l1, l2, l3)
    }

    public static let zero = Hash256(l0: 0, l1: 0, l2: 0, l3: 0)
    public static let byteCount = 32

    /// nil unless there are exactly 32 bytes.
    public init?(bytes: some Sequence<UInt8>) {
        var limbs: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        var count = 0
        for byte in bytes {
            let part = UInt64(byte) << UInt64(8 * (count & 7))
            switch count >> 3 {
            case 0: limbs.0 |= part
            case 1: limbs.1 |= part
            case 2: limbs.2 |= part
            case 3: limbs.3 |= part
            default: return nil
            }
            count += 1
        }
        guard count == Hash256.byteCount else { return nil }
        self.init(l0: limbs.0, l1: limbs.1, l2: limbs.2, l3: limbs.3)
    }

    /// The 32 bytes in internal order.
    public var bytes: [UInt8] {
        [l0, l1, l2, l3].flatMap { limb in (0..<8).map { UInt8(truncatingIfNeeded: limb >> UInt64(8 * $0)) } }
    }

    /// The hash read as a number, to compare with a target.
    @inlinable public var number: Target { Target(l0: l0, l1: l1, l2: l2, l3: l3) }

    /// True when the hash, as a number, does not exceed the target.
    @inlinable public func meets(_ target: Target) -> Bool { !(target < number) }

    /// The number in 64 hex digits, most significant first, as block explorers write it.
    public var description: String { number.description }
}

extension Target {
    /// floor(dividend / divisor), saturated at Int64.max, also for a divisor of zero.
    static func quotient(_ dividend: Target, by divisor: Target) -> Int64 {
        guard divisor != .zero else { return .max }
        var remainder = Target.zero
        var quotient: UInt64 = 0
        for bit in (0..<256).reversed() {
            let overflow = remainder.l3 >> 63 == 1
            remainder = remainder.shiftedLeftByOne(adding: dividend.bit(bit))
            guard quotient >> 62 == 0 else { return .max }
            quotient <<= 1
            if overflow || !(remainder < divisor) {
                remainder = remainder.wrappingSubtract(divisor)
                quotient |= 1
            }
        }
        return Int64(quotient)
    }

    private func bit(_ n: Int) -> UInt64 {
        let limb = n < 64 ? l0 : n < 128 ? l1 : n < 192 ? l2 : l3
        return limb >> UInt64(n & 63) & 1
    }

    private func shiftedLeftByOne(adding low: UInt64) -> Target {
        Target(l0: l0 << 1 | low, l1: l1 << 1 | l0 >> 63, l2: l2 << 1 | l1 >> 63, l3: l3 << 1 | l2 >> 63)
    }

    private func wrappingSubtract(_ other: Target) -> Target {
        func subtract(_ a: UInt64, _ b: UInt64, _ borrow: inout UInt64) -> UInt64 {
            let (first, under) = a.subtractingReportingOverflow(b)
            let (second, under2) = first.subtractingReportingOverflow(borrow)
            borrow = under || under2 ? 1 : 0
            return second
        }
        var borrow: UInt64 = 0
        let r0 = subtract(l0, other.l0, &borrow), r1 = subtract(l1, other.l1, &borrow)
        let r2 = subtract(l2, other.l2, &borrow), r3 = subtract(l3, other.l3, &borrow)
        return Target(l0: r0, l1: r1, l2: r2, l3: r3)
    }
}
