internal import Foundation
internal import Synchronization

/// The market as a table that is redrawn on a terminal, and printed now and then elsewhere.
final class LiveTable: Sendable {
    private let stage: Stage
    private let isTerminal: Bool
    private let start = ContinuousClock.now
    private let drawn = Mutex(0)

    init(_ stage: Stage, isTerminal: Bool) {
        self.stage = stage
        self.isTerminal = isTerminal
    }

    private var seconds: Int { Int((ContinuousClock.now - start) / .seconds(1)) }

    /// Says what just happened, where the screen is not redrawn.
    func note(_ text: String) { if !isTerminal { out("[\(seconds) s] \(text)\n") } }

    func show(_ caption: String) async throws(DemoFailure) {
        let count = drawn.withLock { drawn in
            drawn += 1
            return drawn
        }
        guard isTerminal || count % 10 == 1 else { return }
        let text = try await lines(caption).joined(separator: "\n") + "\n"
        out(isTerminal ? "\u{1b}[H\u{1b}[2J" + text : text)
    }

    private func out(_ text: String) { FileHandle.standardOutput.write(Data(text.utf8)) }

    private func lines(_ caption: String) async throws(DemoFailure) -> [String] {
        let book = try await stage.open.get("/v1/book?levels=5")
        let deliveries = try await stage.finance.client.all("/v1/deliveries").filter { $0["status"].string == "running" }
        return ["Hashspot after \(seconds) s: \(caption)", ""] + bookLines(book) + [""]
            + deliveryLines(deliveries) + [""] + (try await rigLines()) + [""] + (try await moneyLines())
    }

    private func bookLines(_ book: JSON) -> [String] {
        func side(_ name: String) -> String {
            let levels = book[name].array.map { "\($0["lots"].int ?? 0) lots at \($0["price"].int ?? 0)" }
            return levels.isEmpty ? "none" : levels.joined(separator: ", ")
        }
        return [
            "BOOK (\(book["priceUnit"].string ?? ""), lots of \(book["lotUnit"].string ?? ""))",
            "  bids  \(side("bids"))", "  asks  \(side("asks"))",
        ]
    }

    private func deliveryLines(_ deliveries: [JSON]) -> [String] {
        let rows = deliveries.map { delivery in
            [
                "\(delivery["id"].int ?? 0)", name(ofRig: delivery["rigID"].int), name(ofAccount: delivery["buyer"].int),
                "\(delivery["lots"].int ?? 0)", "\(delivery["price"].int ?? 0)",
                Text.rate(delivery["soldHashesPerSecond"].int), Text.rate(delivery["live"]["hashesPerSecond"].int),
                "\(delivery["charged"].int ?? 0)",
            ]
        }
        return ["DELIVERIES"] + Text.table(
            ["id", "rig", "buyer", "lots", "price", "sold", "last minute", "charged sat"], rows)
    }

    private func rigLines() async throws(DemoFailure) -> [String] {
        var rows: [[String]] = []
        for seller in stage.sellers {
            for rig in try await seller.client.all("/v1/rigs") {
                rows.append([
                    name(ofRig: rig["id"].int), rig["status"].string ?? "",
                    LiveTable.sold(rig["deliveryIDs"].array.compactMap(\.int)),
                    stage.pools.first { $0.url == rig["live"]["pool"].string }?.name ?? "-",
                    Text.rate(rig["live"]["hashesPerSecond"].int), Text.rate(rig["measuredHashesPerSecond"].int),
                    "\(rig["live"]["switches"].int ?? 0)",
                ])
            }
        }
        return ["RIGS"] + Text.table(
            ["rig", "status", "sold", "present pool", "last minute", "measured", "switches"], rows)
    }

    /// What a rig works for.
    private static func sold(_ deliveries: [Int64]) -> String {
        guard !deliveries.isEmpty else { return "unsold" }
        return (deliveries.count == 1 ? "delivery " : "deliveries ") + deliveries.map(String.init).joined(separator: ", ")
    }

    private func moneyLines() async throws(DemoFailure) -> [String] {
        var rows: [[String]] = []
        for party in stage.buyers + stage.sellers {
            let balance = try await stage.finance.client.get("/v1/balances?account=\(party.account)")
            rows.append([party.name, "\(balance["available"].int ?? 0)", "\(balance["held"].int ?? 0)"])
        }
        let ledger = try await stage.finance.client.get("/v1/ledger/balances")
        rows.append(["fees", "\(ledger["fees"].int ?? 0)", ""])
        return ["MONEY (satoshis)"] + Text.table(["account", "available", "held"], rows)
    }

    private func name(ofRig id: Int64?) -> String { id.flatMap { stage.rigs[$0]?.name } ?? "?" }

    private func name(ofAccount id: Int64?) -> String {
        (stage.buyers + stage.sellers).first { $0.account == id }?.name ?? "?"
    }
}

/// Text for people.
enum Text {
    static func rate(_ hashesPerSecond: Int64?) -> String {
        guard let rate = hashesPerSecond else { return "-" }
        return "\(rate / 1000) kH/s"
    }

    /// Columns as wide as their widest cell; numbers to the right.
    static func table(_ head: [String], _ rows: [[String]]) -> [String] {
        let all = [head] + rows
        let widths = head.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.map { row in
            "  " + zip(row, widths).map { cell, width in
                let space = String(repeating: " ", count: width - cell.count)
                return cell.first?.isNumber == true ? space + cell : cell + space
            }.joined(separator: "  ")
        }
    }
}
