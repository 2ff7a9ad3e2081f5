import ConsentCatalog
import ConsentLedger
import ConsentModel

/// Who must be told of a revision and asked again: those whose consent counts until it takes effect, and does not carry
/// over to it.
struct RevisionNotice {
    /// The catalog without the revision and what follows it, and with it.
    private let before: Catalog
    private let through: Catalog
    private let moment: Timestamp
    private let declaration: String

    /// - Throws: ``EngineError`` `questionInvalid` if there is no such revision.
    init(_ name: RevisionName, in catalog: Catalog, at now: Timestamp) throws(EngineError) {
        guard let revision = catalog.revision(name) else {
            throw .questionInvalid("the catalog has no revision '\(name.text)'")
        }
        before = catalog.keeping(name.declaration) { $0.effectiveAt < revision.effectiveAt }
        through = catalog.keeping(name.declaration) { $0.effectiveAt <= revision.effectiveAt }
        moment = max(now, revision.effectiveAt)
        declaration = name.declaration
    }

    func findings(_ subject: SubjectRecord) -> [Finding] {
        subject.standings.all.compactMap { entry in
            guard entry.standing.decidingAct?.revision?.declaration == declaration,
                let purpose = through.purpose(bit: entry.purposeBit),
                decide(entry.standing, catalog: before, purpose: purpose, at: moment).decision == .granted
            else { return nil }
            let verdict = decide(entry.standing, catalog: through, purpose: purpose, at: moment)
            guard verdict.reason == .outdatedRevision else { return nil }
            return Finding(purpose.id, verdict, entry.standing)
        }
    }
}

extension Catalog {
    fileprivate func keeping(_ id: String, _ isKept: (Revision) -> Bool) -> Catalog {
        Catalog(
            controllers: controllers, recipients: recipients, dataCategories: dataCategories, purposes: purposes,
            declarations: declarations.map { declaration in
                declaration.id == id
                    ? Declaration(id: id, revisions: declaration.revisions.filter(isKept)) : declaration
            })
    }
}

extension Engine {
    /// For each revision that a catalog adds and that asks people again: how many must be told, for what, and how they
    /// can be reached.
    func notices(of changes: [CatalogChange], in catalog: Catalog, at now: Timestamp) throws -> [String] {
        let names = changes.compactMap { change -> RevisionName? in
            guard case .revisionAdded(let name, breaking: true, _, _) = change else { return nil }
            return name
        }
        guard !names.isEmpty else { return [] }
        let notices = try names.map { try RevisionNotice($0, in: catalog, at: now) }
        var counts = names.map { _ in NoticeCount() }
        try ledger.read { snapshot in
            try snapshot.forEachSubject { subject in
                if subject.isErased { return }
                for (position, notice) in notices.enumerated() {
                    counts[position].add(notice.findings(subject), of: subject)
                }
            }
        }
        return zip(names, counts).map { $1.text(of: $0) }
    }
}

/// How many people must be told of one revision.
private struct NoticeCount {
    private var people = 0
    private var byPurpose: [String: Int] = [:]
    private var withEmail = 0
    private var withPhone = 0
    private var withNeither = 0

    mutating func add(_ findings: [Finding], of subject: SubjectRecord) {
        guard !findings.isEmpty else { return }
        people += 1
        for finding in findings { byPurpose[finding.purpose, default: 0] += 1 }
        let size = SubjectRecord.identifierSize
        let types = stride(from: 0, to: subject.identifiers.count, by: size).map { subject.identifiers[$0] }
        let (hasEmail, hasPhone) = (
            types.contains(IdentifierType.email.rawValue), types.contains(IdentifierType.phone.rawValue)
        )
        withEmail += hasEmail ? 1 : 0
        withPhone += hasPhone ? 1 : 0
        withNeither += hasEmail || hasPhone ? 0 : 1
    }

    func text(of name: RevisionName) -> String {
        guard people > 0 else { return "nobody has to be told of revision \(name.text)" }
        let purposes = byPurpose.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        return "\(people) \(people == 1 ? "person" : "people") must be told of revision \(name.text) and asked again "
            + "(\(purposes)): \(withEmail) with an e-mail address, \(withPhone) with a phone number, "
            + "\(withNeither) with neither"
    }
}
