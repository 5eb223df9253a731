internal import BinaryCoding
internal import Market
internal import StratumProxy
internal import Units

/// Live figures of an edge's connected rigs, as they travel through the database.
struct EdgeFigures: Hashable, Sendable {
    struct Figure: Hashable, Sendable {
        var rig: RigID
        var delivery: DeliveryID?
        var live: LiveRig
    }

    var figures: [Figure]

    private static let version: UInt8 = 1

    init(figures: [Figure]) { self.figures = figures }

    /// - Parameter url: of a pool target
    init(_ snapshot: EdgeSnapshot, url: (PoolTargetID) -> String?) {
        figures = snapshot.rigs.filter(\.isOnline).map { rig in
            Figure(rig: rig.rig, delivery: rig.delivery, live: LiveRig(
                hashrate: rig.hashrate1Minute, pool: rig.target.flatMap(url), userAgent: rig.userAgent,
                connectedSince: rig.connectedSince, switches: rig.switches))
        }
    }

    func encoded() -> [UInt8] {
        var writer = BinaryWriter(reservingCapacity: 16 + figures.count * 80)
        writer.write(EdgeFigures.version)
        writer.writeUnsigned(UInt64(figures.count))
        for figure in figures {
            writer.write(figure.rig.rawValue)
            (figure.delivery?.rawValue).encode(into: &writer)
            writer.write(figure.live.hashrate.hashesPerSecond)
            figure.live.pool.encode(into: &writer)
            figure.live.userAgent.encode(into: &writer)
            (figure.live.connectedSince?.microseconds).encode(into: &writer)
            writer.write(figure.live.switches)
        }
        return writer.bytes
    }

    init(decoding bytes: [UInt8]) throws(BinaryCodingError) {
        var reader = BinaryReader(bytes)
        let version = try reader.readByte()
        guard version == EdgeFigures.version else { throw .unknownTag(version) }
        figures = []
        for _ in 0..<(try reader.readCount()) {
            let rig = RigID(try reader.readInt64())
            let delivery = try Int64?(from: &reader).map { DeliveryID($0) }
            let hashrate = Hashrate(hashesPerSecond: try reader.readInt64())
            let pool = try String?(from: &reader)
            let agent = try String?(from: &reader)
            let since = try Int64?(from: &reader).map { Timestamp(microseconds: $0) }
            figures.append(Figure(rig: rig, delivery: delivery, live: LiveRig(
                hashrate: hashrate, pool: pool, userAgent: agent, connectedSince: since, switches: try reader.readInt64())))
        }
        try reader.finish()
    }
}
