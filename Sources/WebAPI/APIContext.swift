public import Hummingbird
internal import Market
public import NIOCore

/// A request's context: what the server knows of it beside its head and body.
public struct APIContext: RequestContext, RemoteAddressRequestContext {
    public var coreContext: CoreRequestContextStorage
    /// The other end of the connection; nil when unknown.
    public let remoteAddress: SocketAddress?

    public init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        remoteAddress = source.channel.remoteAddress
    }

    /// The address of ``remoteAddress``.
    var peer: IPAddress? { remoteAddress?.ipAddress.flatMap { IPAddress($0) } }
}
