internal import Logging
internal import Market
internal import ServiceLifecycle
internal import Units

/// Looks after the streams while the API is up.
struct StreamKeeper: Service {
    let streams: MarketStreams
    let reports: any MarketReports
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            async let history: Void = loadHistory()
            await look()
            await history
        }
    }

    private func loadHistory() async {
        do { try await streams.loadHistory(reports) } catch {
            if !Task.isCancelled { logger.error("candles lack their history", metadata: ["error": "\(error)"]) }
        }
    }

    private func look() async {
        let beats = max(1, streams.configuration.heartbeat.microseconds / 1_000_000)
        var seconds: Int64 = 0
        while true {
            do { try await Task.sleep(for: .seconds(1)) } catch { return }
            seconds += 1
            streams.look(isHeartbeat: seconds % beats == 0)
        }
    }
}
