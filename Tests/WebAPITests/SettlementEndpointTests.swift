import Exchange
import HTTPTypes
import Market
import Settlement
import Synchronization
import Testing
import Units
@testable import WebAPI

/// Settlement as finance sees it, in memory.
final class MemorySettlement: SettlementDesk {
    struct State {
        var runs: [SettlementRun] = []
        var expired: [ExpiredWork] = []
        var closed: [AccountingPeriod] = []
        var refusal: PeriodRefusal?
        var isIdle = false
    }

    let state = Mutex(State())

    func runs(before cursor: Int64?, limit: Int) async throws -> [SettlementRun] {
        state.withLock { Array($0.runs.reversed().filter { $0.number < cursor ?? .max }.prefix(limit)) }
    }

    func run(_ kind: SettlementKind, of delivery: DeliveryID?, by account: AccountID, note: String?) async throws -> SettlementRun? {
        state.withLock { state in
            guard !state.isIdle else { return nil }
            let at = Timestamp(microseconds: 1_800_000_000_000_000)
            var run = SettlementRun(
                kind: kind, minutes: 100..<105, startedAt: at, watermark: at, program: "hashspot 1, rules 3", requestedBy: account,
                note: note)
            run.number = Int64(state.runs.count + 1)
            run.inputDigest = Array(repeating: 7, count: 32)
            run.finishedAt = at
            state.runs.append(run)
            return run
        }
    }

    func periods(byDay: Bool) async throws -> [PeriodStatus] {
        state.withLock { state in
            guard let period = AccountingPeriod(year: 2026, month: 11, day: byDay ? 30 : nil) else { return [] }
            return [PeriodStatus(period: period, state: state.closed.contains(period) ? .closed : .closable)]
        }
    }

    func close(_ period: AccountingPeriod, by account: AccountID) async throws -> PeriodRefusal? {
        state.withLock { state in
            if state.refusal == nil { state.closed.append(period) }
            return state.refusal
        }
    }

    func expiredWork(after count: Int64, limit: Int) async throws -> [ExpiredWork] {
        state.withLock { Array($0.expired.dropFirst(Int(count)).prefix(limit)) }
    }

    func acknowledgeExpired(appliedThrough: Timestamp, by account: AccountID) async throws -> Int {
        state.withLock { state in
            for index in state.expired.indices { state.expired[index].acknowledgedBy = account }
            return state.expired.count
        }
    }
}

@Suite struct SettlementEndpointTests {
    @Test func runsAreListedAndAskedFor() async throws {
        let world = World()
        try await world.run { (client) async throws in
            let run = try await client.post("/v1/settlement/runs", as: .finance, #"{"kind":"trueUp","deliveryID":7,"note":"dispute 3"}"#)
            #expect(run.status == 201)
            #expect(run["kind"].text == "trueUp")
            #expect(run["note"].text == "dispute 3")
            #expect(run["inputDigest"].text == String(repeating: "07", count: 32))
            #expect(run["from"].text == "1970-01-01T01:40:00.000000Z")
            _ = try await client.post("/v1/settlement/runs", as: .finance, #"{"kind":"adHoc"}"#)
            let page = try await client.get("/v1/settlement/runs?limit=1", as: .finance)
            #expect(page["items"].items.map { $0["run"].int } == [2])
            let next = try await client.get("/v1/settlement/runs?limit=1&cursor=\(page["nextCursor"].text ?? "")", as: .finance)
            #expect(next["items"].items.map { $0["run"].int } == [1])
            #expect(try await client.post("/v1/settlement/runs", as: .finance, #"{"kind":"initial"}"#).field == "kind")
            #expect(try await client.post("/v1/settlement/runs", as: .finance, #"{}"#).code == "fieldMissing")
            #expect(try await client.post("/v1/settlement/runs", as: .finance, #"{"kind":"final","deliveryID":1}"#).field == "deliveryID")
            #expect(try await client.post("/v1/settlement/runs", as: .buyer, #"{"kind":"adHoc"}"#).code == "roleMissing")
            world.desk.state.withLock { $0.isIdle = true }
            #expect(try await client.post("/v1/settlement/runs", as: .finance, #"{"kind":"final"}"#).code == "nothingToSettle")
        }
    }

    @Test func periodsAreClosedByFinance() async throws {
        let world = World()
        try await world.run { (client) async throws in
            #expect(try await client.get("/v1/periods", as: .finance)["items"].items.map { $0["period"].text } == ["2026-11"])
            #expect(try await client.get("/v1/periods?unit=day", as: .finance)["items"].items[0]["end"].text == "2026-12-01T00:00:00.000000Z")
            world.desk.state.withLock { $0.refusal = .notFinal(through: 5) }
            #expect(try await client.post("/v1/periods", as: .finance, #"{"period":"2026-11"}"#).code == "periodNotFinal")
            world.desk.state.withLock { $0.refusal = .refused(.deliveriesUnsettled) }
            #expect(try await client.post("/v1/periods", as: .finance, #"{"period":"2026-11"}"#).code == Rejection.deliveriesUnsettled.code)
            world.desk.state.withLock { $0.refusal = nil }
            #expect(try await client.post("/v1/periods", as: .seller, #"{"period":"2026-11"}"#).code == "roleMissing")
            #expect(try await client.post("/v1/periods", as: .finance, #"{"period":"2026-13"}"#).field == "period")
            #expect(try await client.post("/v1/periods", as: .finance, #"{"period":"2026-11"}"#)["state"].text == "closed")
            #expect(try await client.get("/v1/periods", as: .finance)["items"].items[0]["state"].text == "closed")
        }
    }

    @Test func expiredWorkIsTakenNoteOf() async throws {
        let world = World()
        let at = Timestamp(microseconds: 1_800_000_000_000_000)
        world.desk.state.withLock { state in
            state.expired = (1...3).map {
                ExpiredWork(
                    edge: EdgeID(1), epoch: 1, sequence: $0, delivery: $0 == 2 ? nil : DeliveryID(4), rig: RigID(1), minute: 100,
                    validShares: 2, validWork: Work(units: 9), billableWork: Work(units: 8), appliedAt: at, acknowledgedBy: nil,
                    acknowledgedAt: nil)
            }
        }
        try await world.run { (client) async throws in
            let page = try await client.get("/v1/settlement/expired?limit=2", as: .finance)
            #expect(page["items"].items.map { $0["sequence"].int } == [1, 2])
            #expect(page["items"].items.map { $0["deliveryID"].int } == [4, nil])
            let next = try await client.get("/v1/settlement/expired?cursor=\(page["nextCursor"].text ?? "")", as: .finance)
            #expect(next["items"].items.map { $0["sequence"].int } == [3])
            let noted = try await client.post(
                "/v1/settlement/expired/acknowledge", as: .finance, #"{"appliedThrough":"2027-01-16T08:00:00Z"}"#)
            #expect(noted["acknowledged"].int == 3)
            #expect(try await client.get("/v1/settlement/expired", as: .finance)["items"].items.allSatisfy { $0["acknowledgedBy"].int != nil })
            #expect(try await client.get("/v1/settlement/expired", as: .seller).code == "roleMissing")
        }
    }
}
