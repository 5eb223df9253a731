internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import Market
internal import NIOCore
internal import Settlement
internal import Units

extension Call {
    /// Reads or changes what is kept beside the journal; what goes wrong there is logged here and is not the caller's fault.
    func control<T>(_ body: (any ControlRecords) async throws -> T) async throws(Problem) -> T {
        try await services.control(logger, body)
    }

    var isFinance: Bool { principal.may(.finance) }
}

extension APIServices {
    func control<T>(_ logger: Logger, _ body: (any ControlRecords) async throws -> T) async throws(Problem) -> T {
        do { return try await body(control) } catch let refusal as ControlRefusal { throw Problem(refusal) } catch {
            logger.error("the records cannot be reached", metadata: ["error": "\(error)"])
            throw Problem.unavailable("The records")
        }
    }
}

extension Problem {
    init(_ refusal: ControlRefusal) {
        switch refusal {
        case .idempotencyKeyReused:
            self.init(
                .conflict, "idempotencyKeyReused", "This key came with another request before.", field: "Idempotency-Key")
        case .dispute(let refusal): self.init(refusal)
        case .deliveryUnknown: self.init(.unprocessableContent, "deliveryUnknown", "The account has no such delivery.", field: "deliveryID")
        case .lineUnknown: self.init(.unprocessableContent, "lineUnknown", "The account has no such line.", field: "line")
        case .breakUnknown: self.init(.notFound, "breakUnknown", "There is no such break.")
        case .breakClosed: self.init(.conflict, "breakClosed", "The break is resolved or gone.")
        case .accountUnknown:
            self.init(.unprocessableContent, "accountUnknown", "There is no such member of staff.", field: "account")
        case .importFlawed(let flaws):
            self.init(
                .unprocessableContent, "importFlawed", "Nothing was taken: \(flaws.description).",
                field: flaws.flaws.first.map { "line \($0.line)" })
        case .nothingToCompare: self.init(.conflict, "nothingToCompare", "There is no statement of that time.")
        }
    }

    private init(_ refusal: DisputeRefusal) {
        let (status, detail): (HTTPResponse.Status, String) =
            switch refusal {
            case .notConcerned: (.notFound, "The account has no such dispute.")
            case .closed: (.conflict, "The dispute is decided or withdrawn.")
            case .financeOnly: (.forbidden, "Disputes are decided by the role finance.")
            case .ownCase: (.forbidden, "A dispute is decided by somebody who is neither a party nor opened it.")
            case .claimantOnly: (.forbidden, "Only the claimant withdraws a dispute.")
            case .amountOutOfRange: (.unprocessableContent, "A credit is 1 satoshi to what was claimed.")
            case .creditAboveBill(let left):
                (.unprocessableContent, "All credits for the same work are at most its bill: \(left.rawValue) satoshis are left of it.")
            case .bearerIsClaimant: (.unprocessableContent, "The claimant does not pay the credit.")
            case .tooManyMessages: (.conflict, "The dispute has too many messages.")
            case .windowOver: (.conflict, "The time for objections is over; the role finance may open it.")
            case .intervalOutOfRange: (.unprocessableContent, "The interval is not within the delivery's time, or not over yet.")
            case .alreadyOpen: (.conflict, "There is an open dispute about this work.")
            case .tooManyOpen: (.conflict, "The account has too many open disputes.")
            }
        self.init(status, refusal.code, detail)
    }
}

extension Query {
    func time(_ name: String) throws(Problem) -> Timestamp? {
        guard let text = text(name) else { return nil }
        guard let time = Timestamp(rfc3339: text) else {
            throw Problem(
                .badRequest, "parameterOutOfRange", "This must be a time in UTC as RFC 3339 has it, such as 2026-01-31T12:00:00Z.",
                field: name)
        }
        return time
    }

    /// `format`: json, if it is not said, or csv.
    func isCSV() throws(Problem) -> Bool { try choice("format", ["json": false, "csv": true]) ?? false }
}

extension Response {
    /// A list as CSV: all of it, read page by page as it is taken.
    ///
    /// - Parameter first: the first page, read before the answer starts, so that unreadable tables are a 503
    static func csv<Item: Sendable>(
        _ name: String, header: [String], first: [Item], limit: Int, number: @escaping @Sendable (Item) -> Int64,
        row: @escaping @Sendable (Item) -> [String], next: @escaping @Sendable (Int64, Int) async throws -> [Item]
    ) -> Response {
        let headers: HTTPFields = [
            .contentType: "text/csv; charset=utf-8; header=present",
            .contentDisposition: "attachment; filename=\"\(name).csv\"",
        ]
        return Response(status: .ok, headers: headers, body: ResponseBody { writer in
            try await writer.write(ByteBuffer(string: CSV.row(header)))
            var page = first
            while let last = page.last {
                try await writer.write(ByteBuffer(string: page.map { CSV.row(row($0)) }.joined()))
                page = page.count < limit ? [] : try await next(number(last), limit)
            }
            try await writer.finish(nil)
        })
    }
}
