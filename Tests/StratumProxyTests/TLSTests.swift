import Foundation
import Miner
import MiningPool
import NIOSSL
import Stratum
import StratumProxy
import TestSupport
import Testing
import Units

@Suite("TLS to pools and from rigs", .serialized)
struct TLSTests {
    private let folder: TemporaryFolder
    private let authority: String
    private let key: String

    init() throws {
        folder = try TemporaryFolder()
        authority = try TestCertificates.write(folder, "ca.pem", TestCertificates.authority)
        key = try TestCertificates.write(folder, "key.pem", TestCertificates.key)
    }

    private func pool(_ certificate: String) throws -> MiningPool {
        var configuration = MiningPoolConfiguration()
        configuration.tls = .init(
            certificatePath: try TestCertificates.write(folder, "pool-\(certificate.hashValue).pem", certificate), keyPath: key)
        return MiningPool(configuration, logger: quiet)
    }

    private func verify(_ url: String, authority: String?) async -> VerificationReport {
        var policy = VerificationPolicy(caFile: authority)
        policy.allowPrivatePools = true
        policy.timeout = .seconds(2)
        return await PoolVerifier().verify(url: url, user: "u", password: "p", policy: policy)
    }

    // MARK: pools

    @Test("a pool with a good certificate passes every step, by name and by address")
    func good() async throws {
        let pool = try pool(TestCertificates.local)
        let port = try await pool.start().stratum
        for host in ["localhost", "127.0.0.1"] {
            let report = await verify("stratum+ssl://\(host):\(port)", authority: authority)
            #expect(report.failure == nil)
            #expect(report.outcomes.map(\.step) == VerificationStep.allCases)
        }
        let plain = await verify("stratum+tcp://localhost:\(port)", authority: authority)
        #expect(plain.failure?.step == .subscribe)
        try await pool.stop()
        folder.remove()
    }

    @Test("what is wrong with a certificate is said", arguments: [
        (TestCertificates.expired, "has expired"), (TestCertificates.early, "not valid yet"),
        (TestCertificates.other, "is not for localhost"), (TestCertificates.renewed, "issuer is not known"),
    ])
    func bad(certificate: String, reason: String) async throws {
        let pool = try pool(certificate)
        let port = try await pool.start().stratum
        let report = await verify("stratum+tls://localhost:\(port)", authority: authority)
        #expect(report.failure?.step == .tls)
        #expect(report.failure?.detail.contains(reason) == true, "\(report.failure?.detail ?? "")")
        #expect(report.capabilities == nil)
        try await pool.stop()
        folder.remove()
    }

    @Test("a pool without TLS, one that says nothing and one that closes fail that step; so do unknown authorities")
    func notTLS() async throws {
        let plain = ScriptedPool(extranonce1: "00", extranonce2Size: 8)
        let port = try await plain.start()
        plain.set(.saying("{\"id\":null,\"result\":null,\"error\":[20,\"What?\",null]}\n"))
        // Its hello has no line's end in it as a rule: then the pool just waits.
        let waiting = await verify("ssl://localhost:\(port)", authority: authority)
        #expect(waiting.failure?.step == .tls)
        try await plain.stop()
        let talking = try await TalkingServer.start("{\"id\":null,\"method\":\"client.show_message\",\"params\":[\"hi\"]}\n")
        let report = await verify("ssl://localhost:\(talking.port)", authority: authority)
        #expect(report.failure?.step == .tls)
        #expect(report.failure?.detail == "the pool does not speak TLS on this port")
        try await talking.stop()
        let closing = try await TalkingServer.start(nil)
        let closed = await verify("ssl://localhost:\(closing.port)", authority: authority)
        #expect(closed.failure?.step == .tls)
        #expect(closed.failure?.detail == "the pool closed during the TLS handshake")
        try await closing.stop()
        let pool = try pool(TestCertificates.local)
        let system = await verify("ssl://localhost:\(try await pool.start().stratum)", authority: nil)
        #expect(system.failure?.detail.contains("issuer is not known") == true)
        try await pool.stop()
        folder.remove()
    }

    @Test("rigs work for a pool with TLS, and leave it when it is gone")
    func sold() async throws {
        let authority = authority
        let setup = try Setup { $0.poolAuthorities = authority }
        let certificate = try TestCertificates.write(folder, "local.pem", TestCertificates.local)
        try await setup.pool(1)
        try await setup.pool(2) { $0.tls = .init(certificatePath: certificate, keyPath: key) }
        try await setup.pool(3)
        let url = try #require(setup.directory.poolTarget(PoolTargetID(2))?.url)
        setup.directory.add(target: 2, url: url.replacing("tcp://127.0.0.1", with: "ssl://localhost"), user: "user2")
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        try await setup.start()
        let rig = try await RigClient(port: setup.port, user: "farm.1")
        try await rig.job(after: 0)
        setup.sell(1, delivery: 11, to: [2, 3])
        let job = try await rig.job(after: 1)
        #expect(try await setup.rig("farm.1")?.target == PoolTargetID(2))
        #expect(try await rig.deliver(job, count: 3) == [nil, nil, nil])
        try await setup.quiescent()
        #expect(try await setup.pools[2]?.snapshot().accepted == 3)
        try await setup.pools[2]?.stop()
        try await rig.job(after: 2)
        #expect(try await setup.rig("farm.1")?.target == PoolTargetID(3))
        try await setup.stop()
        folder.remove()
    }

