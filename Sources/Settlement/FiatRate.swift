public import Units

/// A price of one bitcoin in another currency, exact.
///
/// 1 to 12 digits, and up to 8 behind a point: `61234.5`. Never zero.
public struct FiatRate: Hashable, Sendable, CustomStringConvertible {
    /// The rate is this divided by 10^``scale``.
    public let coefficient: Int64
    /// 0 to 8
    public let scale: Int

    /// nil for anything but digits with at most one point between them; signs, spaces, exponents and separators of thousands are refused.
    public init?(_ text: String) {
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), (1...12).contains(parts[0].count) else { return nil }
        let fraction = parts.count == 2 ? Array(parts[1]) : []
        guard parts.count == 1 || (1...8).contains(fraction.count) else { return nil }
        let digits = Array(parts[0]) + fraction
        guard digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        let number = digits.reduce(Int128(0)) { $0 * 10 + Int128($1 - 0x30) }
        guard number > 0, let coefficient = Int64(exactly: number) else { return nil }
        (self.coefficient, self.scale) = (coefficient, fraction.count)
    }

    public var description: String { ExactDecimal.text(Int128(coefficient), scale: scale) }

    /// What an amount is worth in hundredths of the currency, rounded to the nearest, halves to the even one (for both sides alike).
    ///
    /// Saturated at the ends of Int64.
    public func hundredths(_ amount: Satoshis) -> Int64 {
        // satoshis x 10^-8 x coefficient x 10^-scale x 100
        let product = Int128(amount.rawValue) * Int128(coefficient)
        return Int64(clamping: ExactDecimal.halfEven(product, by: ExactDecimal.power(scale + 6)))
    }
}

/// Whole numbers written as decimals.
public enum ExactDecimal {
    /// 10^exponent, for 0 to 38
    public static func power(_ exponent: Int) -> Int128 { (0..<exponent).reduce(Int128(1)) { product, _ in product * 10 } }

    /// number / 10^scale with all digits of the fraction: `-0.050`.
    public static func text(_ number: Int128, scale: Int) -> String {
        let digits = String(number.magnitude)
        let padded = String(repeating: "0", count: max(0, scale + 1 - digits.count)) + digits
        let sign = number < 0 ? "-" : ""
        return scale == 0 ? sign + padded : sign + padded.dropLast(scale) + "." + padded.suffix(scale)
    }

    /// The same without zeros at the end.
    public static func short(_ number: Int128, scale: Int) -> String {
        var (number, scale) = (number, scale)
        while scale > 0, number % 10 == 0 { (number, scale) = (number / 10, scale - 1) }
        return text(number, scale: scale)
    }

    /// number / divisor, rounded to the nearest, halves to the even one.
    ///
    /// - Precondition: `divisor` is positive
    public static func halfEven(_ number: Int128, by divisor: Int128) -> Int128 {
        precondition(divisor > 0, "divisor is not positive")
        let (quotient, rest) = number.quotientAndRemainder(dividingBy: divisor)
        let twice = rest.magnitude * 2
        let isUp = twice > divisor.magnitude || (twice == divisor.magnitude && quotient % 2 != 0)
        return isUp ? quotient + (number < 0 ? -1 : 1) : quotient
    }
}

/// A day's rate as it was given by finance.
public struct DailyRate: Hashable, Sendable {
    /// A day, UTC.
    public var date: AccountingPeriod
    /// Three capital letters (ISO 4217).
    public var currency: String
    public var rate: FiatRate

    public init(date: AccountingPeriod, currency: String, rate: FiatRate) {
        self.date = date
        self.currency = currency
        self.rate = rate
    }

    /// Three capital letters, and not bitcoin itself.
    public static func isCurrency(_ text: String) -> Bool {
        text.utf8.count == 3 && text.utf8.allSatisfy { (0x41...0x5a).contains($0) } && text != "BTC"
    }
}

/// Reads `date,currency,rate` files.
public enum RateFile {
    /// At most so many rates in a file.
    public static let mostRows = 100_000
    static let header = "date,currency,rate"

    /// The rates of the file, or every line that is wrong.
    ///
    /// The first line may be the header. Fields may be in double quotes. Lines end with LF or CR LF; empty ones are passed over.
    public static func read(_ bytes: [UInt8]) -> (rates: [(line: Int, rate: DailyRate)], flaws: [ImportFlaw]) {
        var rates: [(line: Int, rate: DailyRate)] = []
        var flaws: [ImportFlaw] = []
        var seen: [String: Int] = [:]
        for (index, raw) in bytes.split(separator: 0x0a, omittingEmptySubsequences: false).enumerated() {
            let number = index + 1
            guard let text = String(validating: raw.last == 0x0d ? raw.dropLast() : raw, as: UTF8.self) else {
                flaws.append(ImportFlaw(line: number, reason: "not UTF-8"))
                continue
            }
            let line = index == 0 && text.first == "\u{feff}" ? String(text.dropFirst()) : text
            if line.isEmpty || (index == 0 && line.lowercased() == header) { continue }
            guard rates.count < mostRows, flaws.count < 100 else {
                flaws.append(ImportFlaw(line: number, reason: "more than \(mostRows) rates, or more than 100 wrong lines, in one file"))
                break
            }
            do throws(ImportFlaw) {
                let rate = try row(line, number)
                let key = "\(rate.date) \(rate.currency)"
                if let first = seen.updateValue(number, forKey: key) {
                    throw ImportFlaw(line: number, reason: "the same day and currency as in line \(first)")
                }
                rates.append((number, rate))
            } catch {
                flaws.append(error)
            }
        }
        return (rates, flaws)
    }

    private static func row(_ line: String, _ number: Int) throws(ImportFlaw) -> DailyRate {
        let fields = line.split(separator: ",", omittingEmptySubsequences: false).map { field in
            field.count >= 2 && field.first == "\"" && field.last == "\"" ? String(field.dropFirst().dropLast()) : String(field)
        }
        guard fields.count == 3 else { throw ImportFlaw(line: number, reason: "\(fields.count) fields instead of date,currency,rate") }
        guard let date = AccountingPeriod(fields[0]), date.day != nil else {
            throw ImportFlaw(line: number, reason: "the date is not a day as 2026-11-30")
        }
        guard DailyRate.isCurrency(fields[1]) else { throw ImportFlaw(line: number, reason: "the currency is not three capital letters") }
        guard let rate = FiatRate(fields[2]) else {
            throw ImportFlaw(line: number, reason: "the rate is not a positive decimal of at most 12 digits and 8 behind the point")
        }
        return DailyRate(date: date, currency: fields[1], rate: rate)
    }
}
