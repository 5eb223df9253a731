import Exchange
import Hummingbird
import HummingbirdTesting
import Logging
import Market
import Metering
import Settlement
import Testing
import Units
@testable import WebAPI

/// What is behind settlement lines, as the document says it.
@Suite struct SettlementLineTests {
    private static let minute: Int64 = 28_333_333

    /// Line 7 of account 1's delivery from account 2; a slot, two batches, three shares.
    private struct OneLine: SettlementEvidence {
        var code = ChargeCode.delivery

        func line(_ number: Int64) async throws -> LineEvidence? {
            guard number == 7 else { return nil }
            let terms = Terms(
                price: Price(1_000_000), priceUnit: Hashrate(hashesPerSecond: 1_000_000), sellerFee: PartsPerMillion(10_000),
                buyerFee: PartsPerMillion(10_000))
            let delivery = Delivery(
                id: DeliveryID(3), bid: OrderID(1), ask: OrderID(2), rig: RigID(5), buyer: AccountID(Caller.buyer.account),
                seller: AccountID(Caller.seller.account), lots: Lots(1), hashrate: Hashrate(hashesPerSecond: 100_000), terms: terms,
                openedAt: Timestamp(microseconds: minute * 60_000_000), expiresAt: Timestamp(microseconds: (minute + 60) * 60_000_000),
                maxDifficulty: ShareDifficulty(units: 1), allowance: Work(units: 1), hold: .zero, held: .zero)
            var totals = BillingTotals()
            _ = totals.add(Work(units: 1000), terms: terms, algorithm: .sha256d)
            var after = totals
            let isCredit = code == .credit
            let amounts = isCredit
                ? LineAmounts(charge: Satoshis(-5), sellerFee: .zero, buyerFee: .zero)
                : after.add(Work(units: 40), terms: terms, algorithm: .sha256d)
            return LineEvidence(
                number: 7, run: 1, chunk: 0, at: delivery.expiresAt, valueAt: delivery.expiresAt, code: code,
                interval: minute..<minute + 5, work: Work(units: isCredit ? 0 : 40), amounts: amounts, fromHold: .zero,
                fromAvailable: amounts.debit, fromLoss: .zero, sellerShort: .zero, credit: isCredit ? 1 : nil, delivery: delivery,
                algorithm: .sha256d, before: totals,
                account: .init(settledBefore: Work(units: 1000), billableInInterval: Work(units: 40)),
                slotsKeptFrom: Timestamp(microseconds: 0), sharesKeptFrom: delivery.expiresAt)
        }

        func slots(of line: LineEvidence, after place: Int64, limit: Int) async throws -> [SlotEvidence] {
            let all = (0..<3).map { SlotEvidence(rig: RigID(5), minute: minute + $0, counts: SlotCounts(), unlogged: 0) }
            return Array(all.filter { $0.minute > place }.prefix(limit))
        }

        func batches(of line: LineEvidence, after place: BatchPlace?, limit: Int) async throws -> [BatchEvidence] {
            let all = (1...3).map { sequence in
                BatchEvidence(
                    place: BatchPlace(edge: 1, epoch: 1, sequence: sequence), digest: [1, 2], completeUntil: line.at, appliedAt: line.at,
                    records: 9, shares: sequence == 1 ? nil : 1...9, ofLine: sequence == 1 ? nil : 4)
            }
            return Array(all.filter { $0.place > place ?? BatchPlace(edge: 0, epoch: 0, sequence: 0) }.prefix(limit))
        }

        func shares(of line: LineEvidence, after place: SharePlace?, limit: Int) async throws -> [ShareEvidence] {
            let all = (1...3).map { number in share(number, line) }
            return Array(all.filter { $0.place.number > place?.number ?? 0 }.prefix(limit))
        }

