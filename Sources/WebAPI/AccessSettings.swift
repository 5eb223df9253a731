public import Market
public import Units

/// How requests are admitted.
public struct AccessSettings: Sendable {
    /// Proxies whose `X-Forwarded-For` is believed.
    public var proxies: TrustedProxies
    /// How far a signed request's time may be from the server's.
    public var window: SignatureWindow
    /// Requests that were signed before this are refused: an earlier process may have taken them. nil: when the API is built.
    public var start: Timestamp?

    public init(
        proxies: TrustedProxies = TrustedProxies(), window: SignatureWindow = SignatureWindow(), start: Timestamp? = nil
    ) {
        self.proxies = proxies
        self.window = window
        self.start = start
    }
}
