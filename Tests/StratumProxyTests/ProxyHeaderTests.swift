import TestSupport
import Testing

@testable import StratumProxy

@Suite("PROXY headers")
struct ProxyHeaderTests {
    private static let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10]

    private static func binary(_ command: UInt8, _ family: UInt8, _ body: [UInt8]) -> [UInt8] {
        signature + [command, family, UInt8(body.count >> 8), UInt8(body.count & 0xff)] + body
    }

    private static let v4: [UInt8] = [203, 0, 113, 9, 10, 0, 0, 1, 0x30, 0x39, 0x0d, 0x05]
    private static let v6: [UInt8] =
        [0x20, 0x01, 0x0d, 0xb8] + Array(repeating: 0, count: 11) + [9] + Array(repeating: 0, count: 16) + [0, 1, 0, 2]

    private static let good: [([UInt8], String?, Bool)] = [
        (Array("PROXY TCP4 203.0.113.9 10.0.0.1 12345 3333\r\n".utf8), "203.0.113.9", false),
        (Array("PROXY TCP6 2001:db8::9 ::1 0 65535\r\n".utf8), "2001:db8::9", false),
        (Array("PROXY UNKNOWN\r\n".utf8), nil, false),
        (Array("PROXY UNKNOWN ffff::1 what ever 1 2\r\n".utf8), nil, false),
        (binary(0x21, 0x11, v4), "203.0.113.9", false),
        (binary(0x21, 0x21, v6), "2001:db8::9", false),
        (binary(0x21, 0x11, v4 + [0x04, 0, 2, 1, 2, 0x20, 0, 0]), "203.0.113.9", false),
        (binary(0x20, 0x00, []), nil, true),
        (binary(0x20, 0x11, v4), nil, true),
        (binary(0x21, 0x00, [1, 2, 3]), nil, false),
    ]

    @Test("good headers, whole, byte by byte, and with what follows", arguments: good.indices)
    func goodHeaders(index: Int) throws {
        let (bytes, source, isLocal) = ProxyHeaderTests.good[index]
        let header = ProxyHeader(source: source.flatMap { SourceAddress(parsing: $0) }, isLocal: isLocal)
        #expect(ProxyHeader.read(bytes) == .complete(header, used: bytes.count))
        #expect(ProxyHeader.read(bytes + Array("{\"id\":1}\n".utf8)) == .complete(header, used: bytes.count))
        for count in 0..<bytes.count { #expect(ProxyHeader.read(Array(bytes[..<count])) == .needsMore) }
    }

    private static let bad: [([UInt8], ProxyHeader.Flaw)] = [
        (Array("{\"id\":1,\"method\":\"mining.subscribe\"}\n".utf8), .missing), (Array("POST / HTTP/1.1\r\n".utf8), .missing),
        (Array("PROXY TCP4 203.0.113.9 10.0.0.1 12345 3333\n".utf8), .malformed),
        (Array("PROXY TCP4 203.0.113.9 10.0.0.1 12345\r\n".utf8), .malformed),
        (Array("PROXY TCP4 203.0.113.9 10.0.0.1 012 3333\r\n".utf8), .malformed),
        (Array("PROXY TCP4 203.0.113.9 10.0.0.1 -1 3333\r\n".utf8), .malformed),
        (Array("PROXY TCP4 203.0.113.9 10.0.0.1 65536 3333\r\n".utf8), .malformed),
        (Array("PROXY TCP4 203.0.113.256 10.0.0.1 1 3333\r\n".utf8), .malformed),
        (Array("PROXY TCP4 ::1 ::1 1 3333\r\n".utf8), .malformed), (Array("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n".utf8), .malformed),
        (Array("PROXY  TCP4 203.0.113.9 10.0.0.1 1 3333\r\n".utf8), .malformed), (Array("PROXY \r\n".utf8), .malformed),
        (Array("PROXY \n".utf8), .malformed), (Array("PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n".utf8), .malformed),
        (Array(("PROXY UNKNOWN " + String(repeating: "x", count: 200)).utf8), .tooLong),
        (Array(("PROXY UNKNOWN " + String(repeating: "x", count: 200) + "\r\n").utf8), .tooLong),
        (signature + [0x11, 0x11, 0, 12] + v4, .unsupported), (binary(0x22, 0x11, v4), .unsupported),
        (binary(0x21, 0x31, v4), .unsupported),
        (binary(0x21, 0x12, v4), .unsupported), (binary(0x21, 0x77, v4), .unsupported),
        (binary(0x21, 0x11, Array(v4.dropLast())), .malformed),
        (binary(0x21, 0x21, v4), .malformed), (binary(0x21, 0x11, v4 + [4, 0]), .malformed),
        (binary(0x21, 0x11, v4 + [4, 0, 9, 1]), .malformed),
        (signature + [0x21, 0x11, 0xff, 0xff], .tooLong), (Array(signature.dropLast()) + [11], .missing),
    ]

    @Test("bad headers are refused at the first byte that shows it, or later", arguments: bad.indices)
    func badHeaders(index: Int) {
        let (bytes, flaw) = ProxyHeaderTests.bad[index]
        #expect(ProxyHeader.read(bytes) == .invalid(flaw))
    }

    @Test("whatever comes, the answer comes within the bound and never traps")
    func noise() {
        var random = SeededRandom(seed: 41)
        for round in 0..<20_000 {
            var bytes = ProxyHeaderTests.good[round % ProxyHeaderTests.good.count].0
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            bytes += Array(repeating: 0x41, count: ProxyHeader.maximalBinary)
            #expect(ProxyHeader.read(bytes) != .needsMore, "seed 41, round \(round)")
        }
    }
}
