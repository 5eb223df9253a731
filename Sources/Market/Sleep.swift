internal import Dispatch

/// Where one thread waits for another's signal.
struct Sleep: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)

    func signal() { semaphore.signal() }

    func wait() { semaphore.wait() }

    /// False when the time was over first.
    func wait(microseconds: Int64) -> Bool {
        semaphore.wait(timeout: .now() + .microseconds(Int(clamping: microseconds))) == .success
    }
}
