#if canImport(Glibc)
internal import Glibc
#elseif canImport(Darwin)
internal import Darwin
#endif

/// Allocations of the whole process so far, where `Scripts/count-allocations` counts them.
struct AllocationCount {
    private let read: @convention(c) () -> UInt

    /// Nil where nobody counts.
    init?() {
        guard let program = dlopen(nil, RTLD_NOW), let symbol = dlsym(program, "hashspot_allocation_count") else { return nil }
        read = unsafeBitCast(symbol, to: (@convention(c) () -> UInt).self)
    }

    var now: UInt { read() }
}
