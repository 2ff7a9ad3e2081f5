import ConsentCatalog
import ConsentEngine
import ConsentIndex
import ConsentLedger
import ConsentModel
import ConsentTestSupport
import Testing

/// The corpus of decisions, the whole way: events in a ledger → chain → index made from it → check and explain, and a
/// replay of the chain. Past the door, which would not let all of these histories in.
struct CorpusThroughLedgerTests {
    /// Cases that one node can answer: one catalog, one moment.
    private struct Setting: Hashable {
        var document: String
        var clock: Timestamp
    }

    private static let settings: [(setting: Setting, cases: [DecisionCorpus.Case])] = Dictionary(
        grouping: DecisionCorpus.readableCases, by: { Setting(document: $0.catalog.sampleText, clock: $0.clock) }
    ).map { ($0.key, $0.value) }.sorted { $0.cases[0].name < $1.cases[0].name }

    /// Catalogs that the corpus decides by, and that no node can have, as the rules for catalogs refuse them.
    private static let refusals: Set = [
        "special-category-not-explicit", "compatible-with-unknown", "compatible-with-later", "age-invalid",
    ]

    @Test func mostCasesAreOfCatalogsThatANodeCanHave() throws {
        var possible = 0
        for (setting, cases) in Self.settings {
            do {
                _ = try CatalogDocument(text: setting.document, file: "corpus.yaml")
                possible += cases.count
            } catch {
                #expect(Set(error.problems.map(\.rule)).isSubset(of: Self.refusals), "\(cases[0]): \(error)")
            }
        }
        let all = try DecisionCorpus.cases.get().count
        #expect(Self.settings.map(\.cases.count).reduce(0, +) == all)
        #expect(possible > all * 3 / 4, "\(possible) of \(all)")
    }

    @Test(arguments: settings.indices) func checkExplainAndReplayAnswerEveryCaseAsItSays(_ number: Int) throws {
        let (setting, cases) = Self.settings[number]
        guard let document = try? CatalogDocument(text: setting.document, file: "corpus.yaml") else { return }
        let node = try TestNode()
        try node.close()
        try Self.store(cases, document, at: setting.clock, in: node.folder)
        let engine = try Engine(node.folder, systemNow: { setting.clock }, fatal: { Issue.record("\($0)") })
        var reader = IndexReader(engine.publication)
        for (position, example) in cases.enumerated() {
            let purpose = try #require(engine.catalog.catalog.purpose(id: example.purpose))
            let customer = Identifier.customer("\(position)")
            let verdict = try engine.explain(customer, purposeBit: purpose.bit).verdict
            #expect(verdict.reason == example.reason && verdict.decision == example.decision, "\(example)")

            let seconds = UInt32(clamping: setting.clock.secondsRoundedDown)
            let row = engine.publication.current.row(engine.hashKey.hash(customer))
            // A row keeps the second in which a consent ends, and so ends it up to a second early.
            let isLastSecond = row.map { $0.endsAt == seconds } ?? false
            let answer = reader.check(engine.hashKey.hash(customer), purposeBit: purpose.bit, now: seconds).decision
            #expect(answer == example.decision || isLastSecond && answer == .unknown, "\(example)")
        }
        try engine.close()
        #expect(try verify(node.folder).problems == [])
    }

    /// A catalog of what people agreed to and the case's own catalog does not know any more; nil if it knows all.
    private static func earlierDocument(_ cases: [DecisionCorpus.Case]) throws -> CatalogDocument? {
        let catalog = cases[0].catalog
        let known = Set(
            catalog.declarations.flatMap { declaration in
                declaration.revisions.map { RevisionName(declaration: declaration.id, revision: $0.name) }
            })
        let forgotten = Set(cases.flatMap(\.history).compactMap(\.revision)).subtracting(known)
        guard !forgotten.isEmpty else { return nil }
        let declarations = Dictionary(grouping: forgotten, by: \.declaration).map { id, names in
            let revisions = names.sorted { $0.revision < $1.revision }.enumerated().map { position, name in
                Revision(
                    name: name.revision, effectiveAt: Timestamp(millis: 86_400_000 * Int64(position + 1)),
                    purposes: catalog.purposes.map(\.id), dataCategories: [], compatibleWith: nil)
            }
            return Declaration(id: id, revisions: revisions)
        }
        let earlier = Catalog(
            dataCategories: catalog.dataCategories, purposes: catalog.purposes, declarations: declarations)
        return try CatalogDocument(text: earlier.sampleText, file: "earlier.yaml")
    }

