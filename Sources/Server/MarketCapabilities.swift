internal import Exchange

/// A pool's capabilities in the exchange's words; the edge has a type of the same name.
func marketCapabilities(extranonce2Size: Int, versionMask: UInt32, difficulty: String) -> PoolCapabilities {
    PoolCapabilities(extranonce2Size: Int64(extranonce2Size), versionMask: versionMask, difficulty: difficulty)
}
