import ConsentModel

/// Holds the parts of a catalog against each other. What fits nowhere is reported at the place that has to change.
struct CatalogRules {
    private let draft: CatalogDraft
    private let problems: ProblemList
    private let controllers: Set<String>
    private let recipients: Set<String>
    private let dataCategories: Set<String>
    private let specialCategories: Set<String>
    private let purposes: [String: Purpose]
    private let purposeIDs: Set<String>
    private let coveredPurposes: Set<String>

    init(_ draft: CatalogDraft) {
        self.draft = draft
        problems = draft.problems
        controllers = Set(draft.controllers.map(\.value.id))
        recipients = Set(draft.recipients.map(\.value.id))
        dataCategories = Set(draft.dataCategories.map(\.value.id))
        specialCategories = Set(draft.dataCategories.filter(\.value.isSpecial).map(\.value.id))
        purposes = Dictionary(draft.purposes.map { ($0.value.id, $0.value) }, uniquingKeysWith: { first, _ in first })
        purposeIDs = Set(purposes.keys)
        coveredPurposes = Set(draft.declarations.lazy.flatMap(\.revisions).flatMap(\.value.purposes))
    }

    func check() {
        checkIDs()
        checkBits()
        checkParents()
        for purpose in draft.purposes { check(purpose) }
        for declaration in draft.declarations { check(declaration) }
    }

    /// What receipts cannot say, as the catalog does not (ISO/IEC TS 27560; Kantara Consent Receipt 1.1): nothing is made
    /// up in its place, and who reads such a receipt sees "not stated".
    func note(_ report: (CatalogNote, Place, String) -> Void) {
        let asking = Set(draft.purposes.filter(\.value.isActive).map(\.value.controller))
        for controller in draft.controllers where asking.contains(controller.value.id) {
            let value = controller.value
            var missing = [("address", value.address), ("phone", value.phone), ("url", value.url)]
                .filter(\.1.isEmpty).map { "no '\($0.0)'" }
            if !value.contact.contains("@"), !value.dataProtectionOfficer.contains("@") {
                missing.append("no e-mail address in 'contact' or 'dataProtectionOfficer'")
            }
            guard !missing.isEmpty else { continue }
            report(
                .receiptIncomplete, controller.map.place,
                "\(controller.map.name) has \(missing.joined(separator: ", ")); receipts must carry it and will say that "
                    + "it is not stated")
        }
    }

    private func checkIDs() {
        reportRepeats(draft.controllers.map { $0.map.placed($0.value.id, key: "id") }, "controller", .idDuplicate)
        reportRepeats(draft.recipients.map { $0.map.placed($0.value.id, key: "id") }, "recipient", .idDuplicate)
        reportRepeats(draft.dataCategories.map { $0.map.placed($0.value.id, key: "id") }, "data category", .idDuplicate)
        reportRepeats(draft.purposes.map { $0.map.placed($0.value.id, key: "id") }, "purpose", .idDuplicate)
        reportRepeats(draft.declarations.map { $0.map.placed($0.id, key: "id") }, "declaration", .idDuplicate)
    }

    private func checkBits() {
        var ownerByBit: [Int: String] = [:]
        for purpose in draft.purposes where purpose.value.bit >= 0 {
            guard let owner = ownerByBit.updateValue(purpose.value.id, forKey: purpose.value.bit) else { continue }
            problems.report(
                .bitDuplicate, at: purpose.map.place(of: "bit"),
                "bit \(purpose.value.bit) of \(purpose.map.name) already belongs to purpose \(quoted(owner))")
        }
    }

    private func checkParents() {
        let parents = Dictionary(
            draft.controllers.compactMap { controller in controller.value.parent.map { (controller.value.id, $0) } },
            uniquingKeysWith: { first, _ in first })
        var seen: Set<String> = []
        for controller in draft.controllers {
            guard let parent = controller.value.parent else { continue }
            let place = controller.map.place(of: "parent")
            checkKnown(Placed(value: parent, place: place), in: controllers, "controller")
            if leadsBack(from: controller.value.id, parents, seen: &seen) {
                problems.report(.parentCycle, at: place, "\(controller.map.name) is its own parent in the end")
            }
        }
    }

