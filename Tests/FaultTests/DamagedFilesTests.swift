import Foundation
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

        /// The server refuses a damaged folder in a clear sentence, and leaves it as it is.
        @Test func aDamagedFolderIsRefusedAndLeftAsItIs() async throws {
            try await Scene.play("damaged files") { scene in
                for wasKilled in [false, true] { try DamagedFiles.refuseAll(scene, wasKilled: wasKilled) }
            }
        }

        private static func refuseAll(_ scene: Scene, wasKilled: Bool) throws {
            let folder = scene.folder + (wasKilled ? "/killed" : "/stopped")
            let market = try FaultMarket(scene, Storage(dataFolder: folder))
            try market.startTrading()
            try wait("some load") {
                try market.check()
                return market.requestsAcknowledged > 300 && market.sharesAcknowledged > 100
            }
            if wasKilled { try market.killServer() } else { try market.server.process.stop() }
            for trader in market.traders { trader.stop() }
            for rig in market.rigs { rig.stop() }
            var findings: [String] = []
            for file in files {
                for damage in Damage.allCases {
                    let copy = "\(folder)-\(file)-\(damage)"
                    try FileManager.default.copyItem(atPath: folder, toPath: copy)
                    try damage.apply(to: copy + "/" + file)
                    if let finding = try start(scene, copy, file, damage) { findings.append(finding) }
                }
            }
            guard findings.isEmpty else { throw Broken(findings.joined(separator: "\n")) }
        }

        /// What is wrong with how the server took it; nil when all is well.
        private static func start(_ scene: Scene, _ folder: String, _ file: String, _ damage: Damage) throws -> String? {
            let before = try contents(folder)
            let name = URL(filePath: folder).lastPathComponent
            let server = try ServerProcess(name, scene, Storage(dataFolder: folder))
            try server.launch()
            let process = try server.process
            try wait("\(name) to be refused, or served") { !process.isRunning || server.isServing() }
            if process.isRunning {
                process.stop()
                // Its shares are gone, and it says so: the market goes on with a new one.
                let isNew = file == "spool.sqlite" && process.log().contains("the spool is a new one")
                return isNew ? nil : "\(name): the server started\n\(process.tail(3))"
            }
            guard process.status == 1, process.log().contains("Error: cannot start: ") else {
                return "\(name): status \(process.status), \(process.tail(3))"
            }
            let after = try contents(folder)
            let changed = Set(before.keys).union(after.keys).filter { before[$0] != after[$0] }
            return changed.isEmpty ? nil : "\(name): refused, but \(changed.sorted()) changed: \(process.tail(1))"
        }

        /// What a database is made of, by name; locks and shared memory are not.
        private static func contents(_ folder: String) throws -> [String: Data] {
            var known: [String: Data] = [:]
            for name in try FileManager.default.contentsOfDirectory(atPath: folder)
            where name != "lock" && !name.hasSuffix("-shm") {
                let data = try Data(contentsOf: URL(filePath: folder + "/" + name))
                if !(name.hasSuffix("-wal") && data.isEmpty) { known[name] = data }
            }
            return known
        }
    }
}
