internal import Dispatch
internal import Exchange
internal import HTTPTypes
public import Market
internal import NIOCore
internal import Synchronization
public import Units

/// The market's data and its streams: fed by committed news only, published at most every few milliseconds, encoded once for
/// all readers.
///
/// Nothing here is ever waited for by the market's threads: news is noted, and everything else happens on a queue of its own,
/// or in the request that wants newer data than what was published. Readers have bounded queues (``StreamReader``).
public final class MarketStreams: Sendable {
    public struct Configuration: Sendable {
        /// Streams at one time: of all, of an account, and without a key of an address.
        public var mostReaders = 6000
        public var mostPerAccount = 16
        public var mostPerAddress = 64
        /// What may wait for one reader besides what its stream began with.
        public var mostWaitingEvents = 256
        public var mostWaitingBytes = 1 << 20
        /// The least time between publications, and what each reader adds to it: what happens in between is published together.
        public var pause = Interval.milliseconds(2)
        public var pausePerReader = Interval(microseconds: 10)
        public var heartbeat = Interval.seconds(15)
        /// After this time a stream ends, and its reader's key is looked at anew when it comes back.
        public var lifetime = Interval.seconds(3600)
        /// How long a connection has to take a stream's last words, and a response to begin.
        public var grace = Interval.seconds(5)
        /// Trades that are read back from the tables at most for candles.
        public var mostHistory = 1_000_000

        public init() {}
    }

    /// What readers can follow.
    enum Topic: Hashable, Sendable {
        case book
        case trades
        /// An account's orders and deliveries.
        case orders(AccountID)
        case rigs(AccountID)
    }

    fileprivate struct Readers: Sendable {
        var all: [Topic: [Int: StreamReader]] = [:]
        var byOwner: [StreamOwner: Int] = [:]
        var count = 0
        var last = 0
    }

    /// What publications change.
    private struct Content: Sendable {
        var data: MarketData
        var history = BookHistory()
        var touches: TouchLog
        /// Of the accounts' streams: the last commit whose changes are published.
        var followed: Int64
        var readers = Readers()
        var isClosed = false
    }

    /// What is to be offered to whom once the content is not locked any more.
    private struct Offer: Sendable {
        var readers: [StreamReader]
        var event: SharedEvent
    }

    public let configuration: Configuration
    let epoch: Int64
    private let market: any MarketGateway
    private let content: Mutex<Content>
    /// Held for a whole publication, so that readers get them in order.
    private let publishing = Mutex(ContinuousClock.now - .seconds(1))
    private let pending = Mutex<(news: FeedNews?, isScheduled: Bool)>((nil, false))
    private let readerCount = Atomic(0)
    private let published = Atomic<Int64>(-1)
    /// When that was, in nanoseconds of the queue's clock.
    private let lastPublication = Atomic<UInt64>(0)
    private let queue = DispatchQueue(label: "market streams")

    /// Follows a market from now on.
    ///
    /// - Parameter epoch: higher than that of any earlier run: milliseconds since 1970
    public init(market: any MarketGateway, epoch: Int64, configuration: Configuration = Configuration()) {
        self.market = market
        self.epoch = epoch
        self.configuration = configuration
        content = Mutex(Content(data: MarketData(epoch: epoch), touches: TouchLog(floor: 0), followed: 0))
        // News first: what is committed from here on is either in what is read next, or comes, or both.
        market.onFeed { [weak self] in self?.note($0) }
        let (reading, trades) = market.committed { state, position in
            (BookReading(state, position), state.trades.last(RecentTrades.most))
        }
        content.withLock { content in
            _ = content.data.publish(reading)
            _ = content.data.append(trades.reversed())
            content.touches = TouchLog(floor: reading.image.sequence)
            content.followed = reading.image.sequence
        }
        published.store(reading.image.sequence, ordering: .releasing)
    }

    // MARK: - Publishing

    /// Called on a thread of the market's.
    private func note(_ news: FeedNews) {
        let mustSchedule = pending.withLock { pending in
            if pending.news == nil { pending.news = news } else { pending.news?.merge(news) }
            defer { pending.isScheduled = true }
            return !pending.isScheduled
        }
        guard mustSchedule else { return }
        // After a quiet time at once; what comes until then joins it.
        let due = DispatchTime(
            uptimeNanoseconds: lastPublication.load(ordering: .relaxed) + UInt64(pause.microseconds) * 1000)
        queue.asyncAfter(deadline: max(due, .now())) { [weak self] in self?.publish() }
    }

