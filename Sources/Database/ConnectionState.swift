/// What a connection may do next, for both drivers.
struct ConnectionState {
    private enum Phase {
        /// No transaction. Next: `transaction`, `closed`.
        case idle
        /// A transaction of the given mode; doomed once a statement failed. Next: `idle`, `closed`.
        case transaction(TransactionMode, isDoomed: Bool)
        /// For good.
        case closed
    }

    private var phase = Phase.idle
    /// Rows are being passed to a body; nothing else may run.
    var isStreaming = false

    var isInTransaction: Bool {
        switch phase {
        case .transaction: true
        case .idle, .closed: false
        }
    }

    var isClosed: Bool {
        switch phase {
        case .closed: true
        case .idle, .transaction: false
        }
    }

    /// Whether a transaction is open that may not write.
    var isReading: Bool { mode == .read }

    var mode: TransactionMode? {
        switch phase {
        case .transaction(let mode, _): mode
        case .idle, .closed: nil
        }
    }

    /// Throws unless a statement may run now.
    func checkStatement() throws(DatabaseError) {
        guard !isStreaming else { throw Misuse.streaming }
        switch phase {
        case .idle, .transaction(_, isDoomed: false): return
        case .transaction(_, isDoomed: true): throw Misuse.doomed
        case .closed: throw .closed
        }
    }

    func checkBegin() throws(DatabaseError) {
        guard !isInTransaction else { throw Misuse.nested }
        try checkStatement()
    }

    func checkCommit() throws(DatabaseError) {
        try checkStatement()
        guard isInTransaction else { throw Misuse.noTransaction }
    }

    mutating func began(_ mode: TransactionMode) { phase = .transaction(mode, isDoomed: false) }

    mutating func ended() {
        guard isInTransaction else { return }
        phase = .idle
    }

    /// A statement failed: its transaction, if any, can only be rolled back.
    mutating func failed() {
        guard case .transaction(let mode, _) = phase else { return }
        phase = .transaction(mode, isDoomed: true)
    }

    mutating func closed() { phase = .closed }
}
