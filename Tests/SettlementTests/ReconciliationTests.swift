import Settlement
import Testing
import TestSupport
import Units

@Suite("Reconciliation")
struct ReconciliationTests {
    private func flaws(_ text: String) -> [ImportFlaw] {
        do {
            _ = try CustodyStatement(csv: Array(text.utf8))
            return []
        } catch { return error.flaws }
    }

    private let header = "date,reference,amount,balance,description\n"

    // MARK: - Files

    @Test func statementsAreRead() throws {
        let text = "\u{feff}" + header.replacing("\n", with: "\r\n")
            + "2026-01-31,wire-1,1500,1500,first\r\n\r\n"
            + "2026-01-31T12:30:05.25Z,\"tx \"\"a\"\", b\",-0.00000500,0.00001000,\"two\nlines are refused elsewhere\"\r\n"
        #expect(flaws(text).map(\.line) == [4])
        let good = text.replacing("two\nlines are refused elsewhere", with: "ok")
        let items = try CustodyStatement(csv: Array(good.utf8)).items
        #expect(items.map(\.reference) == ["wire-1", "tx \"a\", b"])
        #expect(items.map(\.amount.rawValue) == [1500, -500])
        #expect(items.map(\.balance?.rawValue) == [1500, 1000])
        #expect(items.map(\.line) == [2, 4])
        #expect(items[0].at.description == "2026-01-31T00:00:00.000000Z")
        #expect(items[1].at.description == "2026-01-31T12:30:05.250000Z")
    }

    @Test(arguments: [
        ("2026-02-29,a,1,,", "date"), ("2026-1-31,a,1,,", "date"), ("2026-01,a,1,,", "date"), ("2026-01-31T24:00:00Z,a,1,,", "date"),
        ("2026-01-31,,1,,", "reference"), ("2026-01-31,a,0,,", "amount"), ("2026-01-31,a,1e3,,", "amount"),
        ("2026-01-31,a,1.,,", "amount"), ("2026-01-31,a,.5,,", "amount"), ("2026-01-31,a,1.123456789,,", "amount"),
        ("2026-01-31,a,21000000.00000001,,", "amount"), ("2026-01-31,a,9223372036854775808,,", "amount"), ("2026-01-31,a,--1,,", "amount"),
        ("2026-01-31,a,1,x,", "balance"), ("2026-01-31,a,1,", "fields"), ("2026-01-31,\"a,1,,", "end"),
    ]) func flawsAreNamed(line: String, word: String) {
        let found = flaws(header + "2026-01-01,z,5,,\n" + line + "\n")
        #expect(found.count == 1)
        #expect(found.first?.line == 3)
        #expect(found.first?.reason.contains(word) == true, "\(found)")
    }

    @Test func allFlawsAreNamedAndNothingIsTaken() {
        let text = header + "2026-01-02,a,5,5,\n2026-01-03,a,1,6,\n2026-01-01,b,1,6,\n2026-01-02,c,1,7,\n"
        #expect(flaws(text).map(\.line) == [3, 4, 5])
        #expect(flaws("").first?.reason.contains("empty") == true)
        #expect(flaws(header).first?.reason.contains("nothing") == true)
        #expect(flaws("when,reference\n").first?.line == 1)
        #expect(flaws(header + "2026-01-01,a,1,,\u{0}\n").count == 1)
    }

