internal import Exchange
internal import Synchronization

/// A command that waits for the writer.
struct PendingCommand: Sendable {
    typealias Answer = @Sendable (Result<Outcome, GatewayError>) -> Void

    var envelope: CommandEnvelope
    /// nil for a report whose answer nobody waits for, and once it is given.
    private var answer: Answer?
    /// To be tried until it is committed.
    let isReport: Bool

    init(_ envelope: CommandEnvelope, answer: Answer?) {
        self.init(envelope, isReport: answer == nil, answer: answer)
    }

    /// - Parameter answer: of a report: given once it is committed, or the market ends
    init(_ envelope: CommandEnvelope, isReport: Bool, answer: Answer?) {
        self.envelope = envelope
        self.answer = answer
        self.isReport = isReport
    }

    mutating func give(_ result: Result<Outcome, GatewayError>) {
        answer?(result)
        answer = nil
    }
}

/// Commands on their way to the writer, bounded, and where the writer sleeps until there are some.
///
/// They are kept and handed over in chunks, so that nobody moves commands while others wait.
final class CommandQueue: Sendable {
    private struct State {
        var chunks: [ContiguousArray<PendingCommand>] = []
        var count = 0
        var isStopping = false
        /// The writer waits on `wake`, and nobody has signalled it yet.
        var isAsleep = false

        mutating func append(_ command: PendingCommand, perChunk: Int) {
            if chunks.last.map({ $0.count >= perChunk }) ?? true {
                chunks.append([])
                chunks[chunks.count - 1].reserveCapacity(chunks.count > 1 ? perChunk : 0)
            }
            chunks[chunks.count - 1].append(command)
            count += 1
        }

        /// Whether the caller has to signal the writer.
        mutating func takeSleeper() -> Bool {
            defer { isAsleep = false }
            return isAsleep
        }
    }

    private let most: Int
    private let perChunk: Int
    private let state = Mutex(State())
    private let wake = Sleep()

    /// - Parameter most: commands that may wait; reports must not be lost while callers crowd the queue, so they may fill it
    ///   eight times over
    init(most: Int, perChunk: Int) {
        self.most = most
        self.perChunk = max(1, perChunk)
    }

    var isStopping: Bool { state.withLock { $0.isStopping } }
    var isEmpty: Bool { state.withLock { $0.count == 0 } }

    /// nil when the command is queued; otherwise it has been answered.
    func add(_ command: consuming PendingCommand) -> GatewayError? {
        var command = command
        let (refusal, isAsleep): (GatewayError?, Bool) = state.withLock { state in
            if state.isStopping { return (.unavailable, false) }
            guard state.count < (command.isReport ? most * 8 : most) else { return (.busy, false) }
            state.append(command, perChunk: perChunk)
            return (nil, state.takeSleeper())
        }
        if let refusal { command.give(.failure(refusal)) } else if isAsleep { wake.signal() }
        return refusal
    }

    /// The commands that waited for longest; empty when there are none.
    func take() -> ContiguousArray<PendingCommand> {
        state.withLock { state in
            guard !state.chunks.isEmpty else { return [] }
            let chunk = state.chunks.removeFirst()
            state.count -= chunk.count
            return chunk
        }
    }

    /// Puts commands before all others.
    func putBack(_ commands: ContiguousArray<PendingCommand>) {
        guard !commands.isEmpty else { return }
        state.withLock { state in
            state.chunks.insert(commands, at: 0)
            state.count += commands.count
        }
    }

    /// Nothing more is taken in.
    func stop() {
        let isAsleep = state.withLock { state in
            state.isStopping = true
            return state.takeSleeper()
        }
        if isAsleep { wake.signal() }
    }

    /// Refuses what waits, but for reports.
    func refuseCallers() { refuse { !$0.isReport } }

    /// Refuses all that waits.
    func refuseAll() { refuse { _ in true } }

    private func refuse(where isRefused: (PendingCommand) -> Bool) {
        let chunks = state.withLock { state in
            defer {
                state.chunks = state.chunks.map { chunk in chunk.filter { !isRefused($0) } }.filter { !$0.isEmpty }
                state.count = state.chunks.reduce(0) { $0 + $1.count }
            }
            return state.chunks
        }
        for chunk in chunks {
            for var command in chunk where isRefused(command) { command.give(.failure(.unavailable)) }
        }
    }

    /// Sleeps until somebody adds a command, stops the queue or calls ``nudge()``, or the time is over. Returns at once when
    /// there is something.
    ///
    /// - Parameter unless: another reason not to sleep, looked at when a nudge from then on counts
    func sleep(microseconds: Int64, unless isNeeded: () -> Bool) {
        let mustSleep = state.withLock { state in
            guard state.chunks.isEmpty, !state.isStopping, !isNeeded() else { return false }
            state.isAsleep = true
            return true
        }
        guard mustSleep else { return }
        if wake.wait(microseconds: microseconds) { return }
        // Whoever signals from now on has taken the sleeper before, and its signal is on the way.
        if !state.withLock({ $0.takeSleeper() }) { wake.wait() }
    }

    /// Wakes a sleeping writer.
    func nudge() { if state.withLock({ $0.takeSleeper() }) { wake.signal() } }
}
