internal import Exchange
public import Settlement
public import Units

extension SettlementWorker: SettlementDesk {
    /// Periods that are listed at most.
    private static let mostPeriods = 400

    public func runs(before cursor: Int64?, limit: Int) async throws -> [SettlementRun] {
        try await meter.runs(before: cursor, limit: limit)
    }

    public func expiredWork(after count: Int64, limit: Int) async throws -> [ExpiredWork] {
        try await meter.expiredWork(after: count, limit: limit)
    }

    public func acknowledgeExpired(appliedThrough: Timestamp, by account: AccountID) async throws -> Int {
        try await meter.acknowledgeExpired(appliedThrough: appliedThrough, by: account, at: clock())
    }

    public func periods(byDay: Bool) async throws -> [PeriodStatus] {
        guard let dates = try await meter.valueDates() else { return [] }
        let facts = try await periodFacts()
        let now = max(dates.upperBound, facts.now)
        var next = byDay ? AccountingPeriod.day(of: now) : AccountingPeriod.month(of: now)
        var periods: [PeriodStatus] = []
        while let period = next, period.end > dates.lowerBound, periods.count < SettlementWorker.mostPeriods {
            periods.append(PeriodStatus(period: period, state: facts.state(of: period)))
            next = period.previous
        }
        return periods
    }

    /// Closes a month or a day, and all that is before it where nothing was closed yet.
    public func close(_ period: AccountingPeriod, by account: AccountID) async throws -> PeriodRefusal? {
        if let refusal = try await periodFacts().refusal(of: period) { return refusal }
        let command = BooksCommand.closePeriod(through: period.end, by: account)
        guard case .rejected(let rejection) = try await gateway.submit(CommandEnvelope(.books(command))) else { return nil }
        return .refused(rejection)
    }

    private func periodFacts() async throws -> PeriodFacts {
        let first = try await meter.valueDates()?.lowerBound
        let final = try await meter.progress().finalThrough
        return gateway.read { state in
            PeriodFacts(
                now: clock(), closedThrough: state.books.closedThrough, firstEntry: first, finalThrough: final,
                oldestUnsettled: state.deliveries.values.lazy.map(\.openedAt).min())
        }
    }
}

/// What decides whether a period may be closed.
struct PeriodFacts: Hashable {
    var now: Timestamp
    /// Zero: nothing was closed yet.
    var closedThrough: Timestamp
    /// Value date of the first entry.
    var firstEntry: Timestamp?
    /// Minutes since 1970.
    var finalThrough: Int64?
    /// When the oldest delivery was opened that is not settled to its end.
    var oldestUnsettled: Timestamp?

    /// nil: it may be closed.
    func refusal(of period: AccountingPeriod) -> PeriodRefusal? {
        if period.end <= closedThrough { return .alreadyClosed }
        if period.end > now { return .notEnded }
        let isFirst = closedThrough.microseconds == 0 && firstEntry.map { $0 >= period.start } ?? true
        if period.start > closedThrough && !isFirst { return .earlierOpen }
        guard let finalThrough, finalThrough >= period.end.minute else { return .notFinal(through: finalThrough) }
        if let oldestUnsettled, oldestUnsettled < period.end { return .deliveriesUnsettled }
        return nil
    }

    func state(of period: AccountingPeriod) -> PeriodState {
        switch refusal(of: period) {
        case nil: .closable
        case .alreadyClosed: .closed
        case .notEnded: .running
        case .earlierOpen, .notFinal, .deliveriesUnsettled, .refused: .ended
        }
    }
}
