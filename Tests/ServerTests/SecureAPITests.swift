import AsyncHTTPClient
import Certificates
import NIOCore
import NIOHTTP1
import NIOSSL
import Server
import TestSupport
import Testing

/// The API over TLS, by a client of another make.
@Suite(.serialized) struct SecureAPITests {
    private func secured(clientAuthorities: Bool = false) async throws -> TestMarket {
        let market = try await TestMarket(.sqlite)
        let certificate = try TestCertificates.write(market.folder, "api.pem", TestCertificates.local)
        let key = try TestCertificates.write(market.folder, "api.key", TestCertificates.key)
        let authority = try TestCertificates.write(market.folder, "clients.pem", TestCertificates.authority)
        market.configuration.apiTLS = CertificateFiles(
            certificatePath: certificate, keyPath: key, clientAuthorities: clientAuthorities ? authority : nil)
        market.configuration.certificateCheck = .milliseconds(20)
        try await market.start()
        return market
    }

    private func client(
        _ market: TestMarket, trusting authority: String = TestCertificates.authority,
        _ change: (inout TLSConfiguration) throws -> Void = { _ in }
    ) throws -> HTTPClient {
        var configuration = HTTPClient.Configuration()
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(Array(authority.utf8)))
        try change(&tls)
        configuration.tlsConfiguration = tls
        configuration.timeout.connect = .seconds(60)
        // Failed handshakes are not tried until the deadline.
        configuration.connectionPool.retryConnectionEstablishment = false
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    private func get(
        _ market: TestMarket, _ client: HTTPClient, _ path: String
    ) async throws -> HTTPClientResponse {
        let port = try #require(market.server?.apiPort)
        return try await client.execute(HTTPClientRequest(url: "https://localhost:\(port)\(path)"), timeout: .seconds(60))
    }

    @Test func requestsAndStreamsByHTTP2() async throws {
        let market = try await secured()
        let client = try client(market)
        let book = try await get(market, client, "/v1/book")
        #expect(book.version == .http2)
        #expect(book.status == .ok)
        // What is refused is told the same way.
        let refused = try await get(market, client, "/v1/balances")
        #expect(refused.status == .unauthorized)
        let stream = try await get(market, client, "/v1/stream/book")
        #expect(stream.status == .ok)
        #expect(stream.headers["connection"].isEmpty)
        var bytes = ByteBuffer()
        for try await part in stream.body {
            bytes.writeImmutableBuffer(part)
            if String(buffer: bytes).contains("event: snapshot") { break }
        }
        try await client.shutdown()
        await market.end()
    }

    @Test func olderVersionsOfTLSAreRefused() async throws {
        let market = try await secured()
        let client = try client(market) { $0.maximumTLSVersion = .tlsv12 }
        await #expect(throws: (any Error).self) { _ = try await get(market, client, "/v1/book") }
        try await client.shutdown()
        await market.end()
    }

    @Test func clientsShowACertificate() async throws {
        let market = try await secured(clientAuthorities: true)
        let nobody = try client(market)
        await #expect(throws: (any Error).self) { _ = try await get(market, nobody, "/v1/book") }
        try await nobody.shutdown()
        // By another authority.
        let stranger = try client(market) { try shows(TestCertificates.renewed, &$0) }
        await #expect(throws: (any Error).self) { _ = try await get(market, stranger, "/v1/book") }
        try await stranger.shutdown()
        let known = try client(market) { try shows(TestCertificates.local, &$0) }
        #expect(try await get(market, known, "/v1/book").status == .ok)
        try await known.shutdown()
        await market.end()
    }

    private func shows(_ certificate: String, _ tls: inout TLSConfiguration) throws {
        tls.certificateChain = try NIOSSLCertificate.fromPEMBytes(Array(certificate.utf8)).map { .certificate($0) }
        tls.privateKey = .privateKey(try NIOSSLPrivateKey(bytes: Array(TestCertificates.key.utf8), format: .pem))
    }

    @Test func aRenewedCertificateIsUsedWithoutARestart() async throws {
        let market = try await secured()
        let before = try client(market)
        #expect(try await get(market, before, "/v1/book").status == .ok)
        // A broken one is not taken.
        _ = try TestCertificates.write(market.folder, "api.pem", "nothing")
        _ = try TestCertificates.write(market.folder, "api.pem", TestCertificates.renewed)
        let after = try client(market, trusting: TestCertificates.secondAuthority)
        try await eventually("the renewed certificate") { (try? await get(market, after, "/v1/book").status) == .ok }
        // Connections go on.
        #expect(try await get(market, before, "/v1/book").status == .ok)
        try await before.shutdown()
        try await after.shutdown()
        await market.end()
    }

    @Test func aCertificateThatCannotBeUsedIsNamed() async throws {
        let market = try await TestMarket(.sqlite)
        market.configuration.apiTLS = CertificateFiles(certificatePath: market.folder.file("none.pem"), keyPath: "none.key")
        let error = await #expect(throws: ServerStartError.self) { try await market.start() }
        #expect(error?.description.contains("none.pem") == true)
        await market.end()
    }
}
