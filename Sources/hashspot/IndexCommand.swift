import ArgumentParser
import Database
import Market
import Settlement
import Store
import Units

/// `hashspot index`: the published price of delivered work.
struct IndexCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "index", abstract: "The published price of delivered work.", subcommands: [Verify.self])

    /// `hashspot index verify`
    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "verify", abstract: "Make the index from metered slots again and compare.",
            discussion: """
                A minute whose slots are those of its publication must come out the same. Work that came later does not change what \
                is published: such minutes are named, and are no fault. Days must come out of their minutes. Reads only. Exit status 1 if \
                anything is broken.

                Example:
                  hashspot index verify --data market --from 2026-01-01 --to 2026-01-31
                """)

        @OptionGroup var storage: DatabaseOptions

        @Option(help: ArgumentHelp("From this day on, UTC; all if not given.", valueName: "2026-01-31"))
        var from: String?

        @Option(help: ArgumentHelp("Through this day; all if not given.", valueName: "2026-01-31"))
        var to: String?

        @Flag(help: "Print JSON, an object a line: the findings, then a summary.")
        var json = false

        func run() async throws {
            let range = try range()
            let database = try await storage.openTables()
            let result: IndexVerification
            do {
                result = try await ControlStore(database).verifyIndex(range) { minute in
                    if minute % 14_400 == 0 { writeError("index verify: at \(Timestamp(microseconds: minute * 60_000_000))") }
                }
            } catch {
                throw CommandFailure(description: "the index could not be verified: \(operatorText(error))")
            }
            await database.close()
            for finding in result.findings { print(json ? OutputJSON.line(Row(finding)) : Row(finding).text) }
            print(json ? OutputJSON.line(Summary(result)) : Summary(result).text)
            if result.isBroken { throw CommandFailure(description: "the published index is not what its inputs make; see above") }
        }

        private func range() throws -> Swift.Range<Int64> {
            func day(_ text: String?, _ option: String) throws -> AccountingPeriod? {
                guard let text else { return nil }
                guard let day = AccountingPeriod(text), day.day != nil else {
                    throw CommandFailure(description: "\(option) is not a day such as 2026-01-31")
                }
                return day
            }
            let first = try day(from, "--from")?.start.minute ?? 0
            let end = try day(to, "--to")?.end.minute ?? Int64.max / 60_000_000
            guard first < end else { throw CommandFailure(description: "--to is before --from") }
            return first..<end
        }

        private struct Row: Encodable {
            var finding, span, at: String
            var published, recomputed: Int64?

            init(_ item: IndexVerification.Finding) {
                (finding, span) = (item.kind.rawValue, "\(item.span)")
                at = Timestamp(microseconds: item.place * item.span.length * 60_000_000).description
                (published, recomputed) = (item.published?.rawValue, item.recomputed?.rawValue)
            }

            var text: String {
                func price(_ value: Int64?) -> String { value.map { "\($0)" } ?? "nothing" }
                return "\(finding) \(span) \(at): published \(price(published)), now \(price(recomputed))"
            }
        }

        private struct Summary: Encodable {
            var holds: Bool
            var minutes, days, expired: Int64
            var slotsChanged, broken: Int

            init(_ result: IndexVerification) {
                holds = !result.isBroken
                (minutes, days, expired) = (result.minutes, result.days, result.expired)
                slotsChanged = result.findings.count { $0.kind == .slotsChanged }
                broken = result.findings.count { $0.kind == .broken }
            }

            var text: String {
                "\(minutes) minutes and \(days) days: \(broken) broken, \(slotsChanged) minutes whose slots changed since, "
                    + "\(expired) whose slots are not kept any more"
            }
        }
    }
}
