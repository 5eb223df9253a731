import ArgumentParser
import Documents
import Foundation
import Market
import Settlement
import Store
import Units

/// `hashspot parties`: who accounts are before the law.
struct PartiesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "parties", abstract: "Legal parties of accounts and of the market, as they stand on invoices.",
        subcommands: [List.self, Record.self], defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "All of them, by account and time.")

        @OptionGroup var storage: DatabaseOptions

        func run() async throws {
            try await storage.withDocuments { store in
                for party in try await store.parties(nil) {
                    let owner = party.account == EffectiveParty.market ? "market" : "account \(party.account)"
                    let (who, address) = (party.party, party.party.address.joined(separator: ", "))
                    print(
                        "\(owner) from \(party.effectiveAt): \(who.name), \(address), \(who.country)"
                            + (who.taxID.isEmpty ? "" : ", tax number \(who.taxID)") + (who.currency.map { ", in \($0)" } ?? ""))
                }
            }
        }
    }

    struct Record: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "record", abstract: "Say who an account is from a day on.",
            discussion: """
                Documents of a period name the party of its last instant. What was said for the same day before no longer counts.

                Examples:
                  hashspot parties record --data market --market --name "Hashspot GmbH" --address "Weg 1" --address "10115 Berlin" \
                --country DE --tax-id DE123456789 --currency EUR
                  hashspot parties record --data market --account 3 --from 2026-11-01 --name "Müller & Co" --address "Rue 2" --country FR
                """)

        @OptionGroup var storage: DatabaseOptions

        @Option(help: "The account.")
        var account: Int64?

        @Flag(help: "The market itself instead of an account.")
        var market = false

        @Option(help: "Its legal name.")
        var name: String

        @Option(help: "A line of its address; 1 to 6 times.")
        var address: [String]

        @Option(help: "Two capital letters.")
        var country: String

        @Option(help: "Its tax number.")
        var taxID = ""

        @Option(help: "The currency that its documents give values in, three capital letters.")
        var currency: String?

        @Option(help: ArgumentHelp("The first day that it holds for; always if absent.", valueName: "2026-11-01"))
        var from: AccountingPeriod?

        func run() async throws {
            guard market != (account != nil), account ?? 1 > 0 else { throw CommandFailure(description: "name --account or --market") }
            let party = LegalParty(name: name, address: address, country: country, taxID: taxID, currency: currency)
            if let flaw = party.flaw { throw CommandFailure(description: flaw) }
            let effective = EffectiveParty(
                account: AccountID(account ?? 0), effectiveAt: from?.start ?? Timestamp(microseconds: 0), party: party)
            try await storage.recordDocuments(
                "hashspot parties record", subject: account.map { "account \($0)" } ?? "market",
                request: "from \(effective.effectiveAt): \(name)"
            ) { try await $0.record(effective, by: nil, at: MarketService.systemClock()) }
            print("recorded")
        }
    }
}

/// `hashspot rates`: what a bitcoin is worth.
struct RatesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rates", abstract: "Daily rates of a bitcoin in other currencies, for the values on documents.",
        subcommands: [Import.self, List.self])

    struct Import: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "import", abstract: "Import a CSV file of date,currency,rate, all of it or nothing.",
            discussion: """
                Rates are exact decimals (2026-11-30,EUR,61234.50). Wrong lines are named and nothing is imported. Rates that are there \
                with another value are refused unless a --reason is given; the old value stays in the table.
                """)

        @OptionGroup var storage: DatabaseOptions

        @Argument(help: "The file.")
        var file: String

        @Option(help: "Why rates that are there change.")
        var reason: String?

        func run() async throws {
            guard let content = FileManager.default.contents(atPath: file), content.count <= 16 << 20 else {
                throw CommandFailure(description: "\(file) cannot be read, or has more than 16 MiB")
            }
            let result = try await storage.recordDocuments(
                "hashspot rates import", subject: file, request: reason.map { "reason: \($0)" } ?? ""
            ) { store in
                let result = try await store.importRates([UInt8](content), reason: reason, by: nil, at: MarketService.systemClock())
                for flaw in result.flaws { writeError("\(flaw)") }
                guard result.flaws.isEmpty else { throw CommandFailure(description: "nothing was imported") }
                return result
            }
            print("\(result.added) added, \(result.corrected) corrected, \(result.unchanged) were there")
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "Print rates as CSV.")

        @OptionGroup var storage: DatabaseOptions

        @Option(help: ArgumentHelp("The first day.", valueName: "2026-11-01"))
        var from: AccountingPeriod?

        func run() async throws {
            try await storage.withDocuments { store in
                print("date,currency,rate")
                for rate in try await store.rates(from: from, limit: 1_000_000) { print("\(rate.date),\(rate.currency),\(rate.rate)") }
            }
        }
    }
}
