import Database
import Foundation
import Logging
import Server
import Store
import Testing

@Suite(.serialized) struct StartTests {
    @Test(arguments: ["market.sqlite", "journal.sqlite"])
    func aFolderThatLostAFileIsRefused(_ file: String) async throws {
        let market = try await TestMarket(.sqlite)
        try await market.start()
        await market.stop()
        try FileManager.default.removeItem(atPath: market.configuration.dataFolder + "/" + file)
        let error = await #expect(throws: ServerStartError.self) { try await market.start() }
        #expect(error?.description.contains(file) == true)
        #expect(error?.description.contains("restore a backup") == true)
        await market.end()
    }

    @Test func aFolderInUseAndAUsedPortAreRefused() async throws {
        let market = try await TestMarket(.sqlite)
        try await market.start()
        let logger = market.logger
        let used = market.configuration
        await #expect(throws: ServerStartError.self) { try await Server.start(used, logger: logger) }
        let other = try await TestMarket(.sqlite)
        other.configuration.apiPort = used.apiPort
        let error = await #expect(throws: ServerStartError.self) { try await other.start() }
        #expect(error?.description.contains("\(used.apiPort)") == true)
        other.configuration.apiPort = 0
        other.configuration.stratumPort = used.stratumPort
        let refusal = await #expect(throws: (any Error).self) { try await other.start() }
        #expect("\(refusal.map { "\($0)" } ?? "")".contains("\(used.stratumPort)"))
        await other.end()
        await market.end()
    }

    /// Even one that has nothing to write.
    @Test func aServerWhoseDatabaseWasTakenOverSaysSo() async throws {
        let first = try await TestMarket(.postgres)
        try await first.start()
        let journal = try Database.openConnection(first.configuration.journalLocation)
        _ = try JournalStore(journal).takeOver()
        journal.close()
        let server = try #require(first.server)
        var reason = ""
        for await error in server.deposed {
            reason = "\(error)"
            break
        }
        #expect(reason.contains("taken over"))
        #expect(try await first.api.call("GET", "/v1/health").status == 503)
        let second = try await TestMarket(.sqlite)
        second.configuration.database = first.configuration.database
        try await second.start()
        #expect(try await second.api.call("GET", "/v1/health").status == 200)
        await second.end()
        await first.end()
    }
}
