import Foundation

/// The program under test: HASHSPOT_BINARY, else the package's release or debug build, whichever is newer.
enum Binary {
    struct Missing: Error, CustomStringConvertible {
        var description: String
    }

    static func path() throws -> String {
        if let given = ProcessInfo.processInfo.environment["HASHSPOT_BINARY"], !given.isEmpty {
            guard FileManager.default.isExecutableFile(atPath: given) else {
                throw Missing(description: "HASHSPOT_BINARY names no program: \(given)")
            }
            return given
        }
        let package = URL(filePath: #filePath).appending(path: "../../..").standardizedFileURL
        let builds = ["release", "debug"].map { package.appending(path: ".build/\($0)/hashspot").path() }
        let newest = builds.filter { FileManager.default.isExecutableFile(atPath: $0) }.max { madeAt($0) < madeAt($1) }
        if let newest { return newest }
        throw Missing(description: "no hashspot program: build it, or name one in HASHSPOT_BINARY")
    }

    private static func madeAt(_ path: String) -> Date {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        return attributes?[.modificationDate] as? Date ?? .distantPast
    }
}
