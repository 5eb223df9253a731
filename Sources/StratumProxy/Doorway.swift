import NIOCore
import Units

/// Lets connections in at a pace: when a whole fleet comes back at once, those that came first are served at their usual
/// speed, and the others wait for some seconds with nothing read from them, instead of all timing out together.
final class Doorway {
    private var bucket: TokenBucket
    private let mostWaiting: Int
    private var line: [(channel: any Channel, usesTLS: Bool)] = []
    private var head = 0

    init(_ limits: EdgeConfiguration.Limits, now: Timestamp) {
        bucket = TokenBucket(perSecond: Int64(limits.connectionsPerSecond), burst: Int64(limits.connectionsAtOnce), now: now)
        mostWaiting = limits.connectionsWaiting
    }

    var waiting: Int { line.count - head }

    /// Whether a new connection may come in now; if not it waits, or is closed where too many do.
    func admits(_ channel: any Channel, usesTLS: Bool, now: Timestamp) throws -> Bool {
        if waiting == 0, bucket.take(now: now) { return true }
        guard waiting < mostWaiting else {
            channel.close(promise: nil)
            return false
        }
        try channel.syncOptions?.setOption(.autoRead, value: false)
        line.append((channel, usesTLS))
        return false
    }

    /// Those whose turn has come, in the order of their coming.
    func letIn(now: Timestamp, _ enter: (any Channel, Bool) throws -> Void) {
        while waiting > 0, bucket.take(now: now) {
            let (channel, usesTLS) = line[head]
            head += 1
            guard channel.isActive else { continue }
            do {
                try enter(channel, usesTLS)
                try channel.syncOptions?.setOption(.autoRead, value: true)
                channel.read()
            } catch { channel.close(promise: nil) }
        }
        guard head == line.count || head > 4096 else { return }
        line.removeFirst(head)
        head = 0
    }

    func closeAll() {
        for (channel, _) in line[head...] { channel.close(promise: nil) }
        line = []
        head = 0
    }
}
