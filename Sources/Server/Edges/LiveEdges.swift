internal import Logging
internal import Market
internal import Store
internal import Synchronization
internal import Units

/// Live figures of all edges: the one inside of this server, if there is one, and those in processes of their own.
final class LiveEdges: LiveEdge {
    private struct Known {
        var edges: [EdgeRow] = []
        /// Of edges in processes of their own, as of a time of theirs.
        var figures: [EdgeID: (at: Timestamp, figures: EdgeFigures)] = [:]
        var lookedAt: ContinuousClock.Instant?
    }

    private let embedded: EmbeddedLiveEdge?
    /// nil on SQLite.
    private let register: EdgeRegister?
    private let publicURL: String?
    private let logger: Logger
    private let known = Mutex(Known())

    init(embedded: EmbeddedLiveEdge?, register: EdgeRegister?, publicURL: String?, logger: Logger) {
        self.embedded = embedded
        self.register = register
        self.publicURL = publicURL
        self.logger = logger
    }

    /// Where rigs connect: what the operator says, or the edge inside of this server, or the first one that lives.
    var stratumURL: String {
        publicURL ?? embedded?.stratumURL ?? known.withLock { known in known.edges.first(where: LiveEdges.lives)?.url } ?? ""
    }

    func update(_ edges: [EdgeRow]) { known.withLock { $0.edges = edges } }

    func deliveries() async -> [DeliveryID: LiveDelivery] {
        var result = await embedded?.deliveries() ?? [:]
        for figure in await separate() {
            if let delivery = figure.delivery { result[delivery] = LiveDelivery(hashrate: figure.live.hashrate) }
        }
        return result
    }

    func rigs() async -> [RigID: LiveRig] {
        var result = await embedded?.rigs() ?? [:]
        for figure in await separate() { result[figure.rig] = figure.live }
        return result
    }

    func edges() async -> [EdgeStatus] {
        _ = await separate()
        let rows = known.withLock { $0.edges }
        let others = rows.filter { $0.edge != Server.edgeID }.map { row in
            EdgeStatus(
                edge: row.edge, name: row.name, isEmbedded: false, stratumURL: row.url, version: row.version, rigs: row.rigs,
                silence: row.silence ?? .zero, clockAhead: row.clockAhead, isSelling: row.isSelling, backlog: row.backlog)
        }
        guard let embedded else { return others }
        return [await embedded.status()] + others
    }

    /// Of the edges that live. Looks into the database at most once a second.
    private func separate() async -> [EdgeFigures.Figure] {
        guard let register else { return [] }
        let isDue = known.withLock { known in
            let now = ContinuousClock.now
            if let last = known.lookedAt, last.duration(to: now) < LiveEdges.freshness { return false }
            known.lookedAt = now
            return true
        }
        if isDue {
            do { try await look(register) } catch {
                logger.debug("edges' figures cannot be read", metadata: ["detail": "\(detail(error))"])
            }
        }
        return known.withLock { known in
            known.edges.filter(LiveEdges.lives).flatMap { known.figures[$0.edge]?.figures.figures ?? [] }
        }
    }

    private func look(_ register: EdgeRegister) async throws {
        let edges = try await register.edges()
        update(edges)
        for edge in edges where LiveEdges.lives(edge) && edge.edge != Server.edgeID {
            let isKnown = known.withLock { $0.figures[edge.edge]?.at == edge.figuresAt }
            guard !isKnown, let found = try await register.figures(of: edge.edge) else { continue }
            // A later version's figures are not shown.
            guard let figures = try? EdgeFigures(decoding: found.body) else { continue }
            known.withLock { $0.figures[edge.edge] = (found.at, figures) }
        }
    }

    private static func lives(_ edge: EdgeRow) -> Bool { edge.silence.map { $0 < .seconds(15) } ?? false }
    private static let freshness = Duration.seconds(1)
}
