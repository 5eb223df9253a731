internal import Exchange
internal import Foundation
internal import Market
internal import Synchronization

/// Sends a script's commands to a market in order, and times the answers.
final class CommitDriver: Sendable {
    /// What a part of the script measured.
    struct Part: Sendable {
        var commands = 0
        /// Acknowledged commands a second.
        var rate = 0.0
        /// Of the whole process, nanoseconds.
        var processor: UInt64 = 0
        /// From the moment when a command was due to its answer.
        var latencies = Samples(capacity: 0)
        var refused = 0
        /// Commands that were committed and not in the tables.
        var mostLag: Int64 = 0
        /// How long ago what the tables came to was committed.
        var mostLagNanoseconds: UInt64 = 0
        var lags = Samples(capacity: 0)
    }

    private let market: MarketService
    private let script: [CommandEnvelope]
    private let next = Mutex(0)

    /// Commands under way at a time in a burst.
    private static let window = 16_384
    /// Commands that the projector may be behind when its pace is measured.
    private static let sustainedLag: Int64 = 20_000

    init(_ market: MarketService, _ script: [CommandEnvelope]) {
        self.market = market
        self.script = script
    }

    /// One after the other, each when the one before is answered.
    func lone(_ count: Int) async -> Part {
        var tally = Part()
        tally.latencies = Samples(capacity: count)
        let processor = Stopwatch.processor(), start = Stopwatch.now()
        for envelope in take(count) {
            let sent = Stopwatch.now()
            if (try? await market.writer.submit(envelope)) == nil { tally.refused += 1 }
            tally.latencies.add(Stopwatch.now() &- sent)
            tally.commands += 1
        }
        tally.processor = Stopwatch.processor() - processor
        tally.rate = Double(tally.commands) / Double(Stopwatch.now() - start) * 1e9
        return tally
    }

    /// As fast as the market answers.
    @discardableResult
    func burst(commands: Int, seconds: Int) async -> Part {
        await run(most: commands, seconds: seconds) { sent, answered, _ in sent - answered < CommitDriver.window }
    }

    /// As fast as the tables follow.
    func sustained(seconds: Int) async -> Part {
        let market = market
        return await run(most: .max, seconds: seconds) { sent, answered, _ in
            sent - answered < CommitDriver.window / 4 && market.writer.lag < CommitDriver.sustainedLag
        }
    }

    /// So many a second, whether they are answered or not.
    func paced(rate: Int, seconds: Int) async -> Part {
        let step = 1_000_000_000 / UInt64(rate)
        return await run(most: rate * seconds, seconds: seconds + 5, step: step) { sent, _, elapsed in
            UInt64(sent) * step <= elapsed
        }
    }

    // MARK: - The generator

    private func take(_ count: Int) -> ArraySlice<CommandEnvelope> {
        next.withLock { next in
            let end = min(script.count, count > script.count ? script.count : next + count)
            defer { next = end }
            return script[next..<end]
        }
    }

    /// - Parameter step: nanoseconds between the commands' due times; 0 when they are due when they are sent
    /// - Parameter maySend: whether one more may be sent after so many were sent and answered, in so many nanoseconds
    private func run(
        most: Int, seconds: Int, step: UInt64 = 0, while maySend: @escaping @Sendable (Int, Int, UInt64) -> Bool
    ) async -> Part {
        let commands = take(most)
        return await withCheckedContinuation { continuation in
            let thread = Thread { [self] in
                let (part, sent) = generate(commands, seconds: seconds, step: step, maySend)
                next.withLock { $0 = commands.startIndex + sent }
                continuation.resume(returning: part)
            }
            thread.stackSize = 8 << 20
            thread.start()
        }
    }

    private func generate(
        _ commands: ArraySlice<CommandEnvelope>, seconds: Int, step: UInt64, _ maySend: (Int, Int, UInt64) -> Bool
    ) -> (part: Part, sent: Int) {
        let times = AnswerTimes(capacity: min(commands.count, 8_000_000))
        let watch = LagWatch(market)
        let processor = Stopwatch.processor(), start = Stopwatch.now(), end = start + UInt64(seconds) * 1_000_000_000
        var sent = 0
        for envelope in commands {
            var now = Stopwatch.now()
            while now < end, !maySend(sent, times.count, now - start) {
                usleep(50)
                now = Stopwatch.now()
            }
            guard now < end, sent < times.capacity else { break }
            let due = step == 0 ? now : start + UInt64(sent) * step
            let number = sent
            market.writer.submit(envelope) { times.add(number, since: due, isRefused: (try? $0.get()) == nil) }
            sent += 1
        }
        while times.count < sent { usleep(50) }
        let over = Stopwatch.now()
        var part = watch.stop()
        part.processor = Stopwatch.processor() - processor
        part.commands = sent
        part.refused = times.refused
        part.rate = Double(sent - times.refused) / Double(over - start) * 1e9
        part.latencies = times.samples
        return (part, sent)
    }
}

/// When commands were answered; written by the market's thread.
private final class AnswerTimes: @unchecked Sendable {
    // Sendable: each place is written once, before `answered` counts it, and read when all are counted.
    let capacity: Int
    private let nanoseconds: UnsafeMutablePointer<UInt64>
    private let answered = Atomic(0)
    private let failed = Atomic(0)

    init(capacity: Int) {
        self.capacity = capacity
        nanoseconds = .allocate(capacity: max(1, capacity))
    }

    deinit { nanoseconds.deallocate() }

    func add(_ number: Int, since due: UInt64, isRefused: Bool) {
        nanoseconds[number] = Stopwatch.now() &- due
        if isRefused { failed.add(1, ordering: .relaxed) }
        answered.add(1, ordering: .releasing)
    }

    var count: Int { answered.load(ordering: .acquiring) }
    var refused: Int { failed.load(ordering: .acquiring) }

    var samples: Samples {
        var samples = Samples(capacity: count)
        for number in 0..<count { samples.add(nanoseconds[number]) }
        return samples
    }
}

/// Looks every few milliseconds at how far the tables are behind.
private final class LagWatch: Sendable {
    private struct State {
        var part = CommitDriver.Part()
        var isOver = false
    }

    private let state = Mutex(State())
    private let ended = DispatchSemaphore(value: 0)

    init(_ market: MarketService) {
        let thread = Thread { [self] in
            // Positions and when they were first seen committed, oldest first.
            var commits: [(position: Int64, at: UInt64)] = []
            var first = 0
            while !state.withLock({ $0.isOver }) {
                let now = Stopwatch.now(), committed = market.writer.position, lag = market.writer.lag
                if commits.last.map({ $0.position < committed }) ?? true { commits.append((committed, now)) }
                while first < commits.count, commits[first].position <= committed - lag { first += 1 }
                let behind = first < commits.count ? now - commits[first].at : 0
                state.withLock { state in
                    state.part.mostLag = max(state.part.mostLag, lag)
                    state.part.mostLagNanoseconds = max(state.part.mostLagNanoseconds, behind)
                    state.part.lags.add(behind)
                }
                usleep(2000)
            }
            ended.signal()
        }
        thread.start()
    }

    func stop() -> CommitDriver.Part {
        state.withLock { $0.isOver = true }
        ended.wait()
        return state.withLock { $0.part }
    }
}
