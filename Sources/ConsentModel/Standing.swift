/// What one event says to the decision: the part of it that is not personal.
package struct Act: Sendable, Equatable {
    package var sequence: UInt64
    package var state: EventState
    package var capturedAt: Timestamp
    package var revision: RevisionName?
    package var expiresAt: Timestamp?
    package var method = EvidenceMethod.none
    package var isExplicit = false
    package var party = Party.subject
    package var subjectAge: Int?
    /// The sequence of the grant that a `confirmed` or `expired` event names; zero otherwise.
    package var refersTo: UInt64 = 0

    package init(sequence: UInt64, state: EventState, capturedAt: Timestamp) {
        self.sequence = sequence
        self.state = state
        self.capturedAt = capturedAt
    }

    package init(_ recorded: RecordedEvent) {
        self.init(
            recorded.event, sequence: recorded.sequence, recordedAt: recorded.recordedAt, refersTo: recorded.refersTo)
    }

    package init(_ event: ConsentEvent, sequence: UInt64, recordedAt: Timestamp, refersTo: UInt64) {
        self.init(sequence: sequence, state: event.state, capturedAt: event.capturedAt ?? recordedAt)
        revision = event.revision
        expiresAt = event.expiresAt
        method = event.method
        isExplicit = event.isExplicit
        party = event.party
        subjectAge = event.subjectAge
        self.refersTo = refersTo
    }

    /// Whether this act, not `other`, says where the subject stands: the later capture; at the same moment the one
    /// that takes consent away; then the later sequence.
    package func outranks(_ other: Act) -> Bool {
        if capturedAt != other.capturedAt { return capturedAt > other.capturedAt }
        if state.takesAway != other.state.takesAway { return state.takesAway }
        return sequence > other.sequence
    }
}

/// A history of one subject and one purpose, folded to what the decision needs of it. Folding the same events in the
/// order of their sequence always gives the same value, so the ledger may keep it instead of reading every event.
package struct Standing: Sendable, Equatable {
    /// The act that decides: the newest by capture time.
    package var decidingAct: Act?
    /// Whether a `confirmed` event names the deciding act.
    package var isConfirmed = false
    package var isConfirmedByGuardian = false
    /// Whether the end of the deciding act has been recorded; from then on no clock can bring it back.
    package var isRecordedExpired = false
    /// The latest moment at which the person, or someone for them, said no.
    package var takenAwayAt: Timestamp?
    package var objectionLiftedByPersonAt: Timestamp?
    package var objectionLiftedByOthersAt: Timestamp?
    /// When everything before was erased. What was captured until then does not come back with a late upload.
    package var erasedAt: Timestamp?

    package init() {}

    /// The standing after a history, given in the order of its sequences.
    package init(_ history: some Sequence<Act>) {
        self.init()
        for act in history { fold(act) }
    }

    /// The grant that waits for the second step of a double opt-in; nil if none does.
    package var unconfirmedGrant: Act? {
        guard let decidingAct, decidingAct.state.isGrant, decidingAct.method != .doubleOptIn, !isConfirmed,
            !isRecordedExpired
        else { return nil }
        return decidingAct
    }

    /// Whether a "no" captured at this moment would change nothing, because something later stands against it.
    package func outlives(noOf moment: Timestamp) -> Bool {
        if let decidingAct, !decidingAct.state.takesAway, decidingAct.capturedAt > moment { return true }
        return [objectionLiftedByPersonAt, objectionLiftedByOthersAt].contains { $0.map { $0 > moment } ?? false }
    }

    package mutating func fold(_ act: Act) {
        switch act.state {
        case .erased:
            foldErasure(act)
        case .confirmed:
            foldConfirmation(act)
        case .expired:
            if let deciding = decidingAct, deciding.sequence == act.refersTo { isRecordedExpired = true }
        case .requested, .deferred, .refused, .given, .renewed, .withdrawn, .revoked, .invalidated, .objected,
            .objectionLifted:
            foldObjection(act)
            if let erasedAt, act.capturedAt <= erasedAt { return }
            if decidingAct.map(act.outranks) ?? true {
                decidingAct = act
                isConfirmed = false
                isConfirmedByGuardian = false
                isRecordedExpired = false
            }
        }
    }

    /// Erasure forgets what the person agreed to, but not that the person once said no.
    private mutating func foldErasure(_ act: Act) {
        var erased = Standing()
        erased.erasedAt = later(erasedAt, act.capturedAt)
        erased.takenAwayAt = takenAwayAt
        erased.objectionLiftedByPersonAt = objectionLiftedByPersonAt
        erased.objectionLiftedByOthersAt = objectionLiftedByOthersAt
        self = erased
    }

    /// A confirmation counts for the grant it names, as long as that is the deciding one, and never from before it.
    private mutating func foldConfirmation(_ act: Act) {
        guard let deciding = decidingAct, deciding.sequence == act.refersTo, act.capturedAt >= deciding.capturedAt,
            act.party.canConsent
        else { return }
        isConfirmed = true
        if act.party == .guardian { isConfirmedByGuardian = true }
    }

    private mutating func foldObjection(_ act: Act) {
        if act.state.takesAway {
            takenAwayAt = later(takenAwayAt, act.capturedAt)
        } else if act.state == .objectionLifted {
            if act.party.canConsent {
                objectionLiftedByPersonAt = later(objectionLiftedByPersonAt, act.capturedAt)
            } else {
                objectionLiftedByOthersAt = later(objectionLiftedByOthersAt, act.capturedAt)
            }
        }
    }

    private func later(_ known: Timestamp?, _ new: Timestamp) -> Timestamp { max(known ?? new, new) }
}
