import Synchronization

/// Whether a body ran to its end rather than being cancelled.
final class Ended: Sendable {
    private let value = Mutex(false)

    var isSet: Bool { value.withLock { $0 } }

    func set() { value.withLock { $0 = true } }
}
