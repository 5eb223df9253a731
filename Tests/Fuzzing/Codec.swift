import Units

@testable import Stratum

/// One line: the envelope, the generic JSON reader and every reader of parameters.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzCodec(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let line = UnsafeRawBufferPointer(start: start, count: count)
    numbers(line)
    guard let envelope = try? Envelope(line, limit: 32_768) else { return 0 }
    require(StrictJSON.isObject(line), "what is not JSON was taken for a message")
    if let id = envelope.id {
        require(StrictJSON.areLines(Line.answer(id, true)), "an id comes back as no JSON")
        require(StrictJSON.areLines(Line.failure(id, envelope.statedError())), "an error goes out as no JSON")
    }
    _ = envelope.isSuccess
    for reader in readers { try? reader(envelope) }
    return 0
}

/// Difficulties and hex words on their own.
private func numbers(_ line: UnsafeRawBufferPointer) {
    if let difficulty = DecimalDifficulty(literal: line) {
        require(difficulty.mantissa > 0 && (0...18).contains(difficulty.scale), "a difficulty out of its range")
        for algorithm in Algorithm.allCases {
            require(algorithm.wholeUnits(of: difficulty) >= 0, "negative work")
            let again = DecimalDifficulty(literal: Array(difficulty.description.utf8))
            require(again.map { algorithm.target(of: $0) } == algorithm.target(of: difficulty), "a difficulty reads back as another")
        }
    }
    if let word = Hex.word(line) { require(String(word, radix: 16).count <= line.count, "a word longer than its digits") }
    if let bytes = Hex.bytes(line) { require(bytes.count * 2 == line.count, "hex of another length") }
}

private let readers: [@Sendable (Envelope) throws -> Void] = [
    { _ = try each($0) { (r) throws(WireError) in _ = try r.string(limit: 32) } },
    { _ = try each($0) { (r) throws(WireError) in _ = try r.lenientString(limit: 256) } },
    { _ = try each($0) { (r) throws(WireError) in _ = try r.hexBytes(limit: 1000, .coinbase) } },
    { _ = try each($0) { (r) throws(WireError) in _ = try r.hashes(limit: 32, .branches) } },
    { _ = try each($0) { (r) throws(WireError) in _ = try r.word(.nonce, padded: false) } },
    { _ = try each($0) { (r) throws(WireError) in _ = try r.optionalWord(.nonce) } },
    { _ = try each($0) { (r) throws(WireError) in _ = try r.bool() } },
    { _ = try each($0) { (r) throws(WireError) in _ = try r.integer(in: 1...32, .id) } },
    { _ = try each($0) { (r) throws(WireError) in _ = try r.difficulty() } },
    { _ = try each($0) { (r) throws(WireError) in _ = try r.target() } },
    { _ = try each($0) { (r) throws(WireError) in _ = try r.list() } },
    { _ = try each($0) { (r) throws(WireError) in try r.object { (_, _, _) throws(WireError) in } } },
    {
        var reader = try $0.parameterReader()
        let job = try Job(parameters: &reader)
        require(job.branches.count <= Job.maximalBranches, "too many branches")
        require(job.coinb1.count + job.coinb2.count <= Job.maximalCoinbaseBytes, "too large a coinbase")
    },
    {
        var reader = try $0.parameterReader()
        let share = try Submission(parameters: &reader)
        require(share.extranonce2.count <= Submission.maximalExtranonce2Bytes, "too long an extranonce2")
    },
]

/// Reads one parameter after the other in one way; the list has an end.
private func each(
    _ envelope: Envelope, _ read: (inout ParameterReader) throws(WireError) -> Void
) throws(WireError) {
    var reader = try envelope.parameterReader()
    var left = envelope.json.bytes.count + 1
    while !reader.isAtEnd {
        try read(&reader)
        left -= 1
        require(left >= 0, "more parameters than bytes")
    }
}

@_cdecl("LLVMFuzzerInitialize")
public func initialize(_ count: UnsafePointer<CInt>, _ arguments: UnsafeRawPointer) -> CInt {
    writeSeedsIfAsked((Samples.miner + Samples.pool + ["1e-5", "0.000015", "16777216.5", "1fffe000"]).map { Array($0.utf8) })
    return 0
}
