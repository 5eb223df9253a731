import NIOConcurrencyHelpers
import NIOCore
import NIOSSL
import NIOTLS

/// Whom we believe who a pool is: the system's certificate authorities, and those of a file.
///
/// Reading the system's takes many milliseconds: it is done once, when first needed, and not on an event loop.
final class PoolTrust: Sendable {
    private let extraFile: String?
    private let made = NIOLockedValueBox<NIOSSLContext?>(nil)

    /// - Parameter extraFile: PEM certificates that are trusted beside the system's
    init(extraFile: String?) { self.extraFile = extraFile }

    /// Blocking at first.
    func context() throws(TLSFailure) -> NIOSSLContext {
        let context = made.withLockedValue { known -> NIOSSLContext? in
            if known == nil { known = try? NIOSSLContext(configuration: configuration) }
            return known
        }
        guard let context else { throw .noTrust }
        return context
    }

    private var configuration: TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.shutdownTimeout = .seconds(1)
        if let extraFile { configuration.additionalTrustRoots = [.file(extraFile)] }
        return configuration
    }
}

/// Tells once how a TLS handshake with a pool went. Lives behind the TLS handler, on the channel's event loop.
final class TLSHandshake: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let host: String
    private var outcome: Result<Void, TLSFailure>?
    private var tell: ((Result<Void, TLSFailure>) -> Void)?

    /// - Parameter host: the name that the pool's certificate has to be for
    init(host: String) { self.host = host }

    /// Adds TLS to a channel that is about to connect.
    static func add(to channel: any Channel, context: NIOSSLContext, host: String) throws {
        let handler: NIOSSLClientHandler
        do { handler = try NIOSSLClientHandler(context: context, serverHostname: host) } catch {
            // An address: it goes into no server name, and is what the certificate has to be for.
            handler = try NIOSSLClientHandler(context: context, serverHostname: nil)
        }
        try channel.pipeline.syncOperations.addHandlers(handler, TLSHandshake(host: host))
    }

    /// Calls back with the outcome, at once if it is known.
    func whenDone(_ tell: @escaping (Result<Void, TLSFailure>) -> Void) {
        if let outcome { return tell(outcome) }
        self.tell = tell
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent { finish(.success(())) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard outcome == nil else { return context.fireErrorCaught(error) }
        let presented = try? context.channel.pipeline.syncOperations.nioSSL_peerCertificate()
        finish(.failure(TLSFailure(error, certificate: presented, host: host)))
    }

    func channelInactive(context: ChannelHandlerContext) {
        finish(.failure(.closed))
        context.fireChannelInactive()
    }

    private func finish(_ result: Result<Void, TLSFailure>) {
        guard outcome == nil else { return }
        outcome = result
        let tell = tell
        self.tell = nil
        tell?(result)
    }
}
