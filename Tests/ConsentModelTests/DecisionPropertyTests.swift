import ConsentModel
import ConsentTestSupport
import Testing

/// Claims about every history, tried on random ones. A failure names the seed that repeats it.
struct DecisionPropertyTests {
    /// The other claims say little about a reason that the generator hardly ever meets.
    @Test func theRandomSituationsMeetEveryReason() {
        var counts: [ConsentState: Int] = [:]
        RandomSituations.check(8_000, salt: 0) { situation, _ in
            counts[situation.verdict.reason, default: 0] += 1
            return nil
        }
        let rare = ConsentState.allCases.filter { counts[$0, default: 0] < 40 }
        #expect(rare == [], "\(counts)")
    }

    @Test func theDecisionIsWhatTheDomainsTextSays() {
        RandomSituations.check(50_000, salt: 1) { situation, _ in
            let (found, expected) = (situation.verdict.reason, DecisionOracle.reason(situation))
            return found == expected ? nil : "decided \(found), but the text says \(expected)"
        }
    }

    @Test func nothingIsGrantedUnderConsentWithoutAGrant() {
        RandomSituations.check(5_000, salt: 2) { situation, _ in
            var situation = situation
            situation.purpose.basis = .consent
            situation.history.removeAll { $0.state.isGrant }
            return situation.verdict.decision == .granted ? "granted" : nil
        }
    }

    @Test func aGrantedConsentRestsOnAGrantThatIsNamed() {
        RandomSituations.check(5_000, salt: 3) { situation, _ in
            let verdict = situation.verdict
            guard situation.purpose.basis == .consent, verdict.decision == .granted else { return nil }
            guard let grant = situation.history.first(where: { $0.sequence == verdict.decidingSequence }) else {
                return "granted by nothing"
            }
            if !grant.state.isGrant { return "granted by \(grant.state)" }
            if verdict.consentedRevision == nil || verdict.consentedRevision != grant.revision { return "no revision" }
            if let end = grant.expiresAt, end <= situation.clock { return "granted past its own end" }
            let isEnded = situation.history.contains { $0.state == .expired && $0.refersTo == grant.sequence }
            let isEndRecordedLater = situation.history.contains {
                $0.state == .expired && $0.refersTo == grant.sequence && $0.sequence > grant.sequence
            }
            return isEnded && isEndRecordedLater ? "granted past its recorded end" : nil
        }
    }

    @Test func nothingIsGrantedOnAnInactivePurpose() {
        RandomSituations.check(5_000, salt: 4) { situation, _ in
            var situation = situation
            situation.purpose.isActive = false
            return situation.verdict.reason == .invalidated ? nil : "\(situation.verdict.reason)"
        }
    }

    @Test func grantedUntilIsHonest() {
        RandomSituations.check(5_000, salt: 5) { situation, generator in
            let verdict = situation.verdict
            guard verdict.decision == .granted else {
                return verdict.grantedUntil == nil ? nil : "an end without a grant"
            }
            guard let end = verdict.grantedUntil else {
                let later = RandomSituations.day(RandomSituations.lastDay * 100)
                let moments = situation.catalog.declarations.flatMap(\.revisions).map(\.effectiveAt) + [later]
                let lost = moments.first { $0 > situation.clock && situation.verdict(at: $0).decision != .granted }
                return lost.map { "for ever, but lost at \($0.iso8601)" }
            }
            if end <= situation.clock { return "over already" }
            if situation.verdict(at: Timestamp(millis: end.millis - 1)).decision != .granted { return "lost before" }
            if situation.verdict(at: end).decision == .granted { return "still granted at \(end.iso8601)" }
            let between = Timestamp(millis: .random(in: situation.clock.millis..<end.millis, using: &generator))
            return situation.verdict(at: between).decision == .granted ? nil : "lost at \(between.iso8601)"
        }
    }

    @Test func timeAloneChangesAnAnswerOnlyAtARevisionOrAnEnd() {
        RandomSituations.check(5_000, salt: 6) { situation, generator in
            let verdict = situation.verdict
            let ends = [situation.catalog.nextRevisionChange(after: situation.clock), verdict.expiresAt]
            let next = ends.compactMap { $0 }.filter { $0 > situation.clock }.min()
            let limit = next ?? RandomSituations.day(RandomSituations.lastDay * 100)
            let between = Timestamp(millis: .random(in: situation.clock.millis..<limit.millis, using: &generator))
            let then = situation.verdict(at: between).reason
            return then == verdict.reason ? nil : "\(verdict.reason) became \(then) at \(between.iso8601)"
        }
    }

