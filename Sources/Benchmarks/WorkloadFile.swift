internal import Foundation

/// Workloads as files: a header of 64 bytes, then 32 bytes an operation, little-endian.
extension Workload {
    public enum FileError: Error, CustomStringConvertible {
        case unreadable(String)
        case notAWorkload(String)
        case outOfRange(String)
        case unwritable(String)

        public var description: String {
            switch self {
            case .unreadable(let path): "\(path): cannot be read"
            case .notAWorkload(let path): "\(path): not a workload, or its size is not what its header says"
            case .outOfRange(let path): "\(path): an operation has a quantity, an id or a side out of range"
            case .unwritable(let path): "\(path): cannot be written"
            }
        }
    }

    private static let magic = Array("LOBWL001".utf8)
    private static let headerSize = 64

    public init(file path: String) throws(FileError) {
        guard let data = FileManager.default.contents(atPath: path) else { throw .unreadable(path) }
        guard let workload = data.withUnsafeBytes({ Workload(bytes: $0) }) else { throw .notAWorkload(path) }
        guard (workload.preload + workload.operations).allSatisfy(\.isInRange) else { throw .outOfRange(path) }
        self = workload
    }

    public func write(to path: String) throws(FileError) {
        guard FileManager.default.createFile(atPath: path, contents: Data(bytes)) else { throw .unwritable(path) }
    }

    /// The file's contents.
    public var bytes: [UInt8] {
        var bytes = Workload.magic
        bytes.reserveCapacity(Workload.headerSize + (preload.count + operations.count) * MemoryLayout<Operation>.size)
        withUnsafeBytes(of: UInt32(1).littleEndian) { bytes.append(contentsOf: $0) }
        withUnsafeBytes(of: UInt32(MemoryLayout<Operation>.size).littleEndian) { bytes.append(contentsOf: $0) }
        let numbers = [
            UInt64(preload.count), UInt64(operations.count), parameters.seed, UInt64(parameters.resting), UInt64(parameters.levels),
            endOfIDs,
        ]
        for number in numbers { withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) } }
        preload.withUnsafeBytes { bytes.append(contentsOf: $0) }
        operations.withUnsafeBytes { bytes.append(contentsOf: $0) }
        return bytes
    }

    private init?(bytes: UnsafeRawBufferPointer) {
        let size = MemoryLayout<Operation>.size
        guard bytes.count >= Workload.headerSize, bytes.prefix(8).elementsEqual(Workload.magic) else { return nil }
        func number(_ at: Int) -> UInt64 { bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self) }
        guard number(8) == UInt64(size) << 32 | 1 else { return nil }
        let most = UInt64((bytes.count - Workload.headerSize) / size)
        guard number(16) <= most, number(24) <= most, number(16) + number(24) == most, (100...most).contains(number(40)),
            (4...100_000).contains(number(48)), (bytes.count - Workload.headerSize) % size == 0
        else { return nil }
        func operations(_ range: Range<Int>) -> [Operation] {
            range.map { bytes.loadUnaligned(fromByteOffset: Workload.headerSize + $0 * size, as: Operation.self) }
        }
        preload = operations(0..<Int(number(16)))
        self.operations = operations(Int(number(16))..<Int(most))
        parameters = Parameters(
            seed: number(32), operations: Int(number(24)), resting: Int(number(40)), levels: Int(number(48)))
        endOfIDs = number(56)
    }
}

extension Workload.Operation {
    fileprivate var isInRange: Bool {
        (Self.add...Self.replace).contains(type) && side < 2 && (1...UInt64(Int64.max)).contains(id) && newID <= UInt64(Int64.max)
    }
}
