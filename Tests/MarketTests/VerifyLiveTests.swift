import Exchange
import Market
import MarketTestSupport
import Store
import Testing
import Units

@Suite("Verification of a market in operation")
struct VerifyLiveTests {
    /// Commands are answered and projected all the while.
    @Test(arguments: Engine.allCases)
    func holdsBesideAWorkingServer(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await TestMarket.with(storage) { market in
                _ = try await market.openDelivery()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for task in 0..<4 {
                        group.addTask {
                            for number in 0..<150 { try await market.deposit("\(task)/\(number)", account: Int64(task + 1)) }
                        }
                    }
                    for _ in 0..<3 {
                        let report = try await JournalVerifier(tables: storage.tables, journal: storage.journal).run()
                        #expect(report.findings == [])
                    }
                    try await group.waitForAll()
                }
                await market.service.projected()
                let report = try await JournalVerifier(tables: storage.tables, journal: storage.journal).run()
                #expect(report.findings == [])
                #expect(report.commands > 600)
                #expect(report.tables == report.journal)
            }
        }
    }

    /// Rows of the first version are followed, those of this one are decided again.
    @Test(arguments: Engine.allCases)
    func holdsAfterAnUpgrade(_ engine: Engine) async throws {
        try await engine.withStorage(schema: 1) { storage in
            try VersionOne.write(to: storage, withTables: true)
            try storage.migrate()
            let clock = ManualClock()
            clock.now = History.start + .seconds(23)
            func verify() async throws -> StorageVerification {
                try await JournalVerifier(tables: storage.tables, journal: storage.journal).run()
            }
            #expect(try await verify().findings == [])
            try await TestMarket.with(storage, clock: clock) { market in
                try await market.deposit("new")
                clock.now = clock.now + .seconds(19)
                try await market.submit(.rigOnline(RigID(2), edge: EdgeID(1), session: 2, versionMask: 0))
                for number in 0..<5 { try await market.deposit("new \(number)") }
            }
            let report = try await verify()
            #expect(report.findings == [])
            #expect(report.decided > 5)
            #expect(report.commands == report.decided + VersionOne.last)
            // The server does so at its start.
            try await storage.withTables { tables in _ = try await LedgerChain(tables).complete { _, _ in } }
            let before = try storage.dump()
            try await TableRebuilder(tables: storage.tables, journal: storage.journal).run(deposing: true)
            #expect(try storage.dump() == before)
            #expect(try await verify().findings == [])
        }
    }
}
