import ArgumentParser
import Benchmarks

struct ShareBenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "share",
        abstract: "Checking a rig's share: coinbase, merkle root, header, targets.",
        discussion: """
            Each share has a coinbase of 250 bytes, 110 of them before the extranonces, and 12 branches. It is rebuilt, hashed \
            and compared with the assigned and the network's target, as an edge does it: with the processor's instructions for \
            SHA-256 where it has them, in portable C, and by swift-crypto. The variant scrypt is the same share on that market. \
            `check` names the hashes that every way of SHA-256 must come to.

            Exit status 1 if two ways came to different hashes.
            """)

    @Option(help: "Shares in one timed run, 100 to 10 million; scrypt does a hundredth of them.")
    var shares = 100_000

    @OptionGroup var options: BenchOptions

    func validate() throws {
        guard (100...10_000_000).contains(shares) else { throw ValidationError("--shares is not from 100 to 10000000") }
    }

    func run() throws {
        let reports = ShareBenchmark(shares: shares, runs: options.runs).run()
        try options.show(reports)
        guard ShareBenchmark.agree(reports) else { throw ExitCode(1) }
    }
}
