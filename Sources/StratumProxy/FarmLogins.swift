import NIOCore
import Stratum
import Units

/// Logins of farms' workers that are no rigs yet: they wait until their rig is committed.
final class FarmLogins {
    private struct Waiter {
        let miner: MinerConnection
        let id: MessageID
        let login: MinerSession.Login
        let farm: FarmEntry
        let worker: String
    }

    private unowned let core: EdgeCore
    private let registrar: (any EdgeRegistrar)?
    private var queue: RegistrationQueue<Waiter>
    /// What is asked for each user that waits.
    private var asked: [String: (farm: FarmID, worker: String)] = [:]
    private var isPumping = false

    init(core: EdgeCore, registrar: (any EdgeRegistrar)?) {
        self.core = core
        self.registrar = registrar
        var limits = RegistrationQueue<Waiter>.Limits()
        limits.inFlight = core.configuration.limits.registrationsInFlight
        limits.waiting = core.configuration.limits.registrationsWaiting
        queue = RegistrationQueue(limits: limits, seed: .random(in: .min ... .max))
    }

    /// Nothing is under way.
    var isQuiet: Bool { queue.inFlight == 0 }

    /// The farm whose login a user name begins with.
    func farm(of user: String) -> (farm: FarmEntry, worker: String)? {
        guard registrar != nil, let dot = user.lastIndex(of: ".") else { return nil }
        guard let farm = core.directory.farm(user: String(user[..<dot])) else { return nil }
        return (farm, String(user[user.index(after: dot)...]))
    }

    /// Its password was right: the miner hears of it when the rig is there.
    func admit(
        _ farm: FarmEntry, _ worker: String, _ login: MinerSession.Login, id: MessageID, on miner: MinerConnection
    ) -> LoginOutcome {
        guard FarmLogins.isName(worker) else {
            return .refused(StratumError(code: 24, text: "A worker's name has 1 to 32 letters, digits, - or _"))
        }
        // One connection is one rig: it does not make others.
        guard miner.rig == nil else { return .refused(StratumError(code: 24, text: "Another rig is on this connection")) }
        guard !miner.isAwaitingLogin else { return .refused(.other("A login is under way")) }
        let waiter = Waiter(miner: miner, id: id, login: login, farm: farm, worker: worker)
        switch queue.add(waiter, user: login.user, now: core.now()) {
        case .full: return .refused(.other("Too many new rigs at once; try again"))
        case .queued: asked[login.user] = (farm.id, worker)
        case .joined: break
        }
        // The answer may come at once.
        miner.isAwaitingLogin = true
        pump()
        return .waiting
    }

    func tick(now: Timestamp) {
        guard !queue.isEmpty else { return }
        for waiter in queue.tick(now: now) {
            asked[waiter.login.user] = nil
            let miner = waiter.miner
            miner.isAwaitingLogin = false
            miner.conclude(waiter.id, waiter.login, .refused(.other("The rig could not be made in time; try again")))
        }
        pump()
    }

    private func pump() {
        // An answer that comes at once is no reason to go deeper.
        guard let registrar, !isPumping else { return }
        isPumping = true
        defer { isPumping = false }
        while let user = queue.next() {
            guard let asked = asked[user] else { continue }
            let promise = core.loop.makePromise(of: WorkerRegistration.self)
            promise.futureResult.assumeIsolated().whenSuccess { [weak self] in self?.answered(user, $0) }
            registrar.register(farm: asked.farm, worker: asked.worker) { promise.succeed($0) }
        }
    }

    private func answered(_ user: String, _ answer: WorkerRegistration) {
        switch answer {
        // The directory may hear of it a little later.
        case .registered where core.directory.rig(user: user) == nil: queue.retry(user, now: core.now())
        case .busy: queue.retry(user, now: core.now())
        case .registered: settle(user) { core.outcome(of: $0.login, id: $0.id, on: $1) }
        case .refused(let text): settle(user) { _, _ in .refused(StratumError(code: 24, text: text)) }
        }
        pump()
    }

    private func settle(_ user: String, _ outcome: (Waiter, MinerConnection) -> LoginOutcome) {
        asked[user] = nil
        for waiter in queue.settle(user) {
            let miner = waiter.miner
            guard !miner.isClosed else { continue }
            miner.isAwaitingLogin = false
            miner.conclude(waiter.id, waiter.login, outcome(waiter, miner))
        }
    }

    /// As the exchange has it: asked here first, so that nonsense does not reach it.
    private static func isName(_ name: String) -> Bool {
        (1...32).contains(name.utf8.count) && name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                true
            default: false
            }
        }
    }
}
