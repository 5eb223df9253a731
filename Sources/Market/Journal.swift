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
    /// First byte of every body. Older versions stay readable.
    public static let codingVersion: UInt8 = 1
    /// Version of the rules that turn commands into events; commands re-run only under their own.
    public static let rulesVersion: Int64 = 1

    public static func encode(_ commands: [JournalledCommand]) -> [UInt8] {
        var writer = BinaryWriter(reservingCapacity: 256 * (commands.count + 1))
        writer.write(codingVersion)
        writer.writeUnsigned(UInt64(commands.count))
        for command in commands {
            command.envelope.encode(into: &writer)
            command.events.encode(into: &writer)
        }
        return writer.bytes
    }

    public static func decode(_ bytes: [UInt8]) throws(BinaryCodingError) -> [JournalledCommand] {
        var reader = BinaryReader(bytes)
        let version = try reader.readByte()
        guard version == codingVersion else { throw .unknownVersion(version) }
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
}
