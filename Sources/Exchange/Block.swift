public import Units

/// What a pool said to a share that is a block.
public enum BlockVerdict: UInt8, Sendable, CaseIterable {
    /// The pool has not answered yet.
    case waiting = 1
    case accepted = 2
    case rejected = 3
    case unanswered = 4
    /// The pool could not be reached, or the share was a second one.
    case notForwarded = 5
}

/// What an edge knows of a share that meets the network's target.
public struct BlockReport: Hashable, Sendable {
    public var edge: EdgeID
    public var receivedAt: Timestamp
    public var rig: RigID
    /// nil: found while the rig was unsold.
    public var delivery: DeliveryID?
    /// The pool that the job came from.
    public var target: PoolTargetID
    /// The header's hash, 32 bytes in internal order.
    public var hash: [UInt8]
    /// 80 bytes as they are hashed.
    public var header: [UInt8]
    /// The pool's name for the job; at most 256 bytes are kept.
    public var poolJob: String
    public var isForwarded: Bool

    public init(
        edge: EdgeID, receivedAt: Timestamp, rig: RigID, delivery: DeliveryID?, target: PoolTargetID, hash: [UInt8],
        header: [UInt8], poolJob: String, isForwarded: Bool
    ) {
        self.edge = edge
        self.receivedAt = receivedAt
        self.rig = rig
        self.delivery = delivery
        self.target = target
        self.hash = hash
        self.header = header
        self.poolJob = poolJob
        self.isForwarded = isForwarded
    }
}

/// A block that a rig found for a pool.
public struct Block: Hashable, Sendable {
    public var id: BlockID
    public var report: BlockReport
    /// Whose pool it is: the buyer, or the seller while the rig was unsold.
    public var owner: AccountID
    /// The rig's owner.
    public var seller: AccountID
    public var verdict: BlockVerdict
    /// The pool's error code, when it was rejected.
    public var poolError: Int64

    public init(
        id: BlockID, report: BlockReport, owner: AccountID, seller: AccountID, verdict: BlockVerdict, poolError: Int64 = 0
    ) {
        self.id = id
        self.report = report
        self.owner = owner
        self.seller = seller
        self.verdict = verdict
        self.poolError = poolError
    }
}

extension Exchange {
    /// A block is recorded once, whoever reports it again.
    mutating func blockFound(_ report: BlockReport) throws(Rejection) -> Outcome {
        guard report.hash.count == 32, report.header.count == 80 else { throw .blockInvalid }
        guard state.blockByHash[report.hash] == nil else { return .done }
        guard let rig = state.rigs[report.rig] else { throw .rigUnknown }
        guard let target = state.targets[report.target] else { throw .poolTargetUnknown }
        var report = report
        report.poolJob = report.poolJob.storable
        emit(.blockFound(Block(
            id: BlockID(state.lastBlock + 1), report: report, owner: target.owner, seller: rig.owner,
            verdict: report.isForwarded ? .waiting : .notForwarded)))
        return .done
    }

    mutating func blockJudged(_ hash: [UInt8], _ verdict: BlockVerdict, poolError: Int64) throws(Rejection) -> Outcome {
        guard let id = state.blockByHash[hash], let block = state.blocks[id] else { throw .blockInvalid }
        guard block.verdict == .waiting, verdict != .waiting else { return .done }
        emit(.blockJudged(id, verdict, poolError: verdict == .rejected ? poolError : 0))
        return .done
    }
}

extension MarketState {
    /// Blocks that are held; older ones are in the table only.
    static let mostBlocks: Int64 = 10_000

    mutating func add(_ block: Block) {
        blocks.set(block.id, block)
        blockByHash[block.report.hash] = block.id
        lastBlock = block.id.rawValue
        guard let oldest = blocks.remove(BlockID(lastBlock - MarketState.mostBlocks)) else { return }
        blockByHash[oldest.report.hash] = nil
    }
}