    @Test func poolStatementsAreRead() throws {
        let items = try PoolStatement(csv: Array("target,day,shares,work\n7,2026-01-31,12,\n8,1970-01-02,,5\n".utf8)).items
        #expect(items == [
            .init(line: 2, target: PoolTargetID(7), day: 20_484, shares: 12, work: nil),
            .init(line: 3, target: PoolTargetID(8), day: 1, shares: nil, work: 5),
        ])
        var flaws: [Int] = []
        do { _ = try PoolStatement(csv: Array("target,day,shares,work\n7,2026-01-31,,\n0,2026-01-31,1,\n7,2026-01,1,\n7,2026-01-01,-1,\n".utf8)) } catch {
            flaws = error.flaws.map(\.line)
        }
        #expect(flaws == [2, 3, 4, 5])
    }

    // MARK: - Matching

    private func movement(_ origin: String, _ reference: String, _ amount: Int64, at: Int64 = 1) -> CustodyMovement {
        CustodyMovement(origin: origin, reference: reference, at: Timestamp(microseconds: at), amount: Satoshis(amount))
    }

    private func breaks(_ ledger: [CustodyMovement], _ statements: [CustodyMovement]) -> [FoundBreak] {
        CustodyMatching.breaks(ledger: ledger, statements: statements, until: Timestamp(microseconds: 100))
    }

    @Test func causes() {
        func kinds(_ ledger: [CustodyMovement], _ statements: [CustodyMovement]) -> [BreakKind] { breaks(ledger, statements).map(\.kind) }
        #expect(kinds([movement("1", "a", 5)], [movement("w", "a", 5)]).isEmpty)
        #expect(kinds([movement("1", "a", 5)], []) == [.missingInCustody])
        #expect(kinds([], [movement("w", "a", 5)]) == [.missingInLedger])
        #expect(kinds([movement("1", "a", 5)], [movement("w", "a", 6)]) == [.amountDiffers])
        #expect(breaks([movement("1", "a", 5)], [movement("w", "a", 6)])[0].amount == 1)
        #expect(kinds([movement("1", "a", 5), movement("2", "a", 5)], [movement("w", "a", 5)]) == [.duplicateInLedger])
        #expect(kinds([movement("1", "a", 5)], [movement("v", "a", 5), movement("w", "a", 5)]) == [.duplicateInCustody])
        #expect(kinds([movement("1", "a", 5, at: 100)], []).isEmpty)
        #expect(kinds([movement("1", "a", 5, at: 99)], [movement("w", "a", 5, at: 300)]).isEmpty)
        // Taken back by the same side: nothing moved.
        #expect(kinds([movement("1", "a", 5), movement("2", "a", -5)], []).isEmpty)
        #expect(kinds([], [movement("v", "a", 5), movement("w", "a", -5)]).isEmpty)
        #expect(kinds([movement("1", "a", 5), movement("2", "a", -5)], [movement("w", "a", 5)]) == [.missingInCustody])
        let balances = CustodyMatching.balanceBreaks(
            custody: Satoshis(9), ledger: Satoshis(12), liabilities: Satoshis(10), at: Timestamp(microseconds: 1))
        #expect(balances.map(\.kind) == [.balanceDiffers, .liabilitiesNotCovered])
        #expect(balances.map(\.amount) == [-3, -1])
    }

    /// Against a naive count: per reference and amount, what one side has more than the other, and every satoshi accounted for.
    @Test(arguments: Seeds.list(20)) func nothingIsLost(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var (ledger, statements): ([CustodyMovement], [CustodyMovement]) = ([], [])
        for number in 1...random.int(1...60) {
            let amount = random.pick([1, 2, 3] as [Int64])
            let reference = "r\(random.int(1...12))"
            if random.chance(70) { ledger.append(movement("\(number)", reference, amount, at: random.int64(1...50))) }
            if random.chance(70) { statements.append(movement("s\(number)", reference, amount, at: random.int64(1...50))) }
        }
        let found = breaks(ledger, statements)
        let difference = statements.reduce(0) { $0 + $1.amount.rawValue } - ledger.reduce(0) { $0 + $1.amount.rawValue }
        #expect(found.reduce(0) { $0 + $1.amount } == difference, "seed \(seed)")
        for reference in Set((ledger + statements).map(\.reference)) {
            var surplus: [Satoshis: Int] = [:]
            for item in statements where item.reference == reference { surplus[item.amount, default: 0] += 1 }
            for item in ledger where item.reference == reference { surplus[item.amount, default: 0] -= 1 }
            let (more, less) = (surplus.values.filter { $0 > 0 }.reduce(0, +), -surplus.values.filter { $0 < 0 }.reduce(0, +))
            let own = found.filter { $0.key.hasPrefix("\(reference) | ") }
            let paired = own.count { $0.kind == .amountDiffers }
            #expect(own.count == more + less - paired, "seed \(seed), \(reference)")
            #expect(paired <= min(more, less), "seed \(seed), \(reference)")
        }
        #expect(Set(found.map(\.name)).count == found.count, "seed \(seed)")
        #expect(breaks(ledger.shuffled(using: &random), statements.shuffled(using: &random)) == found, "seed \(seed)")
    }

    // MARK: - Pools

    @Test func tolerances() {
        func kinds(_ day: PoolDay, _ tolerance: Int64) -> [BreakKind] {
            PoolComparison.breaks([day], tolerance: PartsPerMillion(tolerance)).map(\.kind)
        }
        var day = PoolDay(target: PoolTargetID(1), day: 5, validWork: 1000, forwarded: 100, accepted: 97, rejected: 2)
        #expect(kinds(day, 20_000).isEmpty)
        #expect(kinds(day, 19_999) == [.poolRejected])
        #expect(kinds(day, 9_999) == [.poolRejected, .poolUnanswered])
        day.poolShares = 96
        day.poolWork = 1021
        #expect(kinds(day, 21_000).isEmpty)
        #expect(kinds(day, 20_999) == [.poolWork])
        #expect(kinds(day, 0) == [.poolRejected, .poolUnanswered, .poolShareCount, .poolWork])
        #expect(kinds(PoolDay(target: PoolTargetID(1), day: 5, poolShares: 1), 1_000_000) == [.poolShareCount])
        #expect(kinds(PoolDay(target: PoolTargetID(1), day: 5, poolShares: 0, poolWork: 0), 0).isEmpty)
    }

    // MARK: - Breaks

    @Test func resolvedBreaksStayResolved() {
        func event(_ status: BreakStatus?, _ amount: Int64?) -> BreakEventKind? {
            BreakState.event(known: status.map { BreakState(status: $0, amount: 5) }, found: amount)
        }
        #expect(event(nil, nil) == nil)
        #expect(event(nil, 5) == .found)
        #expect([event(.open, 5), event(.open, 6), event(.open, nil)] == [nil, .amountChanged, .gone])
        #expect([event(.resolved, 5), event(.resolved, 6), event(.resolved, nil)] == [nil, .reopened, nil])
        #expect([event(.gone, 5), event(.gone, nil)] == [.reopened, nil])
    }

    // MARK: - Index

    @Test(arguments: Seeds.list(10)) func pricesAreWeighted(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var items: [(price: Int64, work: Int64)] = []
        for _ in 1...random.int(1...40) {
            items.append((random.pick([1, 7, 999, Int64.max / 4]), random.pick([0, 1, 65_536, Int64.max / 8, random.int64(1...1_000_000)])))
        }
        func total(_ items: [(price: Int64, work: Int64)]) -> VolumeWeightedPrice {
            var sum = VolumeWeightedPrice()
            for item in items { sum.add(Work(units: item.work), at: Price(item.price)) }
            return sum
        }
        let sum = total(items)
        let work = items.reduce(Int128(0)) { $0 + Int128($1.work) }
        let money = items.reduce(Int128(0)) { $0 + Int128($1.work) * Int128($1.price) }
        #expect(sum.value.map { Int128($0.rawValue) } == (work > 0 ? money / work : nil), "seed \(seed)")
        let counted = items.filter { $0.work > 0 }.map(\.price)
        #expect(sum.lowest?.rawValue == counted.min())
        #expect(sum.highest?.rawValue == counted.max())
        if let value = sum.value, let low = sum.lowest, let high = sum.highest { #expect(low <= value && value <= high) }
        let cut = random.int(0...items.count)
        var parts = total(Array(items[..<cut]))
        parts.add(total(Array(items[cut...])))
        #expect(parts == sum, "seed \(seed)")
        #expect(total(items.shuffled(using: &random)) == sum, "seed \(seed)")
    }
}
