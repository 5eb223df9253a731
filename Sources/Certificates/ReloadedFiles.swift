#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
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

/// What tells one version of a file from another.
private struct FileStamp: Hashable, Sendable {
    var inode: UInt64
    var size: Int64
    var seconds: Int64
    var nanoseconds: Int64

    /// nil: there is no such file.
    init?(_ path: String) {
        var info = stat()
        guard stat(path, &info) == 0 else { return nil }
        #if canImport(Glibc)
        let modified = info.st_mtim
        #else
        let modified = info.st_mtimespec
        #endif
        inode = UInt64(info.st_ino)
        size = Int64(info.st_size)
        seconds = Int64(modified.tv_sec)
        nanoseconds = Int64(modified.tv_nsec)
    }
}
