public import Units

/// Until when edges' reports are complete, and which edges had which rigs.
public struct ReportMarks: Sendable {
    public struct Place: Hashable, Sendable {
        public var edge: EdgeID
        /// When the rig came to another edge; nil: it did not.
        public var leftAt: Timestamp?

        public init(edge: EdgeID, leftAt: Timestamp?) {
            self.edge = edge
            self.leftAt = leftAt
        }
    }

    /// Edges' clocks may differ by so much.
    public static let margin = Interval.seconds(10)

    public var edges: [EdgeID: Timestamp]
    public var places: [RigID: [Place]]

    public init(edges: [EdgeID: Timestamp] = [:], places: [RigID: [Place]] = [:]) {
        self.edges = edges
        self.places = places
    }

    /// Until when all work of a rig since some time is there. An edge that is away holds up its own rigs only; where it is not
    /// known which edges a rig had, all of them count.
    public func completeUntil(_ rig: RigID, since: Timestamp) -> Timestamp {
        let none = Timestamp(microseconds: 0)
        let known = (places[rig] ?? []).filter { place in place.leftAt.map { !($0 < since - ReportMarks.margin) } ?? true }
        guard !known.isEmpty else { return edges.values.min() ?? none }
        return known.map { edges[$0.edge] ?? none }.min() ?? none
    }
}
