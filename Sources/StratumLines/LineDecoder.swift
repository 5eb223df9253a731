public import NIOCore

/// Cuts a byte stream into lines ended by `\n`, which is left out. A line above the limit is an error, not a buffer.
public struct LineDecoder: ByteToMessageDecoder {
    public typealias InboundOut = ByteBuffer

    /// The peer sent more than the limit without ending its line.
    public struct LineTooLong: Error, Hashable {}

    private let limit: Int
    /// Bytes of the buffer that are known to hold no line's end.
    private var searched = 0

    /// - Parameter limit: bytes of a line, its end included
    public init(limit: Int) { self.limit = limit }

    public mutating func decode(context: ChannelHandlerContext, buffer: inout ByteBuffer) throws -> DecodingState {
        let view = buffer.readableBytesView
        guard let end = view.dropFirst(searched).firstIndex(of: UInt8(ascii: "\n")) else {
            searched = view.count
            guard view.count < limit else { throw LineTooLong() }
            return .needMoreData
        }
        let length = end - view.startIndex
        searched = 0
        guard length < limit, let line = buffer.readSlice(length: length) else { throw LineTooLong() }
        buffer.moveReaderIndex(forwardBy: 1)
        context.fireChannelRead(Self.wrapInboundOut(line))
        return .continue
    }

    public mutating func decodeLast(
        context: ChannelHandlerContext, buffer: inout ByteBuffer, seenEOF: Bool
    ) throws -> DecodingState {
        // A last line without an end is dropped.
        while try decode(context: context, buffer: &buffer) == .continue {}
        return .needMoreData
    }
}
