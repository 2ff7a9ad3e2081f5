import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel

/// How the index came to be usable.
package enum IndexRecovery: Sendable, Equatable, CustomStringConvertible {
    case current
    /// It was behind the ledger by this many subjects, which were brought up to date.
    case replayed(subjects: Int)
    case rebuilt(reason: String, identifiers: Int)

    package var description: String {
        switch self {
        case .current: "the index was up to date"
        case .replayed(let subjects): "the index was brought up to date (subjects: \(subjects))"
        case .rebuilt(let reason, let identifiers):
            "the index was rebuilt from the ledger (identifiers: \(identifiers)): \(reason)"
        }
    }
}

/// Opens the index, and tells those who map it what they need of the catalog.
func openIndex(
    folder: NodeFolder, ledger: Ledger, hashKey: IdentifierHashKey, catalog: AppliedCatalog,
    progress: (Int, Int) -> Void
) throws -> (IndexWriter, IndexRecovery) {
    let (index, recovery) = try openFollowed(
        folder: folder, ledger: ledger, hashKey: hashKey, catalog: catalog, progress: progress)
    index.setRole(.authoritative)
    index.setLiveMillis(IndexTable.liveMillisDefault)
    index.setMaxStaleness(catalog.maxStaleness)
    try folder.indexFolder.setPurposes(catalog.purposeBits)
    return (index, recovery)
}

/// Opens the index of a node and makes it agree with the ledger: replay if it is only behind, rebuild if it cannot be
/// trusted.
private func openFollowed(
    folder: NodeFolder, ledger: Ledger, hashKey: IdentifierHashKey, catalog: AppliedCatalog,
    progress: (Int, Int) -> Void
) throws -> (IndexWriter, IndexRecovery) {
    func rebuilt(_ reason: String) throws -> (IndexWriter, IndexRecovery) {
        let index = try rebuildIndex(
            folder: folder, ledger: ledger, hashKey: hashKey, catalog: catalog, progress: progress)
        return (index, .rebuilt(reason: reason, identifiers: index.rows))
    }
    let index: IndexWriter
    do {
        index = try IndexWriter(
            opening: folder.indexFolder, history: ledger.identity.history, keyCheck: hashKey.check)
    } catch let problem as IndexProblem {
        return try rebuilt("\(problem)")
    }
    let head = try ledger.read { try $0.head() }
    let applied = index.appliedSequence
    let (chain, catalogChanged) = try ledger.read { snapshot in
        (try snapshot.chainHead(at: applied), try snapshot.catalogChanged(after: applied))
    }
    // Ahead of the ledger, or behind another past than the ledger's: a backup was restored.
    guard let chain, chain.mark == index.appliedChain || applied == 0 else {
        return try rebuilt("it was derived from another past of this ledger")
    }
    if catalogChanged { return try rebuilt("the catalog changed after it was last written") }
    try index.setDefaults(granted: catalog.defaults.granted, denied: catalog.defaults.denied)
    let subjects = applied == head.sequence ? 0 : try replay(ledger, from: applied, to: head, on: index)
    // Whatever it says of itself, it must hold what the ledger says that it holds.
    guard try ledger.read({ try $0.totals(of: .index) }) == DerivedTotals(index.totals) else {
        return try rebuilt("its rows are not those that the ledger names")
    }
    return (index, applied == head.sequence ? .current : .replayed(subjects: subjects))
}

/// Brings the rows of everybody up to date whom later events are about; says how many people that were.
private func replay(_ ledger: Ledger, from applied: UInt64, to head: ChainHead, on index: IndexWriter) throws -> Int {
    let subjects = try ledger.read { snapshot in
        let subjects = try snapshot.subjectsChanged(after: applied)
        for id in subjects {
            guard let subject = try snapshot.subject(id) else {
                throw LedgerError.corrupt(where: "subject \(id)", what: "an event names it, but it is not there")
            }
            let row = IndexRow(subject.projection)
            try subject.identifiers.withUnsafeBytes { identifiers in
                try SubjectRecord.forEachIdentifier(in: identifiers) { try index.put($1, row, owner: UInt32(id)) }
            }
        }
        return subjects.count
    }
    index.setApplied(sequence: head.sequence, chain: head.mark)
    return subjects
}

extension LedgerError {
    /// A file made from the ledger alone does not come out as the last commit has foretold.
    static func corrupt(derived file: DerivedFile) -> LedgerError {
        .corrupt(
            where: "table derived_file, '\(file.rawValue)'",
            what: "what is kept of the people is not what was committed; 'consentd verify' says where")
    }
}
