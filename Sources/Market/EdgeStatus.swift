public import Units

/// An edge as the market's staff see it.
public struct EdgeStatus: Hashable, Sendable {
    public var edge: EdgeID
    public var name: String
    /// Inside of the server, rather than in a process of its own.
    public var isEmbedded: Bool
    /// Where rigs connect.
    public var stratumURL: String
    /// Of the tables that edges and servers share.
    public var version: String
    /// Connected.
    public var rigs: Int64
    /// Since its last sign of life.
    public var silence: Interval
    /// How far its clock is ahead of the database's; nil where there is no other clock, or before it is known.
    public var clockAhead: Interval?
    /// False while its clock is off.
    public var isSelling: Bool
    /// Sealed batches that wait in its spool.
    public var backlog: Int64

    public init(
        edge: EdgeID, name: String, isEmbedded: Bool, stratumURL: String, version: String, rigs: Int64, silence: Interval,
        clockAhead: Interval?, isSelling: Bool, backlog: Int64
    ) {
        self.edge = edge
        self.name = name
        self.isEmbedded = isEmbedded
        self.stratumURL = stratumURL
        self.version = version
        self.rigs = rigs
        self.silence = silence
        self.clockAhead = clockAhead
        self.isSelling = isSelling
        self.backlog = backlog
    }
}
