public import Units

/// The side of a Stratum V1 connection that faces a pool: what a miner, or a proxy towards a pool, does.
///
/// A value: ``start(at:)`` gives the first bytes, lines go in, ``Event`` values come out. States: idle -> subscribing
/// (configure and subscribe are sent together, since pools without `mining.configure` may never answer it) ->
/// authorizing -> ready; any of them -> closed. Nothing a pool sends traps.
public struct PoolSession: Sendable {
    public struct Configuration: Hashable, Sendable {
        public var user: String
        public var password: String
        public var userAgent = "hashspot"
        /// The header bits to ask for; 0 does not configure version rolling at all.
        public var versionMask: UInt32 = VersionRolling.usualMask
        public var suggestedDifficulty: DecimalDifficulty?
        /// Ask for `mining.set_extranonce`.
        public var subscribesExtranonce = true
        /// Shares without an answer; more are refused.
        public var maximalOutstanding = 4096
        /// Time from the start to the first worker's authorization.
        public var handshakeTimeout = Interval.seconds(30)
        /// Time for the answer to a share.
        public var answerTimeout = Interval.seconds(60)
        /// Time without any line.
        public var silenceTimeout = Interval.seconds(600)
        public var maximalMalformedLines = 10
        /// In bytes, the line's end included.
        public var lineLimit = 131_072

        public init(user: String, password: String) {
            self.user = user
            self.password = password
        }
    }

    /// What a line meant.
    public enum Event: Hashable, Sendable {
        case none
        /// Write this.
        case send([UInt8])
        /// Write this; the extranonces are known.
        case subscribed(extranonce1: [UInt8], extranonce2Size: Int, send: [UInt8])
        /// The configured user is authorized: shares may be sent.
        case ready
        /// A further user is authorized.
        case authorized(user: String)
        /// A user was refused, the configured one too: then the connection is of no use.
        case refused(user: String, StratumError)
        /// The bits that may be rolled in the jobs after this; 0 is none.
        case versionMask(UInt32)
        /// The difficulty of the jobs after this.
        case difficulty(DecimalDifficulty)
        case job(PoolJob)
        /// The extranonces of the jobs after this.
        case extranonce(extranonce1: [UInt8], extranonce2Size: Int)
        /// The pool wishes a new connection: to the same address when no host is named. `wait` is in seconds.
        case reconnect(host: String?, port: Int?, wait: Int)
        /// A text for people.
        case message(String)
        case answered(tag: UInt64, SubmitAnswer)
        /// A line that was dropped; worth a log line.
        case malformed(WireError)
        /// Close the connection; shares without an answer are lost (``PoolSession/disconnected()``).
        case close(CloseReason)
    }

    public enum SubmitAnswer: Hashable, Sendable {
        case accepted
        case rejected(StratumError)
    }

    public enum CloseReason: Hashable, Sendable, CustomStringConvertible {
        case subscriptionRefused(StratumError)
        case tooManyMalformedLines
        case lineTooLong
        case handshakeTimeout
        case silence

        public var description: String {
            switch self {
            case .subscriptionRefused(let error): "subscription refused: \(error.text)"
            case .tooManyMalformedLines: "too many malformed lines"
            case .lineTooLong: "line too long"
            case .handshakeTimeout: "handshake took too long"
            case .silence: "nothing heard for too long"
            }
        }
    }

    /// Why a share cannot be sent.
    public enum SubmitRefusal: Error, Hashable, Sendable {
        case notReady
        case tooManyOutstanding
    }

    public enum TimeoutAction: Hashable, Sendable {
        case none
        /// The answers to these shares are overdue; they are forgotten.
        case expired([UInt64])
        case close(CloseReason)
    }

    private enum State: Hashable, Sendable {
        case idle, subscribing, authorizing, ready, closed
    }

    /// A request without an answer.
    private enum Pending: Hashable, Sendable {
        case configure
        case subscribe
        case authorize(user: String)
        case submit(tag: UInt64, at: Timestamp)
    }

    private let configuration: Configuration
    private var state = State.idle
    private var started = Timestamp(microseconds: 0)
    private var lastHeard = Timestamp(microseconds: 0)
    private var malformedLines = 0
    private var nextID: Int64 = 1
    private var pending: [Int64: Pending] = [:]
    /// No share without an answer has an id below this.
    private var oldestSubmit: Int64 = 1

