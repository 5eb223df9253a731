import Crypto
import Database
import Foundation
import Market
import Store
import Units

/// Puts what somebody with access to the database does into the audit trail: before it is done, and what came of it.
struct OperatorTrail {
    private let store: ControlStore

    init(_ database: Database) { store = ControlStore(database) }

    /// As the trail names whoever runs this command.
    static var name: String {
        let login = NSUserName()
        return "operator:" + (login.isEmpty ? "unknown" : String(login.prefix(64)))
    }

    /// - Parameters:
    ///   - action: the command, such as `hashspot account create`
    ///   - subject: what it is about
    ///   - request: short form, without secrets
    /// - Throws: what `body` throws, or a failure when the act cannot be noted: then it is not done
    func record<T>(_ action: String, subject: String, request: String, _ body: () async throws -> T) async throws -> T {
        let act = AuditAct(
            actor: AccountID(0), actorName: OperatorTrail.name, action: action, subject: subject, request: request,
            digest: Array(SHA256.hash(data: Array("\(action)\n\(subject)\n\(request)".utf8))),
            requestID: "process \(ProcessInfo.processInfo.processIdentifier)")
        let number: Int64
        do { number = try await store.begin(act, at: MarketService.systemClock()) } catch {
            throw CommandFailure(description: "the audit trail cannot be written, so nothing was done: \(operatorText(error))")
        }
        do {
            let result = try await body()
            await end(number, AuditOutcome(status: 0))
            return result
        } catch {
            await end(number, AuditOutcome(status: 1, code: "failed"))
            throw error
        }
    }

    /// The act is done: without its outcome the trail says that nobody knows it.
    private func end(_ number: Int64, _ outcome: AuditOutcome) async {
        do { try await store.end(number, outcome, at: MarketService.systemClock()) } catch {
            writeError("the outcome could not be put into the audit trail: \(operatorText(error))")
        }
    }
}
