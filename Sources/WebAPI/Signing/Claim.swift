internal import HTTPTypes
internal import Units

/// Who a request says it is from, before anything of it is proved.
enum Claim: Hashable, Sendable {
    /// By the SHA-256 of its bearer token.
    case bearer(digest: [UInt8])
    case signed(Signature)

    /// What a signed request's headers say.
    struct Signature: Hashable, Sendable {
        var key: String
        /// 32 bytes.
        var code: [UInt8]
        /// As sent: milliseconds since 1970.
        var time: String
        var nonce: String
        var organization: String

        var timestamp: Timestamp
    }

    /// Takes one of the two kinds of credentials; a request with both is refused, for it is not clear which counts.
    init(_ headers: HTTPFields) throws(Problem) {
        guard let auth = try Claim.single(.xAuth, headers) else {
            self = .bearer(digest: APIKey.digest(try Claim.token(headers)))
            return
        }
        guard headers[.authorization] == nil else {
            throw Problem(
                .unauthorized, "credentialsAmbiguous", "Send a bearer token or a signature, not both.", field: "X-Auth")
        }
        self = .signed(try Claim.signature(auth, headers))
    }

    // MARK: - Bearer tokens

    static let invalid = Problem(.unauthorized, "invalidCredentials", "There is no such API key.", field: "Authorization")
        .with(.wwwAuthenticate, "Bearer error=\"invalid_token\"")

    private static let missing = Problem(
        .unauthorized, "missingCredentials", "Send `Authorization: Bearer <API key>`, or sign the request.", field: "Authorization")
        .with(.wwwAuthenticate, "Bearer")

    /// The token in an Authorization header, by its form: `hs_` and 43 base64url characters.
    private static func token(_ headers: HTTPFields) throws(Problem) -> String {
        guard let header = headers[.authorization] else { throw missing }
        let parts = header.split(separator: " ", maxSplits: 1)
        guard let scheme = parts.first, scheme.lowercased() == "bearer" else { throw missing }
        guard parts.count == 2, APIKey.isWellFormed(parts[1]) else { throw invalid }
        return String(parts[1])
    }

    // MARK: - Signatures

    private static func signature(_ auth: String, _ headers: HTTPFields) throws(Problem) -> Signature {
        let parts = auth.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, (1...64).contains(parts[0].utf8.count), let code = Hex.bytes(parts[1], count: 32) else {
            throw flaw("signatureMalformed", .xAuth, "This is the key's name, a colon and 64 hexadecimal digits of HMAC-SHA256.")
        }
        let time = try required(.xTime, headers)
        guard (1...16).contains(time.utf8.count), time.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int64(time)
        else { throw flaw("signatureMalformed", .xTime, "This is the time in whole milliseconds since 1970, UTC.") }
        let (microseconds, overflow) = number.multipliedReportingOverflow(by: 1000)
        let nonce = try required(.xNonce, headers)
        guard isVisible(nonce, 1...64) else {
            throw flaw("signatureMalformed", .xNonce, "A nonce has 1 to 64 visible ASCII characters.")
        }
        let organization = try single(.xOrganization, headers) ?? ""
        guard isVisible(organization, 0...64) else {
            throw flaw("signatureMalformed", .xOrganization, "This is the account's number.")
        }
        return Signature(
            key: String(parts[0]), code: code, time: time, nonce: nonce, organization: organization,
            timestamp: overflow ? .distantFuture : Timestamp(microseconds: microseconds))
    }

    private static func isVisible(_ text: String, _ length: ClosedRange<Int>) -> Bool {
        length.contains(text.utf8.count) && text.utf8.allSatisfy { (0x21...0x7e).contains($0) }
    }

    private static func required(_ name: HTTPField.Name, _ headers: HTTPFields) throws(Problem) -> String {
        guard let value = try single(name, headers) else {
            throw flaw("signatureHeaderMissing", name, "A signed request has X-Time, X-Nonce and X-Auth.")
        }
        return value
    }

    private static func single(_ name: HTTPField.Name, _ headers: HTTPFields) throws(Problem) -> String? {
        let values = headers[values: name]
        guard values.count <= 1 else { throw flaw("signatureMalformed", name, "This header is sent once.") }
        return values.first
    }

    static func flaw(_ code: String, _ field: HTTPField.Name, _ detail: String) -> Problem {
        Problem(.unauthorized, code, detail, field: field.rawName).with(.wwwAuthenticate, "Bearer")
    }
}

extension HTTPField.Name {
    static let xAuth = HTTPField.Name("X-Auth")!
    static let xTime = HTTPField.Name("X-Time")!
    static let xNonce = HTTPField.Name("X-Nonce")!
    static let xOrganization = HTTPField.Name("X-Organization-Id")!
    static let xForwardedFor = HTTPField.Name("X-Forwarded-For")!
    static let xServerTime = HTTPField.Name("X-Server-Time")!
}