    /// Whether the chain of parents comes back to a controller that it passed. Every chain is walked once.
    private func leadsBack(from start: String, _ parents: [String: String], seen: inout Set<String>) -> Bool {
        var path: Set<String> = []
        var next: String? = start
        while let id = next, !seen.contains(id) {
            seen.insert(id)
            path.insert(id)
            next = parents[id]
        }
        return next.map(path.contains) ?? false
    }

    private func check(_ draft: PurposeDraft) {
        let purpose = draft.value
        checkKnown(draft.map.placed(purpose.controller, key: "controller"), in: controllers, "controller")
        checkKnown(draft.dataCategories, in: dataCategories, "data category")
        if purpose.isSharing, purpose.isActive, !coveredPurposes.contains(purpose.id), purpose.basis != .consent {
            problems.report(
                .recipientsMissing, at: draft.map.place(of: "sharing"),
                "\(draft.map.name) shares data, and no revision of a declaration says with whom")
        }
        guard purpose.basis == .consent else { return }
        if !purpose.requiresExplicit, let special = draft.dataCategories.first(where: isSpecial) {
            problems.report(
                .specialNotExplicit, at: special.place,
                "\(draft.map.name) uses \(quoted(special.value)), a special category, and so needs 'explicit: true' "
                    + "(GDPR art. 9 (2) (a))")
        }
        if purpose.isActive, !coveredPurposes.contains(purpose.id) {
            problems.report(
                .consentWithoutDeclaration, at: draft.map.place,
                "\(draft.map.name) rests on consent, and no revision of a declaration covers it")
        }
    }

    private func isSpecial(_ category: Placed<String>) -> Bool { specialCategories.contains(category.value) }

    private func check(_ declaration: DeclarationDraft) {
        reportRepeats(
            declaration.revisions.map { $0.map.placed($0.value.name, key: "revision") }, "revision", .revisionDuplicate)
        checkEffectiveTimes(declaration)
        let timeByName = Dictionary(
            declaration.revisions.map { ($0.value.name, $0.effectiveAt) }, uniquingKeysWith: { first, _ in first })
        for revision in declaration.revisions {
            checkKnown(revision.purposes, in: purposeIDs, "purpose")
            checkKnown(revision.dataCategories, in: dataCategories, "data category")
            checkKnown(revision.recipients, in: recipients, "recipient")
            checkCompatibility(revision, timeByName: timeByName)
            checkPromises(revision)
        }
    }

    private func checkEffectiveTimes(_ declaration: DeclarationDraft) {
        var nameByTime: [Timestamp: String] = [:]
        for revision in declaration.revisions {
            guard let time = revision.effectiveAt else { continue }
            guard let other = nameByTime.updateValue(revision.value.name, forKey: time) else { continue }
            problems.report(
                .effectiveTimeDuplicate, at: revision.map.place(of: "effectiveAt"),
                "\(revision.map.name) becomes current at the same moment as revision \(quoted(other))")
        }
    }

    private func checkCompatibility(_ revision: RevisionDraft, timeByName: [String: Timestamp?]) {
        guard let older = revision.value.compatibleWith else { return }
        let place = revision.map.place(of: "compatibleWith")
        guard let olderTime = timeByName[older] else {
            let suggestion = problems.suggestion(for: older, among: timeByName.keys)
            problems.report(
                .compatibleWithUnknown, at: place,
                "\(revision.map.name) is compatible with \(quoted(older)), which its declaration does not have"
                    + suggestion)
            return
        }
        guard let time = revision.effectiveAt, let olderTime, olderTime >= time else { return }
        problems.report(
            .compatibleWithLater, at: place,
            "\(revision.map.name) is compatible with \(quoted(older)), which is not earlier than it")
    }

