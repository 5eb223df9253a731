internal import Database
internal import Exchange
internal import Logging
internal import Market
internal import Store
internal import Units

/// Keeps the ledger fast to look into and hard to change: chains entries from before there was a hash chain, and keeps the
/// balances of closed periods' ends.
struct LedgerUpkeep: Sendable {
    let market: any MarketGateway
    let database: Database
    let logger: Logger

    func run(every interval: Duration = .seconds(600)) async {
        var isChained = false
        while !Task.isCancelled {
            isChained = await chain()
            await keepBalances()
            do { try await Task.sleep(for: isChained ? interval : .seconds(5)) } catch { return }
        }
    }

    /// From then on every entry is chained as it is written.
    ///
    /// - Returns: whether all are
    private func chain() async -> Bool {
        do {
            let count = try await LedgerChain(database).complete { [logger] last, end in
                guard last % 100_000 == 0 || last >= end else { return }
                logger.info("chaining ledger entries", metadata: ["done": "\(last)", "of": "\(end)"])
            }
            if count > 0 { logger.info("ledger entries chained", metadata: ["entries": "\(count)"]) }
            return true
        } catch {
            logger.warning("ledger entries cannot be chained", metadata: ["detail": "\(error)"])
            return false
        }
    }

    /// Nothing gets a value date before the books' end any more, so that the tables only have to know of their closing.
    private func keepBalances() async {
        let closed = market.read { $0.books.closedThrough }
        guard closed > Timestamp(microseconds: 0), await market.isProjected() else { return }
        do {
            let until = closed - Interval(microseconds: 1)
            if try await BalanceSnapshots(database).take(until: until) {
                logger.info("balances kept", metadata: ["until": "\(until)"])
            }
        } catch {
            logger.warning("balances cannot be kept", metadata: ["detail": "\(error)"])
        }
    }
}
