public import Units

/// The side of a Stratum V1 connection that faces a miner: what a pool, or a proxy towards its rigs, does.
///
/// A value: lines go in, ``Action`` values come out, and the shell that owns the socket, the timer and the business
/// (which extranonce, whose login, what work) carries them out and answers through the other methods. Difficulty and jobs
/// are the shell's to send, with ``Line``.
///
/// Subscribing goes connected -> subscribing (asked, not yet answered) -> subscribed. Authorizing is apart from it: any
/// number of workers, also before the subscription. Nothing a miner sends traps.
public struct MinerSession: Sendable {
    public struct Configuration: Hashable, Sendable {
        /// Header bits that miners may roll; 0 offers no version rolling.
        public var versionMask: UInt32 = VersionRolling.usualMask
        /// After this many lines that are not messages at all the connection is closed.
        public var maximalMalformedLines = 10
        public var maximalWorkers = 64
        /// Time to subscribe and authorize.
        public var handshakeTimeout = Interval.seconds(60)
        /// In bytes, the line's end included.
        public var lineLimit = 32_768
        /// What the miner's difficulties and targets mean.
        public var algorithm = Algorithm.sha256d

        public init() {}
    }

    /// What the shell has to do.
    public enum Action: Hashable, Sendable {
        case none
        /// Write this.
        case reply([UInt8])
        /// Write this; the miner has configured extensions.
        case configured(Extensions, reply: [UInt8])
        /// Write this; the miner obeys `mining.set_extranonce` from now on, it says.
        case subscribesExtranonce(reply: [UInt8])
        /// Answer with ``MinerSession/accept(subscribe:extranonce1:extranonce2Size:sessionID:)`` or ``MinerSession/refuse(_:_:)``.
        case subscribe(MessageID, Subscription)
        /// Answer with ``MinerSession/accept(authorize:_:)`` or ``MinerSession/refuse(_:_:)``.
        case authorize(MessageID, Login)
        /// A well-formed share of an authorized worker; answer with ``MinerSession/answer(_:refusal:)``.
        case submit(MessageID, Submission)
        /// Write this; the miner wishes this difficulty.
        case suggestDifficulty(DecimalDifficulty, reply: [UInt8])
        /// Write this; the line or its parameters were wrong.
        case malformed(WireError, reply: [UInt8])
        /// Write this, then close.
        case close(CloseReason, reply: [UInt8])
    }

    /// What `mining.configure` agreed on (BIP 310).
    public struct Extensions: Hashable, Sendable {
        /// The bits the miner may roll; nil when version rolling was not asked for, 0 when it was refused.
        public var versionMask: UInt32?
        public var minimumDifficulty: DecimalDifficulty?
        public var subscribesExtranonce = false
    }

    public struct Subscription: Hashable, Sendable {
        /// At most 256 bytes.
        public var userAgent: String?
        /// The session the miner would like to resume.
        public var sessionID: String?
    }

    public struct Login: Hashable, Sendable {
        public var user: String
        public var password: String

        public init(user: String, password: String) {
            self.user = user
            self.password = password
        }
    }

    public enum CloseReason: String, Hashable, Sendable {
        case tooManyMalformedLines = "too many malformed lines"
        case lineTooLong = "line too long"
        case handshakeTimeout = "handshake took too long"
    }

    private enum State: Hashable, Sendable {
        /// Nothing asked yet. Next: subscribing.
        case connected
        /// The shell has the request. Next: subscribed, or connected when refused.
        case subscribing(MessageID)
        /// For good; a second request gets the same answer.
        case subscribed(SubscriptionAnswer)
    }

    private struct SubscriptionAnswer: Hashable, Sendable {
        var extranonce1: [UInt8]
        var extranonce2Size: Int
        /// The size before the last `set_extranonce`: shares for older jobs may still have it.
        var earlierSize: Int?
        var sessionID: String
    }

    private let configuration: Configuration
    private let handshakeDeadline: Timestamp
    private var state = State.connected
    private var malformedLines = 0

    /// Names of the workers that were accepted.
    public private(set) var workers: Set<String> = []
    public private(set) var userAgent: String?
    /// The bits this miner may roll; 0 without version rolling.
    public private(set) var versionMask: UInt32 = 0
    /// The miner asked for `mining.set_extranonce`.
    public private(set) var subscribesExtranonce = false

