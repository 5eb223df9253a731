internal import Exchange
internal import Market
internal import StratumProxy

/// Verifies pools the way the edge will use them.
struct ProxyVerifier: PoolVerifying {
    let allowsPrivatePools: Bool

    func verify(url: String, user: String, password: String) async -> VerificationResult {
        let report = await PoolVerifier.verify(
            url: url, user: user, password: password, policy: AddressPolicy(allowsPrivate: allowsPrivatePools))
        return VerificationResult(
            steps: report.steps.map { VerificationStep(name: $0.name, isOK: $0.isOK, detail: $0.detail) },
            capabilities: report.capabilities.map {
                PoolCapabilities(
                    extranonce2Size: Int64($0.extranonce2Size), versionMask: $0.versionMask,
                    difficulty: $0.difficulty.description)
            })
    }

    func flaw(inURL url: String) -> String? { PoolVerifier.flaw(inURL: url) }
}
