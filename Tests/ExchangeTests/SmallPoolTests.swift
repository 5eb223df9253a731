import Testing
import Units

@testable import Exchange

@Suite("Pools of a small extranonce2")
struct SmallPoolTests {
    private let mask: UInt32 = 0x1fff_e000

    @Test func abilitiesAreOneWord() {
        for takes in [true, false] {
            let abilities = RigAbilities(versionMask: mask, takesExtranonce: takes)
            #expect(RigAbilities(word: abilities.word) == abilities)
            #expect(abilities.versionMask == mask)
            #expect(abilities.takesExtranonce == takes)
        }
        #expect(RigAbilities(word: mask).smallestExtranonce2 == 6)
        #expect(RigAbilities(word: 1).smallestExtranonce2 == 5)
        #expect(RigAbilities(word: mask | 1).smallestExtranonce2 == 2)
    }

    private func state(_ size: Int64) -> MarketState {
        var state = MarketState()
        state.evolve(.poolTargetCreated(PoolTarget(
            id: PoolTargetID(1), owner: AccountID(1), name: "p", url: "pool:1", user: "u", password: "x",
            status: .verified(PoolCapabilities(extranonce2Size: size, versionMask: mask, difficulty: "1")))))
        return state
    }

    @Test func takeRigsThatCanBeSetOnly() {
        for size in Int64(1)...8 {
            let state = state(size)
            let pools = [PoolTargetID(1)]
            #expect(state.usable(pools, versionMask: mask) == (size >= 6 ? pools : []), "size \(size)")
            #expect(state.usable(pools, versionMask: 1) == (size >= 5 ? pools : []), "size \(size)")
            #expect(state.usable(pools, versionMask: mask | 1) == (size >= 2 ? pools : []), "size \(size)")
        }
    }
}
