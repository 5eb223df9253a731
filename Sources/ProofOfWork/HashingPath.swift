import CHashing

/// How SHA-256 is computed. All ways give the same values.
public enum HashingPath: Hashable, Sendable, CaseIterable {
    /// Plain C, on any processor.
    case portable
    /// The processor's own instructions for SHA-256: on x86 the SHA extensions, on 64-bit ARM its SHA-2 extension.
    case instructions

    /// The fastest that this processor has; it was asked once.
    public static var best: HashingPath { hashing_best() == hashing_portable ? .portable : .instructions }

    /// Without instructions the portable way is taken.
    var implementation: hashing_implementation {
        switch self {
        case .portable: hashing_portable
        case .instructions: hashing_best()
        }
    }
}
