import ConsentIndex
import ConsentModel

/// An event as it was judged at the door, on the thread that brought it: all that needs nothing of the ledger but the
/// catalog, so that the one writer has less to do. A class, as it is handed on often.
final class JudgedEvent: Sendable {
    struct Admitted: Sendable {
        /// National ids are replaced by their keyed hashes. The capture time is the sender's, nil where it is the node's
        /// to give: the sender gave none, or none that can count.
        var event: ConsentEvent
        var purposeBit: Int
    }

    let offered: ConsentEvent
    /// The catalog that it was judged by, and the moment.
    let catalogVersion: Int
    let judgedAt: Timestamp
    let admitted: Result<Admitted, AdmissionError>
    /// Of the identifiers of what was admitted, in their order.
    let hashes: [IdentifierHash]

    init(_ offered: ConsentEvent, catalog: Catalog, version: Int, hashKey: IdentifierHashKey, now: Timestamp) {
        self.offered = offered
        catalogVersion = version
        judgedAt = now
        var hashes: [IdentifierHash] = []
        admitted = Result { () throws(AdmissionError) in
            var (event, purpose, capturedAt) = try admitUndated(offered, catalog: catalog, now: now)
            let capturedByOffer = offered.capturedAt == capturedAt ? capturedAt : nil
            if event.capturedAt != capturedByOffer { event.capturedAt = capturedByOffer }
            hashes = event.identifiers.map(hashKey.hash)
            return Admitted(event: event.withoutNationalIDs(hashes, hashKey), purposeBit: purpose.bit)
        }
        self.hashes = hashes
    }
}

extension ConsentEvent {
    /// National ids are kept as their keyed hash only; it takes the place of the value in everything that is stored.
    func withoutNationalIDs(_ hashKey: IdentifierHashKey) -> ConsentEvent {
        withoutNationalIDs(identifiers.map(hashKey.hash), hashKey)
    }

    fileprivate func withoutNationalIDs(_ hashes: [IdentifierHash], _ hashKey: IdentifierHashKey) -> ConsentEvent {
        let named = guardian.map { identifiers + [$0.identifier] } ?? identifiers
        guard named.contains(where: { $0.type == .nationalId }) else { return self }
        var event = self
        event.identifiers = zip(identifiers, hashes).map { identifier, hash in
            identifier.type == .nationalId ? Identifier(nationalIDHash: hash.bytes) : identifier
        }
        event.guardian = guardian?.withoutNationalID(hashKey)
        return event
    }
}

extension Guardian {
    func withoutNationalID(_ hashKey: IdentifierHashKey) -> Guardian {
        guard identifier.type == .nationalId, identifier.nationalIDHash == nil else { return self }
        return Guardian(relation, Identifier(nationalIDHash: hashKey.hash(identifier).bytes))
    }
}
