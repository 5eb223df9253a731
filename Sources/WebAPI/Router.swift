internal import Exchange
internal import HTTPTypes
public import Hummingbird
public import HummingbirdCore
public import Logging
internal import Market
public import NIOCore

/// The API's routes. Further routes (pages, streams) may be added to what is returned.
///
/// Errors of all routes are answered as `application/problem+json`.
public func buildRouter(_ services: APIServices) -> Router<APIContext> {
    let router = Router(context: APIContext.self, options: .autoGenerateHeadEndpoints)
    router.add(middleware: ConnectionHeaders())
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
    logger: Logger? = nil, server: HTTPServerBuilder = .http1(),
    onServerRunning: @escaping @Sendable (any Channel) async -> Void = { _ in },
    extend: (Router<APIContext>) -> Void = { _ in }
) -> Application<RouterResponder<APIContext>> {
    let router = buildRouter(services)
    extend(router)
    var application = Application(
        router: router, server: server, configuration: configuration, onServerRunning: onServerRunning, logger: logger)
    application.addServices(StreamKeeper(streams: services.streams, reports: services.reports, logger: application.logger))
    return application
}

/// Lets requests through to their endpoints: key, role, body, in this order.
private struct Dispatcher: Sendable {
    let services: APIServices
    let gate: Gate
    let verifications = VerificationGate()
    let trail: StaffTrail

    init(services: APIServices) {
        self.services = services
        self.gate = Gate(services)
        self.trail = StaffTrail(services: services)
    }

    func answer(_ request: Request, _ context: APIContext, _ endpoint: Endpoint) async throws -> Response {
        switch endpoint.handler {
        case .open(let handle):
            return try await handle(OpenCall(
                services: services, request: request, logger: context.logger, address: context.remoteAddress?.ipAddress))
        case .keyed(let roles, let handle):
            let (principal, body) = try await gate.admit(Knock(request, context, endpoint, roles), logger: context.logger) {
                try await self.body(of: request)
            }
            let call = Call(
                services: services, verifications: verifications, request: request, parameters: context.parameters,
                principal: principal, body: body, gate: gate, logger: context.logger)
            var response = try await trail.answer(call, endpoint, requestID: context.id, handle)
            response.headers[.cacheControl] = "no-store"
            return response
        }
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
