import Foundation
import Market
import Miner
import MiningPool
import Server
import Stratum
import TestSupport
import Testing
import Units

@Suite(.serialized) struct TransportTests {
    /// The settings reach the edge and the verification: a rig comes in by TLS, and its own pool has TLS too.
    @Test func aRigAndItsPoolSpeakTLS() async throws {
        let market = try await TestMarket(.sqlite)
        let authority = try TestCertificates.write(market.folder, "ca.pem", TestCertificates.authority)
        let certificate = try TestCertificates.write(market.folder, "local.pem", TestCertificates.local)
        let key = try TestCertificates.write(market.folder, "key.pem", TestCertificates.key)
        market.configuration.transport.tls = .init(port: 0, certificatePath: certificate, keyPath: key)
        market.configuration.transport.poolAuthorities = authority
        market.configuration.transport.allowedNetworks = ["127.0.0.0/8"]
        try await market.start()
        var settings = MiningPoolConfiguration()
        settings.difficulty = DecimalDifficulty(ShareDifficulty(units: 2))
        settings.tls = .init(certificatePath: certificate, keyPath: key)
        settings.reportInterval = nil
        let pool = MiningPool(settings, logger: market.logger)
        let url = "stratum+ssl://localhost:\(try await pool.start().stratum)"
        let seller = try await market.customer("seller", .seller)
        let made = try await market.api.call("POST", "/v1/pool-targets", seller, ["name": "home", "url": url, "user": "home"])
        let target = try #require(made.int("id"), "\(made)")
        let report = try await market.api.call("POST", "/v1/pool-targets/\(target)/verify", seller)
        #expect((report.body["target"] as? [String: Any])?["status"] as? String == "verified", "\(report)")
        let rig = try await market.api.call("POST", "/v1/rigs", seller, ["name": "rig", "fallbackPoolTargetID": target])
        let port = try #require(market.server?.stratumTLSPort)
        var configuration = MinerConfiguration(
            pool: PoolAddress(host: "localhost", port: port, usesTLS: true), user: rig.text("user") ?? "",
            password: rig.text("password") ?? "")
        configuration.authorities = authority
        configuration.maximalHashrate = 1_000_000
        configuration.reportInterval = nil
        let miner = Miner(configuration, logger: market.logger)
        let mining = Task { try await miner.run() }
        try await eventually("shares at the pool") { try await pool.snapshot().accepted > 3 }
        mining.cancel()
        _ = await mining.result
        await market.end()
        try await pool.stop()
    }

    @Test func whatCannotBeIsRefusedAtTheStart() async throws {
        let market = try await TestMarket(.sqlite)
        market.configuration.transport.trustedProxies = ["10.0.0.1/8"]
        let network = await #expect(throws: ServerStartError.self) { try await market.start() }
        #expect(network?.description.contains("10.0.0.1/8") == true)
        market.configuration.transport.trustedProxies = []
        market.configuration.transport.tls = .init(port: 0, certificatePath: market.folder.file("none.pem"), keyPath: "none.key")
        let certificate = await #expect(throws: (any Error).self) { try await market.start() }
        #expect(certificate.map { "\($0)".contains("none.pem") } == true)
        await market.end()
    }
}