    /// Shares without an answer.
    public private(set) var outstandingCount = 0
    /// The bits that may be rolled; 0 is none, also while the pool has not answered.
    public private(set) var versionMask: UInt32 = 0
    public private(set) var extranonce1: [UInt8]?
    public private(set) var extranonce2Size: Int?
    /// The difficulty of the next job; 1 when the pool never said.
    public private(set) var difficulty: DecimalDifficulty = .one

    public init(_ configuration: Configuration) { self.configuration = configuration }

    public var isReady: Bool { state == .ready }
}

/// A pool's job with all that was in force when it came.
public struct PoolJob: Hashable, Sendable {
    public var job: Job
    public var difficulty: DecimalDifficulty
    public var extranonce1: [UInt8]
    public var extranonce2Size: Int
    /// 0 without version rolling.
    public var versionMask: UInt32
}

// MARK: - requests

extension PoolSession {
    /// The connection is there; returns what to send first.
    public mutating func start(at now: Timestamp) -> [UInt8] {
        precondition(state == .idle, "a session starts once")
        state = .subscribing
        (started, lastHeard) = (now, now)
        var out: [UInt8] = []
        if configuration.versionMask != 0 { addConfigure(to: &out) }
        Line.request("mining.subscribe", id: request(.subscribe), to: &out) { $0.add(string: configuration.userAgent) }
        return out
    }

    private mutating func addConfigure(to out: inout [UInt8]) {
        Line.request("mining.configure", id: request(.configure), to: &out) { out in
            out.add("[\"version-rolling\"],{\"version-rolling.mask\":")
            out.add(hex: configuration.versionMask)
            out.add(",\"version-rolling.min-bit-count\":2}")
        }
    }

    /// Allots the next id; requests whose answers do not matter are not remembered.
    private mutating func request(_ kind: Pending?) -> MessageID {
        let id = nextID
        nextID += 1
        if let kind { pending[id] = kind }
        return .number(id)
    }

    /// Authorizes a further user; nil before the subscription or with too many requests under way.
    public mutating func authorize(user: String, password: String) -> [UInt8]? {
        switch state {
        case .idle, .subscribing, .closed: return nil
        case .authorizing, .ready: break
        }
        guard pending.count < configuration.maximalOutstanding else { return nil }
        var out: [UInt8] = []
        addAuthorize(user: user, password: password, to: &out)
        return out
    }

    private mutating func addAuthorize(user: String, password: String, to out: inout [UInt8]) {
        Line.request("mining.authorize", id: request(.authorize(user: user)), to: &out) { out in
            out.add(string: user)
            out.add(",")
            out.add(string: password)
        }
    }

    /// Asks for another difficulty; pools are free to ignore it.
    public mutating func suggest(_ difficulty: DecimalDifficulty) -> [UInt8] {
        var out: [UInt8] = []
        Line.request("mining.suggest_difficulty", id: request(nil), to: &out) {
            $0.append(contentsOf: difficulty.description.utf8)
        }
        return out
    }

    /// The line for a share; `tag` comes back with the pool's answer.
    public mutating func submit(
        _ share: Submission, tag: UInt64, at now: Timestamp
    ) throws(SubmitRefusal) -> [UInt8] {
        guard state == .ready else { throw .notReady }
        guard outstandingCount < configuration.maximalOutstanding else { throw .tooManyOutstanding }
        outstandingCount += 1
        defer { advanceOldest() }
        var out: [UInt8] = []
        out.reserveCapacity(160)
        Line.request("mining.submit", id: request(.submit(tag: tag, at: now)), to: &out) { $0.add(share) }
        return out
    }

    /// The connection is gone: returns the tags of the shares that will never be answered.
    public mutating func disconnected() -> [UInt64] {
        state = .closed
        outstandingCount = 0
        defer { pending = [:] }
        return pending.sorted { $0.key < $1.key }.compactMap { PoolSession.tag($0.value) }
    }

    private static func tag(_ pending: Pending) -> UInt64? {
        switch pending {
        case .submit(let tag, _): tag
        case .configure, .subscribe, .authorize: nil
        }
    }
}

extension [UInt8] {
    /// The parameters of `mining.submit`.
    fileprivate mutating func add(_ share: Submission) {
        add(string: share.worker)
        add(",")
        add(string: share.jobID)
        add(",")
        add(hex: share.extranonce2)
        add(",")
        add(hex: share.ntime)
        add(",")
        add(hex: share.nonce)
        guard let bits = share.versionBits else { return }
        add(",")
        add(hex: bits)
    }
}

