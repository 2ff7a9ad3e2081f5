import ConsentCatalog
import ConsentModel
import Testing

/// What changes from the sample when the one place that reads `part` is written otherwise.
private func changes(_ part: String, _ replacement: String) throws -> [CatalogChange] {
    catalogChanges(from: try document(Sample.text).catalog, to: try document(Sample.with(part, replacement)).catalog)
}

private func club(_ revision: String) -> RevisionName { RevisionName(declaration: "club", revision: revision) }

private func time(_ text: String) throws -> Timestamp { try #require(Timestamp(iso8601: text)) }

/// The sample with one revision more in its declaration `club`.
private func withRevision(
    _ name: String, at time: String, purposes: String = "newsletter, junior, sharing", _ more: String = ""
) -> String {
    Sample.with(
        "  - id: diet-notice",
        """
              - revision: "\(name)"
                effectiveAt: \(time)
                purposes: [\(purposes)]
                recipients: [sender]
                retention: a month
                withdrawal: at once
                texts:
                  nb: {title: N, body: N, plain: N}
                  en: {title: E, body: E, plain: E}
                \(more)
          - id: diet-notice
        """)
}

@Suite struct CatalogChangeTests {
    @Test func nothingChangesBetweenEqualCatalogs() throws {
        let catalog = try document(Sample.text).catalog
        #expect(catalogChanges(from: catalog, to: catalog).isEmpty)
    }

    @Test func everythingIsAddedToNothing() throws {
        let added = catalogChanges(from: nil, to: try document(Sample.text).catalog)
        #expect(
            added == [
                .controllerAdded("group"), .controllerAdded("shop"), .recipientAdded("sender"),
                .recipientAdded("printer"), .dataCategoryAdded("contact"), .dataCategoryAdded("health"),
                .purposeAdded("newsletter"), .purposeAdded("sharing"), .purposeAdded("junior"), .purposeAdded("diet"),
                .purposeAdded("receipts"), .declarationAdded("club"),
                .revisionAdded(club("1.0"), breaking: false, effectiveAt: try time("2023-01-01"), affectedPurposes: []),
                .revisionAdded(
                    club("1.1"), breaking: false, effectiveAt: try time("2024-01-01T11:00:00Z"), affectedPurposes: []),
                .declarationAdded("diet-notice"),
                .revisionAdded(
                    RevisionName(declaration: "diet-notice", revision: "1.0"), breaking: false,
                    effectiveAt: try time("2024-06-01"), affectedPurposes: []),
            ])
        #expect(added.flatMap(\.affectedPurposes) == ["newsletter", "sharing", "junior", "diet", "receipts"])
    }

    @Test func tellsOfPartsThatComeChangeAndGo() throws {
        #expect(
            try changes("name: Gruppen AS", "name: Konsernet AS") == [.controllerChanged("group", fields: ["name"])])
        #expect(try changes("address: Papirgata 2", "address: Papirgata 3") == [.recipientChanged("printer")])
        #expect(try changes("name: Health", "name: Helse").first == .dataCategoryChanged("health"))
        #expect(try changes("id: printer", "id: press") == [.recipientAdded("press"), .recipientRemoved("printer")])
        let brand = "  - {id: brand, name: B, contact: B, parent: shop}\nrecipients:\n  - id: sender"
        let more = try document(Sample.with("recipients:\n  - id: sender", brand)).catalog
        let sample = try document(Sample.text).catalog
        #expect(catalogChanges(from: sample, to: more) == [.controllerAdded("brand")])
        #expect(catalogChanges(from: more, to: sample) == [.controllerRemoved("brand")])
        let category = "  - {id: c, name: C}\npurposes:\n  - id: newsletter"
        let wider = try document(Sample.with("purposes:\n  - id: newsletter", category)).catalog
        #expect(catalogChanges(from: sample, to: wider) == [.dataCategoryAdded("c")])
        #expect(catalogChanges(from: wider, to: sample) == [.dataCategoryRemoved("c")])
    }

    @Test func tellsOfPurposesRetiredAndReactivated() throws {
        let retired = try document(Sample.with("basis: contract", "basis: contract\n    active: false")).catalog
        let sample = try document(Sample.text).catalog
        #expect(catalogChanges(from: sample, to: retired) == [.purposeRetired("receipts")])
        #expect(catalogChanges(from: retired, to: sample) == [.purposeReactivated("receipts")])
        #expect(catalogChanges(from: sample, to: retired).flatMap(\.affectedPurposes) == ["receipts"])
    }

    @Test func tellsOfAnotherBasis() throws {
        let change = try changes("basis: contract", "basis: public_task")
        #expect(change == [.basisChanged(purpose: "receipts", old: .contract, new: .publicTask)])
        #expect(change.first?.affectedPurposes == ["receipts"])
        #expect(change.first?.description == "purpose 'receipts' rests on public_task instead of contract")
    }

    @Test(arguments: [
        ("basis: contract", "basis: contract\n    explicit: true", PurposeCondition.explicit, "receipts"),
        ("doubleOptIn: true", "doubleOptIn: false", .doubleOptIn, "newsletter"),
        ("validityDuration: P2Y", "validityDuration: P1Y", .validityDuration, "newsletter"),
        ("minimumAge: 15", "minimumAge: 13", .minimumAge, "junior"),
        ("basis: contract", "basis: contract\n    profiling: true", .profiling, "receipts"),
        ("basis: contract", "basis: contract\n    directMarketing: true", .directMarketing, "receipts"),
        ("    sharing: true\n", "", .sharing, "sharing"),
        ("basis: contract", "basis: contract\n    dataCategories: [contact]", .dataCategories, "receipts"),
    ])
    func tellsOfOtherConditions(
        _ change: (old: String, new: String, condition: PurposeCondition, purpose: String)
    ) throws {
        let found = try changes(change.old, change.new)
        #expect(found == [.conditionsChanged(purpose: change.purpose, conditions: [change.condition])])
        #expect(found.first?.affectedPurposes == [change.purpose])
    }

    @Test func aCategoryThatIsNoLongerSpecialAffectsThePurposesThatUseIt() throws {
        let found = try changes("    special: true\n", "")
        #expect(
            found == [
                .dataCategoryChanged("health"), .conditionsChanged(purpose: "diet", conditions: [.specialCategory]),
            ])
    }

    @Test func aCategoryThatBecomesSpecialAffectsThePurposesOfRevisionsThatNameIt() throws {
        let old = try document(Sample.text).catalog
        var categories = old.dataCategories
        categories[0].isSpecial = true
        let new = Catalog(
            controllers: old.controllers, recipients: old.recipients, dataCategories: categories,
            purposes: old.purposes, declarations: old.declarations)
        let affected = catalogChanges(from: old, to: new).flatMap(\.affectedPurposes)
        #expect(affected == ["newsletter", "sharing", "junior"])
    }

    @Test func titlesAndOperationAffectNoDecision() throws {
        let title = try changes("{nb: Deling, en: Sharing}", "{nb: Del, en: Share}")
        #expect(title == [.titleChanged(purpose: "sharing")])
        let operation = try changes("maxStaleness: PT15M", "maxStaleness: PT5M")
        #expect(operation == [.operational(purpose: "newsletter")])
        let moved = try changes("controller: group", "controller: shop")
        #expect(moved == [.purposeMoved(purpose: "receipts", oldController: "group", newController: "shop")])
        let lifetime = try changes("doubleOptIn: true", "doubleOptIn: true\n    doubleOptInLifetime: P2D")
        let (week, twoDays) = (Period(seconds: 604_800), Period(seconds: 172_800))
        #expect(lifetime == [.tokenLifetimeChanged(purpose: "newsletter", old: week, new: twoDays)])
        #expect(
            lifetime.first?.description
                == "tokens that confirm 'newsletter' count for 172800 s instead of 604800 s from now on")
        #expect(try changes("doubleOptIn: true", "doubleOptIn: true\n    doubleOptInLifetime: P7D") == [])
        #expect((title + operation + moved + lifetime).flatMap(\.affectedPurposes).isEmpty)
    }

    @Test func aCompatibleRevisionAffectsNobody() throws {
        let new = try document(withRevision("1.2", at: "2027-01-01", "compatibleWith: \"1.1\"")).catalog
        #expect(
            catalogChanges(from: try document(Sample.text).catalog, to: new) == [
                .revisionAdded(club("1.2"), breaking: false, effectiveAt: try time("2027-01-01"), affectedPurposes: [])
            ])
    }

    @Test func aBreakingRevisionAffectsAllThatWasCovered() throws {
        let new = try document(withRevision("1.2", at: "2027-01-01")).catalog
        let found = catalogChanges(from: try document(Sample.text).catalog, to: new)
        #expect(
            found == [
                .revisionAdded(
                    club("1.2"), breaking: true, effectiveAt: try time("2027-01-01"),
                    affectedPurposes: ["junior", "newsletter", "sharing"])
            ])
        #expect(found.first?.description.contains("becomes current at 2027-01-01T00:00:00Z; earlier consents") ?? false)
    }

    @Test func aRevisionThatDropsAPurposeBreaksForThatPurposeOnly() throws {
        let text = withRevision("1.2", at: "2027-01-01", purposes: "newsletter, junior", "compatibleWith: \"1.1\"")
        let found = catalogChanges(from: try document(Sample.text).catalog, to: try document(text).catalog)
        #expect(
            found == [
                .revisionAdded(
                    club("1.2"), breaking: true, effectiveAt: try time("2027-01-01"), affectedPurposes: ["sharing"])
            ])
    }

    @Test func aRevisionCompatibleWithAnOlderOneThanTheLastIsBreaking() throws {
        let text = withRevision("1.2", at: "2027-01-01", "compatibleWith: \"1.0\"")
        let found = catalogChanges(from: try document(Sample.text).catalog, to: try document(text).catalog)
        #expect(found.flatMap(\.affectedPurposes) == ["junior", "newsletter", "sharing"])
    }

    @Test func tellsOfAnAnnouncedRevisionThatChangesOrGoes() throws {
        let announced = try document(withRevision("1.2", at: "2027-01-01")).catalog
        let postponed = try document(withRevision("1.2", at: "2028-01-01")).catalog
        let all = ["junior", "newsletter", "sharing"]
        #expect(
            catalogChanges(from: announced, to: postponed) == [.revisionChanged(club("1.2"), affectedPurposes: all)])
        #expect(
            catalogChanges(from: announced, to: try document(Sample.text).catalog)
                == [.revisionRemoved(club("1.2"), affectedPurposes: all)])
    }

    @Test func standsInAStableOrder() throws {
        let old = try document(Sample.text).catalog
        let text = withRevision("1.2", at: "2027-01-01").with("basis: contract", "basis: public_task")
            .with("name: Gruppen AS", "name: G AS").with("{nb: Deling, en: Sharing}", "{nb: D, en: S}")
            .with("address: Papirgata 2", "address: P")
        let kinds = catalogChanges(from: old, to: try document(text).catalog).map { "\($0)".prefix(12) }
        #expect(kinds == ["controller '", "recipient 'p", "purpose 'sha", "purpose 'rec", "revision clu"])
    }
}

