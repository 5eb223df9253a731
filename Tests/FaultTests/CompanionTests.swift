import Foundation
import TestSupport
import Testing

extension FaultTests {
    @Suite(.serialized) struct Companions {
        /// Rigs and pools that are killed and come back cost the market nothing but their own time.
        @Test func killedRigsAndPoolsComeBack() async throws {
            try await Scene.play("killed rigs and pools") { scene in
                let market = try FaultMarket(scene, Storage(dataFolder: scene.folder + "/market"))
                try market.startTrading()
                let miner = try market.stage.rig(99, of: market.seller, market.fallback, port: market.server.stratumPort)
                for round in 1...(Effort.isFull ? 5 : 1) {
                    let rig = try scene.startHashspot("miner", [
                        "rig", "--pool", "stratum+tcp://127.0.0.1:\(market.server.stratumPort)", "--user", miner.user,
                        "--password=\(miner.password)", "--rate", "500k",
                    ])
                    try goesOn(market, "with a miner")
                    try rig.cutDown()
                    try goesOn(market, "without the miner")
                    for number in 0..<2 {
                        try market.killPool(number)
                        try goesOn(market, "without pool \(number)", shares: 0)
                        try market.startPool(number)
                        try goesOn(market, "with pool \(number) again")
                    }
                    progress("killed rigs and pools, round \(round); \(market.summary)")
                }
                guard market.rigs.allSatisfy({ $0.connects == 1 }) else { throw Broken("rigs were dropped: \(market.summary)") }
                try market.pauseLoad()
                try Books(market: market).check()
            }
        }

        private func goesOn(_ market: FaultMarket, _ what: String, shares: Int = 20) throws {
            let (requests, before) = (market.requestsAcknowledged, market.rigs.map(\.acknowledgedCount))
            try wait("requests and shares \(what)") {
                try market.check()
                return market.requestsAcknowledged > requests + 50
                    && zip(market.rigs, before).allSatisfy { $0.acknowledgedCount >= $1 + shares }
            }
        }
    }
}
