import ConsentCatalog
import ConsentLedger
package import ConsentModel
package import ConsentProof

extension Engine {
    /// All that an auditor needs of one event.
    ///
    /// - Throws: ``EngineError`` `eventUnknown` if there is none with this sequence, and what the ledger throws.
    package func proof(of sequence: UInt64) throws -> EventProof {
        // A checkpoint that covers it is made first, if need be; its own reading must not stand in another's.
        guard let evidence = try ledger.read({ try $0.evidence(of: sequence) }),
            let position = try position(of: evidence.entry)
        else { throw EngineError.eventUnknown(sequence) }
        return EventProof(
            deployment: identity.deployment, evidence: evidence, position: position,
            catalog: try catalogShown(by: evidence), erasures: try erasures(of: evidence), madeAt: systemNow())
    }

    private func erasures(of evidence: ChainEvidence) throws -> [ErasureProof] {
        try ledger.read { try $0.erasures(of: evidence) }.map { erasure in
            let positions = try erasure.entries.map { entry in
                guard let position = try position(of: entry) else { throw EngineError.eventUnknown(entry.sequence) }
                return position
            }
            return ErasureProof(positions: positions, parts: erasure.parts)
        }
    }

    private func position(of entry: ChainEntry) throws -> ChainPosition? {
        guard let checkpoint = try notary.checkpoint(covering: entry.sequence) else { return nil }
        let events = try ledger.read { try $0.hashes(checkpoint.first...checkpoint.sequence) }
        let path = MerkleTree.path(to: Int(entry.sequence - checkpoint.first), in: events)
        guard checkpoint.isReached(from: entry.hash, entry.sequence, by: path) else {
            throw LedgerError.corrupt(
                where: "events \(checkpoint.first) to \(checkpoint.sequence)",
                what: "they are not those that the checkpoint of \(checkpoint.at.iso8601) was signed over")
        }
        return ChainPosition(entry, checkpoint: checkpoint, path: path)
    }

    /// The catalog that holds the text which an event names: the one that was in force when it was recorded. Another may
    /// hold a draft of that revision, which was written anew before it came into force.
    private func catalogShown(
        by evidence: ChainEvidence
    ) throws -> (document: CatalogDocument, version: Int, position: ChainPosition)? {
        guard case .consent(let recorded) = evidence.event, let name = recorded.event.revision,
            let (document, version, event) = try catalogInForce(at: recorded.sequence),
            document.catalog.revision(name) != nil, let position = try position(of: event.entry)
        else { return nil }
        return (document, version, position)
    }

    /// The catalog that was in force when an event was recorded, with the event that applied it; nil for one that this
    /// build cannot read.
    private func catalogInForce(
        at sequence: UInt64
    ) throws -> (document: CatalogDocument, version: Int, event: ChainEvidence)? {
        try ledger.read { snapshot in
            let applied = zip(try snapshot.catalogs(), try snapshot.catalogMoments())
            guard let (stored, moment) = applied.reversed().first(where: { $0.1.sequence < sequence }),
                let document = try? CatalogDocument(text: stored.document, file: "catalog"),
                let event = try snapshot.evidence(of: moment.sequence)
            else { return nil }
            return (document, stored.version, event)
        }
    }
}

extension Engine {
    /// The signed copy of an act for the person.
    ///
    /// - Throws: ``EngineError`` `eventUnknown`, or `receipt` for what there is none of.
    package func receipt(of sequence: UInt64, _ kind: ProofKind) throws -> JSONValue {
        guard let evidence = try ledger.read({ try $0.evidence(of: sequence) }) else {
            throw EngineError.eventUnknown(sequence)
        }
        let document = try catalogInForce(at: sequence)?.document
        do throws(ReceiptError) {
            let receipt = try Receipt(
                evidence, history: identity.history, catalog: document?.catalog ?? catalog.catalog)
            let content = kind == .kantaraReceipt ? try receipt.kantara() : receipt.dpv(at: systemNow())
            return notary.signed(content)
        } catch {
            throw EngineError.receipt(error)
        }
    }

    /// What `kind` says of an event, as a document that can be checked without the node.
    package func document(_ kind: ProofKind, of sequence: UInt64) throws -> String {
        try kind == .event ? proof(of: sequence).json.canonical : receipt(of: sequence, kind).canonical
    }
}
