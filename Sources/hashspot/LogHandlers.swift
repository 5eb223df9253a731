import Foundation
import Logging

/// How log lines are written to the standard output.
enum LogStyle: Sendable {
    /// `12:03:44 info accepted units=65`
    case plain
    /// One JSON object a line.
    case json

    /// A logger of this style; one line per event, in one write.
    func logger(_ label: String, level: Logger.Level) -> Logger {
        Logger(label: label) { _ in LineLogHandler(style: self, logLevel: level) }
    }
}

/// Writes each event as one line.
struct LineLogHandler: LogHandler {
    let style: LogStyle
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    init(style: LogStyle, logLevel: Logger.Level) {
        self.style = style
        self.logLevel = logLevel
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { _, new in new }
        let line =
            switch style {
            case .plain: LineLogHandler.plain(event, all)
            case .json: LineLogHandler.json(event, all)
            }
        FileHandle.standardOutput.write(Data((line + "\n").utf8))
    }

    private static func plain(_ event: LogEvent, _ metadata: Logger.Metadata) -> String {
        let time = Date().formatted(.iso8601.time(includingFractionalSeconds: false))
        let pairs = metadata.sorted { $0.key < $1.key }.map { " \($0.key)=\(printable("\($0.value)"))" }
        return "\(time) \(event.level) \(printable("\(event.message)"))\(pairs.joined())"
    }

    /// Text from a peer must not draw on the terminal.
    private static func printable(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? "?" : $0 }))
    }

    private static func json(_ event: LogEvent, _ metadata: Logger.Metadata) -> String {
        var object: [String: String] = metadata.mapValues { "\($0)" }
        object["time"] = Date().ISO8601Format(.init(includingFractionalSeconds: true))
        object["level"] = "\(event.level)"
        object["message"] = "\(event.message)"
        return OutputJSON.line(object)
    }
}

/// JSON on one line, its keys in order.
enum OutputJSON {
    static func line(_ value: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return String(decoding: try encoder.encode(value), as: UTF8.self)
        } catch {
            return "{}"
        }
    }
}