    public init(_ configuration: Configuration = Configuration(), connectedAt: Timestamp) {
        self.configuration = configuration
        handshakeDeadline = connectedAt + configuration.handshakeTimeout
    }

    public var isSubscribed: Bool {
        switch state {
        case .subscribed: true
        case .connected, .subscribing: false
        }
    }
    /// Subscribed, and at least one worker is authorized.
    public var isReady: Bool { isSubscribed && !workers.isEmpty }
    public var extranonce1: [UInt8]? { subscription?.extranonce1 }
    public var extranonce2Size: Int? { subscription?.extranonce2Size }

    private var subscription: SubscriptionAnswer? {
        switch state {
        case .subscribed(let answer): answer
        case .connected, .subscribing: nil
        }
    }

    /// When ``timeout(at:)`` wants to be called; nil once the handshake is done.
    public var deadline: Timestamp? { isReady ? nil : handshakeDeadline }

    public mutating func timeout(at now: Timestamp) -> Action {
        guard let deadline, !(now < deadline) else { return .none }
        return .close(.handshakeTimeout, reply: [])
    }
}

// MARK: - what the miner sends

extension MinerSession {
    /// One line, with or without its end.
    public mutating func receive(_ line: [UInt8]) -> Action { line.withUnsafeBytes { receive($0) } }

    /// One line, with or without its end. The bytes are not kept.
    public mutating func receive(_ line: UnsafeRawBufferPointer) -> Action {
        if line.allSatisfy({ $0 == 0x0a || $0 == 0x0d || $0 == 0x20 }) { return .none }
        let envelope: Envelope
        do throws(WireError) {
            envelope = try Envelope(line, limit: configuration.lineLimit)
            if envelope.method == nil, envelope.result == nil, envelope.error == nil { throw .notAMessage }
        } catch {
            return count(malformed: error)
        }
        guard envelope.method != nil else { return .none }
        let id = envelope.id ?? .null
        do throws(WireError) {
            return try handle(envelope, id)
        } catch {
            return .malformed(error, reply: Line.failure(id, .other(error.description)))
        }
    }

    /// The shell saw more bytes without a line's end than the limit.
    public mutating func lineTooLong() -> Action {
        .close(.lineTooLong, reply: Line.failure(.null, .other(WireError.lineTooLong.description)))
    }

    private mutating func count(malformed error: WireError) -> Action {
        if error == .lineTooLong { return lineTooLong() }
        malformedLines += 1
        let reply = Line.failure(.null, .other(error.description))
        guard malformedLines < configuration.maximalMalformedLines else {
            return .close(.tooManyMalformedLines, reply: reply)
        }
        return .malformed(error, reply: reply)
    }

    private mutating func handle(_ message: Envelope, _ id: MessageID) throws(WireError) -> Action {
        // Shares are by far the most frequent.
        if message.isMethod("mining.submit") { return try submit(message, id) }
        var parameters = try message.parameterReader()
        if message.isMethod("mining.subscribe") { return try subscribe(&parameters, id) }
        if message.isMethod("mining.authorize") { return try authorize(&parameters, id) }
        if message.isMethod("mining.configure") { return try configure(&parameters, id) }
        if message.isMethod("mining.extranonce.subscribe") {
            subscribesExtranonce = true
            return .subscribesExtranonce(reply: Line.answer(id, true))
        }
        if message.isMethod("mining.suggest_difficulty") {
            return .suggestDifficulty(try parameters.difficulty(), reply: Line.answer(id, true))
        }
        if message.isMethod("mining.suggest_target") {
            return .suggestDifficulty(try difficulty(suggestedBy: &parameters), reply: Line.answer(id, true))
        }
        return harmless(message, id)
    }

    /// Methods that some miners use and that need no more than an answer.
    private func harmless(_ message: Envelope, _ id: MessageID) -> Action {
        if message.isMethod("mining.ping") { return .reply(Line.answer(id, literal: "\"pong\"")) }
        if message.isMethod("mining.pong") { return .none }
        if message.isMethod("client.get_version") || message.isMethod("mining.get_version") {
            return .reply(Line.answer(id, literal: "\"hashspot\""))
        }
        if message.isMethod("mining.get_transactions") { return .reply(Line.answer(id, literal: "[]")) }
        if message.isMethod("mining.multi_version") { return .reply(Line.answer(id, true)) }
        if message.isMethod("mining.capabilities") { return .reply(Line.answer(id, literal: "{}")) }
        return .reply(Line.failure(id, .other("Method not found")))
    }

