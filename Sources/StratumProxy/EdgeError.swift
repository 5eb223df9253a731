/// Why an edge does not start.
public enum EdgeError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The address cannot be listened on.
    case cannotListen(host: String, port: Int, reason: String)
    /// The certificate for rigs cannot be used.
    case certificateUnusable(reason: String)
    /// The spool cannot be opened.
    case spoolUnusable(reason: String)
    /// The spool was made by another edge.
    case spoolOfAnotherEdge
    /// No epoch could be allotted for a new spool.
    case noEpoch(reason: String)
    /// Started twice, or after it was stopped.
    case alreadyStarted

    public var description: String {
        switch self {
        case .cannotListen(let host, let port, let reason): "Cannot listen on \(host):\(port): \(reason)"
        case .certificateUnusable(let reason): "The certificate for rigs cannot be used: \(reason)"
        case .spoolUnusable(let reason): "The spool cannot be used: \(reason)"
        case .spoolOfAnotherEdge: "The spool belongs to another edge"
        case .noEpoch(let reason): "No epoch for a new spool: \(reason)"
        case .alreadyStarted: "The edge was started before"
        }
    }
}
