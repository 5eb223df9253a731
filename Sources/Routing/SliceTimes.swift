public import Units

/// How long a rig that is sold in parts works for one before it turns to another (design, section 7).
public struct SliceTimes: Hashable, Sendable {
    /// A slice, where what is left to deliver allows it; slices are up to twice as long where that spares a short one.
    public var length: Interval
    /// No slice is planned shorter: a switch costs a rig up to 2 s of work.
    public var least: Interval

    /// - Precondition: `length >= least`, and both are positive
    public init(length: Interval = .seconds(60), least: Interval = .seconds(30)) {
        precondition(least > .zero, "a slice has a length")
        precondition(length >= least, "slices are not shorter than the shortest")
        self.length = length
        self.least = least
    }

    /// Slices for a market with this term: a minute, or a twentieth of a shorter term.
    public init(term: Interval) {
        let length = min(60_000_000, max(1_000_000, term.microseconds / 20))
        self.init(length: Interval(microseconds: length), least: Interval(microseconds: length / 2))
    }
}
