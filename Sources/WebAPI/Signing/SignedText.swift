internal import Crypto

/// What of a request is signed, in NiceHash's published form, so that signing code that exists works here.
///
/// Key, time, nonce, nothing, organization, nothing, method, path and query, with a zero byte between each and the next; then, if
/// there is one, a zero byte and the body. Everything as it was sent, percent signs included. Signed by HMAC-SHA256 with the UTF-8
/// of the secret.
struct SignedText: Hashable, Sendable {
    var key: String
    var time: String
    var nonce: String
    var organization: String
    var method: String
    var path: String
    /// Without its question mark.
    var query: String
    var body: [UInt8]

    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(256 + path.utf8.count + query.utf8.count + body.count)
        for part in [key, time, nonce, "", organization, "", method, path] {
            bytes.append(contentsOf: part.utf8)
            bytes.append(0)
        }
        bytes.append(contentsOf: query.utf8)
        if !body.isEmpty {
            bytes.append(0)
            bytes.append(contentsOf: body)
        }
        return bytes
    }

    /// Whether the code is this text's. Takes the same time wherever a wrong one differs.
    func isSigned(_ code: [UInt8], by secret: SymmetricKey) -> Bool {
        HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: bytes, using: secret)
    }

    func sign(_ secret: SymmetricKey) -> [UInt8] { Array(HMAC<SHA256>.authenticationCode(for: bytes, using: secret)) }
}

/// What signing clients get wrong: told to who has the secret, for nobody else makes a code that fits one of these.
enum SigningMistake: CaseIterable {
    case bodyLeftOut
    case queryLeftOut
    case queryWithQuestionMark
    case queryInPath
    case percentSignsDecoded
    case methodInLowerCase
    case organizationLeftOut
    case bodySeparatorWithoutBody

    /// The text as it is signed with this mistake; nil where it would make no difference.
    func text(_ right: SignedText) -> SignedText? {
        var text = right
        switch self {
        case .bodyLeftOut: text.body = []
        case .queryLeftOut: text.query = ""
        case .queryWithQuestionMark: if !right.query.isEmpty { text.query = "?" + right.query }
        case .queryInPath:
            if !right.query.isEmpty { (text.path, text.query) = (right.path + "?" + right.query, "") }
        case .percentSignsDecoded:
            text.path = right.path.percentDecoded ?? right.path
            text.query = right.query.percentDecoded ?? right.query
        case .methodInLowerCase: text.method = right.method.lowercased()
        case .organizationLeftOut: text.organization = ""
        case .bodySeparatorWithoutBody: if right.body.isEmpty { text.query = right.query + "\0" }
        }
        return text == right ? nil : text
    }

    var advice: String {
        switch self {
        case .bodyLeftOut: "It fits the request without its body: sign a zero byte and the body, too."
        case .queryLeftOut: "It fits the request without its query: sign the query, too."
        case .queryWithQuestionMark: "It fits the query with its question mark: sign the query without."
        case .queryInPath: "It fits path and query in one: sign a zero byte between them, in place of the question mark."
        case .percentSignsDecoded: "It fits path and query decoded: sign them as they are sent, percent signs included."
        case .methodInLowerCase: "It fits the method in lower case: sign it in upper case."
        case .organizationLeftOut: "It fits the request without its X-Organization-Id: sign the header's value, too."
        case .bodySeparatorWithoutBody: "It fits with a zero byte after the query: without a body there is none."
        }
    }

    /// The one that explains a code that is wrong.
    static func explaining(_ code: [UInt8], of text: SignedText, by secret: SymmetricKey) -> SigningMistake? {
        allCases.first { $0.text(text)?.isSigned(code, by: secret) ?? false }
    }
}

extension String {
    /// nil if a percent sign is followed by something else than two hexadecimal digits, or if that is not UTF-8.
    fileprivate var percentDecoded: String? {
        var bytes: [UInt8] = []
        var rest = Array(utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let decoded = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else { return nil }
            bytes.append(decoded)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
