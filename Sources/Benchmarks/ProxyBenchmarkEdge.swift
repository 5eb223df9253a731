internal import Crypto
internal import Foundation
internal import Logging
internal import Metering
internal import Routing
internal import StratumProxy
public import Units

/// The edge that `bench proxy` measures: in a process of its own, with rigs `r1`, `r2`, ... and two pools.
public struct ProxyBenchmarkEdge: Sendable {
    /// Where the load generator's pools listen.
    public var poolPort: Int
    /// Rigs of these numbers and below are sold.
    public var paying: Int
    /// What one rig sends a share in.
    public var shareInterval: Interval
    public var folder: String

    public init(poolPort: Int, paying: Int, shareInterval: Interval, folder: String) {
        self.poolPort = poolPort
        self.paying = paying
        self.shareInterval = shareInterval
        self.folder = folder
    }

    /// Serves until `isOver` returns; says its port first.
    public func run(started: (Int) -> Void, isOver: () async -> Void) async throws {
        var configuration = EdgeConfiguration(
            host: "127.0.0.1", port: 0, spoolPath: folder + "/spool.sqlite", edge: EdgeID(1), allotEpoch: { 1 })
        configuration.allowPrivatePools = true
        configuration.minimumDifficulty = ShareDifficulty(units: 65_536)
        configuration.startDifficulty = ShareDifficulty(units: 65_536)
        configuration.shareInterval = shareInterval
        configuration.takesAnyHash = true
        configuration.limits.connectionsPerPool = 200
        configuration.limits.sharesPerConnectionAndSecond = 100_000
        var logger = Logger(label: "bench") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .error
        let edge = Edge(
            configuration: configuration, directory: Directory(poolPort: poolPort), reports: Silence(), sink: Drain(),
            logger: logger)
        let port = try await edge.start()
        let end = Timestamp(microseconds: SystemClock().now().microseconds + 3_600_000_000)
        edge.apply((0..<paying).map { index in
            RouteUpdate(
                rig: RigID(Int64(index + 1)), position: 1,
                route: Route(
                    delivery: DeliveryID(Int64(index + 1)), bid: OrderID(1), targets: [PoolTargetID(2)], validUntil: end,
                    maxWork: Work(units: .max), maxDifficulty: DifficultyBound.highest,
                    hashrate: Hashrate(hashesPerSecond: 1)))
        })
        started(port)
        await isOver()
        await edge.stop()
    }

    private enum DifficultyBound {
        static let highest = ShareDifficulty(units: 65_536 * 0x7fff_ffff)
    }

    private struct Directory: EdgeDirectory {
        let poolPort: Int
        let digest = Array(SHA256.hash(data: Array("x".utf8)))

        func rig(user: String) -> RigEntry? {
            Int64(user.dropFirst()).map {
                RigEntry(id: RigID($0), user: user, passwordHash: digest, fallback: PoolTargetID(1))
            }
        }

        func poolTarget(_ id: PoolTargetID) -> PoolTargetEntry? {
            PoolTargetEntry(id: id, url: "stratum+tcp://127.0.0.1:\(poolPort)", user: "pool\(id.rawValue)", password: "x")
        }
    }

    private struct Silence: EdgeReports {
        func rigOnline(_ rig: RigID, session: Int64, versionMask: UInt32, at: Timestamp) {}
        func rigOffline(_ rig: RigID, session: Int64, at: Timestamp) {}
        func rigMeasured(_ rig: RigID, session: Int64, hashrate: Hashrate, at: Timestamp) {}
        func poolsUnusable(delivery: DeliveryID, reason: String, at: Timestamp) {}
        func underDelivered(delivery: DeliveryID, hashrate: Hashrate, at: Timestamp) {}
    }

    /// A database that takes everything at once: what it costs is measured by `bench intake`.
    private struct Drain: BatchSink {
        func deliver(_ batch: SealedBatch, encoded: [UInt8], digest: [UInt8]) async throws {}
    }
}
