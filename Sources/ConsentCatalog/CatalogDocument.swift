package import ConsentModel

/// A catalog as it is kept under version control, shipped to a node and stored in the ledger: its text, and what the
/// text means.
package struct CatalogDocument: Sendable {
    package let catalog: Catalog
    /// The languages (BCP 47) that everything a person reads exists in.
    package let languages: [String]
    package let text: String
    /// SHA-256 of the catalog's canonical form: the same for two texts that mean the same.
    package let digest: [UInt8]
    /// What it lacks, though it is sound, in the order of the text.
    package let notes: [CatalogProblem]
    private let file: String
    private let places: [CatalogPart: Place]

    /// Reads and checks `text`; every revision of the catalog carries its digest.
    ///
    /// - Parameter file: the name that problems are reported under.
    /// - Throws: every problem that the text has. There is no such thing as a partly accepted catalog.
    package init(text: String, file: String) throws(CatalogRejection) {
        let problems = ProblemList(file: file)
        guard let document = YamlDocument(text: text, problems: problems),
            let draft = CatalogDraft(document, problems: problems)
        else { throw problems.rejection }
        let rules = CatalogRules(draft)
        rules.check()
        guard problems.isEmpty else { throw problems.rejection }
        var notes: [CatalogProblem] = []
        rules.note { note, place, message in
            notes.append(
                CatalogProblem(
                    file: file, line: place.line, column: place.column, rule: note.rawValue, message: message))
        }
        self.notes = notes
        catalog = draft.catalog
        languages = draft.languages
        digest = catalogDigest(catalog, languages: languages)
        self.text = text
        self.file = file
        places = draft.places
    }

    /// What is wrong with this catalog beside another one, where it has to change; what it lacks is reported at its
    /// beginning.
    package func problems(_ conflicts: [CatalogConflict]) -> [CatalogProblem] {
        let found = conflicts.map { conflict in
            (conflict, conflict.part.flatMap { places[$0] } ?? Place.start)
        }
        return found.sorted { $0.1 < $1.1 }.map { conflict, place in
            CatalogProblem(
                file: file, line: place.line, column: place.column, rule: conflict.rule, message: conflict.description)
        }
    }
}

/// A part of a catalog that another catalog may contradict.
enum CatalogPart: Hashable, Sendable {
    case purpose(String)
    case declaration(String)
    case revision(RevisionName)
}

extension CatalogConflict {
    /// Nil for what is not there any more.
    fileprivate var part: CatalogPart? {
        switch self {
        case .bitReassigned(_, _, let purpose), .bitChanged(let purpose, _, _), .purposeReactivated(let purpose):
            .purpose(purpose)
        case .revisionChanged(let name, _), .revisionBackdated(let name, _): .revision(name)
        case .revisionRemoved(let name): .declaration(name.declaration)
        case .purposeRemoved, .declarationRemoved: nil
        }
    }
}

extension CatalogDraft {
    /// Where the parts stand.
    fileprivate var places: [CatalogPart: Place] {
        var places: [CatalogPart: Place] = [:]
        for purpose in purposes { places[.purpose(purpose.value.id)] = purpose.map.place }
        for declaration in declarations {
            places[.declaration(declaration.id)] = declaration.map.place
            for revision in declaration.revisions {
                places[.revision(RevisionName(declaration: declaration.id, revision: revision.value.name))] =
                    revision.map.place
            }
        }
        return places
    }
}

extension CatalogDraft {
    /// What the text means; for a draft without problems.
    fileprivate var catalog: Catalog {
        let plain = Catalog(
            controllers: controllers.map(\.value), recipients: recipients.map(\.value),
            dataCategories: dataCategories.map(\.value), purposes: purposes.map(\.value),
            declarations: declarations.map { Declaration(id: $0.id, revisions: $0.revisions.map(\.value)) })
        return Catalog(
            controllers: plain.controllers, recipients: plain.recipients, dataCategories: plain.dataCategories,
            purposes: plain.purposes, declarations: plain.declarations.map { $0.digested(in: plain) })
    }
}

extension Declaration {
    fileprivate func digested(in catalog: Catalog) -> Declaration {
        Declaration(
            id: id,
            revisions: revisions.map { $0.with(digest: revisionDigest($0, of: id, in: catalog)) })
    }
}
