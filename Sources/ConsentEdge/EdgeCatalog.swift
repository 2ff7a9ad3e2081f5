import ConsentCatalog
package import ConsentEngine
import ConsentServer
package import ConsentWire

extension AppliedCatalog {
    /// The one that an edge's rows are made by, which was judged before they were.
    init(_ catalog: SyncCatalog) {
        guard catalog.version > 0, let applied = try? Self.judged(catalog) else {
            self = .none
            return
        }
        self = applied
    }

    /// Reads a catalog's text, and compares it with the rules that came with it: rows, defaults and limits of staleness go
    /// by the rules, names by the text, and a purpose's bit must be the same in both.
    ///
    /// - Throws: ``EdgeCatalogProblem``.
    package static func judged(_ catalog: SyncCatalog) throws(EdgeCatalogProblem) -> AppliedCatalog {
        let document: CatalogDocument
        do {
            document = try CatalogDocument(text: catalog.text, file: "catalog version \(catalog.version)")
        } catch {
            throw .notAccepted(version: catalog.version, "\(error)")
        }
        guard document.digest == catalog.digest else { throw .anotherText(version: catalog.version) }
        let applied = AppliedCatalog(
            version: Int(catalog.version), catalog: document.catalog, text: catalog.text, digest: catalog.digest)
        guard SyncCatalog(applied, sequence: catalog.sequence) == catalog else {
            throw .otherRules(version: catalog.version)
        }
        return applied
    }
}

/// Why an edge does not answer by a catalog that its upstream has sent.
package enum EdgeCatalogProblem: Error, Equatable, CustomStringConvertible {
    case notAccepted(version: UInt32, String)
    case anotherText(version: UInt32)
    case otherRules(version: UInt32)

    package var description: String {
        switch self {
        case .notAccepted(let version, let why):
            "catalog version \(version) of the upstream is not accepted by this program, which may be an older one:\n\(why)"
        case .anotherText(let version):
            "the text of the upstream's catalog version \(version) is not the one that its digest was made of"
        case .otherRules(let version):
            "the upstream goes by other rules than the text of its catalog version \(version) says"
        }
    }
}
