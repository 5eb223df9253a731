#if canImport(Glibc)
internal import Glibc
#elseif canImport(Darwin)
internal import Darwin
#endif

/// Clocks of the machine, in nanoseconds.
enum Stopwatch {
    @inline(__always)
    static func now() -> UInt64 { read(CLOCK_MONOTONIC) }

    /// Processor time of all threads of the process.
    static func processor() -> UInt64 { read(CLOCK_PROCESS_CPUTIME_ID) }

    @inline(__always)
    private static func read(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }

    /// What two readings with nothing between them show, in nanoseconds: the median of many.
    static func ownCost() -> Double {
        var samples = Samples(capacity: 100_000)
        for _ in 0..<100_000 {
            let start = now()
            samples.add(now() &- start)
        }
        return samples.quantile(0.5)
    }

    /// Resident memory of the process in bytes; 0 where /proc does not tell.
    static func residentBytes() -> Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 128)
        guard fgets(&line, 128, file) != nil else { return 0 }
        let fields = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).split(separator: " ")
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
    }
}

/// Durations in nanoseconds, each at most 4 s.
struct Samples {
    private var values: [UInt32] = []
    private var isSorted = true

    var count: Int { values.count }

    init(capacity: Int) { values.reserveCapacity(capacity) }

    @inline(__always)
    mutating func add(_ nanoseconds: UInt64) {
        values.append(UInt32(truncatingIfNeeded: min(nanoseconds, UInt64(UInt32.max))))
        isSorted = false
    }

    mutating func add(_ others: Samples) {
        values += others.values
        isSorted = false
    }

    /// The smallest duration that this part of the samples does not exceed; 0 without samples.
    mutating func quantile(_ part: Double) -> Double {
        if values.isEmpty { return 0 }
        if !isSorted { values.sort() }
        isSorted = true
        return Double(values[min(values.count - 1, Int((Double(values.count) * part).rounded(.up)) - 1)])
    }
}