    /// Stores each case as a customer's history.
    private static func store(
        _ cases: [DecisionCorpus.Case], _ document: CatalogDocument, at clock: Timestamp, in folder: NodeFolder
    ) throws {
        let ledger = try Ledger(path: folder.ledgerPath)
        let hashKey = try folder.hashKey(of: ledger.identity)
        let temporary = TemporaryFolder()
        let index = try IndexWriter(
            creating: IndexFolder(temporary.path + "/index"), history: ledger.identity.history,
            keyCheck: ledger.identity.keyCheck, identifiers: 1000, purposes: 64)
        let end = try ledger.read { try $0.end() }
        try ledger.write { transaction in
            let draft = Draft(
                after: end, reading: transaction.reading, previous: nil,
                randomBytes: { [UInt8](repeating: 9, count: $0) })
            for (position, document) in try [earlierDocument(cases), document].compactMap(\.self).enumerated() {
                let stored = StoredCatalog(version: position + 1, document: document.text, digest: document.digest)
                _ = draft.append(stored, document.catalog, recordedAt: clock)
            }
            var subjects: [SubjectRecord] = []
            var rows: [(hash: IdentifierHash, row: IndexRow, subject: UInt32)] = []
            for (position, example) in cases.enumerated() where !example.history.isEmpty {
                let purposeBit = document.catalog.purpose(id: example.purpose)!.bit
                let customer = Identifier.customer("\(position)")
                var subject = try draft.newSubject(salt: [UInt8](repeating: 7, count: 16))
                let hash = hashKey.hash(customer)
                subject.identifiers = [customer.type.rawValue] + hash.bytes
                let before = draft.end.head.sequence
                for act in example.history {
                    let refersTo = act.refersTo == 0 ? 0 : before + act.refersTo
                    let place = EventPlace(
                        subject: subject.id, purposeBit: purposeBit, recordedAt: clock, refersTo: refersTo,
                        previous: subject.lastEvent)
                    let event = ConsentEvent(act, by: [customer], example.purpose)
                    subject.lastEvent = draft.append(event, at: place, salt: subject.salt)
                    let stored = Act(
                        event, sequence: subject.lastEvent, recordedAt: clock, refersTo: refersTo)
                    subject.standings.fold(stored, purposeBit: purposeBit)
                }
                subject.projection = project(subject.standings, catalog: document.catalog, at: clock)
                subject.projection.sequence = subject.lastEvent
                subjects.append(subject)
                rows.append((hash, IndexRow(subject.projection), UInt32(subject.id)))
            }
            try transaction.store(draft) { put in for subject in subjects { try put(subject, true) } }
            let totals = index.totals(outdatings: []) { put in for row in rows { put(row.hash, row.row, row.subject) } }
            try transaction.put(
                DerivedTotals(rows: totals.rows, digest: totals.digest, ownersDigest: totals.ownersDigest), of: .index)
        }
        try index.close()
        try ledger.close()
    }
}

extension ConsentEvent {
    fileprivate init(_ act: Act, by identifiers: [Identifier], _ purpose: String) {
        self.init(identifiers: identifiers, purpose: purpose, state: act.state)
        capturedAt = act.capturedAt
        revision = act.revision
        expiresAt = act.expiresAt
        method = act.method
        isExplicit = act.isExplicit
        party = act.party
        subjectAge = act.subjectAge
    }
}

extension Catalog {
    /// As a document that the rules for catalogs allow and by which everything is decided in the same way: a purpose with
    /// special data says itself that it wants an express statement, and a consent that no declaration covers is covered by
    /// one that is not in force yet.
    fileprivate var sampleText: String {
        var uncovered = Set(purposes.filter { $0.basis == .consent }.map(\.id))
        for revision in declarations.flatMap(\.revisions) { uncovered.subtract(revision.purposes) }
        var texts = declarations.map(Self.text)
        if !uncovered.isEmpty {
            let revision = Revision(
                name: "1.0", effectiveAt: Timestamp(iso8601: "2099-01-01")!, purposes: uncovered.sorted(),
                dataCategories: [], compatibleWith: nil)
            texts.append(Self.text(Declaration(id: "later", revisions: [revision])))
        }
        let categories = dataCategories.map { "  - {id: \($0.id), name: \($0.id), special: \($0.isSpecial)}" }
        return """
            format: 1
            languages: [nb]
            controllers:
              - {id: club, name: Klubben AS, contact: post@klubben.example}
            recipients:
              - {id: sender, name: Brevduva AB, address: Duvgränd 7, country: SE, category: e-mail}
            dataCategories:
              - {id: contact, name: Contact details}
            \(categories.joined(separator: "\n"))
            purposes:
            \(purposes.map(text).joined(separator: "\n"))
            \(texts.isEmpty ? "" : "declarations:\n" + texts.joined(separator: "\n"))

            """
    }

    private func text(_ purpose: Purpose) -> String {
        let special = Set(dataCategories.filter(\.isSpecial).map(\.id))
        let isExplicit = purpose.requiresExplicit || !special.isDisjoint(with: purpose.dataCategories)
        var lines = [
            "  - id: \(purpose.id)", "    bit: \(purpose.bit)", "    controller: club",
            "    title: {nb: \(purpose.id)}", "    basis: \(purpose.basis.name)", "    explicit: \(isExplicit)",
            "    doubleOptIn: \(purpose.requiresDoubleOptIn)", "    profiling: \(purpose.isProfiling)",
            "    directMarketing: \(purpose.isDirectMarketing)", "    active: \(purpose.isActive)",
            "    dataCategories: [\(purpose.dataCategories.joined(separator: ", "))]",
        ]
        if let age = purpose.minimumAge { lines.append("    minimumAge: \(age)") }
        if let validity = purpose.validity { lines.append("    validityDuration: \(text(validity.seconds))") }
        return lines.joined(separator: "\n")
    }

    private func text(_ seconds: Int64) -> String {
        let (days, rest) = seconds.quotientAndRemainder(dividingBy: 86_400)
        return "P" + (days > 0 ? "\(days)D" : "") + (rest > 0 ? "T\(rest)S" : "")
    }

    private static func text(_ declaration: Declaration) -> String {
        (["  - id: \(declaration.id)", "    revisions:"] + declaration.revisions.map(text)).joined(separator: "\n")
    }

    private static func text(_ revision: Revision) -> String {
        var lines = [
            "      - revision: \"\(revision.name)\"", "        effectiveAt: \(revision.effectiveAt.iso8601)",
            "        purposes: [\(revision.purposes.joined(separator: ", "))]", "        recipients: [sender]",
            "        dataCategories: [\(revision.dataCategories.joined(separator: ", "))]",
            "        retention: two years", "        withdrawal: on the page",
            "        texts: {nb: {title: Ja, body: Du samtykker til \(revision.name)., plain: Du sier ja.}}",
        ]
        if let older = revision.compatibleWith { lines.append("        compatibleWith: \"\(older)\"") }
        return lines.joined(separator: "\n")
    }
}
