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

    /// Reads and checks `text`; every revision of the catalog carries its digest.
    ///
    /// - Parameter file: the name that problems are reported under.
    /// - Throws: every problem that the text has. There is no such thing as a partly accepted catalog.
    package init(text: String, file: String) throws(CatalogRejection) {
        let problems = ProblemList(file: file)
        guard let document = YamlDocument(text: text, problems: problems),
            let draft = CatalogDraft(document, problems: problems)
        else { throw problems.rejection }
        CatalogRules(draft).check()
        guard problems.isEmpty else { throw problems.rejection }
        catalog = draft.catalog
        languages = draft.languages
        digest = catalogDigest(catalog, languages: languages)
        self.text = text
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
            revisions: revisions.map { revision in
                var revision = revision
                revision.digest = revisionDigest(revision, of: id, in: catalog)
                return revision
            })
    }
}
