import ConsentModel
import ConsentTestSupport
import Testing

/// Two histories that turn out to be one person's: whatever they say, the link gives nothing that neither had, and takes no
/// "no" away.
struct JoinedStandingTests {
    private func parted(_ situation: Situation, _ generator: inout SeededGenerator) -> (Standing, Standing) {
        var (one, other): ([Act], [Act]) = ([], [])
        for act in situation.history {
            if generator.oneIn(2) { one.append(act) } else { other.append(act) }
        }
        return (Standing(one), Standing(other))
    }

    private func verdict(_ standing: Standing, _ situation: Situation, _ later: Int64 = 0) -> Verdict {
        decide(
            standing, catalog: situation.catalog, purpose: situation.purpose,
            at: situation.clock.advanced(bySeconds: later))
    }

    private func joined(_ one: Standing, _ other: Standing, _ situation: Situation) -> Standing {
        one.joined(with: other, sequence: UInt64(situation.history.count + 1), at: situation.clock)
    }

    @Test func nothingIsGrantedThatWasGrantedToNeitherAndEveryNoStands() {
        RandomSituations.check(30_000, salt: 40) { situation, generator in
            let (one, other) = parted(situation, &generator)
            let result = joined(one, other, situation)
            for later in [0, 86_400, 40 * 86_400] as [Int64] {
                let sides = [verdict(one, situation, later), verdict(other, situation, later)]
                let found = verdict(result, situation, later)
                if found.decision == .granted, !sides.contains(where: { $0.decision == .granted }) {
                    return "granted, though neither side was: \(sides.map(\.reason))"
                }
                if sides.contains(where: { $0.decision == .denied }), found.decision != .denied {
                    return "\(found.reason), though one side says no: \(sides.map(\.reason))"
                }
            }
            return nil
        }
    }

    @Test func whicheverSideIsLinkedWithTheOtherTheSameIsDecided() {
        RandomSituations.check(10_000, salt: 41) { situation, generator in
            let (one, other) = parted(situation, &generator)
            let verdicts = [joined(one, other, situation), joined(other, one, situation)].map { verdict($0, situation) }
            return verdicts[0] == verdicts[1] ? nil : "\(verdicts)"
        }
    }

    @Test func whoWasNeverSeenChangesNothing() {
        RandomSituations.check(10_000, salt: 42) { situation, _ in
            let known = Standing(situation.history)
            let result = joined(known, Standing(), situation)
            return verdict(result, situation) == verdict(known, situation) ? nil : "\(verdict(result, situation))"
        }
    }

    /// The link's own "no" is of its moment: what was said before it, and comes late, does not outrank it.
    @Test func whereTheSidesContradictOnlyALaterActCanGiveConsentAgain() {
        let day = RandomSituations.day
        var given = Act(sequence: 1, state: .given, capturedAt: day(3))
        let withdrawn = Act(sequence: 2, state: .withdrawn, capturedAt: day(1))
        var result = Standing([given]).joined(with: Standing([withdrawn]), sequence: 3, at: day(5))
        #expect(result.decidingAct?.state == .withdrawn && result.decidingAct?.sequence == 3)
        #expect(result.decidingAct?.capturedAt == day(5) && result.takenAwayAt == day(5))
        given.capturedAt = day(4)
        result.fold(given)
        #expect(result.decidingAct?.state == .withdrawn, "a late upload")
        given.capturedAt = day(6)
        result.fold(given)
        #expect(result.decidingAct?.state == .given)
        // A "no" that is the newer one needs no other.
        let newer = Act(sequence: 2, state: .refused, capturedAt: day(4))
        let plain = Standing([Act(sequence: 1, state: .given, capturedAt: day(3))])
        #expect(plain.joined(with: Standing([newer]), sequence: 3, at: day(5)).decidingAct == newer)
    }

    @Test func takenOffAnIdentifierKeepsEachNoAndNothingElse() {
        RandomSituations.check(20_000, salt: 43) { situation, _ in
            let known = Standing(situation.history)
            let (before, after) = (verdict(known, situation), verdict(known.separated, situation))
            if before.decision == .denied {
                return after.decision == .denied ? nil : "\(before.reason): \(after.reason)"
            }
            let isConsent = situation.purpose.basis == .consent
            if isConsent { return after.decision == .unknown ? nil : "\(before.reason): \(after.reason)" }
            return after.decision == before.decision ? nil : "\(before.reason): \(after.reason)"
        }
    }
}
