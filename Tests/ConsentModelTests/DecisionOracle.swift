import ConsentModel

/// The rules of decision once more, read off the whole history at once: slow, without folding, and written from the
/// domain's text instead of from `decide`. Where the two differ, one of them has misread the text.
enum DecisionOracle {
    static func reason(_ situation: Situation) -> ConsentState {
        let purpose = situation.purpose
        guard purpose.isActive else { return .invalidated }
        switch purpose.basis {
        case .contract, .legalObligation, .vitalInterest:
            return .basisHolds
        case .legitimateInterest, .publicTask:
            let all = situation.history
            return all.contains { isNo($0) && !isLifted($0, in: all, purpose: purpose) } ? .objected : .basisHolds
        case .consent:
            let erasures = situation.history.filter { $0.state == .erased }
            let acts = situation.history.filter { act in
                ![.confirmed, .expired, .erased].contains(act.state)
                    && erasures.allSatisfy { act.sequence > $0.sequence && act.capturedAt > $0.capturedAt }
            }
            let newest = acts.max { rank($0) < rank($1) }
            guard let newest else { return erasures.isEmpty ? .unknown : .erased }
            return reason(newest, situation)
        }
    }

    private static func isNo(_ act: Act) -> Bool {
        [.refused, .withdrawn, .revoked, .invalidated, .objected].contains(act.state)
    }

    private static func isLifted(_ no: Act, in history: [Act], purpose: Purpose) -> Bool {
        history.contains { act in
            let mayLift =
                act.party == .subject || act.party == .guardian || !(purpose.isDirectMarketing || purpose.isProfiling)
            return act.state == .objectionLifted && act.capturedAt > no.capturedAt && mayLift
        }
    }

    private static func rank(_ act: Act) -> (Int64, Int, UInt64) {
        (act.capturedAt.millis, isNo(act) ? 1 : 0, act.sequence)
    }

    private static func reason(_ newest: Act, _ situation: Situation) -> ConsentState {
        switch newest.state {
        case .requested: .requested
        case .deferred: .deferred
        case .refused: .refused
        case .withdrawn: .withdrawn
        case .revoked: .revoked
        case .invalidated: .invalidated
        case .objected: .objected
        case .objectionLifted: .unknown
        case .given, .renewed: grantReason(newest, situation)
        case .expired, .erased, .confirmed: fatalError("none of these can be the newest act")
        }
    }

    private static func grantReason(_ grant: Act, _ situation: Situation) -> ConsentState {
        let purpose = situation.purpose
        guard let name = grant.revision,
            let declaration = situation.catalog.declarations.first(where: { $0.id == name.declaration }),
            let inForce = inForce(declaration, at: situation.clock),
            covered(declaration, by: inForce, purpose: purpose).contains(name.revision)
        else { return .outdatedRevision }

        let later = situation.history.filter { $0.sequence > grant.sequence && $0.refersTo == grant.sequence }
        let validityMillis = purpose.validity.map { $0.seconds * 1000 }
        let end = grant.expiresAt?.millis ?? validityMillis.map { grant.capturedAt.millis + $0 }
        if later.contains(where: { $0.state == .expired }) { return .expired }
        if let end, situation.clock.millis >= end { return .expired }

        let consenting: [Party] = [.subject, .guardian]
        guard consenting.contains(grant.party) else { return .requested }
        let confirmations = later.filter {
            $0.state == .confirmed && $0.capturedAt >= grant.capturedAt && consenting.contains($0.party)
        }
        if purpose.requiresDoubleOptIn, grant.method != .doubleOptIn, confirmations.isEmpty { return .requested }
        let agreed = declaration.revisions.first { $0.name == name.revision }
        let touched = purpose.dataCategories + inForce.dataCategories + (agreed?.dataCategories ?? [])
        let isSpecial = touched.contains("health")
        if purpose.requiresExplicit || isSpecial, !grant.isExplicit { return .requested }
        if let minimumAge = purpose.minimumAge, grant.party != .guardian,
            !confirmations.contains(where: { $0.party == .guardian })
        {
            guard let age = grant.subjectAge, age >= minimumAge else { return .requested }
        }
        return grant.state == .given ? .given : .renewed
    }

    private static func inForce(_ declaration: Declaration, at clock: Timestamp) -> Revision? {
        declaration.revisions.filter { $0.effectiveAt <= clock }.max { $0.effectiveAt < $1.effectiveAt }
    }

    /// The revisions whose consents count while `inForce` is in force.
    private static func covered(_ declaration: Declaration, by inForce: Revision, purpose: Purpose) -> Set<String> {
        var next: Revision? = inForce
        var names: Set<String> = []
        while let revision = next, revision.purposes.contains(purpose.id), names.insert(revision.name).inserted {
            next = revision.compatibleWith.flatMap { older in declaration.revisions.first { $0.name == older } }
        }
        return names
    }
}
