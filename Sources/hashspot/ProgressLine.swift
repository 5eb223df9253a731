import Foundation
import Store
import Synchronization

/// Tells on standard error how far a long replay is: a line a second, from the second second on.
final class ProgressLine: Sendable {
    private struct State {
        var begun: ContinuousClock.Instant?
        var told: ContinuousClock.Instant?
    }

    private let verb: String
    private let state = Mutex(State())

    init(_ verb: String) { self.verb = verb }

    /// Begins to count time.
    func begin() { state.withLock { $0.begun = .now } }

    func report(_ progress: ReplayProgress) {
        let now = ContinuousClock.now
        let line: String? = state.withLock { state in
            guard let begun = state.begun, now - (state.told ?? begun) >= .seconds(1) else { return nil }
            state.told = now
            return ProgressLine.text(verb, progress, after: now - begun)
        }
        if let line { writeError(line) }
    }

    static func text(_ verb: String, _ progress: ReplayProgress, after elapsed: Duration) -> String {
        let milliseconds = max(1, elapsed.components.seconds * 1000 + elapsed.components.attoseconds / 1_000_000_000_000_000)
        let rate = progress.rows * 1000 / milliseconds
        let left = progress.position > 0 ? milliseconds * (progress.end - progress.position) / progress.position / 1000 : 0
        return "\(verb): command \(progress.position) of \(progress.end), \(rate) rows/s, about \(left) s left"
    }
}

/// A line on standard error.
func writeError(_ line: String) { FileHandle.standardError.write(Data((line + "\n").utf8)) }
