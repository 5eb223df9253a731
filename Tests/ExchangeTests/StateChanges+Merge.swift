import Exchange

extension StateChanges {
    /// Takes a later set of changes on top: the later image of an entity stands.
    mutating func merge(_ later: StateChanges) {
        rules = later.rules
        status = later.status
        counters = later.counters
        books = later.books
        targets.merge(later.targets) { $1 }
        rigs.merge(later.rigs) { $1 }
        orders.merge(later.orders) { $1 }
        deliveries.merge(later.deliveries) { $1 }
        billings.merge(later.billings) { $1 }
        balances.merge(later.balances) { $1 }
        deposits.merge(later.deposits) { $1 }
        answers.merge(later.answers) { $1 }
        farms.merge(later.farms) { $1 }
        silences.merge(later.silences) { $1 }
        farmLogins.merge(later.farmLogins) { $1 }
        curtailments.merge(later.curtailments) { $1 }
        cuts.merge(later.cuts) { $1 }
        blocks.merge(later.blocks) { $1 }
        treasury = later.treasury
        transfers.merge(later.transfers) { $1 }
        payments.merge(later.payments) { $1 }
        freezes.merge(later.freezes) { $1 }
    }
}
