internal import Exchange
internal import Logging
internal import Market
internal import Units

/// Tries failed pools again that live bids name, so that bids come back when their pool does.
struct PoolWatch: Sendable {
    let market: any MarketGateway
    let verifier: any PoolVerifying
    let logger: Logger

    /// A pool that fails again soon after it verified: when to try it next, and the pause after that.
    private struct Patience {
        var until: ContinuousClock.Instant
        var pause: Duration
    }

    private static let longestPause = Duration.seconds(900)
    /// A pool that worked for this long is trusted again.
    private static let calm = Duration.seconds(3600)

    /// Runs until its task is cancelled. A pool that passes verification and fails in use is tried again after ever
    /// longer pauses, up to 15 minutes: rigs are not sent to and fro.
    func run(every interval: Duration) async {
        var patience: [PoolTargetID: Patience] = [:]
        while !Task.isCancelled {
            do { try await Task.sleep(for: interval) } catch { return }
            let now = ContinuousClock.now
            patience = patience.filter { $0.value.until + PoolWatch.calm > now }
            for target in wanted() where (patience[target.id]?.until ?? now) <= now {
                if Task.isCancelled { return }
                guard await verify(target) else { continue }
                let pause = min((patience[target.id]?.pause ?? interval) * 2, PoolWatch.longestPause)
                patience[target.id] = Patience(until: now + pause, pause: pause)
            }
        }
    }

    /// At most 100 a round, so that a round ends.
    private func wanted() -> [PoolTarget] {
        market.read { state in
            let named = Set(state.orders.values.filter(\.isAlive).flatMap { $0.bid?.targets ?? [] })
            let failed = named.compactMap { state.targets[$0] }.filter {
                switch $0.status {
                case .failed: true
                case .unverified, .verified: false
                }
            }
            return Array(failed.sorted { $0.id < $1.id }.prefix(100))
        }
    }

    /// True when the pool works again.
    private func verify(_ target: PoolTarget) async -> Bool {
        let result = await verifier.verify(url: target.url, user: target.user, password: target.password)
        guard let capabilities = result.capabilities else { return false }
        let command = Command.recordVerification(target: target.id, status: .verified(capabilities))
        do {
            _ = try await market.submit(CommandEnvelope(command))
            logger.info("pool works again", metadata: ["target": "\(target.id)"])
            return true
        } catch {
            logger.warning("verification not recorded", metadata: ["target": "\(target.id)", "detail": "\(error)"])
            return false
        }
    }
}
