import Foundation
import TestSupport
import Testing

/// What must hold whatever goes wrong around the market; every test runs real processes.
@Suite(.serialized) struct FaultTests {}

extension FaultTests {
    @Suite(.serialized) struct Kills {
        /// Killed at random moments of load and of its own start, the server loses nothing that it has acknowledged.
        @Test(arguments: Engine.allCases)
        func aKilledServerLosesNothing(_ engine: Engine) async throws {
            try await Scene.play("kills on \(engine)") { scene in
                let postgres = engine == .postgres ? try PostgresServer(scene) : nil
                let market = try FaultMarket(scene, Storage(dataFolder: scene.folder + "/market", databaseURL: postgres?.url))
                try market.startTrading()
                var random = SeededRandom(seed: scene.seed)
                var slowest = 0.0
                for kill in 1...Effort.kills {
                    // Under load, or now and then before it has served at all.
                    pause(Double(random.int(50...700)) / 1000)
                    try market.check()
                    try market.killServer()
                    while random.chance(15) {
                        try market.server.launch()
                        pause(Double(random.int(0...250)) / 1000)
                        try market.killServer()
                    }
                    slowest = max(slowest, try market.server.start())
                    try market.waitUntilChecked()
                    if kill.isMultiple(of: 20) || kill == Effort.kills { try Kills.audit(market, engine, kill, slowest) }
                }
                try market.pauseLoad()
                try Books(market: market).settle()
            }
        }

        private static func audit(_ market: FaultMarket, _ engine: Engine, _ kill: Int, _ slowest: Double) throws {
            try market.pauseLoad()
            let books = Books(market: market)
            try books.check()
            let start = String(format: "%.2f", slowest)
            progress("\(engine): \(kill) of \(Effort.kills) kills, slowest start \(start) s; \(market.summary); \(try books.counts())")
            market.resumeLoad()
        }
    }
}
