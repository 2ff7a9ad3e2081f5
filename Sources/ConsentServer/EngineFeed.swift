package import ConsentEngine
import ConsentIndex
import ConsentModel
package import ConsentSync
package import ConsentWire

// What those who follow an authoritative node are told: every group that it commits.

extension Engine {
    /// A feed that has nothing to tell yet.
    package func feed(
        _ options: FeedHubOptions, failed: @escaping @Sendable (String) -> Void
    ) throws -> FeedHub {
        try FeedHub(
            FeedIdentity(history: .zero, hashKey: hashKey.bytes), publication: publication, point: SyncPoint(),
            catalog: .none, options: options,
            past: { [self] sequence, chain in
                // The mark of the beginning is the same for everybody of this history.
                sequence == 0 ? true : (try? chainMark(at: sequence)).map { $0 == chain }
            }, failed: failed)
    }
}

extension FeedHub {
    /// The node is here now; of what it commits from now on ``tell(_:of:)`` is told.
    func begin(_ engine: Engine, at point: CommittedPoint) {
        let catalog = SyncCatalog(engine.catalog, sequence: point.sequence)
        tell(
            .replaced(
                0, FeedIdentity(history: ID16(bytes: engine.identity.history), hashKey: engine.hashKey.bytes),
                SyncPoint(point, catalog), isDigestKnown: true, catalog))
    }

    func tell(_ engine: Engine, of group: CommittedGroup) {
        let applied = engine.catalog
        let catalog = SyncCatalog(applied, sequence: group.last)
        let rows = group.changedEverything ? nil : { @Sendable in group.rows.map { ChangedRow($0.hash, $0.row) } }
        tell(
            .made(
                after: group.first - 1, point: SyncPoint(group.point, catalog),
                catalog: group.catalogVersion == nil ? nil : catalog, hasAbsentRows: false, rows: rows))
    }
}

extension SyncPoint {
    init(_ point: CommittedPoint, _ catalog: SyncCatalog) {
        self.init(sequence: point.sequence, chain: point.chain, digest: point.digest ^ catalog.mark)
    }
}

extension SyncCatalog {
    package init(_ applied: AppliedCatalog, sequence: UInt64) {
        let (defaults, maxStaleness) = (applied.defaults, applied.maxStaleness)
        self.init(
            version: UInt32(applied.version), digest: applied.digest, sequence: sequence,
            purposes: applied.catalog.purposes.map { purpose in
                Purpose(
                    bit: purpose.bit, id: purpose.id, isGrantedByDefault: defaults.granted.contains(purpose.bit),
                    isDeniedByDefault: defaults.denied.contains(purpose.bit),
                    maxStaleness: maxStaleness[purpose.bit] ?? 0)
            }, text: applied.text)
    }
}
