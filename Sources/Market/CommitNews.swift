internal import Exchange
public import Routing
public import Units

/// What edges need to know of a commit.
public struct CommitNews: Sendable {
    /// Of the rigs that it moved.
    public var routes: [RouteUpdate] = []
    /// Rigs that are new, or whose login or fallback pool changed.
    public var rigs: Set<RigID> = []
    /// Farms whose login is new or changed.
    public var farms: Set<FarmID> = []
    /// Pool targets that are new.
    public var targets: Set<PoolTargetID> = []
    /// For streams; nil while nobody follows them.
    var feed: FeedNews?

    public init() {}

    public var isEmpty: Bool { routes.isEmpty && rigs.isEmpty && farms.isEmpty && targets.isEmpty }

    /// Notes what of the directory an event changes. Routes are known once the whole batch is in.
    mutating func note(_ event: Event, in state: MarketState) {
        feed?.note(event, in: state)
        switch event {
        case .rigRegistered(let rig): rigs.insert(rig.id)
        case .poolTargetCreated(let target): targets.insert(target.id)
        case .fleet(.rigsCut(_, let cut)): rigs.formUnion(cut)
        case .fleet(.rigsReadmitted(_, let back)): rigs.formUnion(back)
        case .fleet(.loginSet(let login)):
            farms.insert(login.farm)
            rigs.formUnion(state.rigs(byLoginOf: login.farm))
        case .fleet(.curtailed), .fleet(.curtailmentEnded), .fleet(.returnsPlanned), .blockFound, .blockJudged: break
        case .marketDefined, .entryPosted, .poolTargetChanged, .rigOnline, .rigOffline, .rigMeasured, .orderPlaced, .askOffered,
            .orderSuspended, .orderResumed, .orderStamped, .orderClosed, .deliveryOpened, .deliveryEnded, .lineSettled,
            .deliveryClosed, .answerRecorded, .orderAmended, .ordersRepriced, .phaseChanged, .rulesScheduled, .rulesChanged,
            .indexPublished, .farmCreated, .rigAssigned, .farmOffered, .holdReleased, .silenceSet, .books, .treasury:
            break
        }
    }
}