    /// What a revision owes to the person for the purposes that it covers.
    private func checkPromises(_ revision: RevisionDraft) {
        let covered = revision.value.purposes.compactMap { purposes[$0] }
        let name = revision.map.name
        if let sharing = covered.first(where: \.isSharing), revision.recipients.isEmpty {
            problems.report(
                .recipientsMissing, at: revision.map.place(of: "recipients"),
                "\(name) covers \(quoted(sharing.id)), which shares data, and names no recipients")
        }
        if let consent = covered.first(where: { $0.basis == .consent }), revision.value.withdrawal.isEmpty {
            problems.report(
                .withdrawalMissing, at: revision.map.place(of: "withdrawal"),
                "\(name) covers \(quoted(consent.id)) and does not say how consent is withdrawn (GDPR art. 7 (3))")
        }
        checkExplicit(revision, covered)
        checkPlainTexts(revision, covered)
        checkNames(revision, covered)
    }

    /// Who shares says with whom, in the words that the person reads, too (GDPR art. 13 (1) (e)).
    private func checkNames(_ revision: RevisionDraft, _ covered: [Purpose]) {
        guard covered.contains(where: \.isSharing) else { return }
        for (language, text) in revision.value.texts {
            guard let words = collectiveRecipient(in: "\(text.title). \(text.body). \(text.plain)") else { continue }
            problems.report(
                .partnersUnnamed, at: revision.textPlaces[language] ?? revision.map.place,
                "\(revision.map.name) shares data with \(quoted(words)) in '\(language)'; name each company that receives "
                    + "it (GDPR art. 13 (1) (e))")
        }
    }

    /// A grant on a revision with special data counts only if it is explicit, whatever purpose it is for.
    private func checkExplicit(_ revision: RevisionDraft, _ covered: [Purpose]) {
        guard let special = revision.dataCategories.first(where: isSpecial) else { return }
        for purpose in covered where purpose.basis == .consent && !purpose.requiresExplicit {
            problems.report(
                .specialNotExplicit, at: special.place,
                "\(revision.map.name) covers \(quoted(special.value)), a special category, and purpose "
                    + "\(quoted(purpose.id)), which is not 'explicit: true'")
        }
    }

    private func checkPlainTexts(_ revision: RevisionDraft, _ covered: [Purpose]) {
        guard let young = covered.first(where: { $0.minimumAge != nil }) else { return }
        for (language, text) in revision.value.texts where text.plain.isEmpty {
            problems.report(
                .plainMissing, at: revision.textPlaces[language] ?? revision.map.place,
                "\(revision.map.name) covers \(quoted(young.id)), which has an age limit, and has no 'plain' text in "
                    + "'\(language)' that a child can read (GDPR art. 12 (1))")
        }
    }

    private func checkKnown(_ words: [Placed<String>], in known: Set<String>, _ what: String) {
        for word in words { checkKnown(word, in: known, what) }
        reportRepeats(words, what, .referenceDuplicate)
    }

    private func checkKnown(_ word: Placed<String>, in known: Set<String>, _ what: String) {
        guard !word.value.isEmpty, !known.contains(word.value) else { return }
        let suggestion = problems.suggestion(for: word.value, among: known)
        problems.report(
            .referenceUnknown, at: word.place, "\(what) \(quoted(word.value)) is not in the catalog\(suggestion)")
    }

    private func reportRepeats(_ words: [Placed<String>], _ what: String, _ rule: CatalogRule) {
        problems.reportRepeats(words, what, rule)
    }
}

extension ProblemList {
    func reportRepeats(_ words: [Placed<String>], _ what: String, _ rule: CatalogRule) {
        var lineByWord: [String: Int] = [:]
        for word in words where !word.value.isEmpty {
            if let line = lineByWord[word.value] {
                report(rule, at: word.place, "\(what) \(quoted(word.value)) stands in line \(line) already")
            } else {
                lineByWord[word.value] = word.place.line
            }
        }
    }
}

extension YamlMap {
    fileprivate func placed(_ value: String, key: String) -> Placed<String> {
        Placed(value: value, place: place(of: key))
    }
}
