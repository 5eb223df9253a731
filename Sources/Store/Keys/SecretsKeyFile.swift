internal import Foundation

/// Why there is no master key: one line that says what to do.
public struct SecretsKeyError: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String
}

/// The file of master keys: 64 hexadecimal digits a line, the newest key first. Lines that start with `#` are remarks.
public enum SecretsKeyFile {
    private static let mostBytes = 16_384

    /// Reads the file, or makes it with a random key, readable by its owner only.
    ///
    /// - Parameter making: whether a missing file is made; one that was named by an operator must be there
    public static func open(_ path: String, making: Bool) throws(SecretsKeyError) -> SecretBox {
        if making, !FileManager.default.fileExists(atPath: path) { try make(path) }
        return try read(path)
    }

    private static func read(_ path: String) throws(SecretsKeyError) -> SecretBox {
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: path),
            let bytes = FileManager.default.contents(atPath: path)
        else { throw SecretsKeyError(description: "The master key cannot be read from \(path)") }
        let mode = (attributes[.posixPermissions] as? NSNumber)?.intValue ?? 0
        guard mode & 0o007 == 0 else {
            throw SecretsKeyError(description: "Others may read the master key in \(path): run `chmod 600` on it")
        }
        guard bytes.count <= mostBytes, let keys = keys([UInt8](bytes)), !keys.isEmpty else {
            throw SecretsKeyError(description: "\(path) is not a file of master keys: 64 hexadecimal digits a line")
        }
        return SecretBox(masterKeys: keys)
    }

    /// nil if a line is anything else than a key, a remark or blank.
    static func keys(_ bytes: [UInt8]) -> [[UInt8]]? {
        var keys: [[UInt8]] = []
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            let text = line.filter { !" \t\r".utf8.contains($0) }
            if text.isEmpty || text.first == UInt8(ascii: "#") { continue }
            guard text.count == 64 else { return nil }
            var key: [UInt8] = []
            for start in stride(from: 0, to: 64, by: 2) {
                guard let byte = byte(text[start], text[start + 1]) else { return nil }
                key.append(byte)
            }
            keys.append(key)
        }
        return keys
    }

    private static func byte(_ high: UInt8, _ low: UInt8) -> UInt8? {
        func digit(_ byte: UInt8) -> UInt8? {
            switch byte {
            case 0x30...0x39: byte - 0x30
            case 0x41...0x46: byte - 0x41 + 10
            case 0x61...0x66: byte - 0x61 + 10
            default: nil
            }
        }
        guard let high = digit(high), let low = digit(low) else { return nil }
        return high << 4 | low
    }

    /// Whole or not at all: of two that make it at once, one wins and both read that.
    private static func make(_ path: String) throws(SecretsKeyError) {
        var generator = SystemRandomNumberGenerator()
        let digits = (0..<64).map { _ in Array("0123456789abcdef".utf8)[Int(UInt8.random(in: 0...15, using: &generator))] }
        let draft = path + "." + String(UInt64.random(in: .min ... .max, using: &generator), radix: 36)
        defer { try? FileManager.default.removeItem(atPath: draft) }
        let descriptor = Foundation.open(draft, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw SecretsKeyError(description: "The master key cannot be written to \(path): \(String(cString: strerror(errno)))")
        }
        let text = digits + Array("\n".utf8)
        let isWritten = text.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) } == text.count && fsync(descriptor) == 0
        close(descriptor)
        guard isWritten, link(draft, path) == 0 || errno == EEXIST else {
            throw SecretsKeyError(description: "The master key cannot be written to \(path)")
        }
    }
}