    private var pause: Interval {
        let readers = Int64(readerCount.load(ordering: .relaxed))
        return Interval(microseconds: configuration.pause.microseconds + configuration.pausePerReader.microseconds * readers)
    }

    /// Publishes all that is committed; what others are publishing is published first.
    func publish() {
        publishing.withLock { last in
            publishAll()
            last = .now
        }
    }

    /// Publishes if something was committed that is not published, unless somebody just did or does.
    private func refresh() {
        guard published.load(ordering: .acquiring) != market.position else { return }
        let least = Duration.microseconds(pause.microseconds)
        _ = publishing.withLockIfAvailable { last in
            guard .now - last >= least else { return }
            publishAll()
            last = .now
        }
    }

    private func publishAll() {
        let news = pending.withLock { pending in
            defer { pending = (nil, false) }
            return pending.news
        }
        let reading = market.committed { BookReading($0, $1) }
        var offers: [Offer] = []
        content.withLock { content in
            if let change = content.data.publish(reading) {
                let event = content.data.event(change)
                content.history.append(event, after: change.previous)
                MarketStreams.offer(event, to: .book, content, &offers)
            }
            let fresh = content.data.append(news?.trades ?? [])
            if !fresh.isEmpty, content.readers.all[.trades] != nil {
                MarketStreams.offer(EventText.events(fresh, epoch: epoch), to: .trades, content, &offers)
            }
        }
        published.store(reading.image.sequence, ordering: .releasing)
        if let news { publishTouched(news, &offers) }
        for offer in offers { for reader in offer.readers { reader.offer(offer.event) } }
        lastPublication.store(DispatchTime.now().uptimeNanoseconds, ordering: .relaxed)
    }

    private static func offer(_ event: SharedEvent, to topic: Topic, _ content: Content, _ offers: inout [Offer]) {
        guard let readers = content.readers.all[topic] else { return }
        offers.append(Offer(readers: Array(readers.values), event: event))
    }

    /// Own orders, deliveries and rigs.
    private func publishTouched(_ news: FeedNews, _ offers: inout [Offer]) {
        if news.isOverfull { return resetOwn(news) }
        let things = news.orders.sorted().map(TouchedThing.order) + news.deliveries.sorted().map(TouchedThing.delivery)
            + news.rigs.sorted().map(TouchedThing.rig)
        guard !things.isEmpty else {
            content.withLock { $0.followed = max($0.followed, news.last) }
            return
        }
        let (images, rules) = images(of: things, news)
        content.withLock { content in
            var touches: [TouchLog.Touch] = []
            var byTopic: [Topic: [TouchedImage]] = [:]
            for (thing, image, isGone) in images {
                for account in image.accounts {
                    let topic = thing.isRig ? Topic.rigs(account) : .orders(account)
                    touches.append(TouchLog.Touch(
                        sequence: news.last, account: account, thing: thing, last: isGone ? image : nil))
                    if content.readers.all[topic] != nil { byTopic[topic, default: []].append(image) }
                }
            }
            content.touches.append(touches)
            content.followed = max(content.followed, news.last)
            guard let rules else { return }
            for (topic, images) in byTopic {
                let event = EventText.events(images, id: EventID(epoch: epoch, sequence: news.last), rules)
                MarketStreams.offer(event, to: topic, content, &offers)
            }
        }
    }

    /// Present images, or the last ones. In parts, so that commits are not held up.
    private func images(
        of things: [TouchedThing], _ news: FeedNews
    ) -> (images: [(TouchedThing, TouchedImage, isGone: Bool)], rules: MarketRules?) {
        var found: [(TouchedThing, TouchedImage, isGone: Bool)] = []
        var rules: MarketRules?
        for start in stride(from: 0, to: things.count, by: 256) {
            let part = things[start..<min(start + 256, things.count)]
            let images: [TouchedImage?]
            (images, rules) = market.read { state in (part.map { TouchedImage($0, in: state) }, state.rules) }
            for (thing, image) in zip(part, images) {
                if let image {
                    found.append((thing, image, false))
                } else if let image = TouchedImage(lastOf: thing, in: news) {
                    found.append((thing, image, true))
                }
            }
        }
        return (found, rules)
    }

