import Foundation
import PackagePlugin

/// Puts the SQL files of the target's sub-folders (one per stream) into its code.
@main
struct EmbedMigrations: BuildToolPlugin {
    func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
        let output = context.pluginWorkDirectoryURL.appending(path: "EmbeddedMigrations.swift")
        let files = try sqlFiles(below: target.directoryURL)
        return [
            .buildCommand(
                displayName: "Embedding \(files.count) migrations",
                executable: try context.tool(named: "embed-migrations").url,
                arguments: [output.path()] + files.map { $0.path() },
                inputFiles: files,
                outputFiles: [output]
            )
        ]
    }

    private func sqlFiles(below folder: URL) throws -> [URL] {
        let manager = FileManager.default
        var files: [URL] = []
        for stream in try manager.contentsOfDirectory(at: folder, includingPropertiesForKeys: [.isDirectoryKey]) {
            guard try stream.resourceValues(forKeys: [.isDirectoryKey]).isDirectory == true else { continue }
            files += try manager.contentsOfDirectory(at: stream, includingPropertiesForKeys: nil)
                .filter { $0.pathExtension == "sql" }
        }
        return files.sorted { $0.path() < $1.path() }
    }
}
