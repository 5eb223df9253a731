internal import HTTPTypes
internal import Hummingbird

/// Takes from responses over HTTP/2 what only HTTP/1.1 may say of connections (RFC 9113, section 8.2.2).
struct ConnectionHeaders: RouterMiddleware {
    func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        var response = try await next(request, context)
        if context.isMultiplexed { response.headers[.connection] = nil }
        return response
    }
}
