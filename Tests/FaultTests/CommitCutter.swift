import Foundation
import Synchronization

/// Stands between a server and its Postgres, and cuts a connection off at a commit when it is told to.
///
/// Understands as much of the protocol (PostgreSQL documentation, "Frontend/Backend Protocol") as that takes: what is
/// executed between two synchronisations, and whether a transaction is open.
final class CommitCutter: Sendable {
    /// What becomes of a commit.
    enum Cut: CaseIterable, Sendable {
        /// It is done, and nobody is told: the connection ends.
        case replyLost
        /// It is done, nothing is heard for two seconds, and then the connection ends.
        case replyLate
        /// It never arrives.
        case requestLost
    }

    private struct Plan: Sendable {
        /// The transaction has a statement with this text.
        var marker: String
        var cut: Cut
    }

    private let listener: Listener
    private let databasePort: Int
    private let plan = Mutex<Plan?>(nil)
    private let cuts = Atomic<Int>(0)

    init(databasePort: Int) throws {
        listener = try Listener()
        self.databasePort = databasePort
        let accepting = listener
        Thread.detachNewThread { [self] in
            while let client = accepting.accept() {
                guard let database = try? Socket.connect(port: databasePort) else {
                    client.cut()
                    continue
                }
                Link(client: client, database: database, cutter: self).start()
            }
        }
    }

    var port: Int { listener.port }
    /// Cuts that were made.
    var count: Int { cuts.load(ordering: .sequentiallyConsistent) }

    /// The next commit of such a transaction is cut off.
    func cutNext(_ marker: String, _ cut: Cut) { plan.withLock { $0 = Plan(marker: marker, cut: cut) } }

    func close() { listener.close() }

    fileprivate func take(_ statements: [String]) -> Cut? {
        plan.withLock { plan in
            guard let planned = plan, statements.contains(where: { $0.contains(planned.marker) }) else { return nil }
            plan = nil
            return planned.cut
        }
    }

    fileprivate func counted() { cuts.add(1, ordering: .sequentiallyConsistent) }
}

/// One connection through the cutter.
private final class Link: Sendable {
    private struct State: Sendable {
        /// As the database last said.
        var isInTransaction = false
        /// Statements of the transaction so far.
        var statements: [String] = []
        var cut: CommitCutter.Cut?
    }

    private let client: Socket
    private let database: Socket
    private let cutter: CommitCutter
    private let state = Mutex(State())

    init(client: Socket, database: Socket, cutter: CommitCutter) {
        (self.client, self.database, self.cutter) = (client, database, cutter)
    }

    func start() {
        Thread.detachNewThread { [self] in pump { try forward() } }
        Thread.detachNewThread { [self] in pump { try backward() } }
    }

    private func pump(_ body: () throws -> Void) {
        do { try body() } catch {}
        client.cut()
        database.cut()
    }

    // MARK: client to database

    private func forward() throws {
        var messages = Messages(startsUntyped: true)
        var prepared: [String: String] = [:]
        var unit: [String] = []
        while true {
            messages.add(try Link.receive(client))
            while let message = messages.next() {
                let texts = message.texts(2)
                switch message.type {
                case UInt8(ascii: "P"): prepared[texts[0]] = texts[1]
                case UInt8(ascii: "B"): unit.append(prepared[texts[1]] ?? "")
                case UInt8(ascii: "Q"): unit.append(texts[0])
                default: break
                }
                if message.type == UInt8(ascii: "Q") || message.type == UInt8(ascii: "S") {
                    guard let cut = ended(unit) else {
                        try database.send(message.bytes)
                        unit = []
                        continue
                    }
                    cutter.counted()
                    if cut == .requestLost { throw Socket.Ended() }
                    unit = []
                }
                try database.send(message.bytes)
            }
        }
    }

    /// What to do about a unit of work, if it commits what is to be cut off.
    private func ended(_ unit: [String]) -> CommitCutter.Cut? {
        state.withLock { state in
            state.statements += unit
            let begins = unit.contains { $0.hasPrefix("BEGIN") }
            let commits = unit.contains { $0.hasPrefix("COMMIT") } || (!state.isInTransaction && !begins)
            guard commits, let cut = cutter.take(state.statements) else { return nil }
            if cut != .requestLost { state.cut = cut }
            return cut
        }
    }

    // MARK: database to client

    private func backward() throws {
        var messages = Messages(startsUntyped: false)
        while true {
            messages.add(try Link.receive(database))
            while let message = messages.next() {
                let isReady = message.type == UInt8(ascii: "Z")
                let cut = state.withLock { state in
                    if isReady {
                        state.isInTransaction = message.bytes.last != UInt8(ascii: "I")
                        if !state.isInTransaction { state.statements = [] }
                    }
                    return state.cut
                }
                guard let cut else {
                    try client.send(message.bytes)
                    continue
                }
                guard isReady else { continue }
                if cut == .replyLate { pause(2) }
                throw Socket.Ended()
            }
        }
    }

    private static func receive(_ socket: Socket) throws -> [UInt8] {
        while true {
            do { return try socket.receive(within: 3600) } catch is Socket.TimedOut {}
        }
    }
}

/// Cuts a stream into the protocol's messages.
private struct Messages {
    struct Message {
        /// 0 for the first one of a client, which has no type.
        var type: UInt8
        /// All of it.
        var bytes: [UInt8]

        /// The first texts of its body, each ended by a zero.
        func texts(_ count: Int) -> [String] {
            let parts = bytes.dropFirst(5).prefix(100_000).split(separator: 0, maxSplits: count, omittingEmptySubsequences: false)
            return (0..<count).map { $0 < parts.count ? String(decoding: parts[$0], as: UTF8.self) : "" }
        }
    }

    private var buffer: [UInt8] = []
    private var isUntyped: Bool

    init(startsUntyped: Bool) { isUntyped = startsUntyped }

    mutating func add(_ bytes: [UInt8]) { buffer += bytes }

    mutating func next() -> Message? {
        let head = isUntyped ? 0 : 1
        guard buffer.count >= head + 4 else { return nil }
        let length = head + buffer[head..<(head + 4)].reduce(0) { $0 << 8 | Int($1) }
        guard buffer.count >= length else { return nil }
        let message = Message(type: isUntyped ? 0 : buffer[0], bytes: Array(buffer[..<length]))
        buffer.removeFirst(length)
        isUntyped = false
        return message
    }
}
