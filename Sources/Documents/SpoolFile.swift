internal import Foundation

/// What can go wrong while a document is written or read, as a line for a person.
public struct DocumentError: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String

    public init(_ description: String) { self.description = description }
}

/// A file that is written once and read once: buffered, in constant memory.
///
/// Unchecked: it has one user at a time, and is handed from one to the next.
public final class SpoolFile: @unchecked Sendable {
    private let file: UnsafeMutablePointer<FILE>
    /// So far.
    public private(set) var size: Int64 = 0

    /// A file without a name, which goes with this object.
    public init() throws {
        guard let file = tmpfile() else { throw DocumentError("no temporary file: \(String(cString: strerror(errno)))") }
        self.file = file
    }

    /// Makes a file anew, for its owner only. An existing one is overwritten.
    public init(writing path: String) throws {
        let descriptor = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0o600)
        guard descriptor >= 0, let file = fdopen(descriptor, "w") else {
            throw DocumentError("\(path) cannot be written: \(String(cString: strerror(errno)))")
        }
        self.file = file
    }

    public init(reading path: String) throws {
        guard let file = fopen(path, "re") else {
            throw DocumentError("\(path) cannot be read: \(String(cString: strerror(errno)))")
        }
        self.file = file
    }

    deinit { fclose(file) }

    public func write(_ bytes: [UInt8]) throws {
        guard !bytes.isEmpty else { return }
        guard fwrite(bytes, 1, bytes.count, file) == bytes.count else {
            throw DocumentError("a file could not be written: \(String(cString: strerror(errno)))")
        }
        size += Int64(bytes.count)
    }

    public func write(_ text: String) throws { try write(Array(text.utf8)) }

    /// Everything to the system. After it the file can be read from elsewhere.
    public func flush() throws {
        guard fflush(file) == 0 else { throw DocumentError("a file could not be written: \(String(cString: strerror(errno)))") }
    }

    /// Back to the beginning, for reading.
    public func rewind() throws {
        try flush()
        guard fseek(file, 0, SEEK_SET) == 0 else { throw DocumentError("a file could not be read again") }
    }

    /// The next bytes; empty at the end.
    public func read(_ count: Int = 65_536) throws -> [UInt8] {
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, read in
            read = fread(buffer.baseAddress, 1, count, file)
        }
        if bytes.isEmpty, ferror(file) != 0 { throw DocumentError("a file could not be read") }
        return bytes
    }

    /// Longer lines are not documents of ours.
    static let longestLine = 4 << 20

    /// Lends the next lines, without their ends, one by one. A last line without an end counts, too.
    public func forEachLine(_ body: (ArraySlice<UInt8>) throws -> Void) throws {
        var rest: [UInt8] = []
        while true {
            let bytes = try read()
            if bytes.isEmpty { break }
            rest += bytes
            var start = 0
            while let end = rest[start...].firstIndex(of: 0x0a) {
                try body(rest[start..<end])
                start = end + 1
            }
            rest.removeFirst(start)
            guard rest.count <= SpoolFile.longestLine else { throw DocumentError("a line of more than \(SpoolFile.longestLine) bytes") }
        }
        if !rest.isEmpty { try body(rest[...]) }
    }
}
