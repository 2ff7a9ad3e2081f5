import ConsentModel
import ConsentTestSupport
import Testing

struct OutdatingTests {
    private static let day: Int64 = 86_400
    private static let now = Timestamp(iso8601: "2026-06-01")!

    private static func at(_ days: Int64) -> Timestamp { now.advanced(bySeconds: days * day) }

    private func revision(
        _ name: String, _ days: Int64, _ compatibleWith: String? = nil, purposes: [String] = ["p0", "p1"]
    ) -> Revision {
        Revision(name: name, effectiveAt: Self.at(days), purposes: purposes, compatibleWith: compatibleWith)
    }

    private func catalog(
        _ revisions: Revision..., declaration: String = "club", change: (inout Purpose) -> Void = { _ in }
    ) -> Catalog {
        var first = Purpose(id: "p0", bit: 0, controller: "c", title: [:], basis: .consent)
        change(&first)
        let second = Purpose(id: "p1", bit: 1, controller: "c", title: [:], basis: .consent)
        return Catalog(
            dataCategories: [DataCategory(id: "health", name: "Health", isSpecial: true)], purposes: [first, second],
            declarations: [Declaration(id: declaration, revisions: revisions)])
    }

    private func outdated(_ old: Catalog, _ new: Catalog) -> [Outdating]? {
        outdatings(of: [0, 1], from: old, at: Self.now, to: new, at: Self.now)
    }

    private func ended(_ bits: Int...) -> Outdating {
        Outdating(sequence: 0, purposes: PurposeSet(bits), endsAt: nil)
    }

    @Test func aBreakingRevisionEndsEverybodysConsents() {
        let old = catalog(revision("1.0", -9))
        #expect(outdated(old, catalog(revision("1.0", -9), revision("2.0", 0))) == [ended(0, 1)])
        #expect(outdated(old, catalog(revision("1.0", -9), revision("2.0", 0, "1.0", purposes: ["p0"]))) == [ended(1)])
        #expect(outdated(old, catalog(revision("1.0", -9), revision("1.1", 0, "1.0"))) == [])
        #expect(outdated(old, old) == [])
    }

    @Test func anAnnouncedOneEndsThemThen() {
        let old = catalog(revision("1.0", -9))
        let announced = catalog(revision("1.0", -9), revision("2.0", 5))
        let ending = Outdating(sequence: 0, purposes: PurposeSet([0, 1]), endsAt: Self.at(5))
        #expect(outdated(old, announced) == [ending])
        #expect(outdated(announced, announced) == [])
        // When its time has come, by the same catalog.
        let (before, after) = (Timestamp(millis: Self.at(5).millis - 1), Self.at(5))
        #expect(outdatings(of: [0, 1], from: announced, at: before, to: announced, at: after) == [ended(0, 1)])
        // Brought forward it ends them sooner; put off or withdrawn, it depends on when each consent ends by itself.
        let sooner = catalog(revision("1.0", -9), revision("2.0", 2))
        #expect(outdated(announced, sooner)?.map(\.endsAt) == [Self.at(2)])
        #expect(outdated(announced, catalog(revision("1.0", -9), revision("2.0", 9))) == nil)
        #expect(outdated(announced, old) == nil)
    }

