internal import FoundationEssentials
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore

/// Turns whatever was thrown into a problem document, and logs what is ours to repair, once.
struct ProblemMiddleware: RouterMiddleware {
    let endpoints: [Endpoint]

    func handle(
        _ request: Request, context: APIContext,
        next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let problem as Problem {
            return response(problem)
        } catch let error as HTTPError where error.status == .notFound {
            return response(unmatched(request))
        } catch let error as any HTTPResponseError {
            return response(Problem(error.status, "requestRefused", error.status.reasonPhrase + "."))
        } catch let error as CancellationError {
            throw error
        } catch {
            context.logger.error(
                "request failed",
                metadata: ["error": "\(error)", "endpoint": "\(context.endpointPath ?? "")"])
            return response(.internalError)
        }
    }

    /// A path that exists with other methods, or not at all.
    private func unmatched(_ request: Request) -> Problem {
        let path = request.uri.path
        var methods = endpoints.filter { $0.matches(path) }.map(\.method.rawValue)
        guard !methods.isEmpty else { return .unknownPath }
        if methods.contains("GET") { methods.append("HEAD") }
        let list = methods.sorted().joined(separator: ", ")
        return Problem(.methodNotAllowed, "methodNotAllowed", "This path allows \(list).").with(.allow, list)
    }

    private struct Document: Encodable {
        var type: String
        var title: String
        var status: Int
        var code: String
        var detail: String
        var field: String?
        var position: Int?
    }

    private func response(_ problem: Problem) -> Response {
        let document = Document(
            type: "urn:hashspot:problem:\(problem.code)", title: problem.status.reasonPhrase,
            status: problem.status.code, code: problem.code, detail: problem.detail, field: problem.field,
            position: problem.position)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(document) else { preconditionFailure("a problem is always encodable") }
        var headers = problem.headers
        headers[.contentType] = "application/problem+json"
        headers[.cacheControl] = "no-store"
        return Response(
            status: problem.status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: data)))
    }
}
