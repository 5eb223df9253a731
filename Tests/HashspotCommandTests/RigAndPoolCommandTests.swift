import Foundation
import Testing

/// The built command, which lies beside the tests.
private func executable() -> URL {
    URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "hashspot")
}

/// A running `hashspot`; its output is read line by line.
private final class Command {
    let process = Process()
    private let output = Pipe()
    private let errors = Pipe()

    init(_ arguments: String...) throws {
        process.executableURL = executable()
        process.arguments = arguments
        process.standardOutput = output
        process.standardError = errors
        try process.run()
    }

    /// Reads until a line holds the text, and returns that line; nil at the end of the output.
    func line(holding text: String) -> String? {
        var line: [UInt8] = []
        while let byte = output.fileHandleForReading.readData(ofLength: 1).first {
            guard byte == UInt8(ascii: "\n") else {
                line.append(byte)
                continue
            }
            let whole = String(decoding: line, as: UTF8.self)
            if whole.contains(text) { return whole }
            line = []
        }
        return nil
    }

    /// Waits for the end; returns the status, the rest of the output and the errors.
    func end() -> (status: Int32, output: String, errors: String) {
        let rest = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let failed = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, rest, failed)
    }
}

@Suite(.serialized) struct RigAndPoolCommandTests {
    @Test(arguments: [
        (["rig", "--pool", "http://x:1", "--user", "a"], "--pool: unsupported scheme"),
        (["rig", "--pool", "x", "--user", "a"], "--pool: the port is missing"),
        (["rig", "--pool", "x:1", "--user", "a", "--rate", "fast"], "--rate is not"),
        (["rig", "--pool", "x:1", "--user", ""], "--user is not"),
        (["pool", "--port", "99999"], "the port is not in"), (["pool", "--difficulty", "0"], "--difficulty is not"),
        (["pool", "--version-mask", "z"], "--version-mask is neither"),
    ])
    func mistakesAreOneLineAndAStatus(arguments: [String], text: String) throws {
        let process = Process()
        let errors = Pipe()
        process.executableURL = executable()
        process.arguments = arguments
        process.standardError = errors
        try process.run()
        let said = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus != 0)
        #expect(said.contains(text))
        #expect(said.split(separator: "\n").count == 1)
    }

    @Test(arguments: [("sha256d", "0.00001"), ("scrypt", "0.001")])
    func aRigMinesOnAPoolUntilBothAreTerminated(_ algorithm: String, _ difficulty: String) throws {
        let pool = try Command(
            "pool", "--algorithm", algorithm, "--port", "0", "--difficulty", difficulty, "--json", "--for", "60")
        let listening = try #require(pool.line(holding: "stratum+tcp://"))
        let object = try JSONSerialization.jsonObject(with: Data(listening.utf8)) as? [String: Any]
        let url = try #require(object?["url"] as? String)
        let rig = try Command(
            "rig", "--algorithm", algorithm, "--pool", url, "--user", "bob.rig7", "--rate", "2M", "--json", "--for", "60")
        for _ in 0..<5 { #expect(rig.line(holding: "\"accepted\"") != nil) }

        let used = try #require(url.split(separator: ":").last.map(String.init))
        let second = try Command("pool", "--port", used).end()
        #expect(second.status == 1)
        #expect(second.errors == "Error: cannot start the pool: port \(used) on 127.0.0.1 is in use\n")

        rig.process.terminate()
        let mined = rig.end()
        #expect(mined.status == 0)
        #expect(mined.output.split(separator: "\n").last?.contains("\"accepted\":") == true)
        pool.process.interrupt()
        let counted = pool.end()
        #expect(counted.status == 0)
        #expect(counted.output.split(separator: "\n").last?.contains("\"bob.rig7\":{\"accepted\":") == true)
    }
}
