import Stratum
import Units

/// Lines of a pool, and what a shell does meanwhile: shares are answered once, jobs can be given to rigs.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzPoolSession(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    var shell = PoolShell()
    for step in Step.all(UnsafeRawBufferPointer(start: start, count: count)) {
        guard shell.take(step) else { break }
    }
    shell.end()
    return 0
}

private struct PoolShell {
    private static let limit = 8
    private var session: PoolSession
    private var now = Timestamp(microseconds: 0)
    private var nextTag: UInt64 = 1
    private var waiting: Set<UInt64> = []

    init() {
        var configuration = PoolSession.Configuration(user: "buyer.rig", password: "x")
        configuration.maximalOutstanding = PoolShell.limit
        configuration.suggestedDifficulty = .one
        session = PoolSession(configuration)
        write(session.start(at: now))
    }

    /// False when the connection is to be closed.
    mutating func take(_ step: Step) -> Bool {
        switch step {
        case .line(let line):
            var twin = session
            let event = session.receive(line, at: now)
            if !line.isEmpty { require(twin.receive(line + [0x0d, 0x0a], at: now) == event, "a line's end changes its meaning") }
            return carryOut(event)
        case .command(let name, var choices): return command(name, &choices)
        }
    }

    mutating func end() { require(Set(session.disconnected()) == waiting, "other shares are lost than those that wait") }

    private mutating func command(_ name: UInt8, _ choices: inout Choices) -> Bool {
        switch name % 4 {
        case 0:
            now = now + .seconds(Int64(choices.byte()))
            return timeout()
        case 1: submit(&choices)
        case 2: if let line = session.authorize(user: String(decoding: choices.bytes(8), as: UTF8.self), password: "x") { write(line) }
        default: write(session.suggest(Algorithm.sha256d.decimal(ShareDifficulty(units: Int64(choices.word()) + 1))))
        }
        return true
    }

    private func write(_ bytes: [UInt8]) { require(StrictJSON.areLines(bytes), "what is sent is no line of JSON") }

    private mutating func submit(_ choices: inout Choices) {
        let share = Submission(
            worker: "buyer.rig", jobID: String(decoding: choices.bytes(4), as: UTF8.self), extranonce2: choices.bytes(8),
            ntime: choices.word(), nonce: choices.word(), versionBits: choices.byte() & 1 == 0 ? nil : choices.word())
        guard let line = try? session.submit(share, tag: nextTag, at: now) else {
            return require(!session.isReady || waiting.count == PoolShell.limit, "a share was refused without reason")
        }
        require(session.isReady, "a share was taken too early")
        write(line)
        waiting.insert(nextTag)
        nextTag += 1
        require(session.outstandingCount == waiting.count, "shares are miscounted")
    }

    private mutating func timeout() -> Bool {
        switch session.timeout(at: now) {
        case .none: break
        case .expired(let tags): for tag in tags { conclude(tag) }
        case .close: return false
        }
        require(session.outstandingCount == waiting.count, "shares are miscounted")
        return true
    }

    private mutating func conclude(_ tag: UInt64) {
        require(waiting.remove(tag) != nil, "a share that does not wait was answered")
    }

    private mutating func carryOut(_ event: PoolSession.Event) -> Bool {
        require(session.versionMask & ~VersionRolling.usualMask == 0, "a mask beyond ours")
        switch event {
        case .none, .ready, .authorized, .refused, .versionMask, .malformed: break
        case .send(let bytes): write(bytes)
        case .subscribed(let extranonce1, let size, let bytes):
            write(bytes)
            check(extranonce1, size)
        case .extranonce(let extranonce1, let size): check(extranonce1, size)
        case .difficulty(let difficulty): check(difficulty)
        case .job(let job): check(job)
        case .reconnect(let host, let port, let wait):
            require(host.map { !$0.isEmpty && $0.utf8.count <= 255 } ?? true, "a host out of its range")
            require(port.map { (1...65_535).contains($0) } ?? true, "a port out of its range")
            require((0...86_400).contains(wait), "a wait out of its range")
        case .message(let text): require(text.utf8.count <= 512, "too long a message")
        case .answered(let tag, _): conclude(tag)
        case .close: return false
        }
        require(session.outstandingCount == waiting.count, "shares are miscounted")
        return true
    }

    private func check(_ extranonce1: [UInt8], _ size: Int) {
        require(extranonce1.count <= 32 && (1...32).contains(size), "extranonces out of their range")
    }

    /// It is written as it was read.
    private func check(_ difficulty: DecimalDifficulty) {
        var reader = session
        guard case .difficulty(let again) = reader.receive(Line.setDifficulty(difficulty), at: now) else {
            return require(false, "a difficulty cannot be read back")
        }
        for algorithm in Algorithm.allCases {
            require(algorithm.target(of: again) == algorithm.target(of: difficulty), "another difficulty is read back")
            require(algorithm.wholeUnits(of: again) == algorithm.wholeUnits(of: difficulty), "other work is read back")
        }
    }

    /// It is written as it was read, and folds so that rig and pool hash the same coinbase.
    private func check(_ poolJob: PoolJob) {
        let job = poolJob.job
        require(job.networkTarget != nil, "a job without a target")
        check(poolJob.extranonce1, poolJob.extranonce2Size)
        var reader = session
        guard case .job(let again) = reader.receive(Line.notify(job), at: now) else {
            return require(false, "a job cannot be read back")
        }
        require(again == poolJob, "another job is read back")
        guard let fold = try? CoinbaseFold(poolExtranonce1: poolJob.extranonce1, poolExtranonce2Size: poolJob.extranonce2Size)
        else { return require(poolJob.extranonce2Size < ExtranonceLayout.standard.byteCount, "a job does not fold") }
        let epoch = fold.epochCapacity - 1
        let rig: [UInt8] = [0xa1, 0xa2], own: [UInt8] = [1, 2, 3, 4]
        guard let folded = fold.fold(job, id: "x", epoch: epoch),
            let extranonce2 = fold.poolExtranonce2(epoch: epoch, rigExtranonce1: rig, rigExtranonce2: own)
        else { return require(false, "the last epoch does not fold") }
        require(extranonce2.count == poolJob.extranonce2Size, "an extranonce2 of another size")
        require(
            folded.coinb1 + rig + own + folded.coinb2 == job.coinb1 + poolJob.extranonce1 + extranonce2 + job.coinb2,
            "rig and pool hash different coinbases")
        require(fold.fold(job, id: "x", epoch: fold.epochCapacity) == nil || fold.epochCapacity == .max, "an epoch too many folds")
    }
}

@_cdecl("LLVMFuzzerInitialize")
public func initialize(_ count: UnsafePointer<CInt>, _ arguments: UnsafeRawPointer) -> CInt {
    writeSeedsIfAsked(Samples.session(Samples.pool))
    return 0
}
