internal import Certificates
import NIOSSL

/// The certificate that rigs are shown, read again when its files change. Connections keep the one they began with.
final class MinerCertificates: Sendable {
    private let files: ReloadedFiles<NIOSSLContext>

    /// nil without a listener. Blocking.
    init?(_ listener: EdgeConfiguration.TLSListener?) throws(EdgeError) {
        guard let listener else { return nil }
        let files = CertificateFiles(certificatePath: listener.certificatePath, keyPath: listener.keyPath)
        do throws(FileFlaw) {
            self.files = try ReloadedFiles(files.paths) { () throws(FileFlaw) in
                do { return try NIOSSLContext(configuration: try files.configuration(minimumVersion: .tlsv12)) } catch {
                    throw error as? FileFlaw ?? FileFlaw("\(error)")
                }
            }
        } catch {
            throw .certificateUnusable(reason: error.description)
        }
    }

    var context: NIOSSLContext { files.value }

    /// Blocking. Each change is tried once.
    func reloadIfChanged() -> ReloadedFiles<NIOSSLContext>.Reload { files.reloadIfChanged() }
}
