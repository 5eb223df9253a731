import Glibc

/// What an input must never do, whatever it is: the fuzzer reports the input and this line.
func require(_ condition: @autoclosure () -> Bool, _ what: @autoclosure () -> String, line: UInt = #line) {
    guard !condition() else { return }
    let text = "broken invariant: \(what()) (line \(line))\n"
    _ = text.withCString { write(STDERR_FILENO, $0, strlen($0)) }
    abort()
}

/// The input's bytes as numbers, one after the other; zeros after its end.
struct Choices {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: some Sequence<UInt8>) { rest = ArraySlice(Array(bytes)) }

    mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }
    mutating func word() -> UInt32 { (0..<4).reduce(0) { word, _ in word << 8 | UInt32(byte()) } }
    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in byte() } }
}

/// A step of a session: a line of the other side, or something that the shell does.
enum Step {
    case line([UInt8])
    /// Starts with a control character, which no message does.
    case command(UInt8, Choices)

    static func all(_ input: UnsafeRawBufferPointer) -> [Step] {
        input.split(separator: 0x0a, omittingEmptySubsequences: false).prefix(256).map { line in
            guard let first = line.first, first < 0x20, first != 0x09, first != 0x0d else { return .line(Array(line)) }
            return .command(first, Choices(line.dropFirst()))
        }
    }
}

/// Reads JSON as RFC 8259 has it, by itself: what the product writes must be read by it, and what the product reads, too.
struct StrictJSON {
    private let bytes: [UInt8]
    private var at = 0

