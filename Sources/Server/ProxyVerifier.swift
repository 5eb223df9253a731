internal import Market
internal import Stratum
internal import StratumProxy
internal import Units

/// Verifies pools the way the edge will use them.
struct ProxyVerifier: PoolVerifying {
    private let policy: VerificationPolicy

    init(
        allowsPrivatePools: Bool, algorithm: Algorithm, minimumDifficulty: ShareDifficulty, authorities: String? = nil
    ) {
        var policy = VerificationPolicy(caFile: authorities)
        policy.allowPrivatePools = allowsPrivatePools
        policy.algorithm = algorithm
        policy.minimumDifficulty = minimumDifficulty
        self.policy = policy
    }

    func verify(url: String, user: String, password: String) async -> VerificationResult {
        let report = await PoolVerifier().verify(url: url, user: user, password: password, policy: policy)
        return VerificationResult(
            steps: report.outcomes.map {
                Market.VerificationStep(name: $0.step.rawValue, isOK: $0.isOK, detail: $0.detail)
            },
            capabilities: report.capabilities.map {
                marketCapabilities(
                    extranonce2Size: $0.extranonce2Size, versionMask: $0.versionMask,
                    difficulty: $0.difficulty.description)
            })
    }

    func flaw(inURL url: String) -> String? {
        do {
            _ = try PoolAddress(parsing: url)
            return nil
        } catch {
            return "\(error)"
        }
    }
}
