/// Why a settlement line is there (design, sections 4 and 8). The raw values are stored.
public enum ChargeCode: UInt8, Sendable, CaseIterable {
    /// Verified work of its interval.
    case delivery = 1
    /// Verified work that came after its interval was settled.
    case late = 2
    /// Work that the buyer's pool refused or did not answer, within the limit of an incident.
    case poolFault = 3
    /// Work above what was sold: counted, not billed.
    case overDelivery = 4
    /// Work during a pool's fault beyond the limit of its incident: counted, not billed.
    case poolFaultExcess = 5
    /// A dispute's outcome.
    case credit = 6
    /// Work that came after its slots had gone: counted, charged to nobody.
    case expired = 7

    /// Stable, for programs: as in exports and in the API.
    public var code: String { "\(self)" }

    /// Whether the line's work is part of a delivery's settled work.
    public var isBilled: Bool {
        switch self {
        case .delivery, .late, .poolFault: true
        case .overDelivery, .poolFaultExcess, .credit, .expired: false
        }
    }
}
