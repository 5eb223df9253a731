import ArgumentParser

@main
struct Hashspot: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hashspot", abstract: "A spot market for hashrate.",
        subcommands: [RigCommand.self, PoolCommand.self])
}
