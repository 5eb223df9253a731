import Foundation

/// Real data shared by the tests: `../shared/vectors` beside the package, or below `HASHSPOT_SHARED`.
public enum Vectors {
    public static func text(_ name: String) throws -> String {
        let package = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let shared = ProcessInfo.processInfo.environment["HASHSPOT_SHARED"].map { URL(filePath: $0) }
            ?? package.deletingLastPathComponent().appending(path: "shared")
        return try String(contentsOf: shared.appending(path: "vectors/\(name)"), encoding: .utf8)
    }
}

/// Bytes of a hex text; nil when it is not one.
public func unhex(_ text: some StringProtocol) -> [UInt8]? {
    let digits = text.compactMap(\.hexDigitValue)
    guard digits.count == text.count, digits.count.isMultiple(of: 2) else { return nil }
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}
