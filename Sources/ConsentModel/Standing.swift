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

// MARK: Two histories of one person

extension Standing {
    /// Where one person stands of whom two histories were kept until a link said that they are one person's. Nothing counts
    /// that did not count in one of them, and a "no" of either is a "no" of the person.
    ///
    /// Where one side says no and the other something later, the link itself says no, from its own moment on: only what
    /// the person does after it can give consent, and no late upload of what was before.
    ///
    /// - Parameters:
    ///   - sequence: of the link.
    ///   - moment: of the link.
    package func joined(with other: Standing, sequence: UInt64, at moment: Timestamp) -> Standing {
        var joined = Standing()
        joined.erasedAt = latest(erasedAt, other.erasedAt)
        joined.takenAwayAt = latest(takenAwayAt, other.takenAwayAt)
        joined.objectionLiftedByPersonAt = latest(
            lift(\.objectionLiftedByPersonAt, beside: other), other.lift(\.objectionLiftedByPersonAt, beside: self))
        joined.objectionLiftedByOthersAt = latest(
            lift(\.objectionLiftedByOthersAt, beside: other), other.lift(\.objectionLiftedByOthersAt, beside: self))
        let sides = [self, other].filter { side in
            guard let act = side.decidingAct else { return false }
            return joined.erasedAt.map { act.capturedAt > $0 } ?? true
        }
        if let newest = sides.max(by: { $1.decidingAct!.outranks($0.decidingAct!) }) {
            (joined.decidingAct, joined.isConfirmed) = (newest.decidingAct, newest.isConfirmed)
            joined.isConfirmedByGuardian = newest.isConfirmedByGuardian
            joined.isRecordedExpired = newest.isRecordedExpired
        }
        let no = [self, other].compactMap(\.decidingAct).first { $0.state.takesAway }
        guard let no, joined.decidingAct?.state.takesAway != true else { return joined }
        var act = Act(sequence: sequence, state: no.state, capturedAt: moment)
        act.party = .system
        joined.takenAwayAt = latest(joined.takenAwayAt, moment)
        (joined.decidingAct, joined.isConfirmed) = (act, false)
        (joined.isConfirmedByGuardian, joined.isRecordedExpired) = (false, false)
        return joined
    }

    /// What stands for an identifier from the moment on at which it is taken off a person: each "no", and nothing that was
    /// agreed to.
    package var separated: Standing {
        var separated = Standing()
        separated.takenAwayAt = takenAwayAt
        separated.objectionLiftedByPersonAt = objectionLiftedByPersonAt
        separated.objectionLiftedByOthersAt = objectionLiftedByOthersAt
        separated.erasedAt = erasedAt
        if decidingAct?.state.takesAway == true { separated.decidingAct = decidingAct }
        return separated
    }

    /// A lift of one side says nothing of an objection of the other, unless that one was lifted in the same way.
    private func lift(_ kind: KeyPath<Standing, Timestamp?>, beside other: Standing) -> Timestamp? {
        guard let objected = other.takenAwayAt else { return self[keyPath: kind] }
        return other[keyPath: kind].map { $0 > objected } ?? false ? self[keyPath: kind] : nil
    }

    private func latest(_ first: Timestamp?, _ second: Timestamp?) -> Timestamp? {
        [first, second].compactMap { $0 }.max()
    }
}