    private func difficulty(suggestedBy parameters: inout ParameterReader) throws(WireError) -> DecimalDifficulty {
        let units = configuration.algorithm.units(of: try parameters.target())
        guard units >= 1 else { throw .invalid(.target) }
        return configuration.algorithm.decimal(ShareDifficulty(units: units))
    }

    private mutating func subscribe(_ parameters: inout ParameterReader, _ id: MessageID) throws(WireError) -> Action {
        let agent = try parameters.lenientString(limit: 256)
        let session = try parameters.lenientString(limit: 128)
        switch state {
        case .connected:
            userAgent = agent
            state = .subscribing(id)
            return .subscribe(id, Subscription(userAgent: agent, sessionID: session))
        case .subscribing: return .reply(Line.failure(id, .other("Already subscribing")))
        case .subscribed(let answer): return .reply(reply(id, answer))
        }
    }

    private func authorize(_ parameters: inout ParameterReader, _ id: MessageID) throws(WireError) -> Action {
        let user = try parameters.string(limit: Submission.maximalWorkerBytes)
        let password = try parameters.lenientString(limit: 256) ?? ""
        guard workers.count < configuration.maximalWorkers || workers.contains(user) else {
            return .reply(Line.failure(id, StratumError(code: 24, text: "Too many workers on this connection")))
        }
        return .authorize(id, Login(user: user, password: password))
    }

    private func submit(_ message: Envelope, _ id: MessageID) throws(WireError) -> Action {
        guard let subscription else { return .reply(Line.failure(id, .notSubscribed)) }
        var parameters = try message.parameterReader()
        let submission = try Submission(parameters: &parameters)
        guard workers.contains(submission.worker) else { return .reply(Line.failure(id, .unauthorized)) }
        let size = submission.extranonce2.count
        guard size == subscription.extranonce2Size || size == subscription.earlierSize else {
            throw .invalid(.extranonce2)
        }
        if let bits = submission.versionBits, bits & ~versionMask != 0 { throw .invalid(.versionBits) }
        return .submit(id, submission)
    }
}

// MARK: - mining.configure

extension MinerSession {
    private struct Asked {
        var names: [String] = []
        var mask: UInt32 = .max
        var difficulty: DecimalDifficulty?
    }

    private mutating func configure(_ parameters: inout ParameterReader, _ id: MessageID) throws(WireError) -> Action {
        let asked = try MinerSession.asked(&parameters)
        var extensions = Extensions()
        var out: [UInt8] = []
        Line.answer(id, to: &out) { out in
            out.add("{")
            for (i, name) in asked.names.enumerated() {
                if i > 0 { out.add(",") }
                add(name, asked, to: &out, &extensions)
            }
            out.add("}")
        }
        if let mask = extensions.versionMask { versionMask = mask }
        if extensions.subscribesExtranonce { subscribesExtranonce = true }
        return .configured(extensions, reply: out)
    }

    /// The names asked for, each once, and the values that came with them.
    private static func asked(_ parameters: inout ParameterReader) throws(WireError) -> Asked {
        var asked = Asked()
        var names = try parameters.list()
        while !names.isAtEnd {
            let name = try names.string(limit: 64)
            guard asked.names.count < 16 else { throw .tooLong }
            if !asked.names.contains(name) { asked.names.append(name) }
        }
        guard !parameters.isAtEnd else { return asked }
        try parameters.object { (json, key, value) throws(WireError) in
            if json.matches(key, "version-rolling.mask") {
                guard value.count >= 2, let mask = Hex.word(json.inside(value)) else { throw .invalid(.versionMask) }
                asked.mask = mask
            } else if json.matches(key, "minimum-difficulty.value") {
                asked.difficulty = DecimalDifficulty(literal: json.inside(value))
            }
        }
        return asked
    }

