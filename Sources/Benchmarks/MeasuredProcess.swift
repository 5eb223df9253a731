internal import Foundation

/// The other process of a benchmark: the one that is measured. It ends when its input does.
enum MeasuredProcess {
    /// Starts it and waits for its first line, which is its port.
    ///
    /// - Returns: nil if that line is no number; then it is stopped
    static func start(_ command: [String]) throws -> (process: Process, input: FileHandle, port: Int)? {
        let process = Process(), input = Pipe(), output = Pipe()
        process.executableURL = URL(fileURLWithPath: command[0])
        process.arguments = Array(command.dropFirst())
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        var line: [UInt8] = []
        while line.last != UInt8(ascii: "\n") {
            let more = output.fileHandleForReading.readData(ofLength: 1)
            guard !more.isEmpty else { break }
            line += more
        }
        guard let port = Int(String(decoding: line, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)) else {
            process.terminate()
            return nil
        }
        return (process, input.fileHandleForWriting, port)
    }
}
