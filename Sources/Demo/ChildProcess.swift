internal import Foundation

/// A `hashspot` process of the demonstration; its output goes to a file.
final class ChildProcess: Sendable {
    let name: String
    let logPath: String
    private let process: Process

    /// Starts the program with these arguments.
    ///
    /// - Throws: ``DemoFailure`` when it cannot be started
    init(_ name: String, program: String, _ arguments: [String], logs: String) throws(DemoFailure) {
        self.name = name
        logPath = logs + "/" + name + ".log"
        process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        _ = FileManager.default.createFile(atPath: logPath, contents: nil)
        guard let output = FileHandle(forWritingAtPath: logPath) else {
            throw DemoFailure("\(logPath) cannot be written")
        }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
        do { try process.run() } catch { throw DemoFailure("\(name) cannot be started: \(error)") }
        try? output.close()
    }

    var isRunning: Bool { process.isRunning }

    /// Asks it to end and waits, at most `seconds`; then ends it.
    func stop(within seconds: Double = 20) async {
        guard process.isRunning else { return }
        process.terminate()
        let deadline = ContinuousClock.now + .seconds(seconds)
        while process.isRunning, ContinuousClock.now < deadline { try? await Task.sleep(for: .milliseconds(50)) }
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }

    /// The last lines of its output, to explain a failure.
    func tail(_ lines: Int = 5) -> String {
        let text = (try? String(contentsOfFile: logPath, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").suffix(lines).joined(separator: "\n")
    }

    /// Runs the program to its end and returns its standard output.
    static func run(_ program: String, _ arguments: [String]) async throws(DemoFailure) -> String {
        let process = Process()
        let output = Pipe()
        let errors = Pipe()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = errors
        do { try process.run() } catch { throw DemoFailure("\(arguments.joined(separator: " ")): \(error)") }
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let complaint = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw DemoFailure("hashspot \(arguments.joined(separator: " ")) failed:\n\(text)\(complaint)")
        }
        return text
    }
}

/// Why the demonstration did not succeed.
public struct DemoFailure: Error, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}

/// Ports of the loopback address that nobody listens on.
enum FreePorts {
    static func take(_ count: Int) throws(DemoFailure) -> [Int] {
        var sockets: [Int32] = []
        defer { for socket in sockets { close(socket) } }
        var ports: [Int] = []
        for _ in 0..<count {
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            guard descriptor >= 0 else { throw DemoFailure("no socket can be opened") }
            sockets.append(descriptor)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = inet_addr("127.0.0.1")
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let port = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic -> Int? in
                    guard bind(descriptor, generic, size) == 0, getsockname(descriptor, generic, &size) == 0 else {
                        return nil
                    }
                    return 0
                }
            }
            guard port != nil else { throw DemoFailure("no free port was found") }
            ports.append(Int(UInt16(bigEndian: address.sin_port)))
        }
        return ports
    }
}
