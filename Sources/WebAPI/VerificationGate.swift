internal import HTTPTypes
internal import Synchronization
internal import Units

/// Bounds how many pools are tried out at once: in all, per account, and once per pool target.
final class VerificationGate: Sendable {
    private let running = Mutex<[PoolTargetID: AccountID]>([:])

    /// Runs `body` unless too much is under way.
    func run<T: Sendable>(
        _ target: PoolTargetID, of account: AccountID, _ body: () async -> T
    ) async throws(Problem) -> T {
        let isFree = running.withLock { running in
            guard running[target] == nil, running.count < Limits.verificationsAtOnce,
                running.values.count(where: { $0 == account }) < Limits.verificationsPerAccount
            else { return false }
            running[target] = account
            return true
        }
        guard isFree else {
            throw Problem(
                .tooManyRequests, "verificationsBusy", "Verifications of this pool target or account are running; wait for them.")
                .with(.retryAfter, "5")
        }
        defer { running.withLock { $0[target] = nil } }
        return await body()
    }
}
