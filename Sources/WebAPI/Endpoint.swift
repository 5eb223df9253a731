internal import HTTPTypes
internal import Hummingbird
internal import Market

/// One operation of the API: a row of the table that routes, roles, 405 answers and the tests are made from.
struct Endpoint: Sendable {
    enum Handler: Sendable {
        /// For anybody.
        case open(@Sendable (OpenCall) async throws -> Response)
        /// For holders of one of the roles, or of any key when there are none. Admins may do everything.
        case keyed(Set<Role>, @Sendable (Call) async throws -> Response)
    }

    var method: HTTPRequest.Method
    /// As OpenAPI writes it: `/v1/bids/{id}`.
    var path: String
    var handler: Handler

    static func open(
        _ method: HTTPRequest.Method, _ path: String, _ handle: @escaping @Sendable (OpenCall) async throws -> Response
    ) -> Endpoint {
        Endpoint(method: method, path: path, handler: .open(handle))
    }

    static func keyed(
        _ method: HTTPRequest.Method, _ path: String, _ roles: Set<Role> = [],
        _ handle: @escaping @Sendable (Call) async throws -> Response
    ) -> Endpoint {
        Endpoint(method: method, path: path, handler: .keyed(roles, handle))
    }

    /// Whether a request's path is one of this endpoint.
    func matches(_ path: String) -> Bool {
        let mine = self.path.split(separator: "/")
        let theirs = path.split(separator: "/")
        return mine.count == theirs.count && zip(mine, theirs).allSatisfy { $0.hasPrefix("{") || $0 == $1 }
    }
}

extension Endpoint {
    /// All there is.
    static let all: [Endpoint] =
        MarketEndpoints.all + StaffEndpoints.all + PoolTargetEndpoints.all + RejectEndpoints.all + RigEndpoints.all + FarmEndpoints.all
        + OrderEndpoints.all + AccountOrderEndpoints.all + DeliveryEndpoints.all + MoneyEndpoints.all + ReportEndpoints.all
        + FleetEndpoints.all + BlockEndpoints.all + EdgeEndpoints.all + KeyEndpoints.all + TreasuryEndpoints.all + LedgerEndpoints.all
        + SettlementLineEndpoints.all + DocumentEndpoints.all
        + AuditTrailEndpoints.all + DisputeEndpoints.all + IndexEndpoints.all + ReconciliationEndpoints.all
        + SettlementEndpoints.all + MarketDataEndpoints.all + StreamEndpoints.all
}

extension Principal {
    /// Whether a role is held, or stood for by `admin`.
    func may(_ role: Role) -> Bool { roles.contains(role) || roles.contains(.admin) }

    /// The account that lists and look-ups are limited to; nil for those who may see everybody's.
    func scope(unless role: Role) -> AccountScope { may(role) ? .all : .own(account) }
}
