internal import Exchange
internal import HTTPTypes
public import Hummingbird
public import Logging
internal import Market
public import NIOCore

/// The API's routes. Further routes (pages, streams) may be added to what is returned.
///
/// Errors of all routes are answered as `application/problem+json`.
public func buildRouter(_ services: APIServices) -> Router<BasicRequestContext> {
    let router = Router(context: BasicRequestContext.self, options: .autoGenerateHeadEndpoints)
    router.add(middleware: ProblemMiddleware(endpoints: Endpoint.all))
    let dispatcher = Dispatcher(services: services)
    for endpoint in Endpoint.all {
        router.on(RouterPath(endpoint.path), method: endpoint.method) { request, context in
            try await dispatcher.answer(request, context, endpoint)
        }
    }
    return router
}

/// The HTTP server around ``buildRouter(_:)``.
///
/// - Parameter extend: adds further routes to the API's.
public func buildApplication(
    _ services: APIServices, configuration: ApplicationConfiguration = ApplicationConfiguration(),
    logger: Logger? = nil, onServerRunning: @escaping @Sendable (any Channel) async -> Void = { _ in },
    extend: (Router<BasicRequestContext>) -> Void = { _ in }
) -> Application<RouterResponder<BasicRequestContext>> {
    let router = buildRouter(services)
    extend(router)
    return Application(
        router: router, configuration: configuration, onServerRunning: onServerRunning, logger: logger)
}

/// Lets requests through to their endpoints: key, role, body, in this order.
private struct Dispatcher: Sendable {
    let services: APIServices
    let authenticator: Authenticator
    let verifications = VerificationGate()
    let trail: StaffTrail

    init(services: APIServices) {
        self.services = services
        self.authenticator = Authenticator(directory: services.directory, now: services.now)
        self.trail = StaffTrail(services: services)
    }

    func answer(_ request: Request, _ context: BasicRequestContext, _ endpoint: Endpoint) async throws -> Response {
        switch endpoint.handler {
        case .open(let handle):
            return try await handle(OpenCall(services: services, request: request, logger: context.logger))
        case .keyed(let roles, let handle):
            let principal = try await authenticator.principal(request.headers, logger: context.logger)
            try check(principal, roles)
            let body = try await body(of: request)
            let call = Call(
                services: services, verifications: verifications, request: request, parameters: context.parameters,
                principal: principal, body: body, logger: context.logger)
            var response = try await trail.answer(call, endpoint, requestID: context.id, handle)
            response.headers[.cacheControl] = "no-store"
            return response
        }
    }

    private func check(_ principal: Principal, _ roles: Set<Role>) throws(Problem) {
        guard !roles.isEmpty, !roles.contains(where: principal.may) else { return }
        let names = roles.map(\.rawValue).sorted().joined(separator: " or ")
        throw Problem(.forbidden, "roleMissing", "This needs a key with the role \(names).", field: "Authorization")
    }

    private func body(of request: Request) async throws -> [UInt8] {
        guard [.post, .put, .patch, .delete].contains(request.method) else { return [] }
        if let length = request.headers[.contentLength], Int(length).map({ $0 > Limits.bodyBytes }) ?? true {
            throw Problem.bodyTooLarge
        }
        do {
            return Array(buffer: try await request.body.collect(upTo: Limits.bodyBytes))
        } catch is NIOTooManyBytesError {
            throw Problem.bodyTooLarge
        }
    }
}