    private init(_ bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

    static func isObject(_ bytes: some Sequence<UInt8>) -> Bool {
        var json = StrictJSON(bytes)
        json.skipSpace()
        guard json.peek == UInt8(ascii: "{"), json.skipValue(depth: 0) else { return false }
        json.skipSpace()
        return json.at == json.bytes.count
    }

    /// One or more lines, each an object and ended.
    static func areLines(_ bytes: [UInt8]) -> Bool {
        guard bytes.last == 0x0a, String(validating: bytes, as: UTF8.self) != nil else { return false }
        return bytes.dropLast().split(separator: 0x0a, omittingEmptySubsequences: false).allSatisfy { isObject($0) }
    }

    private var peek: UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func skipSpace() {
        while let c = peek, c == 0x20 || c == 0x09 || c == 0x0a || c == 0x0d { at += 1 }
    }

    private mutating func take(_ c: Character) -> Bool {
        guard let value = c.asciiValue, peek == value else { return false }
        at += 1
        return true
    }

    private mutating func skipValue(depth: Int) -> Bool {
        skipSpace()
        guard depth < 200, let c = peek else { return false }
        switch c {
        case UInt8(ascii: "{"): return skipList("{", "}") { $0.skipMember(depth: depth + 1) }
        case UInt8(ascii: "["): return skipList("[", "]") { $0.skipValue(depth: depth + 1) }
        case UInt8(ascii: "\""): return skipString()
        case UInt8(ascii: "t"): return skipWord("true")
        case UInt8(ascii: "f"): return skipWord("false")
        case UInt8(ascii: "n"): return skipWord("null")
        default: return skipNumber()
        }
    }

    private mutating func skipList(_ open: Character, _ close: Character, _ element: (inout StrictJSON) -> Bool) -> Bool {
        guard take(open) else { return false }
        skipSpace()
        if take(close) { return true }
        repeat {
            guard element(&self) else { return false }
            skipSpace()
        } while take(",")
        return take(close)
    }

    private mutating func skipMember(depth: Int) -> Bool {
        skipSpace()
        guard skipString() else { return false }
        skipSpace()
        return take(":") && skipValue(depth: depth)
    }

    private mutating func skipWord(_ word: String) -> Bool {
        word.allSatisfy { take($0) }
    }

    private mutating func skipString() -> Bool {
        guard take("\"") else { return false }
        while let c = peek {
            at += 1
            switch c {
            case UInt8(ascii: "\""): return true
            case UInt8(ascii: "\\"): guard skipEscape() else { return false }
            case 0..<0x20: return false
            default: break
            }
        }
        return false
    }

    private mutating func skipEscape() -> Bool {
        guard let c = peek else { return false }
        at += 1
        guard c == UInt8(ascii: "u") else { return "\"\\/bfnrt".utf8.contains(c) }
        for _ in 0..<4 {
            guard let digit = peek, Character(Unicode.Scalar(digit)).isHexDigit else { return false }
            at += 1
        }
        return true
    }

    private mutating func skipNumber() -> Bool {
        _ = take("-")
        if !take("0"), !skipDigits() { return false }
        if take("."), !skipDigits() { return false }
        if take("e") || take("E") {
            _ = take("+") || take("-")
            return skipDigits()
        }
        return true
    }

    private mutating func skipDigits() -> Bool {
        let start = at
        while let c = peek, (0x30...0x39).contains(c) { at += 1 }
        return at > start
    }
}

/// Writes seeds and ends, when asked: `HASHSPOT_FUZZ_SEEDS` names the folder.
func writeSeedsIfAsked(_ seeds: [[UInt8]]) {
    guard let folder = getenv("HASHSPOT_FUZZ_SEEDS").map({ String(cString: $0) }) else { return }
    for (number, seed) in seeds.enumerated() {
        guard let file = fopen("\(folder)/seed-\(number)", "w") else { exit(1) }
        fwrite(seed, 1, seed.count, file)
        fclose(file)
    }
    exit(0)
}

/// The messages of one session, as both sides' documents have them.
enum Samples {
    static let miner = [
        #"{"id": 1, "method": "mining.configure", "params": [["version-rolling", "minimum-difficulty", "subscribe-extranonce", "info"], {"version-rolling.mask": "1fffe000", "version-rolling.min-bit-count": 2, "minimum-difficulty.value": 0.5}]}"#,
        #"{"id": 2, "method": "mining.subscribe", "params": ["cgminer/4.13.1", "deadbeef"]}"#,
        #"{"id": "auth", "method": "mining.authorize", "params": ["a.b", "x"]}"#,
        #"{"id": 4, "method": "mining.extranonce.subscribe", "params": []}"#,
        #"{"id": 5, "method": "mining.suggest_difficulty", "params": ["1e3"]}"#,
        #"{"id": 6, "method": "mining.suggest_target", "params": ["00000000ffff0000000000000000000000000000000000000000000000000000"]}"#,
        #"{"id": 7, "method": "mining.submit", "params": ["a.b", "1", "00000001", "504e86ed", "b2957c02", "00002000"]}"#,
        #"{"id": null, "method": "mining.get_transactions", "params": null}"#,
        #"{"params": ["a\u00e9\ud83d\ude00", ""], "method": "mining.authorize", "id": -1.5e2}"#,
    ]
    static let pool = [
        #"{"id": 1, "result": {"version-rolling": true, "version-rolling.mask": "1fffe000"}, "error": null}"#,
        #"{"id": 2, "result": [[["mining.set_difficulty", "1"], ["mining.notify", "1"]], "f000000f", 8], "error": null}"#,
        #"{"id": 3, "result": true, "error": null}"#,
        #"{"id": null, "method": "mining.set_difficulty", "params": [0.0001]}"#,
        #"{"id": null, "method": "mining.notify", "params": ["bf", "4d16b6f85af6e2198f44ae2a6de67f78487ae5611b77c6c0440b921e00000000", "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff20020862062f503253482f04b8864e5008", "072f736c7573682f000000000100f2052a010000001976a914d23fcdf86f7e756a64a7a9688ef9903327048ed988ac00000000", ["4d16b6f85af6e2198f44ae2a6de67f78487ae5611b77c6c0440b921e00000000"], "00000002", "1c2ac4af", "504e86b9", false]}"#,
        "\u{01}submit",
        #"{"id": 5, "result": null, "error": [23, "Low difficulty share", null]}"#,
        #"{"id": null, "method": "mining.set_extranonce", "params": ["08000002", 4]}"#,
        #"{"id": null, "method": "mining.set_version_mask", "params": ["1fffe000"]}"#,
        #"{"id": null, "method": "client.reconnect", "params": ["pool.example", 3333, 5]}"#,
        #"{"id": 9, "method": "client.get_version", "params": []}"#,
        #"{"id": null, "method": "client.show_message", "params": ["hello \u00fc"]}"#,
        #"{"id": 6, "result": false, "error": {"code": 21, "message": "stale"}}"#,
    ]

    static func session(_ lines: [String]) -> [[UInt8]] {
        [Array(lines.joined(separator: "\n").utf8)] + lines.indices.map { Array(lines[...$0].joined(separator: "\r\n").utf8) }
    }
}
