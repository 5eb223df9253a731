internal import Exchange
internal import Units

/// What only the writer's thread touches: the exchange, ahead of what is committed, and the batch that grows.
final class WriterLoop {
    private(set) var exchange: Exchange
    private(set) var batch = SealedCommands()
    /// How long to wait after a batch that was not committed, in seconds; doubles each time in a row.
    var pause = Committer.shortestPause

    /// Where the batch starts, and who writes.
    private var position: WriterPosition
    private let mostCommands: Int
    /// Commands taken from the queue; those from `next` on are not applied yet.
    private var taken: ContiguousArray<PendingCommand> = []
    private var next = 0
    /// Time of all commands of the batch.
    private var now = Timestamp(microseconds: 0)
    private var body = JournalBody.Builder()
    private var isRowInFlight = false

    /// Bytes of a journal row after which nothing is added to it.
    private static let mostBytes = 8 << 20

    init(_ exchange: Exchange, position: WriterPosition, mostCommands: Int) {
        self.exchange = exchange
        self.position = position
        self.mostCommands = mostCommands
    }

    var isFull: Bool { batch.commands.count >= mostCommands || body.size >= WriterLoop.mostBytes }

    /// Applies what waits, as far as the batch has room; false when nothing waits.
    @discardableResult
    func applyWaiting(_ queue: CommandQueue, _ clock: () -> Timestamp) -> Bool {
        if isFull { return true }
        if next == taken.count { (taken, next) = (queue.take(), 0) }
        guard next < taken.count else { return false }
        begin(clock)
        while next < taken.count, !isFull {
            apply(taken[next])
            next += 1
        }
        return true
    }

    /// Lets happen what is due by itself.
    func applyDue(_ clock: () -> Timestamp) {
        guard let due = exchange.nextDeadline, due <= clock() else { return }
        begin(clock)
        apply(PendingCommand(CommandEnvelope(.advance), answer: nil))
    }

    private func begin(_ clock: () -> Timestamp) { if batch.isEmpty { now = clock() } }

    private func apply(_ command: PendingCommand) {
        let (outcome, events) = exchange.apply(command.envelope, at: now)
        batch.commands.append(command)
        batch.outcomes.append(outcome)
        guard !events.isEmpty else { return }
        let journalled = JournalledCommand(envelope: command.envelope, events: events)
        body.append(journalled)
        batch.journalled.append(journalled)
    }

    /// Makes the journal row; nothing may be added to the batch afterwards.
    func seal() {
        guard batch.row == nil, !batch.journalled.isEmpty else { return }
        exchange.settleHashes()
        batch.row = JournalRow(
            first: position.last + 1, last: position.last + Int64(batch.journalled.count), epoch: position.epoch,
            rulesVersion: JournalBody.rulesVersion, at: exchange.time, stateHash: exchange.state.hash, body: body.finish())
    }

    /// The batch to commit, if there is one; a new one begins.
    func takeBatch() -> SealedCommands? {
        guard !batch.isEmpty else { return nil }
        seal()
        if let row = batch.row {
            position.last = row.last
            isRowInFlight = true
        }
        defer { batch = SealedCommands() }
        return batch
    }

    /// The batch that was handed over is committed.
    func wasCommitted() {
        if isRowInFlight { pause = Committer.shortestPause }
        isRowInFlight = false
    }

    /// Tells those who wait that nothing is known of their commands. What is applied stays, and may be committed yet.
    func refuseCallers() {
        batch.refuse()
        for index in next..<taken.count where !taken[index].isReport { taken[index].give(.failure(.unavailable)) }
        taken = ContiguousArray(taken[next...].filter(\.isReport))
        next = 0
    }

    /// Gives up all that is not handed over; the reports among it, which are to be tried again. Everybody else is refused.
    func abandon() -> ContiguousArray<PendingCommand> {
        batch.refuse()
        defer {
            batch = SealedCommands()
            _ = body.finish()
            (taken, next) = ([], 0)
        }
        return batch.commands.filter(\.isReport) + taken[next...]
    }

    func startOver(_ exchange: Exchange, _ last: Int64) {
        self.exchange = exchange
        position.last = last
        isRowInFlight = false
    }
}
