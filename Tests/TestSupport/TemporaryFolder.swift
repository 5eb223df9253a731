public import Foundation

/// A folder of its own for a test. `remove()` at its end.
public struct TemporaryFolder: Sendable {
    public let url: URL

    public init() throws {
        url = FileManager.default.temporaryDirectory.appending(path: "hashspot-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
    }

    public var path: String { url.path() }

    /// The path of a file in it.
    public func file(_ name: String) -> String { url.appending(path: name).path() }

    public func remove() { try? FileManager.default.removeItem(at: url) }
}
