internal import Logging
internal import Store

/// Makes room for metered rows and lets go of old ones, at once and then every interval.
struct RetentionWorker: Sendable {
    let store: RetentionStore
    let logger: Logger

    /// Runs until its task is cancelled.
    func run(every interval: Duration) async {
        while !Task.isCancelled {
            do { log(try await store.runOnce()) } catch is CancellationError {
                return
            } catch {
                logger.error("retention failed; the next run makes up for it", metadata: ["detail": "\(error)"])
            }
            do { try await Task.sleep(for: interval) } catch { return }
        }
    }

    private func log(_ report: RetentionReport) {
        if !report.dropped.isEmpty || report.deleted > 0 {
            logger.info("old metered rows dropped", metadata: [
                "days": "\(report.dropped.count)", "rows": "\(report.deleted)",
            ])
        }
        for (table, rows) in report.strays {
            logger.warning("rows belong to no day: an edge's clock may be off, or its reports came very late", metadata: [
                "table": "\(table.rawValue)", "rows": "\(rows)",
            ])
        }
    }
}
