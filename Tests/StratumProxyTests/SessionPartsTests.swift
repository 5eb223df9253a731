import Testing
import Units

@testable import StratumProxy

@Suite("Sessions that rest, and other parts of connections")
struct SessionPartsTests {
    private func at(_ seconds: Int64) -> Timestamp { Timestamp(microseconds: (1_800_000_000 + seconds) * 1_000_000) }

    private func session(_ id: UInt64) -> RigSession { RigSession(id: id, prefix: UInt16(truncatingIfNeeded: id)) }

    @Test("names are 16 hex digits and read back; nothing else is one")
    func names() {
        for id in [0, 1, .max, 0xdead_beef] as [UInt64] { #expect(RigSession.id(named: session(id).name) == id) }
        for name in ["", "1", "0123456789abcdeg", "+123456789abcdef", "0123456789abcdef0", "-123456789abcdef"] {
            #expect(RigSession.id(named: name) == nil)
        }
    }

    @Test("a session is taken once, in time; what is given up frees its prefix")
    func shelf() {
        let shelf = HeldShelf(limit: 3, rest: .seconds(10))
        for id in UInt64(1)...3 { #expect(shelf.put(session(id), now: at(Int64(id))) == []) }
        #expect(shelf.take(2, now: at(4))?.prefix == 2)
        #expect(shelf.take(2, now: at(4)) == nil)
        #expect(shelf.put(session(4), now: at(4)) == [])
        #expect(shelf.put(session(5), now: at(5)) == [1], "the oldest makes room")
        #expect(shelf.take(3, now: at(13)) == nil, "too late")
        #expect(shelf.expire(now: at(13)) == [3])
        #expect(shelf.count == 2)
        #expect(shelf.dropOldest() == 4)
        #expect(shelf.dropOldest() == 5)
        #expect(shelf.dropOldest() == nil)
    }

    @Test("a session that came and went again rests from its last end on")
    func again() {
        let shelf = HeldShelf(limit: 3, rest: .seconds(10))
        _ = shelf.put(session(1), now: at(0))
        _ = shelf.take(1, now: at(5))
        _ = shelf.put(session(1), now: at(6))
        #expect(shelf.expire(now: at(11)) == [])
        #expect(shelf.take(1, now: at(15)) != nil)
        #expect(shelf.count == 0)
        #expect(shelf.expire(now: at(100)) == [])
    }

    @Test("silent miners are asked if they can answer, and given up; slow rigs have longer")
    func silence() {
        let watch = HeldWatch(limit: .seconds(600), now: at(0))
        #expect(watch.look(now: at(299), userAgent: "cgminer/4.13", shareTime: nil) == .none)
        #expect(watch.look(now: at(300), userAgent: "cgminer/4.13", shareTime: nil) == .ask)
        #expect(watch.look(now: at(599), userAgent: "cgminer/4.13", shareTime: nil) == .none)
        watch.heard()
        #expect(watch.look(now: at(601), userAgent: "cgminer/4.13", shareTime: nil) == .none)
        #expect(watch.look(now: at(901), userAgent: "bitaxe/BM1370", shareTime: nil) == .none)
        #expect(watch.look(now: at(1201), userAgent: "bitaxe/BM1370", shareTime: .seconds(61)) == .none)
        #expect(watch.look(now: at(1211), userAgent: "bitaxe/BM1370", shareTime: .seconds(61)) == .close)
        #expect(watch.look(now: at(1201), userAgent: nil, shareTime: nil) == .close)
    }

    @Test("a budget of lines is used up and fills again")
    func budget() {
        let budget = HeldBudget(burst: 5, perSecond: 2)
        for _ in 0..<5 { #expect(budget.take(now: at(0))) }
        #expect(!budget.take(now: at(0)))
        #expect(budget.take(now: at(1)))
        #expect(budget.take(now: at(1)))
        #expect(!budget.take(now: at(1)))
        for _ in 0..<5 { #expect(budget.take(now: at(1_000_000_000))) }
        #expect(!budget.take(now: at(1_000_000_000)))
        #expect(!budget.take(now: at(0)), "time that runs back gives nothing")
    }
}
