import Logging
import Units

/// Takes sealed batches out of the spool in order and hands them to the sink until it has them.
actor Shipper {
    private let spool: SpoolThread
    private let sink: any BatchSink
    private let times: EdgeConfiguration.SpoolTimes
    private let logger: Logger
    private let wakes: AsyncStream<Void>
    private let waker: AsyncStream<Void>.Continuation
    /// Said once, until one is shipped again.
    private var isFailing = false

    init(spool: SpoolThread, sink: any BatchSink, times: EdgeConfiguration.SpoolTimes, logger: Logger) {
        self.spool = spool
        self.sink = sink
        self.times = times
        self.logger = logger
        (wakes, waker) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// There is something to ship.
    nonisolated func wake() { waker.yield() }

    /// Ships what there is, then waits to be woken; until cancelled.
    func shipForever() async {
        waker.yield()
        for await _ in wakes {
            var failures: Int64 = 0
            while !Task.isCancelled {
                switch await shipOldest() {
                case .shipped: failures = 0
                case .nothing: failures = -1
                case .failed: failures += 1
                }
                if failures < 0 { break }
                if failures > 0, await !pause(failures) { return }
            }
            if Task.isCancelled { return }
        }
    }

    /// Ships until nothing is left, or something fails, or time is up.
    func shipRest(until deadline: ContinuousClock.Instant) async {
        while ContinuousClock.now < deadline {
            switch await shipOldest() {
            case .shipped: continue
            case .nothing: return
            case .failed:
                guard await pause(1) else { return }
            }
        }
    }

    private enum Outcome { case shipped, nothing, failed }

    private func shipOldest() async -> Outcome {
        do {
            guard let batch = try await spool.oldestBatch() else { return .nothing }
            try await sink.deliver(batch.batch, encoded: batch.encoded, digest: batch.digest)
            try await spool.remove(batch)
            if isFailing { logger.notice("batches are shipped again") }
            isFailing = false
            return .shipped
        } catch {
            if !isFailing, !Task.isCancelled { logger.warning("batches wait: \(error)") }
            isFailing = true
            return .failed
        }
    }

    /// False when cancelled.
    private func pause(_ failures: Int64) async -> Bool {
        let doubled = times.firstRetry.microseconds << min(failures - 1, 20)
        do {
            try await Task.sleep(for: .microseconds(min(doubled, times.lastRetry.microseconds)))
            return true
        } catch {
            return false
        }
    }
}
