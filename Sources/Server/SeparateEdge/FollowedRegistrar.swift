internal import StratumProxy
internal import Synchronization
internal import Units

/// Makes rigs of farms' workers at a separate edge: asks by a report, and has its answer when the rig is among what the edge
/// follows, or when a refusal comes. Without an answer for a while it says that it is busy, and is asked again.
final class FollowedRegistrar: EdgeRegistrar {
    private struct Request {
        let user: String
        let deadline: ContinuousClock.Instant
        let answer: @Sendable (WorkerRegistration) -> Void
    }

    private struct State {
        /// Whether a server can hear of workers.
        var isOpen = false
        var lastRequest: Int64 = 0
        var requests: [Int64: Request] = [:]
    }

    private let directory: FollowedDirectory
    private let reports: FollowedReports
    private let clock: any WallClock
    private let state = Mutex(State())

    init(directory: FollowedDirectory, reports: FollowedReports, clock: any WallClock) {
        self.directory = directory
        self.reports = reports
        self.clock = clock
    }

    /// For a request; the edge gives a worker up after several.
    static let patience = Duration.seconds(5)

    /// As many at a time as the edge's limit says.
    func register(farm: FarmID, worker: String, answer: @escaping @Sendable (WorkerRegistration) -> Void) {
        guard let login = directory.login(of: farm) else { return answer(.busy) }
        let user = "\(login).\(worker)"
        guard directory.rig(user: user) == nil else { return answer(.registered) }
        let now = clock.now()
        let request = Request(user: user, deadline: .now + FollowedRegistrar.patience, answer: answer)
        guard let number = begin(request, at: now) else { return answer(.busy) }
        guard !reports.workerCame(farm, worker, request: number, at: now) else { return }
        end(number)?.answer(.busy)
    }

    /// Numbers a request by time, so that no word to an earlier process is taken for its answer; nil when no server would hear it.
    private func begin(_ request: Request, at now: Timestamp) -> Int64? {
        state.withLock { state in
            guard state.isOpen else { return nil }
            state.lastRequest = max(now.microseconds, state.lastRequest + 1)
            state.requests[state.lastRequest] = request
            return state.lastRequest
        }
    }

    private func end(_ number: Int64) -> Request? { state.withLock { $0.requests.removeValue(forKey: number) } }

    // MARK: - The contact's side

    var isWaiting: Bool { state.withLock { !$0.requests.isEmpty } }

    /// The exchange refused.
    func refuse(_ number: Int64, _ reason: String) { end(number)?.answer(.refused(reason)) }

    /// Answers for rigs that have come into the directory, and for what has waited too long.
    func settle(now: ContinuousClock.Instant = .now) {
        let waiting = state.withLock { $0.requests }
        for (number, request) in waiting.sorted(by: { $0.key < $1.key }) {
            if directory.rig(user: request.user) != nil {
                end(number)?.answer(.registered)
            } else if now >= request.deadline {
                end(number)?.answer(.busy)
            }
        }
    }

    func setOpen(_ isOpen: Bool) {
        let given: [Request] = state.withLock { state in
            state.isOpen = isOpen
            guard !isOpen else { return [] }
            defer { state.requests = [:] }
            return Array(state.requests.values)
        }
        for request in given { request.answer(.busy) }
    }

    /// Looks at what waits until its task is cancelled, also while the database does not answer.
    func watch() async {
        while !Task.isCancelled {
            settle()
            do { try await Task.sleep(for: .milliseconds(100)) } catch { return }
        }
    }
}
