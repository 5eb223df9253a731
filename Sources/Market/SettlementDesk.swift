public import Exchange
public import Settlement
public import Units

/// How far an accounting period is.
public enum PeriodState: String, Sendable, CaseIterable {
    /// It has not ended.
    case running
    /// It has ended; final runs have not covered it, or deliveries are not settled, or an earlier period is open.
    case ended
    /// Somebody may close it.
    case closable
    case closed
}

/// Why a period is not closed.
public enum PeriodRefusal: Error, Hashable, Sendable {
    case notEnded
    case alreadyClosed
    /// Books are open before it, and have entries there or were closed before.
    case earlierOpen
    /// Final runs have not covered it. They have until `through`, in minutes since 1970; nil: none has been made.
    case notFinal(through: Int64?)
    /// Deliveries from before its end are not settled to their end.
    case deliveriesUnsettled
    /// The exchange refused.
    case refused(Rejection)

    /// Stable, for programs.
    public var code: String {
        switch self {
        case .notEnded: "periodNotEnded"
        case .alreadyClosed: "periodClosed"
        case .earlierOpen: "earlierPeriodOpen"
        case .notFinal: "periodNotFinal"
        case .deliveriesUnsettled: "deliveriesUnsettled"
        case .refused(let rejection): rejection.code
        }
    }
}

/// A period and how far it is.
public struct PeriodStatus: Hashable, Sendable {
    public var period: AccountingPeriod
    public var state: PeriodState

    public init(period: AccountingPeriod, state: PeriodState) {
        self.period = period
        self.state = state
    }
}

/// What finance may do with settlement: see its runs, ask for some, close periods, take note of expired work.
public protocol SettlementDesk: Sendable {
    /// The newest first, before `cursor`.
    func runs(before cursor: Int64?, limit: Int) async throws -> [SettlementRun]
    /// - Returns: the finished run; nil when there was nothing to do
    func run(_ kind: SettlementKind, of delivery: DeliveryID?, by account: AccountID, note: String?) async throws -> SettlementRun?
    /// Periods with entries, the newest first; days or months; at most 400.
    func periods(byDay: Bool) async throws -> [PeriodStatus]
    /// - Returns: why it stays open; nil: it is closed
    func close(_ period: AccountingPeriod, by account: AccountID) async throws -> PeriodRefusal?
    /// In the order in which it came, but for so many rows.
    func expiredWork(after count: Int64, limit: Int) async throws -> [ExpiredWork]
    /// Takes note of expired work that was applied until some time, inclusive.
    ///
    /// - Returns: how many rows
    func acknowledgeExpired(appliedThrough: Timestamp, by account: AccountID) async throws -> Int
}
