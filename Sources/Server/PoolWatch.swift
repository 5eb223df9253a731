internal import Exchange
internal import Logging
internal import Market
internal import Units

/// Tries failed pools again that live bids name, so that bids come back when their pool does.
struct PoolWatch: Sendable {
    let market: any MarketGateway
    let verifier: any PoolVerifying
    let logger: Logger

    /// Runs until its task is cancelled.
    func run(every interval: Duration) async {
        while !Task.isCancelled {
            do { try await Task.sleep(for: interval) } catch { return }
            for target in wanted() {
                if Task.isCancelled { return }
                await verify(target)
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

    private func verify(_ target: PoolTarget) async {
        let result = await verifier.verify(url: target.url, user: target.user, password: target.password)
        guard let capabilities = result.capabilities else { return }
        let command = Command.recordVerification(target: target.id, status: .verified(capabilities))
        do {
            _ = try await market.submit(CommandEnvelope(command))
            logger.info("pool works again", metadata: ["target": "\(target.id)"])
        } catch {
            logger.warning("verification not recorded", metadata: ["target": "\(target.id)", "detail": "\(error)"])
        }
    }
}
