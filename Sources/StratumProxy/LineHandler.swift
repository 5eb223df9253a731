import NIOCore

/// The owner of a connection, as its channel sees it. Everything happens on the edge's event loop.
protocol LineReceiver: AnyObject {
    /// One line without its end; the bytes are valid during the call only.
    func received(line: UnsafeRawBufferPointer)
    /// More bytes than the limit came without a line's end; nothing more is read.
    func lineTooLong()
    /// The connection is gone; called once.
    func disconnected()
}

/// Cuts a byte stream into lines and writes what piles up during one turn of the event loop at once.
final class LineHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let limit: Int
    /// Until the channel is gone. Not weak: that would slow down every other reference to it.
    private var receiver: (any LineReceiver)?
    private let output: LineOutput
    /// The start of a line whose end has not come.
    private var rest: ByteBuffer?
    private var isStopped = false

    init(limit: Int, receiver: any LineReceiver, output: LineOutput) {
        self.limit = limit
        self.receiver = receiver
        self.output = output
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isStopped else { return }
        var bytes = unwrapInboundIn(data)
        if var joined = rest {
            rest = nil
            joined.writeBuffer(&bytes)
            bytes = joined
        }
        let used = bytes.withUnsafeReadableBytes { cut($0) }
        guard !isStopped else { return }
        bytes.moveReaderIndex(forwardBy: used)
        guard bytes.readableBytes > 0 else { return }
        guard bytes.readableBytes < limit else { return stopTooLong() }
        bytes.discardReadBytes()
        rest = bytes
    }

    /// Hands out whole lines and returns how many bytes they took.
    private func cut(_ bytes: UnsafeRawBufferPointer) -> Int {
        var start = 0
        while start < bytes.count, !isStopped {
            let tail = UnsafeRawBufferPointer(rebasing: bytes[start...])
            guard let end = tail.firstIndex(of: UInt8(ascii: "\n")) else { break }
            guard end < limit else {
                stopTooLong()
                break
            }
            receiver?.received(line: UnsafeRawBufferPointer(rebasing: tail[..<end]))
            start += end + 1
            if output.isClosing { isStopped = true }
        }
        return start
    }

    private func stopTooLong() {
        isStopped = true
        rest = nil
        receiver?.lineTooLong()
    }

    func channelReadComplete(context: ChannelHandlerContext) { output.flush() }

    func channelWritabilityChanged(context: ChannelHandlerContext) { output.flush() }

    func channelInactive(context: ChannelHandlerContext) {
        isStopped = true
        output.isClosing = true
        let receiver = receiver
        self.receiver = nil
        receiver?.disconnected()
    }

    /// Also of channels that never became active.
    func handlerRemoved(context: ChannelHandlerContext) { channelInactive(context: context) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// The writing side of a connection: collects lines until the end of the loop's turn. A peer that does not read is closed.
final class LineOutput {
    private let channel: any Channel
    private let queue: FlushQueue
    private let limit: Int
    private var pending: ByteBuffer
    fileprivate var isQueued = false
    /// No more is read or written.
    fileprivate(set) var isClosing = false

    init(channel: any Channel, queue: FlushQueue, limit: Int) {
        self.channel = channel
        self.queue = queue
        self.limit = limit
        pending = channel.allocator.buffer(capacity: 0)
    }

    func send(_ bytes: [UInt8]) {
        guard !isClosing, !bytes.isEmpty else { return }
        pending.writeBytes(bytes)
        queue.add(self)
        if pending.readableBytes > limit, !channel.isWritable { close() }
    }

    /// Sends a line that others get too; without anything pending it is not copied.
    func send(_ shared: ByteBuffer) {
        guard !isClosing else { return }
        if pending.readableBytes == 0 {
            pending = shared
        } else {
            var shared = shared
            pending.writeBuffer(&shared)
        }
        queue.add(self)
        if pending.readableBytes > limit, !channel.isWritable { close() }
    }

    func flush() {
        isQueued = false
        guard !isClosing, pending.readableBytes > 0, channel.isWritable else { return }
        channel.writeAndFlush(takePending(), promise: nil)
    }

    /// What is pending, which is then no longer: a large write makes the channel call back while it is under way.
    private func takePending() -> ByteBuffer {
        let taken = pending
        pending = channel.allocator.buffer(capacity: 0)
        return taken
    }

    /// Writes what is pending and closes.
    func close() {
        guard !isClosing else { return }
        isClosing = true
        guard pending.readableBytes > 0, channel.isWritable else { return channel.close(promise: nil) }
        let channel = channel
        // A peer that does not read gets no more than this time for the last words.
        let timer = channel.eventLoop.scheduleTask(in: .seconds(5)) { channel.close(promise: nil) }
        channel.writeAndFlush(takePending()).whenComplete { _ in
            timer.cancel()
            channel.close(promise: nil)
        }
    }
}

/// Outputs with something to write, flushed at the end of the loop's turn.
final class FlushQueue {
    private let loop: any EventLoop
    private var outputs: [LineOutput] = []

    init(loop: any EventLoop) { self.loop = loop }

    fileprivate func add(_ output: LineOutput) {
        guard !output.isQueued else { return }
        output.isQueued = true
        outputs.append(output)
        guard outputs.count == 1 else { return }
        loop.assumeIsolated().execute { self.flush() }
    }

    private func flush() {
        let all = outputs
        outputs = []
        for output in all { output.flush() }
    }
}
