import Foundation
import TestSupport
import Testing

/// A file system in memory, of a size of its own.
enum SmallDisk {
    /// Mounting needs rights that not every machine gives.
    static let isPossible: Bool = {
        let folder = FileManager.default.temporaryDirectory.appending(path: "hashspot-mount-\(UUID().uuidString)").path()
        defer { rmdir(folder) }
        guard mkdir(folder, 0o700) == 0, (try? mount(folder, megabytes: 1)) != nil else { return false }
        unmount(folder)
        return true
    }()

    static func mount(_ folder: String, megabytes: Int) throws {
        let result = try runToEnd("/bin/mount", ["-t", "tmpfs", "-o", "size=\(megabytes)m,mode=700", "tmpfs", folder])
        guard result.status == 0 else { throw Broken("mount: \(result.errors)") }
    }

    static func unmount(_ folder: String) { _ = try? runToEnd("/bin/umount", ["--lazy", folder]) }

    /// Writes until nothing more fits; how many bytes did.
    static func fill(_ file: String) -> Int {
        let descriptor = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return 0 }
        defer { close(descriptor) }
        let zeros = [UInt8](repeating: 0, count: 65_536)
        var (written, size) = (0, zeros.count)
        while size >= 512 {
            let count = zeros.withUnsafeBytes { write(descriptor, $0.baseAddress, size) }
            if count > 0 { written += count } else { size /= 2 }
        }
        return written
    }
}

extension FaultTests {
    @Suite(.serialized) struct DiskFaults {
        /// Whatever the full disk refuses is refused clearly; when there is room again everything goes on.
        @Test(.enabled(if: SmallDisk.isPossible, "mounting a small disk needs root"))
        func aFullDiskLosesNothing() async throws {
            try await Scene.play("full disk") { scene in
                let disk = scene.folder + "/disk"
                try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: false)
                try SmallDisk.mount(disk, megabytes: 64)
                scene.atEnd { SmallDisk.unmount(disk) }
                do {
                    try DiskFaults.play(scene, disk)
                } catch {
                    // What is on the disk goes with it.
                    try? FileManager.default.copyItem(atPath: disk, toPath: scene.folder + "/disk-copy")
                    throw error
                }
            }
        }

        private static func play(_ scene: Scene, _ disk: String) throws {
            let market = try FaultMarket(scene, Storage(dataFolder: disk + "/market"))
            try market.startTrading()
            for round in 1...(Effort.isFull ? 8 : 2) {
                try fillUp(market, disk + "/ballast", staysFull: Double(round % 3))
                try market.pauseLoad()
                try Books(market: market).check()
                progress("full disk \(round); \(market.summary)")
                market.resumeLoad()
            }
        }

        private static func fillUp(_ market: FaultMarket, _ ballast: String, staysFull seconds: Double) throws {
            let known = market.requestsAcknowledged
            try wait("load before the disk is full") {
                try market.check()
                return market.requestsAcknowledged > known + 50
            }
            let refused = market.requestsUnavailable
            let sharesRefused = market.sharesRefused
            try wait("refusals for want of room") {
                try market.check()
                _ = SmallDisk.fill(ballast)
                pause(0.05)
                guard try market.server.process.isRunning else { return true }
                return market.requestsUnavailable > refused + 10 || market.sharesRefused > sharesRefused + 10
            }
            pause(seconds)
            let goesOn = try market.server.process.isRunning
            try FileManager.default.removeItem(atPath: ballast)
            if !goesOn {
                let process = try market.server.process
                guard process.status == 1, process.tail(1).contains("rror") else { throw Broken("it ended unclearly: \(process.tail())") }
                progress("the server ended: \(process.tail(1))")
                try market.server.start()
            }
            let (back, shares) = (market.requestsAcknowledged, market.sharesAcknowledged)
            try wait("requests and shares when there is room again") {
                try market.check()
                return market.requestsAcknowledged > back + 50 && market.sharesAcknowledged > shares + 20
            }
            market.server.incarnation.next()
            try market.waitUntilChecked()
        }
    }
}
