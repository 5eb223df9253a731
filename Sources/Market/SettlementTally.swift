internal import Crypto
internal import Exchange
internal import Settlement
internal import Units

/// What a run has read and made so far.
struct SettlementTally {
    private var digest = SHA256()
    private(set) var deliveries: Int64 = 0
    var totals: Int64 = 0
    /// Deliveries that cannot be assessed any more, for their slots have gone.
    var unknown = 0
    private(set) var refusals: [String] = []
    private static let mostRefusals = 20

    /// Adds what was read of a delivery: docs/settlement-runs.md has the form.
    mutating func read(_ reading: DeliveryReading) {
        deliveries += 1
        let sums = reading.metered.sums
        add([
            reading.delivery.id.rawValue, reading.cut, sums.billable.units, sums.fault.units, sums.incidents,
            reading.metered.before.units, reading.metered.lastMinute, Int64(reading.slots.count),
        ])
        for slot in reading.slots { add([slot.minute, slot.billable.units, slot.forwarded, slot.rejected, slot.unanswered]) }
    }

    private mutating func add(_ numbers: [Int64]) {
        for number in numbers { withUnsafeBytes(of: number.littleEndian) { digest.update(bufferPointer: $0) } }
    }

    mutating func refused(_ what: String) {
        if refusals.count < SettlementTally.mostRefusals { refusals.append(what) }
    }

    /// - Parameter note: what was said when the run was asked for
    func note(_ note: String?) -> String? {
        let gone = unknown == 0 ? [] : ["\(unknown) deliveries are not assessed again: their slots have gone"]
        let parts = (note.map { [$0] } ?? []) + gone + refusals
        return parts.isEmpty ? nil : parts.joined(separator: "; ")
    }

    var inputDigest: [UInt8] { Array(digest.finalize()) }
}
