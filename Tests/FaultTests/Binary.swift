import Foundation

/// The program under test: HASHSPOT_BINARY, else the package's release build, else its debug build.
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
        for build in ["release", "debug"] {
            let candidate = package.appending(path: ".build/\(build)/hashspot").path()
            if FileManager.default.isExecutableFile(atPath: candidate) { return candidate }
        }
        throw Missing(description: "no hashspot program: build it, or name one in HASHSPOT_BINARY")
    }
}
