internal import Exchange
internal import HTTPTypes
internal import Market

extension Problem {
    init(_ rejection: Rejection) {
        self.init(rejection.status, rejection.code, rejection.explanation, field: rejection.field)
    }

    init(_ error: GatewayError) {
        switch error {
        case .busy:
            self = Problem(.serviceUnavailable, "busy", "The market's queue is full; nothing happened, try again.")
                .with(.retryAfter, "1")
        case .unavailable:
            self = Problem(
                .serviceUnavailable, "unavailable",
                "The market cannot be reached; what was asked may or may not have happened. Repeat it with its key.")
                .with(.retryAfter, "5")
        }
    }
}

extension Rejection {
    /// The HTTP status that says the same.
    var status: HTTPResponse.Status {
        switch self {
        case .marketUndefined: .serviceUnavailable
        case .poolTargetUnknown, .rigUnknown, .orderUnknown, .deliveryUnknown, .farmUnknown, .farmLoginUnknown: .notFound
        case .marketAlreadyDefined, .duplicateReference, .rigNameTaken, .rigAlreadyOffered, .duplicateClientOrderID,
            .orderClosed, .staleSession, .idempotencyKeyReused, .marketCancelOnly, .marketHalted, .wouldMatch,
            .cannotFillWhole, .lotsBelowDelivering, .tooManyOrders, .farmNotOffered,
            .tooManyPoolTargets, .tooManyRigs, .tooManyFarms, .farmLoginNameTaken, .farmLoginNameFixed, .farmFull,
            .farmNotCurtailed, .staleReopening, .creditOutOfOrder, .deliveriesUnsettled:
            .conflict
        case .insufficientFunds: .init(code: 402, reasonPhrase: "Payment Required")
        case .rulesInvalid, .amountOutOfRange, .textTooLong, .poolTargetUnverified, .targetCountOutOfRange,
            .rigNameInvalid, .priceOutsideBand, .priceOffTick, .lotsOutOfRange, .orderValueTooSmall,
            .budgetOutOfRange, .tooManyTotals, .passwordInvalid, .minimumFillOutOfRange, .displayedOutOfRange,
            .expiryOutOfRange, .instructionsContradict, .offsetOutOfRange, .scheduleInvalid, .silenceOutOfRange,
            .effectiveTimeOutOfRange, .nothingToAmend, .amendmentNotApplicable, .farmLoginIncomplete, .mostRigsOutOfRange,
            .curtailmentOutOfRange, .blockInvalid, .totalInconsistent, .reopeningInvalid, .creditInvalid, .closingTimeInvalid:
            .unprocessableContent
        }
    }

    /// The request's field that it is about, where there is one.
    var field: String? {
        switch self {
        case .amountOutOfRange: "amount"
        case .duplicateReference: "reference"
        case .poolTargetUnverified, .targetCountOutOfRange: "poolTargetIDs"
        case .rigNameTaken, .rigNameInvalid, .farmLoginNameTaken, .farmLoginNameFixed: "name"
        case .mostRigsOutOfRange: "mostRigs"
        case .curtailmentOutOfRange: "until"
        case .rigAlreadyOffered: "rigID"
        case .priceOutsideBand, .priceOffTick: "price"
        case .lotsOutOfRange, .lotsBelowDelivering: "lots"
        case .budgetOutOfRange: "budget"
        case .duplicateClientOrderID: "clientOrderID"
        case .passwordInvalid: "password"
        case .idempotencyKeyReused: "Idempotency-Key"
        case .wouldMatch: "postOnly"
        // Every contradiction is with it.
        case .cannotFillWhole, .instructionsContradict: "timeInForce"
        case .minimumFillOutOfRange: "minimumFill"
        case .displayedOutOfRange: "displayedLots"
        case .expiryOutOfRange: "expiresAt"
        case .offsetOutOfRange: "peg.offset"
        // The only field that is known on orders that have none: the API tells bids and asks apart itself.
        case .amendmentNotApplicable: "peg"
        case .scheduleInvalid: "schedule"
        case .silenceOutOfRange: "seconds"
        case .effectiveTimeOutOfRange: "effectiveAt"
        case .marketUndefined, .marketAlreadyDefined, .rulesInvalid, .textTooLong, .poolTargetUnknown, .rigUnknown,
            .orderValueTooSmall, .insufficientFunds, .orderUnknown, .orderClosed, .deliveryUnknown, .staleSession,
            .tooManyTotals, .marketCancelOnly, .marketHalted, .tooManyOrders, .tooManyPoolTargets,
            .tooManyRigs, .tooManyFarms, .farmUnknown, .farmNotOffered,
            .nothingToAmend, .farmLoginUnknown, .farmLoginIncomplete, .farmFull, .farmNotCurtailed, .blockInvalid,
            .totalInconsistent, .staleReopening, .reopeningInvalid, .creditOutOfOrder, .creditInvalid, .closingTimeInvalid,
            .deliveriesUnsettled:
            nil
        }
    }
}