// MARK: - time

extension PoolSession {
    /// When ``timeout(at:)`` wants to be called next; nil before the start and after the end.
    public var deadline: Timestamp? {
        switch state {
        case .idle, .closed: return nil
        case .subscribing, .authorizing: return started + configuration.handshakeTimeout
        case .ready:
            let silence = lastHeard + configuration.silenceTimeout
            guard case .submit(_, let at) = pending[oldestSubmit] else { return silence }
            return min(silence, at + configuration.answerTimeout)
        }
    }

    public mutating func timeout(at now: Timestamp) -> TimeoutAction {
        guard let deadline, !(now < deadline) else { return .none }
        guard state == .ready else { return .close(.handshakeTimeout) }
        guard now < lastHeard + configuration.silenceTimeout else { return .close(.silence) }
        var expired: [UInt64] = []
        while case .submit(let tag, let at) = pending[oldestSubmit], !(now < at + configuration.answerTimeout) {
            forgetSubmit(oldestSubmit)
            expired.append(tag)
        }
        return expired.isEmpty ? .none : .expired(expired)
    }

    private mutating func forgetSubmit(_ id: Int64) {
        pending[id] = nil
        outstandingCount -= 1
        advanceOldest()
    }

    /// Moves ``oldestSubmit`` up to the next share without an answer, or the next id. Amortised constant time.
    private mutating func advanceOldest() {
        while oldestSubmit < nextID {
            if case .submit = pending[oldestSubmit] { return }
            oldestSubmit += 1
        }
    }
}

// MARK: - what the pool sends

extension PoolSession {
    /// One line, with or without its end.
    public mutating func receive(_ line: [UInt8], at now: Timestamp) -> Event {
        line.withUnsafeBytes { receive($0, at: now) }
    }

    /// One line, with or without its end. The bytes are not kept.
    public mutating func receive(_ line: UnsafeRawBufferPointer, at now: Timestamp) -> Event {
        if line.allSatisfy({ $0 == 0x0a || $0 == 0x0d || $0 == 0x20 }) { return .none }
        do throws(WireError) {
            let message = try Envelope(line, limit: configuration.lineLimit)
            lastHeard = now
            guard message.method != nil else { return try answer(message) }
            return try request(message)
        } catch {
            return count(malformed: error)
        }
    }

    /// The shell saw more bytes without a line's end than the limit.
    public mutating func lineTooLong() -> Event { .close(.lineTooLong) }

    private mutating func count(malformed error: WireError) -> Event {
        if error == .lineTooLong { return lineTooLong() }
        malformedLines += 1
        return malformedLines < configuration.maximalMalformedLines ? .malformed(error) : .close(.tooManyMalformedLines)
    }

    private mutating func request(_ message: Envelope) throws(WireError) -> Event {
        let id = message.id ?? .null
        var parameters = try message.parameterReader()
        if message.isMethod("mining.notify") { return try job(&parameters) }
        if message.isMethod("mining.set_difficulty") {
            difficulty = try parameters.difficulty()
            return .difficulty(difficulty)
        }
        if message.isMethod("mining.set_extranonce") { return try setExtranonce(&parameters) }
        if message.isMethod("mining.set_version_mask") {
            versionMask = try parameters.word(.versionMask, padded: false) & configuration.versionMask
            return .versionMask(versionMask)
        }
        if message.isMethod("client.reconnect") { return reconnect(&parameters) }
        if message.isMethod("client.show_message") {
            return .message(try parameters.lenientString(limit: 512) ?? "")
        }
        return courtesy(message, id)
    }

    /// Questions that only want an answer.
    private func courtesy(_ message: Envelope, _ id: MessageID) -> Event {
        if message.isMethod("mining.ping") || message.isMethod("client.ping") {
            return .send(Line.answer(id, literal: "\"pong\""))
        }
        if message.isMethod("client.get_version") {
            return .send(Line.make { Line.answer(id, to: &$0) { $0.add(string: configuration.userAgent) } })
        }
        return id == .null ? .none : .send(Line.failure(id, .other("Method not found")))
    }

    private mutating func job(_ parameters: inout ParameterReader) throws(WireError) -> Event {
        let job = try Job(parameters: &parameters)
        // A job before the subscription's answer cannot be worked on.
        guard let extranonce1, let extranonce2Size else { return .none }
        return .job(
            PoolJob(
                job: job, difficulty: difficulty, extranonce1: extranonce1, extranonce2Size: extranonce2Size,
                versionMask: versionMask))
    }

