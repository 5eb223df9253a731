internal import NIOCore
internal import Synchronization

/// An encoded event; all its readers write out the same memory.
typealias SharedEvent = ByteBuffer

/// Why a stream ended.
enum StreamEnding: String, Sendable, CaseIterable {
    /// The reader took its events too slowly.
    case slow
    /// The server is shutting down.
    case shutdown
    /// Streams end after some time, so that keys are looked at again.
    case expired
    /// So much happened at once that only a new snapshot helps.
    case reset

    /// In a sentence.
    var detail: StaticString {
        switch self {
        case .slow: "Events were read more slowly than they came; come back with Last-Event-ID."
        case .shutdown: "The server is going down; come back with Last-Event-ID."
        case .expired: "A stream's time is limited; come back with Last-Event-ID."
        case .reset: "Too much changed at once; come back for a new snapshot."
        }
    }
}

/// Who has a stream open, for limits.
enum StreamOwner: Hashable, Sendable {
    case account(Int64)
    case address(String)
    /// Not known: only the limit of all streams holds.
    case unknown
}

/// One open stream: a bounded queue between publications and a connection.
///
/// Whoever publishes never waits for it: what finds the queue full ends the stream.
final class StreamReader: Sendable {
    enum Next: Sendable {
        case events([SharedEvent])
        case over(StreamEnding)
    }

    fileprivate enum Phase {
        /// Its response has not begun.
        case new
        case reading(TaskReference)
        case left
    }

    fileprivate struct State {
        var phase = Phase.new
        var backlog: [SharedEvent]
        var bytes: Int
        var waiter: CheckedContinuation<Next, Never>?
        var ending: StreamEnding?
        var endedAt: ContinuousClock.Instant?
    }

    let number: Int
    let owner: StreamOwner
    let since: ContinuousClock.Instant
    private let mostEvents: Int
    private let mostBytes: Int
    private let state: Mutex<State>

    /// - Parameter first: what it begins with, whatever its size
    init(
        number: Int, owner: StreamOwner, since: ContinuousClock.Instant, mostEvents: Int, mostBytes: Int, first: [SharedEvent]
    ) {
        self.number = number
        self.owner = owner
        self.since = since
        self.mostEvents = mostEvents
        self.mostBytes = mostBytes
        // The limit is on what comes after.
        state = Mutex(State(backlog: first, bytes: 0))
    }

    // MARK: - Publishing

    func offer(_ event: SharedEvent) {
        let (waiter, next) = state.withLock { state -> (CheckedContinuation<Next, Never>?, Next) in
            guard state.ending == nil else { return (nil, .events([])) }
            if let waiter = state.waiter {
                state.waiter = nil
                return (waiter, .events([event]))
            }
            if state.backlog.count >= mostEvents || state.bytes + event.readableBytes > mostBytes {
                state.end(.slow)
            } else {
                state.backlog.append(event)
                state.bytes += event.readableBytes
            }
            return (nil, .events([]))
        }
        waiter?.resume(returning: next)
    }

    /// Only the first ending counts.
    func end(_ ending: StreamEnding) {
        let waiter = state.withLock { state -> CheckedContinuation<Next, Never>? in
            state.end(ending)
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(returning: .over(ending))
    }

    // MARK: - Reading

    /// The events that have come, or why there are no more. One caller at a time.
    func next() async -> Next {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let next = state.withLock { state -> Next? in
                    if !state.backlog.isEmpty {
                        defer { (state.backlog, state.bytes) = ([], 0) }
                        return .events(state.backlog)
                    }
                    if let ending = state.ending { return .over(ending) }
                    state.waiter = continuation
                    return nil
                }
                if let next { continuation.resume(returning: next) }
            }
        } onCancel: {
            end(.shutdown)
        }
    }

    /// The response has begun, in this task.
    func begin() {
        withUnsafeCurrentTask { task in
            guard let task else { return }
            let reference = TaskReference(task: task)
            state.withLock { $0.phase = .reading(reference) }
        }
    }

    /// Nobody reads any more.
    func leave() { state.withLock { $0.phase = .left } }

    // MARK: - Looking after

    /// Ends what has lasted too long. A connection that did not even take the last words in time, is cut off.
    ///
    /// - Returns: false when its response never began, and will not
    func look(at now: ContinuousClock.Instant, lifetime: Duration, grace: Duration) -> Bool {
        if now - since > lifetime { end(.expired) }
        return state.withLock { state in
            switch state.phase {
            case .new: return now - since <= grace
            case .left: return true
            case .reading(let reference):
                if let endedAt = state.endedAt, now - endedAt > grace { reference.task.cancel() }
                return true
            }
        }
    }

    /// Unchecked: it is only used under the reader's lock while the phase is `reading`, which ends before the task does, and only
    /// to cancel the task, as any thread may.
    fileprivate struct TaskReference: @unchecked Sendable {
        let task: UnsafeCurrentTask
    }
}

extension StreamReader.State {
    fileprivate mutating func end(_ ending: StreamEnding) {
        guard self.ending == nil else { return }
        self.ending = ending
        endedAt = .now
        switch ending {
        // What waits is no use without what is missing.
        case .slow, .reset: (backlog, bytes) = ([], 0)
        case .shutdown, .expired: break
        }
    }
}
