internal import Foundation
internal import Synchronization

/// Why files cannot be used, for people.
public struct FileFlaw: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}

/// What was made of some files, made again when they change.
public final class ReloadedFiles<Value: Sendable>: Sendable {
    public enum Reload: Hashable, Sendable {
        case unchanged, reloaded
        /// The earlier value stays in use.
        case failed(FileFlaw)
    }

    private struct State {
        var version: Int
        var value: Value
        var stamps: [FileStamp?]
    }

    private let paths: [String]
    private let load: @Sendable () throws(FileFlaw) -> Value
    private let state: Mutex<State>

    /// Blocking.
    ///
    /// - Parameter load: reads the files; blocking
    public init(_ paths: [String], load: @escaping @Sendable () throws(FileFlaw) -> Value) throws(FileFlaw) {
        self.paths = paths
        self.load = load
        // Before they are read: a change in between is seen by the next look.
        let stamps = paths.map(FileStamp.init)
        state = Mutex(State(version: 1, value: try load(), stamps: stamps))
    }

    public var value: Value { state.withLock { $0.value } }
    /// The value, with a number that is another one for every version of it.
    public var versioned: (version: Int, value: Value) { state.withLock { ($0.version, $0.value) } }

    /// Blocking. Each change is tried once.
    public func reloadIfChanged() -> Reload {
        let stamps = paths.map(FileStamp.init)
        guard stamps != state.withLock({ $0.stamps }) else { return .unchanged }
        do throws(FileFlaw) {
            let value = try load()
            state.withLock { $0 = State(version: $0.version + 1, value: value, stamps: stamps) }
            return .reloaded
        } catch {
            state.withLock { $0.stamps = stamps }
            return .failed(error)
        }
    }
}

/// What tells one version of a file from another. Links are followed: it is often they that are changed.
private struct FileStamp: Hashable, Sendable {
    var path: String
    var inode: UInt64
    var size: Int64
    var changedAt: Date

    /// nil: there is no such file.
    init?(_ link: String) {
        let path = URL(fileURLWithPath: link).resolvingSymlinksInPath().path
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: path),
            let inode = attributes[.systemFileNumber] as? NSNumber, let size = attributes[.size] as? NSNumber,
            let changedAt = attributes[.modificationDate] as? Date
        else { return nil }
        (self.path, self.inode, self.size, self.changedAt) = (path, inode.uint64Value, size.int64Value, changedAt)
    }
}