    private mutating func setExtranonce(_ parameters: inout ParameterReader) throws(WireError) -> Event {
        let (first, size) = try PoolSession.extranonces(&parameters)
        (extranonce1, extranonce2Size) = (first, size)
        return .extranonce(extranonce1: first, extranonce2Size: size)
    }

    private static func extranonces(_ parameters: inout ParameterReader) throws(WireError) -> ([UInt8], Int) {
        let first = try parameters.hexBytes(limit: 32, .extranonce1)
        let size = try parameters.integer(in: 1...Submission.maximalExtranonce2Bytes, .extranonce2Size)
        return (first, size)
    }

    /// `[]`, `[host]`, `[host, port]` or `[host, port, wait]`; what cannot be read is left out.
    private func reconnect(_ parameters: inout ParameterReader) -> Event {
        let host = try? parameters.lenientString(limit: 255)
        let port = try? parameters.integer(in: 1...65_535, .id)
        let wait = try? parameters.integer(in: 0...86_400, .id)
        return .reconnect(host: host.flatMap { $0.isEmpty ? nil : $0 }, port: port, wait: wait ?? 0)
    }

    private mutating func answer(_ message: Envelope) throws(WireError) -> Event {
        guard message.result != nil || message.error != nil else { throw .notAMessage }
        // Answers to requests that were not remembered, or came too late, are dropped.
        guard case .number(let id)? = message.id, let kind = pending[id] else { return .none }
        switch kind {
        case .submit(let tag, _):
            forgetSubmit(id)
            return .answered(tag: tag, message.isSuccess ? .accepted : .rejected(message.statedError()))
        case .configure:
            pending[id] = nil
            return configured(message)
        case .subscribe:
            pending[id] = nil
            return subscribed(message)
        case .authorize(let user):
            pending[id] = nil
            return authorized(user, message)
        }
    }

    private mutating func configured(_ message: Envelope) -> Event {
        versionMask = (message.isSuccess ? try? PoolSession.mask(in: message) : nil) ?? 0
        versionMask &= configuration.versionMask
        return .versionMask(versionMask)
    }

    /// The mask in the answer to `mining.configure`; nil when version rolling is not granted.
    private static func mask(in message: Envelope) throws(WireError) -> UInt32? {
        guard let result = message.result else { return nil }
        var json = JSON(message.json.bytes, result)
        var granted = false
        var mask: UInt32?
        guard json.take(UInt8(ascii: "{")), !json.take(UInt8(ascii: "}")) else { return nil }
        repeat {
            let key = try json.skipKey()
            let value = try json.skipValue()
            if json.matches(key, "version-rolling") { granted = json.matches(value, "true") }
            if json.matches(key, "version-rolling.mask") { mask = Hex.word(json.inside(value)) }
        } while json.take(UInt8(ascii: ","))
        return granted ? mask : nil
    }

    private mutating func subscribed(_ message: Envelope) -> Event {
        guard message.isSuccess, let (first, size) = try? PoolSession.subscription(message) else {
            return .close(.subscriptionRefused(message.hasError ? message.statedError() : .other("Unusable answer")))
        }
        (extranonce1, extranonce2Size) = (first, size)
        state = .authorizing
        return .subscribed(extranonce1: first, extranonce2Size: size, send: afterSubscription())
    }

    private static func subscription(_ message: Envelope) throws(WireError) -> ([UInt8], Int) {
        guard let result = message.result else { throw .notAMessage }
        var list = try ParameterReader(message.json.bytes, result)
        _ = try list.next()
        return try extranonces(&list)
    }

    private mutating func afterSubscription() -> [UInt8] {
        var out: [UInt8] = []
        addAuthorize(user: configuration.user, password: configuration.password, to: &out)
        if configuration.subscribesExtranonce {
            Line.request("mining.extranonce.subscribe", id: request(nil), to: &out) { _ in }
        }
        if let wish = configuration.suggestedDifficulty { out += suggest(wish) }
        return out
    }

    private mutating func authorized(_ user: String, _ message: Envelope) -> Event {
        guard message.isSuccess else { return .refused(user: user, message.statedError()) }
        guard state == .authorizing, user == configuration.user else { return .authorized(user: user) }
        state = .ready
        return .ready
    }
}
