/// What the decision function says of one subject and one purpose at one moment, and why.
package struct Verdict: Sendable, Equatable {
    package var reason: ConsentState
    /// The revision that the deciding grant names.
    package var consentedRevision: RevisionName?
    /// The revision of the same declaration that is current.
    package var currentRevision: RevisionName?
    /// When the deciding grant ends by its own period.
    package var expiresAt: Timestamp?
    /// The first moment at which this answer may stop being granted though nothing more is recorded: the end of the
    /// period, or a coming revision that the consent does not carry over to. Nil if it is not granted, or for ever.
    package var grantedUntil: Timestamp?
    /// The sequence of the event that decided; nil if none did.
    package var decidingSequence: UInt64?

    package var decision: Decision { reason.decision }

    package init(reason: ConsentState) { self.reason = reason }
}

/// The only place that says what counts as consent. Pure: the same history, catalog and clock always give the same.
///
/// - Parameter history: the acts of one subject for `purpose`, in the order of their sequences.
package func decide(
    _ history: some Sequence<Act>, catalog: Catalog, purpose: Purpose, at clock: Timestamp
) -> Verdict {
    decide(Standing(history), catalog: catalog, purpose: purpose, at: clock)
}

/// As above, from a history that is folded already.
package func decide(_ standing: Standing, catalog: Catalog, purpose: Purpose, at clock: Timestamp) -> Verdict {
    var verdict = Verdict(reason: .unknown)
    verdict.decidingSequence = standing.decidingAct?.sequence
    guard purpose.isActive else {
        verdict.reason = .invalidated
        return verdict
    }
    switch purpose.basis {
    case .contract, .legalObligation, .vitalInterest:
        verdict.reason = .basisHolds
    case .legitimateInterest, .publicTask:
        verdict.reason = objectionStands(standing, purpose: purpose) ? .objected : .basisHolds
    case .consent:
        decideConsent(standing, catalog: catalog, purpose: purpose, at: clock, into: &verdict)
    }
    return verdict
}

/// Every "no" of the past counts as an objection, so that moving a purpose from consent to another basis brings nobody
/// back who had said no. For direct marketing and profiling only the person can lift it (GDPR art. 21 (2), (3)).
private func objectionStands(_ standing: Standing, purpose: Purpose) -> Bool {
    guard let takenAwayAt = standing.takenAwayAt else { return false }
    let isAbsolute = purpose.isDirectMarketing || purpose.isProfiling
    let lifts = [standing.objectionLiftedByPersonAt, isAbsolute ? nil : standing.objectionLiftedByOthersAt]
    guard let liftedAt = lifts.compactMap({ $0 }).max() else { return true }
    return takenAwayAt >= liftedAt
}

private func decideConsent(
    _ standing: Standing, catalog: Catalog, purpose: Purpose, at clock: Timestamp, into verdict: inout Verdict
) {
    guard let act = standing.decidingAct else {
        verdict.reason = standing.erasedAt == nil ? .unknown : .erased
        return
    }
    switch act.state {
    case .given, .renewed:
        decideGrant(act, standing, catalog: catalog, purpose: purpose, at: clock, into: &verdict)
    case .requested: verdict.reason = .requested
    case .deferred: verdict.reason = .deferred
    case .refused: verdict.reason = .refused
    case .withdrawn: verdict.reason = .withdrawn
    case .revoked: verdict.reason = .revoked
    case .invalidated: verdict.reason = .invalidated
    case .objected: verdict.reason = .objected
    case .objectionLifted: verdict.reason = .unknown
    case .expired, .erased, .confirmed: preconditionFailure("a standing never rests on \(act.state)")
    }
}

/// A grant counts only if all of these hold; the first that does not is the reason.
private func decideGrant(
    _ act: Act, _ standing: Standing, catalog: Catalog, purpose: Purpose, at clock: Timestamp,
    into verdict: inout Verdict
) {
    verdict.consentedRevision = act.revision
    verdict.expiresAt = act.expiresAt ?? purpose.validity.map { act.capturedAt.advanced(bySeconds: $0.seconds) }

    guard let revision = act.revision, let declaration = catalog.declaration(id: revision.declaration),
        let current = declaration.currentRevision(at: clock)
    else {
        verdict.reason = .outdatedRevision
        return
    }
    verdict.currentRevision = RevisionName(declaration: declaration.id, revision: current.name)
    guard declaration.carriesOver(from: revision.revision, to: current, purpose: purpose.id) else {
        verdict.reason = .outdatedRevision
        return
    }
    if standing.isRecordedExpired || verdict.expiresAt.map({ $0 <= clock }) ?? false {
        verdict.reason = .expired
        return
    }
    guard act.party.canConsent, isConfirmedEnough(act, standing, purpose: purpose),
        isExplicitEnough(act, under: current, catalog: catalog, purpose: purpose),
        isOldEnough(act, standing, purpose: purpose)
    else {
        verdict.reason = .requested
        return
    }
    verdict.reason = act.state == .given ? .given : .renewed
    let ending = declaration.revisions.first {
        $0.effectiveAt > clock
            && !(declaration.carriesOver(from: revision.revision, to: $0, purpose: purpose.id)
                && isExplicitEnough(act, under: $0, catalog: catalog, purpose: purpose))
    }
    verdict.grantedUntil = [verdict.expiresAt, ending?.effectiveAt].compactMap { $0 }.min()
}

private func isConfirmedEnough(_ act: Act, _ standing: Standing, purpose: Purpose) -> Bool {
    !purpose.requiresDoubleOptIn || act.method == .doubleOptIn || standing.isConfirmed
}

/// Explicit where the purpose asks for it, or where its data, that of the revision agreed to, or that of the revision in
/// force is of a special category.
private func isExplicitEnough(_ act: Act, under inForce: Revision, catalog: Catalog, purpose: Purpose) -> Bool {
    if act.isExplicit { return true }
    if purpose.requiresExplicit { return false }
    let special = catalog.specialDataCategories
    if special.isEmpty { return true }
    let agreed = act.revision.flatMap(catalog.revision)
    return !special.contains { category in
        purpose.dataCategories.contains(category) || inForce.dataCategories.contains(category)
            || agreed?.dataCategories.contains(category) ?? false
    }
}

/// When somebody whose guardian consented has certainly come of age for a purpose, by the age that was stated when the
/// guardian did; nil where no guardian was needed, or no age was stated. A year has 365.25 days, so that no number of
/// birthdays comes too late by more than a day.
package func comesOfAge(_ standing: Standing, purpose: Purpose) -> Timestamp? {
    guard let act = standing.decidingAct, act.state.isGrant, let minimumAge = purpose.minimumAge,
        act.party == .guardian || standing.isConfirmedByGuardian, let age = act.subjectAge, age < minimumAge
    else { return nil }
    return act.capturedAt.advanced(bySeconds: Int64(minimumAge - age) * 31_557_600)
}

/// An age that nobody has stated is not old enough.
private func isOldEnough(_ act: Act, _ standing: Standing, purpose: Purpose) -> Bool {
    guard let minimumAge = purpose.minimumAge else { return true }
    return act.party == .guardian || standing.isConfirmedByGuardian || act.subjectAge.map { $0 >= minimumAge } ?? false
}