@Suite struct CatalogConflictTests {
    private func conflicts(_ part: String, _ replacement: String) throws -> [CatalogConflict] {
        catalogConflicts(
            from: try document(Sample.text).catalog, to: try document(Sample.with(part, replacement)).catalog)
    }

    @Test func nothingConflictsBetweenEqualCatalogsNorWithADraftOfMore() throws {
        let sample = try document(Sample.text).catalog
        #expect(catalogConflicts(from: sample, to: sample).isEmpty)
        let more = try document(withRevision("1.2", at: "2027-01-01")).catalog
        #expect(catalogConflicts(from: sample, to: more).isEmpty)
        #expect(catalogConflicts(from: Catalog(), to: sample).isEmpty)
    }

    @Test func aBitNeverChangesNorTurnsToAnotherPurpose() throws {
        #expect(try conflicts("bit: 4", "bit: 5") == [.bitChanged(purpose: "receipts", old: 4, new: 5)])
        #expect(
            try conflicts("id: receipts", "id: slips")
                == [.purposeRemoved("receipts"), .bitReassigned(bit: 4, old: "receipts", new: "slips")])
        let swapped = try document(Sample.with("bit: 4", "bit: 33").with("bit: 3\n", "bit: 4\n")).catalog
        #expect(
            catalogConflicts(from: try document(Sample.text).catalog, to: swapped) == [
                .bitChanged(purpose: "diet", old: 3, new: 4), .bitChanged(purpose: "receipts", old: 4, new: 33),
                .bitReassigned(bit: 4, old: "receipts", new: "diet"),
            ])
    }

    @Test func aPurposeIsRetiredInsteadOfRemoved() throws {
        let receipts = try #require(Sample.text.firstRange(of: "  - id: receipts"))
        let declarations = try #require(Sample.text.firstRange(of: "declarations:"))
        let without = String(Sample.text[..<receipts.lowerBound]) + Sample.text[declarations.lowerBound...]
        let found = catalogConflicts(from: try document(Sample.text).catalog, to: try document(without).catalog)
        #expect(found == [.purposeRemoved("receipts")])
        #expect(found.first?.description.contains("active: false") ?? false)
        #expect(try conflicts("basis: contract", "basis: contract\n    active: false").isEmpty)
    }

    /// Else what people agreed to before would count again, though they were told that it had ended.
    @Test func aRetiredPurposeNeverAsksForConsentAgain() throws {
        let sample = try document(Sample.text).catalog
        let retired = try document(
            Sample.with("minimumAge: 15", "minimumAge: 15\n    active: false")
                .with("basis: contract", "basis: contract\n    active: false")
        ).catalog
        // What rests on a contract may begin again.
        #expect(catalogConflicts(from: retired, to: sample) == [.purposeReactivated("junior")])
        #expect(catalogConflicts(from: retired, to: retired).isEmpty)
        #expect(catalogConflicts(from: sample, to: retired).isEmpty)
    }

    @Test(arguments: [
        ("retention: one year", "retention: ten years", "retention"),
        ("title: Ja takk", "title: Ja, takk".replacing(",", with: "!"), "texts.nb"),
        ("withdrawal: on the page", "withdrawal: by letter", "withdrawal"),
        ("        compatibleWith: \"1.0\"\n", "", "compatibleWith"),
        ("T12:00:00+01:00", "T12:00:01+01:00", "effectiveAt"),
    ])
    func anAppliedRevisionNeverChanges(_ change: (old: String, new: String, part: String)) throws {
        #expect(try conflicts(change.old, change.new) == [.revisionChanged(club("1.1"), parts: [change.part])])
    }

    @Test func aRecipientNeverChangesItsNameUnderAnAppliedRevision() throws {
        #expect(
            try conflicts("name: Brevduva AB", "name: Brevduva Holding AB") == [
                .revisionChanged(club("1.0"), parts: ["recipients"]),
                .revisionChanged(club("1.1"), parts: ["recipients"]),
            ])
        #expect(try conflicts("name: Trykk AS", "name: Trykk Holding AS").isEmpty)
    }

    @Test func aCoveredPurposeNeverMovesToAnotherController() throws {
        let found = try conflicts(
            "controller: shop\n    title: {nb: Kosthold", "controller: group\n    title: {nb: Kosthold")
        let notice = RevisionName(declaration: "diet-notice", revision: "1.0")
        #expect(found == [.revisionChanged(notice, parts: ["purposes"])])
    }

    @Test func anAppliedRevisionIsNeverRemoved() throws {
        #expect(try conflicts("revision: \"1.1\"", "revision: \"1.1b\"") == [.revisionRemoved(club("1.1"))])
        #expect(try conflicts("id: diet-notice", "id: diet-note") == [.declarationRemoved("diet-notice")])
    }

    @Test func aRevisionThatIsNotYetInForceMayChangeOrGo() throws {
        let announced = try document(withRevision("1.2", at: "2027-01-01")).catalog
        let postponed = try document(withRevision("1.2", at: "2028-01-01")).catalog
        let withdrawn = try document(Sample.text).catalog
        let before = try time("2026-12-31")
        let after = try time("2027-01-01")
        #expect(catalogConflicts(from: announced, to: postponed, at: before).isEmpty)
        #expect(catalogConflicts(from: announced, to: withdrawn, at: before).isEmpty)
        #expect(
            catalogConflicts(from: announced, to: postponed, at: after)
                == [.revisionChanged(club("1.2"), parts: ["effectiveAt"])])
        #expect(catalogConflicts(from: announced, to: withdrawn, at: after) == [.revisionRemoved(club("1.2"))])
        #expect(catalogConflicts(from: announced, to: withdrawn) == [.revisionRemoved(club("1.2"))])
    }

    @Test func whatIsAddedBecomesCurrentAtApplicationOrLater() throws {
        let sample = try document(Sample.text).catalog
        let clock = try time("2026-06-01")
        func backdated(_ text: String, from old: Catalog? = nil) throws -> [CatalogConflict] {
            catalogConflicts(from: old ?? sample, to: try document(text).catalog, at: clock, addedFrom: clock)
        }
        #expect(try backdated(withRevision("1.2", at: "2026-06-01")).isEmpty)
        #expect(try backdated(withRevision("1.2", at: "2027-01-01")).isEmpty)
        let late = "2026-05-31T23:59:59Z"
        let conflict = CatalogConflict.revisionBackdated(club("1.2"), effectiveAt: try time(late))
        #expect(try backdated(withRevision("1.2", at: late)) == [conflict])
        // Also where it carries everybody over, and where it was announced for later.
        let compatible = withRevision("1.2", at: late, "compatibleWith: \"1.1\"")
        #expect(try backdated(compatible) == [conflict])
        let announced = try document(withRevision("1.2", at: "2027-01-01")).catalog
        #expect(try backdated(withRevision("1.2", at: late), from: announced) == [conflict])
        // A declaration that is new has shown nothing to anybody either.
        #expect(
            try backdated(Sample.with("id: diet-notice", "id: diet-note"))
                == [
                    .declarationRemoved("diet-notice"),
                    .revisionBackdated(
                        RevisionName(declaration: "diet-note", revision: "1.0"), effectiveAt: try time("2024-06-01")),
                ])
        // Where nobody has been recorded, a catalog tells of the time before.
        #expect(catalogConflicts(from: Catalog(), to: sample, at: clock).isEmpty)
    }

    @Test func aConflictSaysWhereTheTextHasToChange() throws {
        let sample = try document(Sample.text).catalog
        func problems(_ text: String) throws -> [String] {
            let next = try document(text)
            let clock = try time("2026-06-01")
            let conflicts = catalogConflicts(from: sample, to: next.catalog, at: clock, addedFrom: clock)
            return next.problems(conflicts).map { "\($0.line): \($0.rule)" }
        }
        func line(_ text: String, _ part: String) throws -> Int {
            text[..<(try #require(text.firstRange(of: part)).lowerBound)].count { $0 == "\n" } + 1
        }
        let reused = Sample.with("id: receipts", "id: slips")
        #expect(try problems(reused) == ["1: purpose-removed", "\(line(reused, "id: slips")): bit-reassigned"])
        let moved = Sample.with("bit: 4", "bit: 5")
        #expect(try problems(moved) == ["\(line(moved, "id: receipts")): bit-changed"])
        let rewritten = Sample.with("retention: one year", "retention: ten years")
        #expect(try problems(rewritten) == ["\(line(rewritten, "revision: \"1.1\"")): revision-changed"])
        let backdated = withRevision("1.2", at: "2026-01-01")
        #expect(try problems(backdated) == ["\(line(backdated, "revision: \"1.2\"")): revision-backdated"])
        let removed = Sample.with("revision: \"1.1\"", "revision: \"1.1b\"")
        #expect(
            try problems(removed) == [
                "\(line(removed, "id: club")): revision-removed",
                "\(line(removed, "revision: \"1.1b\"")): revision-backdated",
            ])
    }
}
