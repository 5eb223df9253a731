internal import Exchange

extension Appended {
    /// The events of a batch that add rows.
    ///
    /// - Parameter first: the sequence of the first command
    public init(_ commands: [JournalledCommand], first: Int64) {
        self.init()
        for (offset, command) in commands.enumerated() {
            var lines = 0
            for event in command.events {
                switch event {
                case .entryPosted:
                    entries.append(EventAt(sequence: first + Int64(offset), place: 0, event: event))
                case .lineSettled:
                    entries.append(EventAt(sequence: first + Int64(offset), place: lines, event: event))
                    lines += 1
                case .marketDefined, .poolTargetCreated, .poolTargetChanged, .rigRegistered, .rigOnline, .rigOffline,
                    .rigMeasured, .orderPlaced, .askOffered, .orderSuspended, .orderResumed, .orderStamped,
                    .orderClosed, .deliveryOpened, .deliveryEnded, .deliveryClosed, .answerRecorded, .orderAmended,
                    .ordersRepriced, .phaseChanged, .rulesScheduled, .rulesChanged, .indexPublished, .farmCreated,
                    .rigAssigned, .farmOffered, .silenceSet, .holdReleased, .fleet, .blockFound, .blockJudged, .books:
                    break
                }
            }
        }
    }
}
