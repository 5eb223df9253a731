import ArgumentParser
import Units

/// An algorithm as an argument names it.
enum AlgorithmChoice: String, ExpressibleByArgument, CaseIterable {
    case sha256d
    case scrypt

    var algorithm: Algorithm {
        switch self {
        case .sha256d: .sha256d
        case .scrypt: .scrypt
        }
    }
}
