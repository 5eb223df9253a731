import BinaryCoding
import TestSupport
import Testing

@Suite struct BinaryCodingTests {
    @Test(arguments: [
        (0, [0]), (-1, [1]), (1, [2]), (63, [126]), (-64, [127]), (64, [128, 1]),
        (.max, [254, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
        (.min, [255, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
    ] as [(Int64, [UInt8])])
    func integersAreZigzagVarints(_ value: Int64, _ bytes: [UInt8]) throws {
        var writer = BinaryWriter()
        writer.write(value)
        #expect(writer.bytes == bytes)
        var reader = BinaryReader(bytes)
        #expect(try reader.readInt64() == value)
        try reader.finish()
    }

    @Test(arguments: [0, 1, -1, .max, .min, 1 << 64, -(1 << 64), (1 << 64) - 1] as [Int128])
    func wideIntegersComeBack(_ value: Int128) throws {
        var writer = BinaryWriter()
        writer.write(value)
        var reader = BinaryReader(writer.bytes)
        #expect(try reader.readInt128() == value)
        try reader.finish()
    }

    @Test(arguments: [UInt64(0), 127, 128, 1 << 63, .max])
    func unsignedIntegersComeBack(_ value: UInt64) throws {
        var writer = BinaryWriter()
        writer.writeUnsigned(value)
        var reader = BinaryReader(writer.bytes)
        #expect(try reader.readUnsigned() == value)
    }

    @Test(arguments: [
        ([], .truncated),
        ([0x80], .truncated),
        ([255, 255, 255, 255, 255, 255, 255, 255, 255, 2], .malformedInteger),
        ([255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], .malformedInteger),
        ([0x80, 0], .malformedInteger),
        ([0xff, 0x80, 0], .malformedInteger),
    ] as [([UInt8], BinaryCodingError)])
    func refusesIntegersThatAreNone(_ bytes: [UInt8], _ error: BinaryCodingError) {
        #expect(throws: error) {
            var reader = BinaryReader(bytes)
            return try reader.readUnsigned()
        }
    }

    @Test func refusesTextThatIsNone() {
        #expect(throws: BinaryCodingError.malformedText) {
            var reader = BinaryReader([2, 0xc3, 0x28])
            return try reader.readString()
        }
    }

    @Test func refusesLengthsBeyondTheEnd() {
        #expect(throws: BinaryCodingError.truncated) {
            var reader = BinaryReader([255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0])
            return try reader.readBytes()
        }
        #expect(throws: BinaryCodingError.truncated) {
            var reader = BinaryReader([1, 2, 3])
            return try reader.readRaw(count: -1)
        }
    }

    @Test func refusesWhatIsLeftOver() {
        #expect(throws: BinaryCodingError.trailingBytes(2)) { try BinaryReader([1, 2]).finish() }
    }

    @Test func valuesComeBack() throws {
        var writer = BinaryWriter()
        [Int64(1), -5].encode(into: &writer)
        String?.none.encode(into: &writer)
        String?.some("grüezi\0").encode(into: &writer)
        writer.write(true)
        writer.writeFixed(0xdead_beef)
        writer.write([UInt8](repeating: 9, count: 300))
        writer.write([UInt8]([1, 2, 3])[1...])
        var reader = BinaryReader(writer.bytes)
        #expect(try [Int64](from: &reader) == [1, -5])
        #expect(try String?(from: &reader) == nil)
        #expect(try String?(from: &reader) == "grüezi\0")
        #expect(try reader.readBool())
        #expect(try reader.readFixed() == 0xdead_beef)
        #expect(try reader.readBytes().count == 300)
        #expect(try reader.readBytes() == [2, 3])
        try reader.finish()
    }

    @Test(arguments: Seeds.list(4))
    func hostileBytesNeverTrap(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for _ in 0..<5000 {
            var reader = BinaryReader(random.bytes(random.int(0...40)))
            for _ in 0..<5 {
                switch random.int(1...7) {
                case 1: _ = try? reader.readInt64()
                case 2: _ = try? reader.readInt128()
                case 3: _ = try? reader.readString()
                case 4: _ = try? [[Int64]?](from: &reader)
                case 5: _ = try? reader.readFixed()
                case 6: _ = try? reader.readRaw(count: Int(random.hostileInt64()))
                default: _ = try? reader.readBool()
                }
                #expect(reader.remaining >= 0)
            }
        }
    }
}
