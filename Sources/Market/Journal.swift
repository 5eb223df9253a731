public import BinaryCoding
public import Exchange

/// One command of a batch with the events it caused.
public struct JournalledCommand: Sendable {
    public var envelope: CommandEnvelope
    public var events: [Event]

    public init(envelope: CommandEnvelope, events: [Event]) {
        self.envelope = envelope
        self.events = events
    }
}

/// The body of a journal row.
public enum JournalBody {
    private static let checksumBytes = 8

    /// First byte of every body. Older versions stay readable.
    public static let codingVersion = CodingVersion.newest
    /// Version of the rules that turn commands into events; commands re-run only under their own,
    /// and state hashes compare only with those of the same version.
    public static let rulesVersion: Int64 = 3

    public static func encode(_ commands: [JournalledCommand]) -> [UInt8] {
        var builder = Builder()
        for command in commands { builder.append(command) }
        return builder.finish()
    }

    /// Encodes a body command by command.
    struct Builder: ~Copyable {
        private var content = BinaryWriter(reservingCapacity: 4096)
        private var count = 0

        mutating func append(_ command: JournalledCommand) {
            command.envelope.encode(into: &content)
            command.events.encode(into: &content)
            count += 1
        }

        /// Bytes of the commands so far.
        var size: Int { content.withUnsafeBytes(\.count) }

        /// The body, and an empty builder from then on.
        mutating func finish() -> [UInt8] {
            var writer = BinaryWriter(reservingCapacity: size + 32)
            writer.write(codingVersion)
            writer.writeUnsigned(UInt64(count))
            content.withUnsafeBytes { writer.writeRaw($0) }
            let sum = writer.withUnsafeBytes(Hash64.of)
            writer.writeFixed(UInt32(truncatingIfNeeded: sum))
            writer.writeFixed(UInt32(truncatingIfNeeded: sum >> 32))
            content.removeAll()
            count = 0
            return writer.bytes
        }
    }

    public static func decode(_ bytes: [UInt8]) throws(BinaryCodingError) -> [JournalledCommand] {
        guard let version = bytes.first else { throw .truncated }
        guard (CodingVersion.first...codingVersion).contains(version) else { throw .unknownVersion(version) }
        var reader = BinaryReader(Array(bytes.dropFirst().dropLast(checksumBytes)), version: version)
        var end = BinaryReader(Array(bytes.suffix(checksumBytes)))
        let sum = UInt64(try end.readFixed()) | UInt64(try end.readFixed()) << 32
        guard sum == checksum(bytes.dropLast(checksumBytes), version) else { throw .checksum }
        let count = try reader.readCount()
        var commands: [JournalledCommand] = []
        commands.reserveCapacity(count)
        for _ in 0..<count {
            commands.append(JournalledCommand(
                envelope: try CommandEnvelope(from: &reader), events: try [Event](from: &reader)))
        }
        try reader.finish()
        return commands
    }

    /// Events that a damaged disk has changed must not reach the state, which traps on them. Version 1 ends with FNV-1a.
    private static func checksum(_ bytes: ArraySlice<UInt8>, _ version: UInt8) -> UInt64 {
        guard version < CodingVersion.everyRule else { return bytes.withUnsafeBytes(Hash64.of) }
        return bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}
