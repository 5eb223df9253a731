import ArgumentParser
import Certificates
import Market
import Server
import Units
import WebAPI

/// The file of master keys.
struct SecretsOptions: ParsableArguments {
    @Option(help: ArgumentHelp(
        "Master keys of secrets at rest, 64 hexadecimal digits a line, newest first; not given: secrets.key in the --data folder.",
        valueName: "file"))
    var secretsKey: String?
}

/// Who may use the API, and how.
struct AccessOptions: ParsableArguments {
    @OptionGroup var secrets: SecretsOptions

    @Option(help: ArgumentHelp(
        "A proxy (or a network of them) whose X-Forwarded-For is believed; may be given several times.", valueName: "192.0.2.0/24"))
    var trustedProxy: [String] = []

    @Option(help: ArgumentHelp("How far the time of signed requests may be off.", valueName: "seconds"))
    var signatureWindow: Int64 = 300

    @Option(help: ArgumentHelp(
        "The API's certificate, and those behind it (PEM), for TLS 1.3 and HTTP/2; read again when it changes. "
            + "Not given: HTTP in the clear.", valueName: "file"))
    var apiTlsCertificate: String?

    @Option(help: ArgumentHelp("The key of the API's certificate (PEM).", valueName: "file"))
    var apiTlsKey: String?

    @Option(help: ArgumentHelp(
        "Authorities of clients' certificates (PEM): with them nobody gets to the API without such a certificate.", valueName: "file"))
    var apiClientCa: String?

    private func tls() throws -> CertificateFiles? {
        switch (apiTlsCertificate, apiTlsKey) {
        case (nil, nil):
            guard apiClientCa == nil else { throw CommandFailure(description: "--api-client-ca needs --api-tls-certificate") }
            return nil
        case (let certificate?, let key?):
            return CertificateFiles(certificatePath: certificate, keyPath: key, clientAuthorities: apiClientCa)
        default: throw CommandFailure(description: "--api-tls-certificate and --api-tls-key go together")
        }
    }

    func apply(to configuration: inout ServerConfiguration) throws {
        configuration.apiTLS = try tls()
        configuration.secretsKeyFile = secrets.secretsKey
        guard (1...86_400).contains(signatureWindow) else {
            throw CommandFailure(description: "--signature-window is not from 1 to 86400 seconds")
        }
        configuration.access.window = SignatureWindow(.seconds(signatureWindow))
        configuration.access.proxies.networks = try networks(trustedProxy, option: "--trusted-proxy")
    }
}

/// Networks as they are typed.
func networks(_ texts: [String], option: String) throws -> [IPNetwork] {
    try texts.map { text in
        guard let network = IPNetwork(text) else {
            throw CommandFailure(description: "\(option): \(text) is not an address or a network such as 192.0.2.0/24 or 2001:db8::/32")
        }
        return network
    }
}
