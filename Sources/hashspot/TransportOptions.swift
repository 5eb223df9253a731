import ArgumentParser
import Server

/// What an edge's connections go through, embedded or in a process of its own.
struct TransportOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Another port, for rigs that speak TLS; 0 takes any free one.", valueName: "port"))
    var stratumTlsPort: Int?

    @Option(help: ArgumentHelp(
        "The certificate that rigs with TLS are shown, and those behind it (PEM); read again when it changes.", valueName: "file"))
    var tlsCertificate: String?

    @Option(help: ArgumentHelp("The certificate's key (PEM).", valueName: "file"))
    var tlsKey: String?

    @Option(help: ArgumentHelp("Authorities that pools' certificates may be from, beside the system's (PEM).", valueName: "file"))
    var poolCa: String?

    @Option(help: ArgumentHelp(
        "A load balancer, or a network of them: rigs' connections from there begin with a PROXY header (version 1 or 2). "
            + "May be repeated.", valueName: "network"))
    var trustProxy: [String] = []

    @Option(help: ArgumentHelp(
        "A network that is never banned by its address, such as a farm's. May be repeated.", valueName: "network"))
    var allowNetwork: [String] = []

    func transport() throws -> StratumTransport {
        var transport = StratumTransport()
        switch (stratumTlsPort, tlsCertificate, tlsKey) {
        case (nil, nil, nil): break
        case (let port?, let certificate?, let key?):
            guard (0...65_535).contains(port) else { throw CommandFailure(description: "--stratum-tls-port is not from 0 to 65535") }
            transport.tls = .init(port: port, certificatePath: certificate, keyPath: key)
        default: throw CommandFailure(description: "--stratum-tls-port, --tls-certificate and --tls-key go together")
        }
        transport.poolAuthorities = poolCa
        transport.trustedProxies = trustProxy
        transport.allowedNetworks = allowNetwork
        if let flaw = transport.flaw { throw CommandFailure(description: flaw) }
        return transport
    }
}
