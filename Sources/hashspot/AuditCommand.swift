import ArgumentParser
import Database
import Foundation
import Server
import Settlement
import Store
import Synchronization
import Units

/// `hashspot audit`: checks the books.
struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Check the invariants of ledger, holds, meter and bills.",
        discussion: """
            Reads only; safe on a live database. Every invariant has a code, the number of rows that were looked at, and the first 20 \
            things that break it by name. Progress goes to standard error. Exit status 1 if anything is broken.

            Examples:
              hashspot audit --data market
              hashspot audit --database postgres://hashspot@db.example/hashspot --only line.formula,ledger.settlement --json
              hashspot audit --data market --since 2026-11-01
            """)

    @OptionGroup var storage: DatabaseOptions

    @Option(help: ArgumentHelp("Check these only; --codes shows all.", valueName: "code,..."))
    var only: String?

    @Option(help: ArgumentHelp(
        "Pass over what was booked or received before, a day or month UTC. Balances are still sums over everything.",
        valueName: "2026-11-30"))
    var since: String?

    @Flag(help: "Name every violation, not the first 20 of each invariant.")
    var all = false

    @Flag(help: "Also decide the whole journal again and compare its digests with the tables, as `hashspot verify` does.")
    var replay = false

    @Flag(help: "Print the codes with what they mean, and end.")
    var codes = false

    @Flag(help: "Print JSON, an object a line: a finding for each invariant, and on standard error how far it is.")
    var json = false

    func run() async throws {
        if codes {
            for (code, invariant) in Audit.invariants { print("\(code): \(invariant)") }
            return
        }
        let options = try self.options()
        var broken = try await audit(options)
        if replay { broken += try await verify() }
        guard broken > 0 else { return }
        throw CommandFailure(description: "\(broken) \(broken == 1 ? "invariant is" : "invariants are") broken; see above")
    }

    private func options() throws -> AuditOptions {
        var options = AuditOptions()
        if let only {
            let wanted = Set(only.split(separator: ",").map { String($0) })
            let unknown = wanted.subtracting(Audit.invariants.map(\.code)).sorted()
            guard !wanted.isEmpty, unknown.isEmpty else {
                throw CommandFailure(description: "--only: there is no invariant '\(unknown.first ?? "")'; see --codes")
            }
            options.only = wanted
        }
        if let since {
            guard let time = DayOption.start(since) else {
                throw CommandFailure(description: "--since is not a day or month: 2026-11-30 or 2026-11")
            }
            options.since = time
        }
        return options
    }

    /// - Returns: how many invariants are broken
    private func audit(_ options: AuditOptions) async throws -> Int {
        let database = try await storage.openTables()
        let printer = AuditPrinter(json: json, all: all)
        let findings: [AuditFinding]
        do { findings = try await Audit(database).run(options) { printer.show($0) } } catch {
            await database.close()
            throw CommandFailure(description: "the audit could not be run: \(operatorText(error))")
        }
        await database.close()
        return findings.count { $0.violations > 0 }
    }

    /// - Returns: 1 if the journal or the tables differ
    private func verify() async throws -> Int {
        let progress = ProgressLine("replay")
        progress.begin()
        let report: StorageVerification
        do { report = try await Server.verify(try storage.configuration()) { progress.report($0) } } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure(description: "the replay could not be run: \(operatorText(error))")
        }
        var finding = AuditFinding(code: "journal.replay", invariant: "the journal, decided again, gives the tables' digests")
        finding.rows = report.commands
        finding.violations = Int64(report.findingCount)
        finding.named = report.findings.map { AuditViolation($0.description) }
        AuditPrinter(json: json, all: false).show(.finding(finding))
        return report.holds ? 0 : 1
    }
}

/// Shows findings as they come.
final class AuditPrinter: Sendable {
    private let json: Bool
    private let all: Bool
    private let told = Mutex<ContinuousClock.Instant?>(nil)
    private let begun = ContinuousClock.now
    private let isTerminal = isatty(STDERR_FILENO) != 0

    /// - Parameter all: whether violations are printed one by one, and not with their finding
    init(json: Bool, all: Bool) {
        self.json = json
        self.all = all
    }

    func show(_ event: AuditEvent) {
        switch event {
        case .progress(let codes, let done, let total): tell(codes, done, total)
        case .violation(let code, let violation):
            guard all else { return }
            clear()
            print(json ? OutputJSON.line(Violation(code, violation)) : "        \(code): \(violation)")
        case .finding(let finding):
            clear()
            print(json ? OutputJSON.line(Finding(finding, all: all)) : text(finding))
        }
    }

    /// At most once a second.
    private func tell(_ codes: [String], _ done: Int64, _ total: Int64) {
        let now = ContinuousClock.now
        let isDue = told.withLock { told in
            guard now - (told ?? begun) >= .seconds(1) else { return false }
            told = now
            return true
        }
        guard isDue else { return }
        if json { return writeError(OutputJSON.line(Progress(codes: codes, rows: done, of: total))) }
        let line = "audit: \(codes.first ?? ""), \(done) of \(total) rows"
        if isTerminal { FileHandle.standardError.write(Data("\r\u{1b}[K\(line)".utf8)) } else { writeError(line) }
    }

    private func clear() {
        if isTerminal, !json, told.withLock({ $0 }) != nil { FileHandle.standardError.write(Data("\r\u{1b}[K".utf8)) }
    }

    private func text(_ finding: AuditFinding) -> String {
        let head = finding.violations == 0 ? "ok      " : "BROKEN  "
        var lines = ["\(head)\(finding.code): \(finding.invariant) (\(finding.rows) rows)"]
        if finding.violations > 0 { lines[0] += ": \(finding.violations)" }
        if !all {
            lines += finding.named.map { "        \($0)" }
            let rest = finding.violations - Int64(finding.named.count)
            if rest > 0, !finding.named.isEmpty { lines.append("        and \(rest) more; --all names them") }
        }
        lines += finding.notes.map { "        not looked at: \($0)" }
        return lines.joined(separator: "\n")
    }

    private struct Progress: Encodable {
        var codes: [String]
        var rows: Int64
        var of: Int64
    }

    private struct Violation: Encodable {
        var code: String
        var subject: String
        var expected: String?
        var found: String?

        init(_ code: String, _ violation: AuditViolation) {
            (self.code, subject) = (code, violation.subject)
            (expected, found) = (violation.expected, violation.found)
        }
    }

    private struct Finding: Encodable {
        var code, invariant: String
        var rows, violations: Int64
        var named: [Violation]
        var notLookedAt: [String]

        init(_ finding: AuditFinding, all: Bool) {
            (code, invariant) = (finding.code, finding.invariant)
            (rows, violations) = (finding.rows, finding.violations)
            named = all ? [] : finding.named.map { Violation(finding.code, $0) }
            notLookedAt = finding.notes
        }
    }
}

/// A day or month as an option names it.
enum DayOption {
    /// Its first instant; nil for anything else.
    static func start(_ text: String) -> Timestamp? { AccountingPeriod(text)?.start }
}
