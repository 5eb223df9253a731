internal import Certificates
internal import HummingbirdCore
internal import HummingbirdHTTP2
internal import Logging
internal import NIOCore
internal import NIOSSL
internal import NIOTLS
internal import Synchronization

/// The API's certificate, for TLS 1.3 with HTTP/2 for those who speak it. Connections keep the one they began with.
final class APICertificate: Sendable {
    private let files: ReloadedFiles<TLSConfiguration>
    private let logger: Logger

    /// nil: the API is in the clear. Blocking.
    init?(_ files: CertificateFiles?, logger: Logger) throws(ServerStartError) {
        guard let files else { return nil }
        do throws(FileFlaw) {
            self.files = try ReloadedFiles(files.paths) { () throws(FileFlaw) in try files.configuration(minimumVersion: .tlsv13) }
        } catch {
            throw ServerStartError("The API's certificate cannot be used: \(error)")
        }
        self.logger = logger
    }

    /// Looks at the files until its task is cancelled.
    func watch(every pause: Duration) async {
        while (try? await Task.sleep(for: pause)) != nil { reload() }
    }

    private func reload() {
        switch files.reloadIfChanged() {
        case .unchanged: break
        case .reloaded: logger.notice("the API's certificate has been read again")
        case .failed(let flaw): logger.error("the changed certificate of the API is not used: \(flaw)")
        }
    }

    /// Serves HTTP/2, and HTTP/1.1 for those who do not ask for it.
    func server(_ configuration: HTTP1Channel.Configuration) -> HTTPServerBuilder {
        HTTPServerBuilder { responder in try SecureChannel(files: self.files, configuration: configuration, responder: responder) }
    }
}

/// Connections with the certificate of their time.
private struct SecureChannel: HTTPChannelHandler {
    typealias Value = HTTP2UpgradeChannel.Value

    /// From the connection to the end of the handshake.
    private static let longestHandshake = TimeAmount.seconds(10)

    let responder: HTTPChannelHandler.Responder
    private let files: ReloadedFiles<TLSConfiguration>
    private let make: @Sendable (TLSConfiguration) throws -> HTTP2UpgradeChannel
    private let newest: Newest

    private final class Newest: Sendable {
        let channel: Mutex<(version: Int, channel: HTTP2UpgradeChannel)>

        init(_ version: Int, _ channel: HTTP2UpgradeChannel) { self.channel = Mutex((version, channel)) }
    }

    init(
        files: ReloadedFiles<TLSConfiguration>, configuration: HTTP1Channel.Configuration,
        responder: @escaping HTTPChannelHandler.Responder
    ) throws {
        let make: @Sendable (TLSConfiguration) throws -> HTTP2UpgradeChannel = { tls in
            try HTTP2UpgradeChannel(
                tlsConfiguration: tls,
                configuration: HTTP2ChannelConfiguration(
                    idleTimeout: configuration.idleTimeout.map { .nanoseconds($0.nanoseconds) } ?? .seconds(120),
                    gracefulCloseTimeout: .seconds(10),
                    streamConfiguration: configuration),
                responder: responder)
        }
        let (version, tls) = files.versioned
        self.responder = responder
        self.files = files
        self.make = make
        self.newest = Newest(version, try make(tls))
    }

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(HandshakeLimit(SecureChannel.longestHandshake))
        }.flatMap {
            do { return try self.current().setup(channel: channel, logger: logger) } catch {
                return channel.eventLoop.makeFailedFuture(error)
            }
        }
    }

    /// What it handles does not depend on the certificate.
    func handle(value: Value, logger: Logger) async { await newest.channel.withLock { $0.channel }.handle(value: value, logger: logger) }

    private func current() throws -> HTTP2UpgradeChannel {
        let (version, tls) = files.versioned
        return try newest.channel.withLock { newest in
            if newest.version != version { newest = (version, try make(tls)) }
            return newest.channel
        }
    }
}

/// Closes connections that do not finish the handshake.
private final class HandshakeLimit: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = NIOAny

    private let limit: TimeAmount
    private var timer: Scheduled<Void>?

    init(_ limit: TimeAmount) { self.limit = limit }

    func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        timer = context.eventLoop.scheduleTask(in: limit) { channel.close(promise: nil) }
    }

    func handlerRemoved(context: ChannelHandlerContext) { timer?.cancel() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent {
            timer?.cancel()
            timer = nil
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        context.fireChannelInactive()
    }
}