    @Test func whatHangsOnThePersonIsDecidedAboutEach() {
        let old = catalog(revision("1.0", -9), revision("1.1", -5, "1.0"))
        // Some carry over and some do not.
        #expect(
            outdated(old, catalog(revision("1.0", -9), revision("1.1", -5, "1.0"), revision("2.0", 0, "1.1"))) == [])
        let broken = catalog(revision("1.0", -9), revision("1.1", -5), revision("2.0", 0, "1.0"))
        #expect(outdated(old, broken) == nil)
        // Some count that did not.
        let breaking = catalog(revision("1.0", -9), revision("2.0", -5))
        #expect(outdated(breaking, catalog(revision("1.0", -9), revision("2.0", -5), revision("3.0", 0, "1.0"))) == nil)
        for change in [
            { $0.requiresExplicit = true }, { $0.minimumAge = 15 }, { $0.validity = Period(seconds: 5) },
            { $0.basis = .contract }, { $0.isActive = false }, { $0.dataCategories = ["health"] },
        ] as [(inout Purpose) -> Void] {
            let other = catalog(revision("1.0", -9), revision("1.1", -5, "1.0"), change: change)
            #expect(outdated(old, other) == nil)
        }
        let renamed = catalog(revision("1.0", -9), revision("1.1", -5, "1.0")) { $0.title = ["nb": "Annet"] }
        #expect(outdated(old, renamed) == [])
    }

    /// Held against the decision function, under catalogs that nobody thought of.
    @Test func whatIsSaidOfEverybodyIsTrueOfEach() {
        var generator = SeededGenerator(salt: 77)
        var spoken = 0
        for round in 0..<20_000 {
            let old = randomCatalog(&generator, until: 3)
            var more = old.declarations[0].revisions
            if generator.oneIn(2) {
                more = more.filter { $0.effectiveAt <= Self.now }
                for name in 0..<generator.below(3) {
                    more.append(randomRevision("n\(name)", Int64(generator.below(8)), more, &generator))
                }
            }
            let isByTime = generator.oneIn(3)
            let next = isByTime ? old : randomCatalog(of: more)
            let moments = (before: Self.now, now: isByTime ? Self.at(Int64(1 + generator.below(4))) : Self.now)
            guard
                let outdatings = outdatings(
                    of: [0, 1], from: old, at: moments.before, to: next, at: moments.now)
            else { continue }
            spoken += 1
            let place = "CONSENT_TEST_SEED=\(TestSeed.value), round \(round)"
            for purpose in next.purposes {
                for revision in old.declarations[0].revisions where revision.effectiveAt <= moments.before {
                    expect(outdatings, purpose, revision.name, old, next, moments, place)
                }
            }
        }
        #expect(spoken > 2000, "\(spoken)")
    }

    private func expect(
        _ outdatings: [Outdating], _ purpose: Purpose, _ revision: String, _ old: Catalog, _ next: Catalog,
        _ moments: (before: Timestamp, now: Timestamp), _ place: String
    ) {
        var act = Act(sequence: 1, state: .given, capturedAt: Self.at(-1))
        act.revision = RevisionName(declaration: "club", revision: revision)
        act.method = .button
        let was = decide([act], catalog: old, purpose: old.purpose(id: purpose.id)!, at: moments.before)
        let becomes = decide([act], catalog: next, purpose: purpose, at: moments.now)
        let concerned = outdatings.filter { $0.purposes.contains(purpose.bit) }
        if was.decision != .granted {
            #expect(becomes.decision != .granted, "\(place): \(purpose.id) \(revision)")
        } else if concerned.contains(where: { $0.endsAt == nil }) {
            #expect(becomes.decision != .granted, "\(place): \(purpose.id) \(revision)")
        } else {
            #expect(becomes.decision == .granted, "\(place): \(purpose.id) \(revision)")
            let end = [was.grantedUntil, concerned.first?.endsAt].compactMap { $0 }.min()
            #expect(becomes.grantedUntil == end, "\(place): \(purpose.id) \(revision)")
        }
    }

    private func randomCatalog(_ generator: inout SeededGenerator, until days: Int) -> Catalog {
        var revisions = [revision("r0", -20)]
        for number in 1..<2 + generator.below(4) {
            revisions.append(
                randomRevision("r\(number)", Int64(generator.below(10 + days)) - 10, revisions, &generator))
        }
        return randomCatalog(of: revisions)
    }

    private func randomRevision(
        _ name: String, _ days: Int64, _ earlier: [Revision], _ generator: inout SeededGenerator
    ) -> Revision {
        let taken = Set(earlier.map(\.effectiveAt))
        var days = days
        while taken.contains(Self.at(days)) { days += 1 }
        let before = earlier.filter { $0.effectiveAt < Self.at(days) }
        let compatible = generator.oneIn(2) ? before.isEmpty ? nil : generator.pick(before).name : nil
        return revision(
            name, days, compatible, purposes: generator.pick([["p0", "p1"], ["p0"], ["p1"], ["p0", "p1"]]))
    }

    private func randomCatalog(of revisions: [Revision]) -> Catalog {
        Catalog(
            purposes: [
                Purpose(id: "p0", bit: 0, controller: "c", title: [:], basis: .consent),
                Purpose(id: "p1", bit: 1, controller: "c", title: [:], basis: .consent),
            ], declarations: [Declaration(id: "club", revisions: revisions)])
    }
}
