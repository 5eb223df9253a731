internal import HTTPTypes

/// A refusal as RFC 9457 has it. Its text is safe to show to a stranger.
struct Problem: Error, Hashable, Sendable {
    var status: HTTPResponse.Status
    /// Stable, for programs.
    var code: String
    /// What is wrong, in a sentence.
    var detail: String
    /// The field, query parameter or header that is wrong.
    var field: String?
    /// Byte offset in the body where it stops being JSON.
    var position: Int?
    /// Further response headers.
    var headers: HTTPFields = [:]

    init(_ status: HTTPResponse.Status, _ code: String, _ detail: String, field: String? = nil, position: Int? = nil) {
        self.status = status
        self.code = code
        self.detail = detail
        self.field = field
        self.position = position
    }

    func with(_ name: HTTPField.Name, _ value: String) -> Problem {
        var problem = self
        problem.headers[name] = value
        return problem
    }

    /// Where the path is right, but what a field of the body refers to is not there.
    func referring(to field: String) -> Problem {
        guard status == .notFound else { return self }
        var problem = self
        problem.status = .unprocessableContent
        problem.field = field
        return problem
    }
}

extension Problem {
    static let unknownPath = Problem(.notFound, "pathUnknown", "There is nothing at this path.")
    static let internalError = Problem(
        .internalServerError, "internalError", "Something went wrong here; it is in the log.")
    static let bodyTooLarge = Problem(
        .contentTooLarge, "bodyTooLarge", "A request's body has at most \(Limits.bodyBytes) bytes.")

    static func unknown(_ what: String, code: String) -> Problem {
        Problem(.notFound, code, "The account has no such \(what).")
    }

    static func unavailable(_ what: String) -> Problem {
        Problem(.serviceUnavailable, "unavailable", "\(what) cannot be reached just now; try again later.")
            .with(.retryAfter, "1")
    }
}

/// Bounds of what a request may ask for.
enum Limits {
    static let bodyBytes = 65_536
    static let jsonDepth = 8
    static let listLimit = 500
    static let defaultListLimit = 100
    static let bookLevels = 500
    static let defaultBookLevels = 20
    /// Asks reported as passed over, and asks looked at for them.
    static let passedOver = 20
    static let passedOverSteps = 200
    static let trades = 1000
    static let defaultTrades = 100
    /// Orders of an account whose places in the book are told at a time.
    static let ownPlaces = 1000
    static let cachedKeys = 4096
    /// Nonces of signed requests that are remembered, at about 40 bytes each.
    static let nonces = 1 << 20
    static let verificationsAtOnce = 32
    static let verificationsPerAccount = 4
    /// Lines read from the tables at a time while a report is streamed.
    static let reportPage = 1000
}
