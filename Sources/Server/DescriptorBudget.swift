internal import Foundation
internal import WebAPI

/// How many connections the process's limit of open files has room for, so that no stranger can use it up.
struct DescriptorBudget: Sendable {
    /// Below this there is no room for a server.
    static let least = 512

    /// Connections to the API at one time; further ones wait to be accepted.
    let requests: Int
    /// Connections of miners; further ones are closed at once.
    let miners: Int

    /// Raises this process's limit as far as it may, and divides it: an eighth for the API, a sixteenth and some more
    /// for pools and databases, the rest for rigs.
    static func current() throws(ServerStartError) -> DescriptorBudget {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            throw ServerStartError("The limit of open files cannot be read")
        }
        if limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = limit.rlim_max
            _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            _ = getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
        let open = Int(clamping: min(limit.rlim_cur, 1 << 20))
        guard open >= least else {
            throw ServerStartError("Only \(open) files may be open: raise the limit (`ulimit -n`) to \(least) or more")
        }
        let requests = min(8192, open / 8)
        return DescriptorBudget(requests: requests, miners: open - requests - open / 16 - 192)
    }
}

extension DescriptorBudget {
    /// A quarter of the API's connections is kept for requests that are answered and done.
    var streams: MarketStreams.Configuration {
        var configuration = MarketStreams.Configuration()
        configuration.mostReaders = min(configuration.mostReaders, requests * 3 / 4)
        return configuration
    }
}
