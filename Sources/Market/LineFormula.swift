internal import Exchange
public import Settlement
public import Units

/// The design's formula ("Amounts") with a line's numbers in it.
public struct LineFormula: Hashable, Sendable {
    /// Totals before and after the line.
    public var before: BillingTotals
    public var after: BillingTotals
    /// What the line must move by it.
    public var amounts: LineAmounts
    /// In words and numbers, a step a line.
    public var steps: [String]

    /// nil for lines that no formula gives: credits are decided by people, and other codes charge nothing.
    public init?(_ line: LineEvidence) {
        guard line.code.isBilled else { return nil }
        let terms = line.delivery.terms
        before = line.before
        let added = Int128(terms.price.rawValue) * Int128(line.work.units)
        let weighted = before.weightedWork + added
        guard weighted >= 0 else { return nil }
        let charge = Tariff.charge(weightedWork: weighted, priceUnit: terms.priceUnit, algorithm: line.algorithm)
        after = BillingTotals(
            weightedWork: weighted, charge: charge, sellerFee: Tariff.fee(charge, terms.sellerFee),
            buyerFee: Tariff.fee(charge, terms.buyerFee))
        amounts = LineAmounts(
            charge: after.charge - before.charge, sellerFee: after.sellerFee - before.sellerFee, buyerFee: after.buyerFee - before.buyerFee)
        steps = [
            "N = sum of price x work over all lines of bid \(line.delivery.bid), ask \(line.delivery.ask), rig \(line.delivery.rig), "
                + "tariff \(line.delivery.tariff), in their order",
            "N before = \(before.weightedWork)",
            "N after = \(before.weightedWork) + \(terms.price.rawValue) x \(line.work.units) = \(weighted)",
            "cumulative charge = floor(N x \(line.algorithm.hashesPerUnit) / (\(terms.priceUnit.hashesPerSecond) x 86400)) "
                + "= \(charge.rawValue)",
            "charge = \(charge.rawValue) - \(before.charge.rawValue) = \(amounts.charge.rawValue)",
            LineFormula.fee("seller's", charge, terms.sellerFee, after.sellerFee, before.sellerFee, amounts.sellerFee),
            LineFormula.fee("buyer's", charge, terms.buyerFee, after.buyerFee, before.buyerFee, amounts.buyerFee),
            "buyer's debit = \(amounts.charge.rawValue) + \(amounts.buyerFee.rawValue) = \(amounts.debit.rawValue)",
            "seller's proceeds = \(amounts.charge.rawValue) - \(amounts.sellerFee.rawValue) = \(amounts.proceeds.rawValue)",
        ]
    }

    private static func fee(
        _ whose: String, _ charge: Satoshis, _ rate: PartsPerMillion, _ after: Satoshis, _ before: Satoshis, _ fee: Satoshis
    ) -> String {
        "\(whose) fee = floor(\(charge.rawValue) x \(rate.rawValue) / 1000000) - \(before.rawValue) "
            + "= \(after.rawValue) - \(before.rawValue) = \(fee.rawValue)"
    }
}

extension HeaderEvidence {
    /// What anyone may type to hash the header; nil where no shell's tools can.
    ///
    /// sha256sum shows bytes in the order in which they are hashed: explorers write a block's hash the other way round.
    public func shellCheck(_ algorithm: Algorithm) -> String? {
        switch algorithm {
        case .sha256d:
            "echo \(HeaderEvidence.hex(header)) | xxd -r -p | sha256sum | cut -c1-64 | xxd -r -p | sha256sum | cut -c1-64"
        case .scrypt: nil
        }
    }

    /// Lower-case.
    public static func hex(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
