internal import NIOCore
public import NIOSSL

/// A server's certificate and its key, as PEM files.
public struct CertificateFiles: Hashable, Sendable {
    /// The certificate, then those between it and its authority.
    public var certificatePath: String
    public var keyPath: String
    /// Authorities of clients' certificates, one of which each client must have; nil: clients show none.
    public var clientAuthorities: String?

    public init(certificatePath: String, keyPath: String, clientAuthorities: String? = nil) {
        self.certificatePath = certificatePath
        self.keyPath = keyPath
        self.clientAuthorities = clientAuthorities
    }

    public var paths: [String] { [certificatePath, keyPath] + (clientAuthorities.map { [$0] } ?? []) }

    /// Reads and checks them. Blocking.
    public func configuration(minimumVersion: TLSVersion) throws(FileFlaw) -> TLSConfiguration {
        let chain = try CertificateFiles.certificates(certificatePath)
        let key: NIOSSLPrivateKey
        do { key = try NIOSSLPrivateKey(file: keyPath, format: .pem) } catch {
            throw FileFlaw("\(keyPath) cannot be read as a PEM key")
        }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = minimumVersion
        configuration.shutdownTimeout = .seconds(1)
        if let clientAuthorities {
            configuration.trustRoots = .certificates(try CertificateFiles.certificates(clientAuthorities))
            configuration.certificateVerification = .noHostnameVerification
        }
        do { _ = try NIOSSLContext(configuration: configuration) } catch {
            throw FileFlaw("the key in \(keyPath) is not that of the certificate in \(certificatePath)")
        }
        return configuration
    }

    private static func certificates(_ path: String) throws(FileFlaw) -> [NIOSSLCertificate] {
        let certificates: [NIOSSLCertificate]
        do { certificates = try NIOSSLCertificate.fromPEMFile(path) } catch {
            throw FileFlaw("\(path) cannot be read as PEM certificates")
        }
        guard !certificates.isEmpty else { throw FileFlaw("\(path) has no certificate") }
        return certificates
    }
}
