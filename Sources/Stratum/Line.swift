public import Units

/// Writers of whole lines, `\n` included. Those named `append` add to a buffer that can be used again and again.
public enum Line {
    // MARK: answers

    public static func answer(_ id: MessageID, _ result: Bool) -> [UInt8] { make { append(answer: id, result, to: &$0) } }

    public static func append(answer id: MessageID, _ result: Bool, to out: inout [UInt8]) {
        append(answer: id, literal: result ? "true" : "false", to: &out)
    }

    public static func failure(_ id: MessageID, _ error: StratumError) -> [UInt8] {
        make { append(failure: id, error, to: &$0) }
    }

    public static func append(failure id: MessageID, _ error: StratumError, to out: inout [UInt8]) {
        out.add("{\"id\":")
        out.add(id)
        out.add(",\"result\":null,\"error\":[")
        out.add(number: error.code)
        out.add(",")
        out.add(string: error.text)
        out.add(",null]}\n")
    }

    static func answer(_ id: MessageID, literal: StaticString) -> [UInt8] {
        make { append(answer: id, literal: literal, to: &$0) }
    }

    static func append(answer id: MessageID, literal: StaticString, to out: inout [UInt8]) {
        answer(id, to: &out) { $0.add(literal) }
    }

    /// An answer whose result is what `body` writes.
    static func answer(_ id: MessageID, to out: inout [UInt8], _ body: (inout [UInt8]) -> Void) {
        out.add("{\"id\":")
        out.add(id)
        out.add(",\"result\":")
        body(&out)
        out.add(",\"error\":null}\n")
    }

    // MARK: notifications from the pool's side

    public static func notify(_ job: Job) -> [UInt8] { make { append(notify: job, to: &$0) } }

    public static func append(notify job: Job, to out: inout [UInt8]) {
        out.reserveCapacity(out.count + 2 * (job.coinb1.count + job.coinb2.count) + 67 * job.branches.count + 320)
        notification("mining.notify", to: &out) { out in
            out.add(string: job.id)
            out.add(",")
            out.add(hex: job.previousBlock.swappingWords)
            out.add(",")
            out.add(hex: job.coinb1)
            out.add(",")
            out.add(hex: job.coinb2)
            out.add(",[")
            for (i, branch) in job.branches.enumerated() {
                if i > 0 { out.add(",") }
                out.add(hex: branch)
            }
            out.add("],")
            for word in [job.version, job.nbits, job.ntime] {
                out.add(hex: word)
                out.add(",")
            }
            out.add(job.cleanJobs ? "true" : "false")
        }
    }

    public static func setDifficulty(_ difficulty: DecimalDifficulty) -> [UInt8] {
        make { append(setDifficulty: difficulty, to: &$0) }
    }

    public static func append(setDifficulty difficulty: DecimalDifficulty, to out: inout [UInt8]) {
        notification("mining.set_difficulty", to: &out) { $0.append(contentsOf: difficulty.description.utf8) }
    }

    public static func setExtranonce(extranonce1: [UInt8], extranonce2Size: Int) -> [UInt8] {
        make { out in
            notification("mining.set_extranonce", to: &out) { out in
                out.add(hex: extranonce1)
                out.add(",")
                out.add(number: extranonce2Size)
            }
        }
    }

    public static func setVersionMask(_ mask: UInt32) -> [UInt8] {
        make { out in notification("mining.set_version_mask", to: &out) { $0.add(hex: mask) } }
    }

    /// Asks the miner to dial the same address again.
    public static func reconnect() -> [UInt8] { make { notification("client.reconnect", to: &$0) { _ in } } }

    /// - Parameter wait: seconds
    public static func reconnect(host: String, port: Int, wait: Int) -> [UInt8] {
        make { out in
            notification("client.reconnect", to: &out) { out in
                out.add(string: host)
                out.add(",")
                out.add(number: port)
                out.add(",")
                out.add(number: wait)
            }
        }
    }

    public static func showMessage(_ text: String) -> [UInt8] {
        make { out in notification("client.show_message", to: &out) { $0.add(string: text) } }
    }

    public static func getVersion(id: Int64) -> [UInt8] {
        make { request("client.get_version", id: .number(id), to: &$0) { _ in } }
    }

    public static func ping(id: Int64) -> [UInt8] { make { request("mining.ping", id: .number(id), to: &$0) { _ in } } }

    // MARK: building blocks

    static func notification(_ method: StaticString, to out: inout [UInt8], _ parameters: (inout [UInt8]) -> Void) {
        request(method, id: .null, to: &out, parameters)
    }

    static func request(
        _ method: StaticString, id: MessageID, to out: inout [UInt8], _ parameters: (inout [UInt8]) -> Void
    ) {
        out.add("{\"id\":")
        out.add(id)
        out.add(",\"method\":\"")
        out.add(method)
        out.add("\",\"params\":[")
        parameters(&out)
        out.add("]}\n")
    }

    static func make(_ body: (inout [UInt8]) -> Void) -> [UInt8] {
        var out: [UInt8] = []
        body(&out)
        return out
    }
}

extension [UInt8] {
    mutating func add(_ text: StaticString) {
        append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func add(number: some BinaryInteger) { append(contentsOf: String(number).utf8) }

    mutating func add(_ id: MessageID) {
        switch id {
        case .null: add("null")
        case .number(let number): add(number: number)
        case .literal(let bytes): append(contentsOf: bytes)
        }
    }

    mutating func add(hex word: UInt32) {
        add("\"")
        Hex.append(word: word, to: &self)
        add("\"")
    }

    mutating func add(hex bytes: [UInt8]) {
        add("\"")
        for byte in bytes { Hex.append(byte, to: &self) }
        add("\"")
    }

    mutating func add(hex hash: Hash256) {
        add("\"")
        for limb in [hash.l0, hash.l1, hash.l2, hash.l3] {
            Hex.append(word: UInt32(truncatingIfNeeded: limb.byteSwapped >> 32), to: &self)
            Hex.append(word: UInt32(truncatingIfNeeded: limb.byteSwapped), to: &self)
        }
        add("\"")
    }

    /// A JSON string: quotes, backslashes and control characters are escaped, the rest is UTF-8 as it is.
    mutating func add(string text: String) {
        add("\"")
        for c in text.utf8 {
            switch c {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                append(UInt8(ascii: "\\"))
                append(c)
            case 0..<0x20, 0x7f:
                add("\\u00")
                Hex.append(c, to: &self)
            default: append(c)
            }
        }
        add("\"")
    }
}
