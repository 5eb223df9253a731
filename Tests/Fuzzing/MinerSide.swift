import Stratum
import Units

/// Lines of a miner, and what a shell does meanwhile: every action must be one that the shell can carry out.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzMinerSession(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    var shell = MinerShell()
    for step in Step.all(UnsafeRawBufferPointer(start: start, count: count)) {
        guard shell.take(step) else { break }
    }
    return 0
}

private struct MinerShell {
    private var session = MinerSession(connectedAt: Timestamp(microseconds: 0))
    private var now = Timestamp(microseconds: 0)
    private var asked = 0
    private var sizes: Set<Int> = []

    /// False when the connection is to be closed.
    mutating func take(_ step: Step) -> Bool {
        switch step {
        case .line(let line):
            var twin = session
            let action = session.receive(line)
            if !line.isEmpty { require(twin.receive(line + [0x0d, 0x0a]) == action, "a line's end changes its meaning") }
            return carryOut(action)
        case .command(let name, var choices): return command(name, &choices)
        }
    }

    private mutating func command(_ name: UInt8, _ choices: inout Choices) -> Bool {
        switch name % 4 {
        case 0:
            now = now + .seconds(Int64(choices.byte()))
            return carryOut(session.timeout(at: now))
        case 1:
            let size = Int(choices.byte() % 32) + 1
            if session.isSubscribed { sizes.insert(size) }
            write(session.setExtranonce(extranonce1: choices.bytes(Int(choices.byte() % 33)), extranonce2Size: size))
        case 2: if let line = session.setVersionMask(choices.word()) { write(line) }
        default: return carryOut(session.lineTooLong())
        }
        return true
    }

    private func write(_ bytes: [UInt8]) { require(StrictJSON.areLines(bytes), "a reply is no line of JSON") }

    private mutating func carryOut(_ action: MinerSession.Action) -> Bool {
        require(session.workers.count <= MinerSession.Configuration().maximalWorkers, "too many workers")
        switch action {
        case .none: break
        case .reply(let bytes), .subscribesExtranonce(let bytes), .malformed(_, let bytes): write(bytes)
        case .configured(let extensions, let bytes):
            write(bytes)
            require((extensions.versionMask ?? 0) & ~VersionRolling.usualMask == 0, "a mask beyond ours")
        case .subscribe(let id, let subscription): subscribe(id, subscription)
        case .authorize(let id, let login): authorize(id, login)
        case .submit(let id, let share): submit(id, share)
        case .suggestDifficulty(let difficulty, let bytes):
            write(bytes)
            require(difficulty.mantissa > 0, "a difficulty of zero")
        case .close(_, let bytes):
            if !bytes.isEmpty { write(bytes) }
            return false
        }
        return true
    }

    private mutating func subscribe(_ id: MessageID, _ subscription: MinerSession.Subscription) {
        asked += 1
        require((subscription.userAgent ?? "").utf8.count <= 256, "too long a user agent")
        require((subscription.sessionID ?? "").utf8.count <= 128, "too long a session")
        guard asked % 4 != 0 else { return write(session.refuse(id, .other("No"))) }
        let size = asked % 3 == 0 ? 8 : 4
        sizes.insert(size)
        write(session.accept(
            subscribe: id, extranonce1: [1, 2], extranonce2Size: size, sessionID: subscription.sessionID ?? "s"))
        require(session.isSubscribed, "accepted and not subscribed")
    }

    private mutating func authorize(_ id: MessageID, _ login: MinerSession.Login) {
        require(login.user.utf8.count <= Submission.maximalWorkerBytes, "too long a name")
        guard !login.user.isEmpty else { return write(session.refuse(id, .unauthorized)) }
        write(session.accept(authorize: id, login))
        require(session.workers.contains(login.user), "accepted and not known")
    }

    private mutating func submit(_ id: MessageID, _ share: Submission) {
        require(session.isSubscribed, "a share before the subscription")
        require(session.workers.contains(share.worker), "a share of a stranger")
        require(sizes.contains(share.extranonce2.count), "an extranonce2 of a size never given")
        require((share.versionBits ?? 0) & ~session.versionMask == 0, "bits outside the mask")
        write(session.answer(id))
        write(session.answer(id, refusal: .lowDifficulty))
        forward(share)
    }

    /// What goes to a pool is read there as the same share.
    private func forward(_ share: Submission) {
        var toPool = readyPool
        guard let line = try? toPool.submit(share, tag: 1, at: now) else { return require(false, "a ready session refused a share") }
        write(line)
        var pool = MinerSession(connectedAt: now)
        _ = pool.receive(Array(#"{"id":1,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"ffffffff"}]}"#.utf8))
        if let mask = share.versionBits { _ = pool.setVersionMask(mask) }
        _ = pool.receive(Array(#"{"id":2,"method":"mining.subscribe","params":[]}"#.utf8))
        _ = pool.accept(subscribe: .number(2), extranonce1: [], extranonce2Size: max(1, share.extranonce2.count), sessionID: "")
        _ = pool.accept(authorize: .number(3), MinerSession.Login(user: share.worker, password: ""))
        guard case .submit(_, let read) = pool.receive(line) else { return require(false, "a pool could not read a forwarded share") }
        require(read == share, "a pool reads another share")
    }
}

/// A session with a pool, ready for shares.
private let readyPool: PoolSession = {
    var session = PoolSession(PoolSession.Configuration(user: "u", password: "p"))
    let now = Timestamp(microseconds: 0)
    _ = session.start(at: now)
    _ = session.receive(Array(#"{"id":2,"result":[[],"00",4],"error":null}"#.utf8), at: now)
    _ = session.receive(Array(#"{"id":3,"result":true,"error":null}"#.utf8), at: now)
    require(session.isReady, "the pool session is not ready")
    return session
}()

@_cdecl("LLVMFuzzerInitialize")
public func initialize(_ count: UnsafePointer<CInt>, _ arguments: UnsafeRawPointer) -> CInt {
    writeSeedsIfAsked(Samples.session(Samples.miner))
    return 0
}
