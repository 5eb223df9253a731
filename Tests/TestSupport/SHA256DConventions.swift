public import Units

// Most tests are about SHA-256d: for them difficulties mean what they mean there. The program has to name its algorithm.

extension ShareDifficulty {
    public var target: Target { Algorithm.sha256d.target(of: self) }
    public var decimal: String { Algorithm.sha256d.decimal(self).description }
}

extension DecimalDifficulty {
    public init(_ difficulty: ShareDifficulty) { self = Algorithm.sha256d.decimal(difficulty) }
    public var target: Target { Algorithm.sha256d.target(of: self) }
    public var wholeUnits: Int64 { Algorithm.sha256d.wholeUnits(of: self) }
}

extension Target {
    public var difficultyUnits: Int64 { Algorithm.sha256d.units(of: self) }
}
