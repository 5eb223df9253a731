import Foundation
import Synchronization
import TestSupport
import Testing

extension FaultTests {
    @Suite(.serialized) struct DamagedFiles {
        /// What may have happened to a file.
        enum Damage: CaseIterable, Sendable {
            case removed, emptied, halved, beginningOverwritten, middleOverwritten

            func apply(to path: String) throws {
                let bytes = try Data(contentsOf: URL(filePath: path))
                switch self {
                case .removed: try FileManager.default.removeItem(atPath: path)
                case .emptied: try Data().write(to: URL(filePath: path))
                case .halved: try bytes.prefix(bytes.count / 2).write(to: URL(filePath: path))
                case .beginningOverwritten: try overwrite(path, bytes, 0..<min(4096, bytes.count))
                case .middleOverwritten: try overwrite(path, bytes, bytes.count / 3..<2 * bytes.count / 3)
                }
            }

            private func overwrite(_ path: String, _ bytes: Data, _ range: Range<Int>) throws {
                var bytes = bytes
                bytes.replaceSubrange(range, with: (0..<range.count).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ 13) })
                try bytes.write(to: URL(filePath: path))
            }
        }

        static let files = ["journal.sqlite", "market.sqlite", "spool.sqlite"]

        /// The server refuses a damaged folder in a clear sentence, and leaves the damaged file as it is. After a kill the
        /// file's log may still have all that was lost: then it may serve.
        @Test(arguments: [false, true])
        func aDamagedFolderIsRefusedAndLeftAsItIs(_ wasKilled: Bool) async throws {
            let changed = Mutex<[String]>([])
            try await Scene.play("damaged files after a \(wasKilled ? "kill" : "stop")") { scene in
                let found = try DamagedFiles.refuseAll(scene, wasKilled: wasKilled)
                changed.withLock { $0 = found }
            }
            #expect(changed.withLock { $0 } == [])
        }

        /// Returns what was changed.
        private static func refuseAll(_ scene: Scene, wasKilled: Bool) throws -> [String] {
            let market = try FaultMarket(scene, Storage(dataFolder: scene.folder + "/market"))
            try market.startTrading()
            try wait("some load") {
                try market.check()
                return market.requestsAcknowledged > 300 && market.sharesAcknowledged > 100
            }
            try market.pauseLoad()
            if wasKilled { try market.killServer() } else { try market.server.process.stop() }
            for trader in market.traders { trader.stop() }
            for rig in market.rigs { rig.stop() }
            var (changed, findings): ([String], [String]) = ([], [])
            for file in files {
                for damage in Damage.allCases {
                    let attempt = Attempt(market: market, file: file, damage: damage)
                    do { changed += try attempt.run() } catch { findings.append("\(attempt.name): \(error)") }
                }
            }
            guard findings.isEmpty else { throw Broken(findings.joined(separator: "\n")) }
            return changed
        }

        /// One damage to a copy of the folder, and a server started on it.
        private struct Attempt {
            let market: FaultMarket
            let file: String
            let damage: Damage

            var name: String { "\(file)-\(damage)" }
            private var folder: String { market.scene.folder + "/" + name }

            /// - Throws: ``Broken`` when the server took it in another way than it should
            func run() throws -> [String] {
                try FileManager.default.copyItem(atPath: market.storage.dataFolder, toPath: folder)
                try damage.apply(to: folder + "/" + file)
                let before = try contents()
                let server = try ServerProcess(name, market.scene, Storage(dataFolder: folder))
                try server.launch()
                let process = try server.process
                try wait("a refusal, or service") { !process.isRunning || server.isServing() }
                if process.isRunning {
                    defer { process.stop() }
                    // Its shares are gone, and it says so: the market goes on with a new one.
                    if file == "spool.sqlite", process.log().contains("the spool is a new one") { return [] }
                    try Books(market: market, storage: server.storage).check()
                    return []
                }
                guard process.status == 1, process.log().contains("Error: cannot start: ") else {
                    throw Broken("status \(process.status), \(process.tail(3))")
                }
                let after = try contents()
                return Set(before.keys).union(after.keys).filter { before[$0] != after[$0] }.sorted().map { "\(name): \($0)" }
            }

            /// The damaged file and its log. Logs of files in order may have been written into them.
            private func contents() throws -> [String: Data] {
                var known: [String: Data] = [:]
                for name in [file, file + "-wal"] {
                    let data = FileManager.default.contents(atPath: folder + "/" + name)
                    if let data, !(name.hasSuffix("-wal") && data.isEmpty) { known[name] = data }
                }
                return known
            }
        }
    }
}
