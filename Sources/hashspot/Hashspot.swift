import ArgumentParser

@main
struct Hashspot: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hashspot",
        abstract: "A spot market for hashrate.",
        discussion: """
            Sellers point mining rigs at it, buyers bid for hashrate and name their pool; every share is verified, metered \
            and billed to the satoshi. `hashspot demo` shows a whole market on this machine.
            """,
        subcommands: [
            ServeCommand.self, EdgeCommand.self, AccountCommand.self, MigrateCommand.self, AuditCommand.self, VerifyCommand.self,
            ExplainCommand.self, RebuildCommand.self, BackupCommand.self, ReportCommand.self, StatementCommand.self, PartiesCommand.self,
            RatesCommand.self, ExportCommand.self, ExtractCommand.self, RecomputeCommand.self, ReconcileCommand.self,
            IndexCommand.self, DemoCommand.self, RigCommand.self, PoolCommand.self, BenchCommand.self,
        ])
}
