/// A condition did not come to hold in time.
public struct TimedOut: Error, CustomStringConvertible {
    public let what: String

    public init(what: String) { self.what = what }
    public var description: String { "timed out waiting for: \(what)" }
}

/// Looks every few milliseconds until the condition holds; the bound only ends a test that has failed.
///
/// - Throws: ``TimedOut``, or what `condition` throws
public func eventually(
    _ what: String = "the condition", within seconds: Double = 60, _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + .milliseconds(Int(seconds * 1000))
    while try await !condition() {
        guard ContinuousClock.now < deadline else { throw TimedOut(what: what) }
        try await Task.sleep(for: .milliseconds(10))
    }
}
