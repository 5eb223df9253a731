import Market
import TestSupport
import Testing
import Units

@Suite("Nonces")
struct NonceMemoryTests {
    private let start = Timestamp(microseconds: 1_800_000_000_000_000)
    private let key = KeyID(1)

    private func memory(_ capacity: Int = 1000, window: Int64 = 60) -> NonceMemory {
        NonceMemory(window: SignatureWindow(.seconds(window)), capacity: capacity, start: start)
    }

    @Test func aNonceIsTakenOncePerKey() {
        var memory = memory()
        #expect(memory.take(7, of: key, time: start, now: start) == .fresh)
        #expect(memory.take(7, of: key, time: start, now: start) == .reused)
        #expect(memory.take(7, of: KeyID(2), time: start, now: start) == .fresh)
        #expect(memory.take(8, of: key, time: start, now: start) == .fresh)
        #expect(memory.count == 3)
    }

    @Test func timesOutsideOfTheWindowAreRefused() {
        var memory = memory()
        let now = start + .seconds(100)
        for (offset, verdict) in [
            (-60_000_001, .outsideWindow), (60_000_001, .outsideWindow), (-60_000_000, .fresh), (60_000_000, .fresh),
        ] as [(Int64, NonceMemory.Verdict)] {
            #expect(memory.take(UInt128(offset.magnitude), of: key, time: now + Interval(microseconds: offset), now: now) == verdict
                || offset == 60_000_000)
        }
        #expect(!memory.isWithinWindow(Timestamp(microseconds: .min), now: now))
        #expect(!memory.isWithinWindow(Timestamp(microseconds: .max), now: now))
    }

    @Test func whatAnEarlierProcessMayHaveTakenIsRefused() {
        var memory = memory()
        #expect(memory.take(1, of: key, time: start - .milliseconds(1), now: start) == .forgotten)
        #expect(memory.take(1, of: key, time: start, now: start) == .fresh)
    }

    @Test func memoryIsGivenBackAfterTheWindow() {
        var memory = memory()
        for n in 0..<500 { _ = memory.take(UInt128(n), of: KeyID(Int64(n % 7 + 1)), time: start, now: start) }
        let later = start + .seconds(200)
        #expect(memory.take(0, of: key, time: later, now: later) == .fresh)
        #expect(memory.count == 1)
    }

    /// The flood narrows its own key's window; others go on.
    @Test func atTheBoundOldestNoncesOfTheBusiestKeyGo() {
        var memory = memory(100)
        let quiet = KeyID(2)
        #expect(memory.take(1, of: quiet, time: start, now: start) == .fresh)
        for n in 0..<500 {
            let now = start + .milliseconds(Int64(n) * 100)
            #expect(memory.take(UInt128(n), of: key, time: now, now: now) == .fresh)
            #expect(memory.count <= 100)
        }
        let now = start + .seconds(50)
        #expect(memory.take(1, of: quiet, time: start, now: now) == .reused)
        #expect(memory.take(2, of: quiet, time: start, now: now) == .fresh)
        // Repetitions from the forgotten time are refused, and so is what is new but of that time.
        #expect(memory.take(0, of: key, time: start, now: now) == .forgotten)
        #expect(memory.take(999, of: key, time: start, now: now) == .forgotten)
        #expect(memory.take(1000, of: key, time: now, now: now) == .fresh)
    }

    /// Who dates everything into the future stops nobody else.
    @Test func aFloodOfTheFutureHurtsOnlyItself() {
        var memory = memory(50)
        for n in 0..<500 { _ = memory.take(UInt128(n), of: key, time: start + .seconds(60), now: start) }
        #expect(memory.take(1, of: KeyID(2), time: start, now: start) == .fresh)
        #expect(memory.take(1, of: KeyID(2), time: start, now: start) == .reused)
        #expect(memory.count <= 50)
    }

    /// Nothing is ever taken twice, against a memory without bounds.
    @Test func againstAReference() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededRandom(seed: seed)
        for capacity in [1, 3, 20, 10_000] {
            var memory = memory(capacity)
            var taken: Set<[Int64]> = []
            var now = start
            var fresh = 0
            for _ in 0..<3000 {
                now = now + .milliseconds(Int64.random(in: 0...300, using: &random))
                let key = Int64.random(in: 1...4, using: &random)
                let nonce = Int64.random(in: 0...40, using: &random)
                // Times of few values, so that repetitions occur.
                let time = Timestamp(microseconds: (now.microseconds / 20_000_000 + Int64.random(in: -4...4, using: &random)) * 20_000_000)
                let verdict = memory.take(UInt128(nonce), of: KeyID(key), time: time, now: now)
                let known = taken.contains([key, nonce, time.microseconds])
                switch verdict {
                case .fresh:
                    #expect(!known, "seed \(seed)")
                    taken.insert([key, nonce, time.microseconds])
                    fresh += 1
                case .reused:
                    #expect(taken.contains { $0[0] == key && $0[1] == nonce }, "seed \(seed)")
                case .forgotten: #expect(capacity < 10_000 || time < start, "seed \(seed)")
                case .outsideWindow: #expect((time - now).microseconds.magnitude > 60_000_000, "seed \(seed)")
                }
                #expect(memory.count <= capacity, "seed \(seed)")
            }
            #expect(fresh > 10, "seed \(seed) \(capacity)")
        }
    }
}
