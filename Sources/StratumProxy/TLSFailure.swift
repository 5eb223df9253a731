import Foundation
import NIOCore
import NIOSSL

/// Why a TLS connection to a pool did not come about. Safe to show.
enum TLSFailure: Error, Hashable, CustomStringConvertible {
    case expired
    case notYetValid
    case unknownIssuer
    case wrongName(String)
    case notTLS
    case closed
    case timedOut
    case handshake
    /// Our own settings: the extra certificates cannot be read.
    case noTrust

    var description: String {
        switch self {
        case .expired: "the certificate has expired"
        case .notYetValid: "the certificate is not valid yet"
        case .unknownIssuer: "the certificate's issuer is not known"
        case .wrongName(let name): "the certificate is not for \(name)"
        case .notTLS: "the pool does not speak TLS on this port"
        case .closed: "the pool closed during the TLS handshake"
        case .timedOut: "no answer to the TLS handshake in time"
        case .handshake: "the TLS handshake failed: no version or cipher in common, or a broken certificate"
        case .noTrust: "no certificates to check the pool with"
        }
    }

    /// - Parameters:
    ///   - certificate: what the peer presented, if it came to that
    ///   - host: the name that was connected to
    init(_ error: any Error, certificate: NIOSSLCertificate?, host: String) {
        if let error = error as? NIOSSLExtraError, error == .failedToValidateHostname {
            self = .wrongName(host)
            return
        }
        guard case .handshakeFailed(let cause)? = error as? NIOSSLError, case .sslError(let stack) = cause else {
            self = error is ChannelError || error is IOError ? .closed : .handshake
            return
        }
        self = TLSFailure.reading(stack, certificate)
    }

    private static func reading(_ stack: NIOBoringSSLErrorStack, _ certificate: NIOSSLCertificate?) -> TLSFailure {
        if stack.contains(.eofDuringHandshake) { return .closed }
        let text = stack.map(\.description).joined(separator: " ")
        if text.contains("CERTIFICATE_VERIFY_FAILED") { return judging(certificate) }
        let signsOfPlainText = ["WRONG_VERSION_NUMBER", "HTTP_REQUEST", "INVALID_OUTER_RECORD_TYPE", "UNEXPECTED_RECORD"]
        return signsOfPlainText.contains { text.contains($0) } ? .notTLS : .handshake
    }

    private static func judging(_ certificate: NIOSSLCertificate?) -> TLSFailure {
        guard let certificate else { return .unknownIssuer }
        let now = time(nil)
        if certificate.notValidAfter < now { return .expired }
        return certificate.notValidBefore > now ? .notYetValid : .unknownIssuer
    }
}