    private func add(_ name: String, _ asked: Asked, to out: inout [UInt8], _ extensions: inout Extensions) {
        out.add(string: name)
        switch name {
        case "version-rolling":
            let mask = asked.mask & configuration.versionMask
            extensions.versionMask = mask
            out.add(mask == 0 ? ":false" : ":true,\"version-rolling.mask\":")
            if mask != 0 { out.add(hex: mask) }
        case "minimum-difficulty":
            extensions.minimumDifficulty = asked.difficulty
            out.add(asked.difficulty == nil ? ":false" : ":true")
        case "subscribe-extranonce":
            extensions.subscribesExtranonce = true
            out.add(":true")
        case "info": out.add(":true")
        default: out.add(":false")
        }
    }
}

extension JSON {
    /// A value without its quotes, if it has any.
    func inside(_ value: Range<Int>) -> UnsafeRawBufferPointer {
        let quoted = value.count >= 2 && bytes[value.lowerBound] == UInt8(ascii: "\"")
        return UnsafeRawBufferPointer(
            rebasing: bytes[quoted ? value.lowerBound + 1..<value.upperBound - 1 : value])
    }
}

// MARK: - what the shell answers

extension MinerSession {
    /// - Parameter extranonce2Size: 1...32
    public mutating func accept(
        subscribe id: MessageID, extranonce1: [UInt8], extranonce2Size: Int, sessionID: String
    ) -> [UInt8] {
        precondition((1...Submission.maximalExtranonce2Bytes).contains(extranonce2Size), "extranonce2 size out of range")
        let answer = SubscriptionAnswer(
            extranonce1: extranonce1, extranonce2Size: extranonce2Size, earlierSize: nil, sessionID: sessionID)
        state = .subscribed(answer)
        return reply(id, answer)
    }

    private func reply(_ id: MessageID, _ answer: SubscriptionAnswer) -> [UInt8] {
        var out: [UInt8] = []
        Line.answer(id, to: &out) { out in
            out.add("[[[\"mining.set_difficulty\",")
            out.add(string: answer.sessionID)
            out.add("],[\"mining.notify\",")
            out.add(string: answer.sessionID)
            out.add("]],")
            out.add(hex: answer.extranonce1)
            out.add(",")
            out.add(number: answer.extranonce2Size)
            out.add("]")
        }
        return out
    }

    /// Beyond the bound on workers the login is refused instead.
    public mutating func accept(authorize id: MessageID, _ login: Login) -> [UInt8] {
        guard workers.count < configuration.maximalWorkers || workers.contains(login.user) else {
            return Line.failure(id, StratumError(code: 24, text: "Too many workers on this connection"))
        }
        workers.insert(login.user)
        return Line.answer(id, true)
    }

    /// Refuses a subscription, a login or anything else.
    public mutating func refuse(_ id: MessageID, _ error: StratumError) -> [UInt8] {
        switch state {
        case .subscribing(let asked): if asked == id { state = .connected }
        case .connected, .subscribed: break
        }
        return Line.failure(id, error)
    }

    /// Answers a share; no refusal means that it is accepted.
    public func answer(_ id: MessageID, refusal: StratumError? = nil) -> [UInt8] {
        refusal.map { Line.failure(id, $0) } ?? Line.answer(id, true)
    }

    /// The line that gives the miner another extranonce for the jobs after it; for miners that subscribed to it.
    /// Shares with the size before are still let through: their job tells which one is right.
    public mutating func setExtranonce(extranonce1: [UInt8], extranonce2Size: Int) -> [UInt8] {
        precondition((1...Submission.maximalExtranonce2Bytes).contains(extranonce2Size), "extranonce2 size out of range")
        if var answer = subscription {
            answer.earlierSize = answer.extranonce2Size
            answer.extranonce1 = extranonce1
            answer.extranonce2Size = extranonce2Size
            state = .subscribed(answer)
        }
        return Line.setExtranonce(extranonce1: extranonce1, extranonce2Size: extranonce2Size)
    }

    /// The line that changes the bits the miner may roll; nil when it did not configure version rolling.
    public mutating func setVersionMask(_ mask: UInt32) -> [UInt8]? {
        guard versionMask != 0 else { return nil }
        versionMask = mask
        return Line.setVersionMask(mask)
    }
}
