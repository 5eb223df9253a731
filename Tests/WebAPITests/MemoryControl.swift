import Market
import Settlement
import Synchronization
import Units

/// An audit trail in memory, and otherwise nothing: no disputes, no reconciliations, no index.
///
/// What the real one does is tested over the real one (ControlAPITests).
final class MemoryControl: ControlRecords {
    private struct Inside {
        var records: [AuditRecord] = []
        var isBroken = false
    }

    private let inside = Mutex(Inside())

    var records: [AuditRecord] { inside.withLock { $0.records } }
    func setBroken(_ value: Bool) { inside.withLock { $0.isBroken = value } }

    private func add(_ act: AuditAct, _ outcome: AuditOutcome?, isRead: Bool, at time: Timestamp) throws -> Int64 {
        try inside.withLock { inside in
            if inside.isBroken { throw MemoryMarket.Broken() }
            let number = Int64(inside.records.count + 1)
            inside.records.append(AuditRecord(
                number: number, at: time, act: act, isRead: isRead, outcome: outcome, chain: Array(repeating: 0, count: 32)))
            return number
        }
    }

    func begin(_ act: AuditAct, at time: Timestamp) async throws -> Int64 { try add(act, nil, isRead: false, at: time) }

    func end(_ number: Int64, _ outcome: AuditOutcome, at time: Timestamp) async throws {
        inside.withLock { $0.records[Int(number) - 1].outcome = outcome }
    }

    func read(_ act: AuditAct, _ outcome: AuditOutcome, at time: Timestamp) async throws {
        _ = try add(act, outcome, isRead: true, at: time)
    }

    func trail(_ filter: AuditFilter, after cursor: Int64, limit: Int) async throws -> [AuditRecord] {
        Array(records.filter { $0.number > cursor }.prefix(limit))
    }

    func open(_ dispute: NewDispute, once: Repeatable, at: Timestamp) async throws -> Int64 { throw ControlRefusal.deliveryUnknown }
    func step(_ step: DisputeStep, in dispute: Int64, by: AccountID, isFinance: Bool, once: Repeatable, at: Timestamp) async throws {
        throw ControlRefusal.dispute(.notConcerned)
    }
    func dispute(_ number: Int64) async throws -> DisputeRecord? { nil }
    func disputes(of account: AccountID?, after cursor: Int64, limit: Int) async throws -> [DisputeRecord] { [] }
    func newestRun() async throws -> Int64 { 0 }
    func credits(after number: Int64, limit: Int) async throws -> [QueuedCredit] { [] }

    func importCustody(
        _ file: [UInt8], source: String, by: AccountID, once: Repeatable, at: Timestamp
    ) async throws -> (number: Int64, items: Int64) { throw ControlRefusal.nothingToCompare }
    func importPools(_ file: [UInt8], by: AccountID, once: Repeatable, at: Timestamp) async throws -> Int64 {
        throw ControlRefusal.nothingToCompare
    }
    func reconcile(_ request: ReconciliationRequest, once: Repeatable, at: Timestamp) async throws -> ReconciliationRun {
        throw ControlRefusal.nothingToCompare
    }
    func runs(after cursor: Int64, limit: Int) async throws -> [ReconciliationRun] { [] }
    func breaks(_ filter: BreakFilter, after cursor: Int64, limit: Int) async throws -> [BreakRecord] { [] }
    func breakRecord(_ number: Int64) async throws -> BreakRecord? { nil }
    func assign(_ number: Int64, to: AccountID, note: String, by: AccountID, once: Repeatable, at: Timestamp) async throws {
        throw ControlRefusal.breakUnknown
    }
    func resolve(_ number: Int64, note: String, by: AccountID, once: Repeatable, at: Timestamp) async throws {
        throw ControlRefusal.breakUnknown
    }

    func indexPosition() async throws -> Int64? { nil }
    func publishIndex(before end: Int64, limit: Int64, at: Timestamp) async throws -> Int64? { nil }
    func index(_ span: IndexSpan, after place: Int64, limit: Int) async throws -> [IndexValue] { [] }
    func newestIndex(_ span: IndexSpan) async throws -> IndexValue? { nil }
}
