import ArgumentParser
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

    func apply(to configuration: inout ServerConfiguration) throws {
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
