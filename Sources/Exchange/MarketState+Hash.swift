internal import BinaryCoding

extension MarketState {
    /// Brings the hashes of all tables up to date. A single writer calls this once per batch, before it reads ``hash``:
    /// however often a batch changes an entity, it is hashed once.
    public mutating func settleHashes() {
        var scratch = BinaryWriter(reservingCapacity: 512, isForHashing: true)
        targets.settleHash(&scratch)
        rigs.settleHash(&scratch)
        orders.settleHash(&scratch)
        deliveries.settleHash(&scratch)
        billings.settleHash(&scratch)
        balances.settleHash(&scratch)
        deposits.settleHash(&scratch)
        answers.settleHash(&scratch)
        farms.settleHash(&scratch)
        silences.settleHash(&scratch)
        farmLogins.settleHash(&scratch)
        curtailments.settleHash(&scratch)
        cuts.settleHash(&scratch)
        blocks.settleHash(&scratch)
        transfers.settleHash(&scratch)
        payments.settleHash(&scratch)
        freezes.settleHash(&scratch)
    }
}

extension Exchange {
    /// ``MarketState/settleHashes()`` of its state.
    public mutating func settleHashes() { state.settleHashes() }
}
