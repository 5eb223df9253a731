import Exchange
import Ledger
import TestSupport
import Testing
import Units

/// Thousands of random commands, each audited, replayed and run a second time on a state that was restored.
@Suite struct RandomHistoryTests {
    @Test(arguments: Seeds.list(8))
    func keepsTheRules(_ seed: UInt64) throws { try keepsTheRules(seed, "SHA256D") }

    /// The same with work in other units.
    @Test(arguments: Seeds.list(2))
    func keepsTheRulesOnScrypt(_ seed: UInt64) throws { try keepsTheRules(seed, "SCRYPT") }

    private func keepsTheRules(_ seed: UInt64, _ symbol: String) throws {
        var commands = RandomCommands(seed: seed, symbol: symbol)
        var market = AuditedMarket()
        var shadow = Exchange()
        var tables = ProjectedTables()
        var pending: StateChanges?
        var seen: Set<String> = []
        for step in 0..<2500 {
            commands.step()
            commands.closed = market.closed
            let envelope = commands.next(market.state)
            let (outcome, events) = market.apply(envelope, at: commands.now)
            let again = shadow.apply(envelope, at: commands.now)
            try #require(again.outcome == outcome, "seed \(seed), step \(step), \(envelope.command)")
            try #require(again.events == events, "seed \(seed), step \(step), \(envelope.command)")
            shadow.settleHashes()
            try #require(shadow.state.hash == market.state.hash, "seed \(seed), step \(step)")
            try #require(market.auditor.complaints.isEmpty, "seed \(seed), step \(step)")
            for event in events { seen.insert(Self.name(event)) }
            commands.note(events)

            let changes = market.takeChanges()
            if pending == nil { pending = changes } else { pending?.merge(changes) }
            if commands.random.chance(5), let merged = pending {
                tables.apply(merged)
                pending = nil
                var stored = commands.random.chance(50) ? tables.stored : StoredState(market.state)
                stored.shuffle(using: &commands.random)
                let restored = try MarketState(restoring: stored)
                try #require(restored.hash == market.state.hash, "seed \(seed), step \(step): restored")
                shadow = Exchange(restored, time: market.exchange.time)
            }
        }
        guard Seeds.isFixed(seed) else { return }
        #expect(market.auditor.fills > 8, "seed \(seed)")
        #expect(market.auditor.lines > 8, "seed \(seed)")
        #expect(seen.count >= 31, "seed \(seed) saw only \(seen.sorted())")
    }

    /// The event's kind, with its reason where it has one.
    private static func name(_ event: Event) -> String {
        switch event {
        case .orderSuspended(_, let reason): "suspended \(reason)"
        case .orderClosed(_, let reason): "closed \(reason)"
        case .deliveryEnded(_, _, let cause): "ended \(cause)"
        case .entryPosted(let entry): "entry \(entry.kind)"
        case .lineSettled(let line): "line \(line.code)\(line.work < .zero ? " back" : "")"
        case .books(let event): "books \("\(event)".prefix { $0 != "(" })"
        case .treasury(.transferChanged(let transfer)): "\(transfer.kind) \(transfer.status)"
        case .treasury(.freezeChanged(_, let freeze)): freeze == nil ? "thawed" : "frozen"
        case .fleet(let event): "fleet \("\(event)".prefix { $0 != "(" })"
        case .marketDefined, .poolTargetCreated, .poolTargetChanged, .rigRegistered, .rigOnline, .rigOffline,
            .rigMeasured, .orderPlaced, .askOffered, .orderResumed, .orderStamped, .deliveryOpened,
            .deliveryClosed, .answerRecorded, .orderAmended, .ordersRepriced, .phaseChanged, .rulesScheduled, .rulesChanged,
            .indexPublished, .farmCreated, .rigAssigned, .farmOffered, .silenceSet, .holdReleased, .blockFound, .blockJudged:
            String("\(event)".prefix { $0 != "(" })
        }
    }
}
