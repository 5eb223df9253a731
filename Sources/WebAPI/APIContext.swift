public import Hummingbird
internal import Market
public import NIOCore

/// A request's context: what the server knows of it beside its head and body.
public struct APIContext: RequestContext, RemoteAddressRequestContext {
    public var coreContext: CoreRequestContextStorage
    /// The other end of the connection; nil when unknown.
    public let remoteAddress: SocketAddress?
    /// Whether the connection carries other requests beside this one: HTTP/2.
    let isMultiplexed: Bool

    public init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        remoteAddress = source.channel.remoteAddress
        // The parent of a stream is its connection, that of a connection is what listens.
        isMultiplexed = source.channel.parent?.remoteAddress != nil
    }

    /// The address of ``remoteAddress``.
    var peer: IPAddress? { remoteAddress?.ipAddress.flatMap { IPAddress($0) } }
}