        private func share(_ number: Int64, _ line: LineEvidence) -> ShareEvidence {
            let header = HeaderEvidence(
                poolTarget: PoolTargetID(1), poolJob: Array("j".utf8), coinbase: [1], branches: [.zero], merkleRoot: .zero,
                header: Array(repeating: 2, count: 80), hash: .zero, target: .max)
            return ShareEvidence(
                place: SharePlace(receivedAt: line.start + .seconds(number), edge: 1, epoch: 2, number: number), rig: RigID(5),
                verdict: number == 1 ? .invalid : .valid, difficulty: Work(units: 1), isBillable: true, isForwarded: true,
                poolReply: number == 2 ? .rejected : nil, poolError: number == 2 ? 23 : nil, job: 4, extranonce2: [1, 2], ntime: 1,
                nonce: 2, version: 3, hash: number == 1 ? [] : Hash256.zero.bytes, header: number == 3 ? header : nil)
        }
    }

    private func run(_ code: ChargeCode = .delivery, _ body: @Sendable (Client) async throws -> Void) async throws {
        var services = World().services
        services.evidence = OneLine(code: code)
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let app = buildApplication(
            services, configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0)), logger: logger)
        try await app.test(.router) { try await body(Client(raw: $0)) }
    }

    @Test func partiesAndFinanceSeeALine() async throws {
        try await run { (client) async throws in
            for caller in [Caller.buyer, .seller, .finance, .admin] {
                let line = try await client.get("/v1/settlement/lines/7", as: caller)
                #expect(line.status == 200)
                // floor(1,040,000,000 x 65536 / (10^6 x 86400)) - floor(1,000,000,000 x 65536 / ...) = 788 - 758
                #expect(line["charge"].int == 30)
                #expect(line["formula", "holds"].bool == true)
                #expect(line["formula", "weightedWorkAfter"].text == "1040000000")
                #expect(line["retention", "sharesMayLack"].bool == true)
                #expect(line["retention", "slotsMayLack"].bool == false)
            }
            for path in ["", "/slots", "/batches", "/shares"] {
                #expect(try await client.get("/v1/settlement/lines/7\(path)", as: .otherBuyer).code == "settlementLineUnknown")
                #expect(try await client.get("/v1/settlement/lines/8\(path)", as: .finance).code == "settlementLineUnknown")
            }
        }
    }

    @Test func aCreditHasNoFormula() async throws {
        try await run(.credit) { (client) async throws in
            let line = try await client.get("/v1/settlement/lines/7", as: .buyer)
            #expect(line["formula"] == .null)
            #expect(line["credit"].int == 1)
            #expect(line["code"].text == "credit")
        }
    }

    @Test func listsGoOnAtTheirCursors() async throws {
        try await run { (client) async throws in
            for (list, cursor) in [("slots", "28333334"), ("batches", "1.1.2"), ("shares", "1699999982000000.1.2.2")] {
                let first = try await client.get("/v1/settlement/lines/7/\(list)?limit=2", as: .buyer)
                #expect(first["items"].items.count == 2)
                #expect(first["nextCursor"].text == cursor)
                let second = try await client.get("/v1/settlement/lines/7/\(list)?limit=2&cursor=\(cursor)", as: .buyer)
                #expect(second["items"].items.count == 1)
                #expect(second["nextCursor"] == .null)
            }
            for cursor in ["1", "1.2", "1.2.3.4.5", "1..2", "a.b.c", "1.2.99999999999999999999", "-1.2.3"] {
                #expect(try await client.get("/v1/settlement/lines/7/batches?cursor=\(cursor)", as: .buyer).code == "parameterOutOfRange")
            }
        }
    }

    @Test func headersComeWithAWayToCheckThem() async throws {
        try await run { (client) async throws in
            let shares = try await client.get("/v1/settlement/lines/7/shares", as: .seller)["items"].items
            #expect(shares[0]["header"] == .null)
            #expect(shares[1]["poolError"].int == 23)
            #expect(shares[2]["header"]["shellCheck"].text?.hasPrefix("echo 0202") == true)
        }
    }

    @Test func withoutEvidenceItIsUnavailable() async throws {
        try await World().run { (client) async throws in
            #expect(try await client.get("/v1/settlement/lines/7", as: .finance).status == 503)
        }
    }
}