    // MARK: rigs

    private func tlsSetup() async throws -> (Setup, certificate: String) {
        let certificate = try TestCertificates.write(folder, "rigs.pem", TestCertificates.local)
        let key = key
        let setup = try Setup {
            $0.tls = .init(port: 0, certificatePath: certificate, keyPath: key)
            $0.certificateCheck = .milliseconds(50)
        }
        try await setup.pool(1)
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        try await setup.start()
        return (setup, certificate)
    }

    private func client(_ authority: String) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(Array(authority.utf8)))
        return try NIOSSLContext(configuration: configuration)
    }

    @Test("a mining rig works through TLS, beside the plain port; plain bytes end only their own connection")
    func miner() async throws {
        let (setup, _) = try await tlsSetup()
        let port = try #require(setup.edge.tlsPort)
        var configuration = MinerConfiguration(pool: try PoolAddress(parsing: "stratum+ssl://localhost:\(port)"), user: "farm.1")
        configuration.authorities = authority
        configuration.reportInterval = nil
        configuration.maximalHashrate = 2_000_000
        let miner = Miner(configuration, logger: quiet)
        let running = Task { try await miner.run() }
        try await eventually("shares") { miner.statistics.accepted > 5 }
        let probe = try await RawClient(port: port)
        try await probe.send("{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n")
        try await eventually("close") { probe.isClosed }
        let wrong = try await RawClient(port: setup.port, tls: try client(TestCertificates.authority))
        try? await wrong.send("{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n")
        try await eventually("close") { wrong.isClosed }
        setup.directory.add(rig: 2, user: "farm.2", fallback: 1)
        let plain = try await RigClient(port: setup.port, user: "farm.2")
        #expect(try await plain.deliver(try await plain.job(after: 0)) == [nil])
        let before = miner.statistics.accepted
        try await eventually("shares") { miner.statistics.accepted > before }
        #expect(miner.statistics.connects == 1)
        running.cancel()
        try await running.value
        try await wrong.close()
        try await setup.stop()
        folder.remove()
    }

    @Test("a changed certificate is shown to new connections, and a broken one is not; those that are there go on")
    func reload() async throws {
        let (setup, certificate) = try await tlsSetup()
        let port = try #require(setup.edge.tlsPort)
        let ping = "{\"id\":1,\"method\":\"mining.ping\",\"params\":[]}\n"
        let early = try await RawClient(port: port, tls: try client(TestCertificates.authority))
        try await early.send(ping)
        #expect(try await early.line().contains("pong"))
        try "broken".write(toFile: certificate, atomically: true, encoding: .utf8)
        // Some checks later the first one is still shown.
        try await Task.sleep(for: .milliseconds(200))
        let second = try await RawClient(port: port, tls: try client(TestCertificates.authority))
        try await second.send(ping)
        #expect(try await second.line().contains("pong"))
        try TestCertificates.renewed.write(toFile: certificate, atomically: true, encoding: .utf8)
        try await eventually("the renewed certificate") {
            let late = try await RawClient(port: port, tls: try client(TestCertificates.secondAuthority))
            do { try await late.send(ping) } catch { return false }
            return try await late.line().contains("pong")
        }
        try await early.send(ping)
        #expect(try await early.line().contains("pong"))
        try await setup.stop()
        folder.remove()
    }

    @Test("an edge with an unusable certificate does not start, and says why")
    func unusable() async throws {
        func failure(_ adjust: (inout EdgeConfiguration) -> Void) async throws -> EdgeError? {
            let setup = try Setup(adjust: adjust)
            do throws(EdgeError) {
                _ = try await setup.edge.start()
                return nil
            } catch {
                setup.folder.remove()
                return error
            }
        }
        let (folder, key, authority) = (folder, key, authority)
        let certificate = try TestCertificates.write(folder, "rigs.pem", TestCertificates.local)
        let missing = try await failure { $0.tls = .init(port: 0, certificatePath: folder.file("no.pem"), keyPath: key) }
        #expect(missing?.description.contains("no.pem") == true)
        let noKey = try await failure { $0.tls = .init(port: 0, certificatePath: certificate, keyPath: authority) }
        #expect(noKey?.description.contains("ca.pem") == true)
        let noAuthorities = try await failure { $0.poolAuthorities = folder.file("none.pem") }
        #expect(noAuthorities?.description.contains("none.pem") == true)
        folder.remove()
    }
}
