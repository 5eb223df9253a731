internal import Logging

/// Does something after each pause until its task is cancelled. What goes wrong is logged: the next time makes up for it.
///
/// - Parameter failure: what the log says then
func repeatedly(
    after pause: () -> Duration, _ failure: Logger.Message, _ logger: Logger, _ body: () async throws -> Void
) async {
    while !Task.isCancelled {
        do {
            try await Task.sleep(for: pause())
            try await body()
        } catch is CancellationError {
            return
        } catch {
            logger.error(failure, metadata: ["detail": "\(error)"])
        }
    }
}