    private func resetOwn(_ news: FeedNews) {
        let readers = content.withLock { content in
            content.touches.forgetAll(upTo: news.last)
            content.followed = max(content.followed, news.last)
            return content.readers.all.filter { $0.key != .book && $0.key != .trades }.values.flatMap(\.values)
        }
        for reader in readers { reader.end(.reset) }
    }

    // MARK: - Reading once

    /// The data as of the last publication, which is at most ``Configuration/pause`` behind the last commit.
    func read<T: Sendable>(_ body: (inout MarketData) -> T) -> T {
        refresh()
        return content.withLock { body(&$0.data) }
    }

    // MARK: - Readers

    /// Opens a stream.
    ///
    /// - Parameter last: where the reader was before
    /// - Throws: when there are too many
    func join(_ topic: Topic, owner: StreamOwner, after last: EventID?) throws(Problem) -> StreamReader {
        refresh()
        let sequence = last.flatMap { $0.epoch == epoch ? $0.sequence : nil }
        let result = content.withLock { content -> Result<StreamReader, Problem> in
            if let refusal = refusal(owner, content) { return .failure(refusal) }
            let reader = StreamReader(
                number: content.readers.last + 1, owner: owner, since: .now, mostEvents: configuration.mostWaitingEvents,
                mostBytes: configuration.mostWaitingBytes,
                first: [EventText.preamble] + first(of: topic, after: sequence, &content))
            content.readers.add(reader, topic)
            if configuration.lifetime == .zero { reader.end(.expired) }
            readerCount.store(content.readers.count, ordering: .relaxed)
            return .success(reader)
        }
        return try result.get()
    }

    func leave(_ reader: StreamReader, _ topic: Topic) {
        reader.leave()
        content.withLock { content in
            content.readers.remove(reader, topic)
            readerCount.store(content.readers.count, ordering: .relaxed)
        }
    }

    private func refusal(_ owner: StreamOwner, _ content: Content) -> Problem? {
        if content.isClosed { return Problem.unavailable("The streams") }
        if content.data.rules == nil { return Problem(Rejection.marketUndefined) }
        if content.readers.count >= configuration.mostReaders {
            return Problem(
                .serviceUnavailable, "streamsExhausted",
                "\(configuration.mostReaders) streams are open, and no more can be; try again later.").with(.retryAfter, "10")
        }
        let (most, whose): (Int, String)
        switch owner {
        case .account: (most, whose) = (configuration.mostPerAccount, "An account")
        case .address: (most, whose) = (configuration.mostPerAddress, "An address without a key")
        case .unknown: return nil
        }
        guard content.readers.byOwner[owner, default: 0] >= most else { return nil }
        return Problem(
            .tooManyRequests, "tooManyStreams", "\(whose) may have \(most) streams open at one time.").with(.retryAfter, "10")
    }

    /// What was missed since a sequence of this epoch; otherwise a snapshot.
    private func first(of topic: Topic, after sequence: Int64?, _ content: inout Content) -> [SharedEvent] {
        switch topic {
        case .book:
            if let sequence {
                if sequence == content.data.image.sequence { return [] }
                if let missed = content.history.events(after: sequence) { return missed }
            }
            return [content.data.bookSnapshot()]
        case .trades:
            if let missed = sequence.flatMap({ content.data.tape.trades(after: $0) }) {
                return missed.isEmpty ? [] : [EventText.events(missed, epoch: epoch)]
            }
            return [content.data.tradesSnapshot()]
        case .orders(let account): return own(account, rigs: false, after: sequence, content)
        case .rigs(let account): return own(account, rigs: true, after: sequence, content)
        }
    }

    private func own(_ account: AccountID, rigs: Bool, after sequence: Int64?, _ content: Content) -> [SharedEvent] {
        guard let rules = content.data.rules else { return [] }
        let id = EventID(epoch: epoch, sequence: content.followed)
        if let sequence, sequence <= content.followed,
            let missed = content.touches.touches(after: sequence, of: account, rigs: rigs)
        {
            let images = market.read { state in missed.map { TouchedImage($0.thing, in: state) ?? $0.last } }.compactMap { $0 }
            return images.isEmpty ? [] : [EventText.events(images, id: id, rules)]
        }
        return [rigs ? rigsSnapshot(account, id) : ordersSnapshot(account, id, rules)]
    }

