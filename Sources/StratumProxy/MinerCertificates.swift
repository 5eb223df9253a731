#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import NIOConcurrencyHelpers
import NIOCore
import NIOSSL

/// The certificate that rigs are shown, read again when its files change. Connections keep the one they began with.
final class MinerCertificates: Sendable {
    enum Reload: Hashable {
        case unchanged, reloaded
        /// The earlier certificate stays in use.
        case failed(String)
    }

    /// What tells one version of a file from another.
    private struct Stamp: Hashable {
        var inode: UInt64
        var size: Int64
        var seconds: Int64
        var nanoseconds: Int64
    }

    private struct State {
        var context: NIOSSLContext
        var stamps: [Stamp?]
    }

    private let certificatePath: String
    private let keyPath: String
    private let state: NIOLockedValueBox<State>

    /// Blocking.
    init(certificatePath: String, keyPath: String) throws(EdgeError) {
        self.certificatePath = certificatePath
        self.keyPath = keyPath
        let stamps = MinerCertificates.stamps([certificatePath, keyPath])
        do throws(LoadFailure) {
            let context = try MinerCertificates.load(certificatePath, keyPath)
            state = NIOLockedValueBox(State(context: context, stamps: stamps))
        } catch {
            throw .certificateUnusable(reason: error.description)
        }
    }

    /// nil without a listener. Blocking.
    convenience init?(_ listener: EdgeConfiguration.TLSListener?) throws(EdgeError) {
        guard let listener else { return nil }
        try self.init(certificatePath: listener.certificatePath, keyPath: listener.keyPath)
    }

    var context: NIOSSLContext { state.withLockedValue { $0.context } }

    /// Blocking. Each change is tried once.
    func reloadIfChanged() -> Reload {
        let stamps = MinerCertificates.stamps([certificatePath, keyPath])
        guard stamps != state.withLockedValue({ $0.stamps }) else { return .unchanged }
        do throws(LoadFailure) {
            let context = try MinerCertificates.load(certificatePath, keyPath)
            state.withLockedValue { $0 = State(context: context, stamps: stamps) }
            return .reloaded
        } catch {
            state.withLockedValue { $0.stamps = stamps }
            return .failed(error.description)
        }
    }

    private struct LoadFailure: Error {
        let description: String
    }

    private static func load(_ certificatePath: String, _ keyPath: String) throws(LoadFailure) -> NIOSSLContext {
        let chain: [NIOSSLCertificate]
        do { chain = try NIOSSLCertificate.fromPEMFile(certificatePath) } catch {
            throw LoadFailure(description: "\(certificatePath) cannot be read as PEM certificates")
        }
        guard !chain.isEmpty else { throw LoadFailure(description: "\(certificatePath) has no certificate") }
        let key: NIOSSLPrivateKey
        do { key = try NIOSSLPrivateKey(file: keyPath, format: .pem) } catch {
            throw LoadFailure(description: "\(keyPath) cannot be read as a PEM key")
        }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv12
        configuration.shutdownTimeout = .seconds(1)
        do { return try NIOSSLContext(configuration: configuration) } catch {
            throw LoadFailure(description: "the key in \(keyPath) is not that of the certificate in \(certificatePath)")
        }
    }

    private static func stamps(_ paths: [String]) -> [Stamp?] {
        paths.map { path in
            var info = stat()
            guard stat(path, &info) == 0 else { return nil }
            #if canImport(Glibc)
            let modified = info.st_mtim
            #else
            let modified = info.st_mtimespec
            #endif
            return Stamp(
                inode: UInt64(info.st_ino), size: Int64(info.st_size), seconds: Int64(modified.tv_sec),
                nanoseconds: Int64(modified.tv_nsec))
        }
    }
}
