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
            catalog: try catalogShown(by: evidence), madeAt: systemNow())
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

    /// The catalog that was in force and holds the revision that an event names.
    private func catalogShown(
        by evidence: ChainEvidence
    ) throws -> (document: CatalogDocument, version: Int, position: ChainPosition)? {
        guard case .consent(let recorded) = evidence.event, let name = recorded.event.revision else { return nil }
        let found = try ledger.read { snapshot -> (StoredCatalog, CatalogDocument, ChainEvidence)? in
            let moments = try snapshot.catalogMoments()
            for (stored, moment) in zip(try snapshot.catalogs(), moments).reversed()
            where moment.sequence < recorded.sequence {
                guard let document = try? CatalogDocument(text: stored.document, file: "catalog"),
                    document.catalog.revision(name) != nil, let event = try snapshot.evidence(of: moment.sequence)
                else { continue }
                return (stored, document, event)
            }
            return nil
        }
        guard let (stored, document, event) = found, let position = try position(of: event.entry) else { return nil }
        return (document, stored.version, position)
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
        let document = try catalogShown(by: evidence)?.document
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