    private func ordersSnapshot(_ account: AccountID, _ id: EventID, _ rules: MarketRules) -> SharedEvent {
        let (orders, deliveries) = market.read { state in
            (
                state.orders(of: account),
                state.deliveries.values.filter { $0.isRunning && ($0.buyer == account || $0.seller == account) }
            )
        }
        return EventText.event("snapshot", id: id) {
            $0.addHead(id)
            $0.add(",\"orders\":")
            $0.add(encoded: orders.sorted { $0.id < $1.id }.map { OrderModel($0, rules) })
            $0.add(",\"deliveries\":")
            $0.add(encoded: deliveries.sorted { $0.id < $1.id }.map(StreamedDelivery.init))
            $0.add("}")
        }
    }

    private func rigsSnapshot(_ account: AccountID, _ id: EventID) -> SharedEvent {
        let rigs = market.read { state in
            state.rigs.values.filter { $0.owner == account }.sorted { $0.id < $1.id }.map {
                StreamedRig($0, sold: state.deliveries(on: $0.id), isCut: state.cuts[$0.id] != nil)
            }
        }
        return EventText.event("snapshot", id: id) {
            $0.addHead(id)
            $0.add(",\"rigs\":")
            $0.add(encoded: rigs)
            $0.add("}")
        }
    }

    // MARK: - Looking after

    /// Signs of life to all, and an end to what has lasted too long.
    func look(isHeartbeat: Bool) {
        let now = ContinuousClock.now
        let readers = content.withLock { content in content.readers.all.flatMap { topic, readers in readers.values.map { (topic, $0) } } }
        for (topic, reader) in readers {
            let isThere = reader.look(
                at: now, lifetime: .microseconds(configuration.lifetime.microseconds),
                grace: .microseconds(configuration.grace.microseconds))
            if !isThere { leave(reader, topic) } else if isHeartbeat { reader.offer(EventText.heartbeat) }
        }
    }

    /// Ends all streams; there are no new ones.
    public func close() {
        let readers = content.withLock { content in
            content.isClosed = true
            return content.readers.all.values.flatMap(\.values)
        }
        for reader in readers { reader.end(.shutdown) }
    }

    /// Open streams.
    public var count: Int { readerCount.load(ordering: .relaxed) }

    // MARK: - History

    /// Reads the trades that the market no longer holds in memory, for the candles: newest first, until all candles that are
    /// kept are complete.
    func loadHistory(_ reports: any MarketReports) async throws {
        var left = configuration.mostHistory
        while left > 0, !Task.isCancelled {
            let before = content.withLock { content -> DeliveryID? in
                guard let first = content.data.tape.first, first.rawValue > 1 else { return nil }
                let isFull = content.data.tape.recent.first.map { content.data.tape.candles.isFull(before: $0.at) } ?? false
                return isFull ? nil : first
            }
            guard let before else { return }
            let trades = try await reports.trades(before: before, limit: min(left, MarketStreams.historyPage))
            guard !trades.isEmpty else { return }
            content.withLock { $0.data.addHistory(trades) }
            left -= trades.count
        }
    }

    private static let historyPage = 2000
}

extension MarketStreams.Readers {
    fileprivate mutating func add(_ reader: StreamReader, _ topic: MarketStreams.Topic) {
        last = reader.number
        all[topic, default: [:]][reader.number] = reader
        byOwner[reader.owner, default: 0] += 1
        count += 1
    }

    fileprivate mutating func remove(_ reader: StreamReader, _ topic: MarketStreams.Topic) {
        guard all[topic]?.removeValue(forKey: reader.number) != nil else { return }
        if all[topic]?.isEmpty == true { all[topic] = nil }
        byOwner[reader.owner, default: 0] -= 1
        if byOwner[reader.owner] == 0 { byOwner[reader.owner] = nil }
        count -= 1
    }
}

extension TouchedImage {
    /// As it was when it left the state.
    fileprivate init?(lastOf thing: TouchedThing, in news: FeedNews) {
        switch thing {
        case .order(let id):
            guard let order = news.lastOrders[id] else { return nil }
            self = .order(order)
        case .delivery(let id):
            guard let delivery = news.lastDeliveries[id] else { return nil }
            self = .delivery(delivery)
        case .rig: return nil
        }
    }
}

extension EventText {
    fileprivate mutating func addHead(_ id: EventID) {
        add("{\"epoch\":")
        add(id.epoch)
        add(",\"sequence\":")
        add(id.sequence)
    }
}
