import ArgumentParser
import Database
import Documents
import Market
import Server
import Settlement
import Store
import Units

/// `hashspot statement`: statements, invoices and settlement notes.
struct StatementCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "statement",
        abstract: "List, issue, show, export and verify statements, invoices and settlement notes.",
        discussion: """
            A statement is all that happened on an account in a month or day (UTC): opening balance, entries, lines by delivery, closing \
            balance. An invoice is the market's fees, a note what a buyer bought of one seller. Issued documents are numbered without \
            gaps, never change, name the digest of the document before, and are signed (Ed25519).
            """,
        subcommands: [List.self, Issue.self, Show.self, Export.self, Verify.self, Keys.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "Issued documents, in the order of their issue.")

        @OptionGroup var storage: DatabaseOptions

        @Option(help: "statement, invoice or note; all if absent.")
        var kind: DocumentKind?

        @Option(help: "Only this account's.")
        var account: Int64?

        @Flag(help: "Print JSON, an object a line.")
        var json = false

        func run() async throws {
            let kinds = kind.map { [$0] } ?? Set(DocumentKind.allCases)
            try await storage.withDocuments { store in
                var cursor: Int64 = 0
                while true {
                    let page = try await store.list(kinds, account: account.map { AccountID($0) }, after: cursor, limit: 500)
                    for document in page { print(json ? OutputJSON.line(Row(document)) : text(document)) }
                    guard let last = page.last else { return }
                    cursor = last.position
                }
            }
        }

        private func text(_ document: DocumentSummary) -> String {
            "\(document.position)  \(document.kind.code) \(document.number) v\(document.version)  account \(document.account)"
                + (document.counterparty.map { " of \($0)" } ?? "") + "  \(document.period)  \(HexText.encode(document.digest))"
        }
    }

    /// Printed as JSON.
    struct Row: Encodable {
        var position, number, version, account: Int64
        var counterparty: Int64?
        var kind, period, digest, previousDigest, keyID, issuedAt: String
        var reason: String?

        init(_ document: DocumentSummary) {
            (position, number, version) = (document.position, document.number, document.version)
            (account, counterparty) = (document.account.rawValue, document.counterparty?.rawValue)
            (kind, period, reason) = (document.kind.code, document.period, document.reason)
            (digest, previousDigest) = (HexText.encode(document.digest), HexText.encode(document.previous))
            (keyID, issuedAt) = (document.keyID, document.issuedAt.description)
        }
    }

    struct Issue: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "issue",
            abstract: "Issue a document for a closed period, or a correction of one.",
            discussion: """
                Examples:
                  hashspot statement issue --data market --account 3 --period 2026-11
                  hashspot statement issue --data market --kind invoice --account 3 --period 2026-11
                  hashspot statement issue --data market --kind note --account 3 --seller 4 --period 2026-11
                  hashspot statement issue --data market --account 3 --period 2026-11 --reason "address corrected"
                """)

        @OptionGroup var storage: DatabaseOptions

        @Option(help: "statement, invoice or note.")
        var kind = DocumentKind.statement

        @Option(help: "The account; of a note, the buyer's.")
        var account: Int64

        @Option(help: "Of a note: the seller's account.")
        var seller: Int64?

        @Option(help: "A month or day, UTC: 2026-11 or 2026-11-30.")
        var period: AccountingPeriod

        @Option(help: "Why an issued one is superseded by a new version.")
        var reason: String?

        @Option(help: ArgumentHelp("File of the signing key. Default: signing.key in the data folder.", valueName: "file"))
        var signingKey: String?

        @Flag(help: "Make a new signing key in that file, which must not be there yet. The first issue needs no flag.")
        var newSigningKey = false

        @Flag(help: "Print JSON.")
        var json = false

        func run() async throws {
            if let reason, !(1...500).contains(reason.utf8.count) {
                throw CommandFailure(description: "--reason is not 1 to 500 bytes long")
            }
            var configuration = try storage.configuration()
            configuration.signingKey = signingKey
            let request = DocumentRequest(
                kind: kind, account: AccountID(account), counterparty: seller.map { AccountID($0) }, period: period, reason: reason)
            let file = configuration.signingKeyFile
            let document = try await storage.recordDocuments(
                "hashspot statement issue", subject: "\(kind.code) of account \(account)", request: auditText
            ) { store in
                let key = try await store.signingKey(file: file, isNew: newSigningKey)
                return try await store.issue(
                    request, closedThrough: try await store.closedThrough(), key: key, by: nil, at: MarketService.systemClock())
            }
            print(
                json ? OutputJSON.line(Row(document))
                    : "\(document.kind.code) \(document.number), version \(document.version): \(HexText.encode(document.digest))")
        }

        /// What is asked for, as the audit trail has it.
        private var auditText: String {
            var text = "period \(period)"
            if let seller { text += ", seller \(seller)" }
            if let reason { text += ", reason: \(reason)" }
            if newSigningKey { text += ", new signing key" }
            return text
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Print a document's header: balances, sums, parties, values, digest.")

        @OptionGroup var storage: DatabaseOptions
        @OptionGroup var which: DocumentChoice

        func run() async throws {
            try await storage.withDocuments { store in
                let document = try await which.find(in: store)
                let file = try await store.file(document.position)
                var isFirst = true
                try file.forEachLine { line in
                    guard isFirst else { return }
                    isFirst = false
                    let header = try CanonicalJSON(line)
                    let plan = try DocumentTable.plan(header, madeAt: document.issuedAt)
                    print(plan.title)
                    for (name, value) in plan.facts { print("  \(name): \(value)") }
                    print("  Rows: \(plan.rows)")
                    for (name, sum) in plan.totals.sorted(by: { $0.key < $1.key }) { print("  \(name): \(sum)") }
                    print("  Digest: \(HexText.encode(document.digest)), signed with key \(document.keyID)")
                }
            }
        }
    }

    struct Export: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "export",
            abstract: "Write a document as a file; without a number, a draft of any range.",
            discussion: """
                `document` is the canonical, signed form that `statement verify` checks; csv, json, xlsx and pdf are for people and \
                programs. A file is only there if its sums are the ledger's.

                Examples:
                  hashspot statement export --data market --number 7 --format pdf -o statement-7.pdf
                  hashspot statement export --data market --draft 3 --from 2026-11-03 --to 2026-11-09 --format xlsx -o draft.xlsx
                """)

        @OptionGroup var storage: DatabaseOptions

        @Option(help: "statement, invoice or note.")
        var kind = DocumentKind.statement

        @Option(help: "The document's number.")
        var number: Int64?

        @Option(help: "Its version; the newest if absent.")
        var version: Int64?

        @Option(help: ArgumentHelp("Make a draft statement of this account.", valueName: "account"))
        var draft: Int64?

        @Option(help: ArgumentHelp("Of a draft: the first day or month.", valueName: "2026-11-01"))
        var from: AccountingPeriod?

        @Option(help: ArgumentHelp("Of a draft: the last day or month, included.", valueName: "2026-11-30"))
        var to: AccountingPeriod?

        @Option(help: "document, csv, json, xlsx or pdf.")
        var format = OutputFormat.document

        @OptionGroup var target: OutputOptions

        func run() async throws {
            try await storage.withDocuments { store in
                let (file, at) = try await source(store)
                try await writeWhole(target.output) { path in
                    if let table = format.table {
                        let line = ExportProgressLine()
                        try DocumentTable.export(file, table, path: path, madeAt: at) { line.report($0, $1) }
                    } else {
                        guard format == .document else { throw CommandFailure(description: "beancount is for `hashspot export ledger`") }
                        let copy = try SpoolFile(writing: path)
                        while case let bytes = try file.read(), !bytes.isEmpty { try copy.write(bytes) }
                        try copy.flush()
                    }
                }
            }
        }

        private func source(_ store: DocumentStore) async throws -> (SpoolFile, Timestamp) {
            if let draft {
                guard number == nil, let from, let to, from.start < to.end else {
                    throw CommandFailure(description: "--draft needs --from and --to, and no --number")
                }
                return (try await store.draft(AccountID(draft), from.start..<to.end), MarketService.systemClock())
            }
            guard let number else { throw CommandFailure(description: "name a document by --number, or a --draft") }
            guard let document = try await store.find(kind, number, version: version) else {
                throw CommandFailure(description: "there is no such document")
            }
            return (try await store.file(document.position), document.issuedAt)
        }
    }

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "verify",
            abstract: "Check a document's file: canonical form, digests, signature, balances, chain. Needs no database.",
            discussion: """
                Get the market's public key by a way that you trust (GET /v1/signing-keys, or `statement keys`): the one in the file \
                proves only that the file is whole. Exit status 1 if anything is wrong.

                Example:
                  hashspot statement verify statement-7.jsonl --key 5b1c... --previous statement-6.jsonl
                """)

        @Argument(help: "The document, as exported with `--format document`.")
        var file: String

        @Option(help: "The market's public key, 64 hex digits, or a file that has them.")
        var key: String?

        @Option(help: "The file of the document at the position before, to check the chain.")
        var previous: String?

        func run() async throws {
            do {
                let result = try verify()
                print("\(result.kind) \(result.issue.number), version \(result.issue.version), position \(result.issue.position)")
                print("digest \(HexText.encode(result.digest)), \(result.records) lines, key \(result.keyID)")
                for flaw in result.flaws { print("WRONG  \(flaw)") }
                guard result.flaws.isEmpty else { throw CommandFailure(description: "the document does not hold") }
                print(key == nil ? "ok, if the key in the file is the market's: give it with --key" : "ok")
            } catch let error as DocumentError {
                throw CommandFailure(description: error.description)
            }
        }

        private func verify() throws -> DocumentVerification {
            var publicKey: PublicSigningKey?
            if let key {
                let text = key.utf8.count == 64 ? key : try content(of: key)
                guard let read = PublicSigningKey(hex: text) else { throw CommandFailure(description: "--key is not 64 hex digits") }
                publicKey = read
            }
            var digest: [UInt8]?
            if let previous {
                digest = try DocumentFile.verify(try SpoolFile(reading: previous), key: nil).digest
            }
            return try DocumentFile.verify(try SpoolFile(reading: file), key: publicKey, previous: digest)
        }

        private func content(of path: String) throws -> String {
            let bytes = try SpoolFile(reading: path).read(256)
            return String(decoding: bytes.prefix { $0 > 0x20 }, as: UTF8.self)
        }
    }

    struct Keys: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "keys", abstract: "Public keys that documents are or were signed with, oldest first.")

        @OptionGroup var storage: DatabaseOptions

        func run() async throws {
            try await storage.withDocuments { store in
                for (key, firstUsed) in try await store.keys() { print("\(key.id)  \(HexText.encode(key.key))  since \(firstUsed)") }
            }
        }
    }
}

/// Which issued document.
struct DocumentChoice: ParsableArguments {
    @Option(help: "statement, invoice or note.")
    var kind = DocumentKind.statement

    @Option(help: "Its number.")
    var number: Int64

    @Option(help: "Its version; the newest if absent.")
    var version: Int64?

    func find(in store: DocumentStore) async throws -> DocumentSummary {
        guard let document = try await store.find(kind, number, version: version) else {
            throw CommandFailure(description: "there is no such document")
        }
        return document
    }
}

extension DatabaseOptions {
    /// As ``withDocuments(_:)``, with a row in the audit trail before `body` runs and one after it.
    func recordDocuments<T>(
        _ action: String, subject: String, request: String, _ body: (DocumentStore) async throws -> T
    ) async throws -> T {
        try await withTables { database in
            try await OperatorTrail(database).record(action, subject: subject, request: request) {
                try await body(DocumentStore(database))
            }
        }
    }
}