    @Test func aPassedEndNeverComesBack() {
        RandomSituations.check(5_000, salt: 7) { situation, generator in
            let verdict = situation.verdict
            guard let end = verdict.expiresAt, end <= situation.clock else { return nil }
            let later = Timestamp(millis: situation.clock.millis + .random(in: 0...10_000_000_000, using: &generator))
            return situation.purpose.basis == .consent && situation.verdict(at: later).decision == .granted
                ? "granted again at \(later.iso8601)" : nil
        }
    }

    @Test func foldingStepByStepIsDecidingOnTheWholeHistory() {
        RandomSituations.check(5_000, salt: 8) { situation, _ in
            var kept = Standing()
            for (position, act) in situation.history.enumerated() {
                kept.fold(act)
                var prefix = situation
                prefix.history.removeLast(situation.history.count - position - 1)
                let found = decide(
                    kept, catalog: situation.catalog, purpose: situation.purpose, at: situation.clock)
                if found != prefix.verdict { return "after \(position + 1) acts" }
            }
            return nil
        }
    }

    private static let takingsAway: [EventState] = [.refused, .withdrawn, .revoked, .invalidated, .objected]

    @Test func aNoCapturedLastIsNeverGranted() {
        RandomSituations.check(5_000, salt: 9) { situation, generator in
            guard situation.purpose.basis == .consent || situation.purpose.basis.canBeObjectedTo else { return nil }
            let last = situation.history.map(\.capturedAt).max() ?? situation.clock
            let state = generator.pick(Self.takingsAway)
            let isTie = generator.oneIn(2)
            let no = Act(sequence: 0, state: state, capturedAt: Timestamp(millis: last.millis + (isTie ? 0 : 1)))
            return situation.adding(no).verdict.decision == .granted ? "granted after \(state)" : nil
        }
    }

    @Test func aNoNeverTurnsAnAnswerIntoAGrant() {
        RandomSituations.check(5_000, salt: 10) { situation, generator in
            let no = Act(
                sequence: 0, state: generator.pick(Self.takingsAway), capturedAt: RandomSituations.moment(&generator))
            guard situation.adding(no).verdict.decision == .granted else { return nil }
            return situation.verdict.decision == .granted ? nil : "granted by \(no.state)"
        }
    }

    @Test func onlyAGrantOrAConfirmationTurnsAnAnswerIntoAConsent() {
        RandomSituations.check(5_000, salt: 11) { situation, generator in
            var situation = situation
            situation.purpose.basis = .consent
            let act = RandomSituations.makeAct(
                sequence: situation.history.count + 1, count: situation.history.count, &generator)
            guard !act.state.isGrant, act.state != .confirmed, situation.verdict.decision != .granted else {
                return nil
            }
            return situation.adding(act).verdict.decision == .granted ? "granted by \(act.state)" : nil
        }
    }

    /// What an erasure leaves: when it was, and the times of every "no" and every lifting.
    @Test func anErasureLeavesNothingOfAConsent() {
        RandomSituations.check(5_000, salt: 12) { situation, generator in
            let erased = situation.adding(
                Act(sequence: 0, state: .erased, capturedAt: RandomSituations.moment(&generator)))
            let acts = erased.history
            func last(_ isMeant: (Act) -> Bool) -> Timestamp? { acts.filter(isMeant).map(\.capturedAt).max() }
            let persons: [Party] = [.subject, .guardian]
            var left = Standing()
            left.erasedAt = last { $0.state == .erased }
            left.takenAwayAt = last { Self.takingsAway.contains($0.state) }
            left.objectionLiftedByPersonAt = last { $0.state == .objectionLifted && persons.contains($0.party) }
            left.objectionLiftedByOthersAt = last { $0.state == .objectionLifted && !persons.contains($0.party) }
            return Standing(acts) == left ? nil : "\(Standing(acts))"
        }
    }

    @Test func anErasureChangesNoAnswerButThatOfConsent() {
        RandomSituations.check(5_000, salt: 16) { situation, generator in
            var situation = situation
            situation.purpose.basis = generator.pick(LawfulBasis.allCases)
            let erased = situation.adding(
                Act(sequence: 0, state: .erased, capturedAt: RandomSituations.moment(&generator)))
            let found = erased.verdict.reason
            let isConsent = situation.purpose.isActive && situation.purpose.basis == .consent
            let expected = isConsent ? ConsentState.erased : situation.verdict.reason
            return found == expected ? nil : "\(found) instead of \(expected)"
        }
    }

