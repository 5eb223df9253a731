import Foundation
import TestSupport
import Testing

extension FaultTests {
    @Suite(.serialized) struct PostgresFaults {
        /// Statements by which the writer's, the meter's and the projector's transactions are known.
        private static let markers = ["INTO journal", "INTO batches", "UPDATE projector"]

        /// A commit whose outcome the server cannot know is neither lost nor done twice, and the server goes on.
        @Test func commitsWithoutAReplyAreFoundOut() async throws {
            try await Scene.play("commits without a reply") { scene in
                let postgres = try PostgresServer(scene)
                let cutter = try CommitCutter(databasePort: postgres.port)
                scene.atEnd { cutter.close() }
                let market = try FaultMarket(scene, Storage(
                    dataFolder: scene.folder + "/market", databaseURL: postgres.url, serverURL: postgres.url(port: cutter.port)))
                try market.startTrading()
                for round in 1...(Effort.isFull ? 10 : 1) {
                    for marker in PostgresFaults.markers {
                        for cut in CommitCutter.Cut.allCases { try PostgresFaults.cut(market, cutter, marker, cut) }
                    }
                    try market.pauseLoad()
                    try Books(market: market).check()
                    progress("round \(round), \(cutter.count) commits cut off; \(market.summary)")
                    market.resumeLoad()
                }
                guard try market.server.process.isRunning else { throw Broken("the server ended") }
            }
        }

        private static func cut(_ market: FaultMarket, _ cutter: CommitCutter, _ marker: String, _ cut: CommitCutter.Cut) throws {
            let (before, known, shares) = (cutter.count, market.requestsAcknowledged, market.sharesAcknowledged)
            cutter.cutNext(marker, cut)
            try wait("a commit with '\(marker)'") { cutter.count > before }
            try wait("further requests and shares after \(marker), \(cut)") {
                try market.check()
                return market.requestsAcknowledged > known + 20 && market.sharesAcknowledged > shares + 5
            }
            // Everything is looked at again.
            market.server.incarnation.next()
            try market.waitUntilChecked()
        }

        /// A database that stops, in either way, costs clear refusals; rigs do not notice.
        @Test func stopsOfThePostgresServerAreSurvived() async throws {
            try await Scene.play("stops of Postgres") { scene in
                let postgres = try PostgresServer(scene)
                let market = try FaultMarket(scene, Storage(dataFolder: scene.folder + "/market", databaseURL: postgres.url))
                try market.startTrading()
                for _ in 0..<(Effort.isFull ? 5 : 1) {
                    for mode in PostgresServer.StopMode.allCases {
                        try PostgresFaults.outage(market, postgres, mode, seconds: 1)
                    }
                }
                try PostgresFaults.outage(market, postgres, .fast, seconds: Effort.outageSeconds)
                try market.pauseLoad()
                try Books(market: market).check()
                progress("outages; \(market.summary)")
            }
        }

        private static func outage(
            _ market: FaultMarket, _ postgres: PostgresServer, _ mode: PostgresServer.StopMode, seconds: Double
        ) throws {
            let known = market.requestsAcknowledged
            try wait("load before the outage") {
                try market.check()
                return market.requestsAcknowledged > known + 20
            }
            let connects = market.rigs.map(\.connects)
            try postgres.stop(mode)
            let (shares, refused) = (market.sharesAcknowledged, market.requestsUnavailable)
            let ends = ContinuousClock.now + .milliseconds(Int(seconds * 1000))
            try wait("clear refusals and acknowledged shares without the database") {
                try market.check()
                return ContinuousClock.now > ends && market.requestsUnavailable > refused && market.sharesAcknowledged > shares + 5
            }
            try postgres.start()
            let back = market.requestsAcknowledged
            try wait("requests after the outage") {
                try market.check()
                return market.requestsAcknowledged > back + 20
            }
            guard market.rigs.map(\.connects) == connects else { throw Broken("rigs were dropped: \(market.summary)") }
            guard market.rigs.allSatisfy({ $0.now.refusals.isEmpty }) else { throw Broken("shares were refused: \(market.summary)") }
            market.server.incarnation.next()
            try market.waitUntilChecked()
        }
    }
}
