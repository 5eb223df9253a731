internal import Database
internal import Logging
internal import Store

/// Brings the ledger's hash chain up to date with entries from before there was one, beside everything else.
struct LedgerUpkeep: Sendable {
    let database: Database
    let logger: Logger

    /// Ends when all is chained: from then on every entry is chained as it is written.
    func run() async {
        var pause = Duration.seconds(1)
        while !Task.isCancelled {
            do {
                let count = try await LedgerChain(database).complete { [logger] last, end in
                    guard last % 100_000 == 0 || last >= end else { return }
                    logger.info("chaining ledger entries", metadata: ["done": "\(last)", "of": "\(end)"])
                }
                if count > 0 { logger.info("ledger entries chained", metadata: ["entries": "\(count)"]) }
                return
            } catch {
                logger.warning("ledger entries cannot be chained", metadata: ["detail": "\(error)"])
            }
            do { try await Task.sleep(for: pause) } catch { return }
            pause = min(pause * 2, .seconds(60))
        }
    }
}