    @Test func whatWasCapturedUntilAnErasureNeverComesBack() {
        RandomSituations.check(5_000, salt: 17) { situation, generator in
            var situation = situation
            situation.purpose.basis = .consent
            let uploads = situation.history.filter { $0.state != .erased }
            let erasedAt = uploads.map(\.capturedAt).max() ?? situation.clock
            situation.history.append(
                Act(sequence: UInt64(situation.history.count + 1), state: .erased, capturedAt: erasedAt))
            for act in uploads.shuffled(using: &generator) { situation = situation.adding(act) }
            let found = situation.verdict.reason
            return found == (situation.purpose.isActive ? .erased : .invalidated) ? nil : "\(found)"
        }
    }

    @Test func nobodyButThePersonOrAGuardianConsents() {
        RandomSituations.check(5_000, salt: 18) { situation, generator in
            var situation = situation
            situation.purpose.basis = .consent
            for position in situation.history.indices where situation.history[position].state.isGrant {
                situation.history[position].party = generator.pick([.controller, .authority, .system])
            }
            return situation.verdict.decision == .granted ? "granted" : nil
        }
    }

    @Test func aConfirmationByAnybodyElseIsNone() {
        RandomSituations.check(5_000, salt: 19) { situation, generator in
            var (others, without) = (situation, situation)
            for position in others.history.indices where others.history[position].state == .confirmed {
                others.history[position].party = generator.pick([.controller, .authority, .system])
            }
            without.history.removeAll { $0.state == .confirmed }
            return others.verdict == without.verdict ? nil : "\(others.verdict) instead of \(without.verdict)"
        }
    }

    @Test func anUnknownAgeMeetsNoMinimum() {
        RandomSituations.check(5_000, salt: 20) { situation, generator in
            var situation = situation
            situation.purpose.basis = .consent
            situation.purpose.minimumAge = generator.pick([.min, -1, 0, 1, 13])
            for position in situation.history.indices {
                situation.history[position].subjectAge = nil
                situation.history[position].party = .subject
            }
            return situation.verdict.decision == .granted ? "granted" : nil
        }
    }

    @Test func lessEvidenceNeverGrantsMore() {
        RandomSituations.check(5_000, salt: 13) { situation, generator in
            var poorer = situation
            for position in poorer.history.indices where poorer.history[position].state.isGrant {
                if generator.oneIn(2) { poorer.history[position].isExplicit = false }
                if generator.oneIn(2) { poorer.history[position].subjectAge = nil }
                if generator.oneIn(2) { poorer.history[position].method = .tickedBox }
                if generator.oneIn(2), poorer.history[position].party == .guardian {
                    poorer.history[position].party = .subject
                }
                if generator.oneIn(4) { poorer.history[position].party = .controller }
                if generator.oneIn(4) { poorer.history[position].revision = nil }
            }
            guard poorer.verdict.decision == .granted else { return nil }
            return situation.verdict.decision == .granted ? nil : "granted with less: \(poorer)"
        }
    }

    @Test func theOrderOfArrivalPlaysNoPart() {
        RandomSituations.check(5_000, salt: 14) { situation, generator in
            var ordered = situation
            ordered.history.removeAll { [.confirmed, .expired, .erased].contains($0.state) }
            for position in ordered.history.indices {
                ordered.history[position].sequence = UInt64(position + 1)
                ordered.history[position].capturedAt.millis += Int64(position)
            }
            var shuffled = ordered
            shuffled.history.shuffle(using: &generator)
            for position in shuffled.history.indices { shuffled.history[position].sequence = UInt64(position + 1) }
            let (first, second) = (ordered.verdict.reason, shuffled.verdict.reason)
            return first == second ? nil : "\(first) in one order, \(second) in another"
        }
    }

    @Test func aPersonNeverSeenIsGrantedWhatTheCatalogGrantsByDefault() {
        RandomSituations.check(5_000, salt: 15) { situation, _ in
            var unseen = situation
            unseen.history = []
            let isDefault = situation.catalog.defaultGrants.contains(situation.purpose.bit)
            return (unseen.verdict.decision == .granted) == isDefault ? nil : "\(unseen.verdict.reason)"
        }
    }
}
