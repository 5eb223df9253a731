import Metering
import NIOCore
import NIOPosix
import Units

/// Runs a ``SpoolStore`` on a thread of its own, in the order of the calls.
///
/// `@unchecked Sendable`: `store` is touched only by work on `thread`, a pool of exactly one thread.
final class SpoolThread: @unchecked Sendable {
    private let thread = NIOThreadPool(numberOfThreads: 1)
    private var store: SpoolStore?

    init() { thread.start() }

    /// Opens the file and returns its epoch; nil when it is new.
    func prepare(path: String, edge: EdgeID, maximalBytes: Int64) async throws -> Int64? {
        try await thread.runIfActive { [self] in
            let store = try SpoolStore(path: path, edge: edge, maximalBytes: maximalBytes)
            self.store = store
            return try store.knownEpoch()
        }
    }

    func open(newEpoch: Int64?) async throws -> SpoolState {
        try await run { store throws(SpoolFailure) in try store.open(newEpoch: newEpoch) }
    }

    /// Answers on the loop.
    func commit(
        _ records: [MeterRecord], lastShare: Int64, lastJob: Int64, on loop: any EventLoop
    ) -> EventLoopFuture<Void> {
        thread.runIfActive(eventLoop: loop) { [self] in
            guard let store else { throw SpoolFailure.notOpen }
            try store.commit(records, lastShare: lastShare, lastJob: lastJob)
        }
    }

    func reserveSessions(on loop: any EventLoop) -> EventLoopFuture<Int64> {
        thread.runIfActive(eventLoop: loop) { [self] in
            guard let store else { throw SpoolFailure.notOpen }
            return try store.reserveSessions()
        }
    }

    /// Seals what there is; with nothing, only if `isHeartbeat`. While batches wait, only when much has come together.
    func seal(completeUntil: Timestamp, isHeartbeat: Bool, recordsPerBatch: Int, on loop: any EventLoop) -> EventLoopFuture<Bool> {
        thread.runIfActive(eventLoop: loop) { [self] in
            guard let store else { throw SpoolFailure.notOpen }
            let waiting = try store.waitingBatches()
            let isBehind = waiting >= 8 && store.unsealedCount < recordsPerBatch
            guard !isBehind, store.unsealedCount > 0 || (isHeartbeat && waiting == 0) else { return false }
            try store.seal(completeUntil: completeUntil, recordsPerBatch: recordsPerBatch)
            return true
        }
    }

    func oldestBatch() async throws -> ShippableBatch? {
        try await run { store throws(SpoolFailure) in try store.oldestBatch() }
    }

    func waitingBatches() async throws -> Int {
        try await run { store throws(SpoolFailure) in try store.waitingBatches() }
    }

    func remove(_ batch: ShippableBatch) async throws {
        try await run { store throws(SpoolFailure) in try store.remove(batch) }
    }

    func stop() async {
        _ = try? await thread.runIfActive { [self] in
            store?.close()
            store = nil
        }
        try? await thread.shutdownGracefully()
    }

    private func run<T: Sendable>(_ body: @escaping @Sendable (SpoolStore) throws(SpoolFailure) -> T) async throws -> T {
        try await thread.runIfActive { [self] in
            guard let store else { throw SpoolFailure.notOpen }
            return try body(store)
        }
    }
}
