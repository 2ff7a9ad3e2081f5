package import ConsentIndex
package import ConsentModel
import Synchronization

/// What a node answers checks from. These belong together: with another key than the index was made with nobody would be
/// found, and who objected would pass for somebody who never did.
package struct Service: Sendable {
    /// Sixteen zero bytes stand for what is not known yet, on an edge that has nothing.
    package var identity: NodeIdentity
    package var hashKey: IdentifierHashKey
    /// Where readers of the index begin.
    package var publication: IndexPublication
    /// Of the rows whose bits are those of ``catalog``.
    package let lineage: Int
    package var catalog: AppliedCatalog

    package init(
        identity: NodeIdentity, hashKey: IdentifierHashKey, publication: IndexPublication, catalog: AppliedCatalog
    ) {
        self.identity = identity
        self.hashKey = hashKey
        self.publication = publication
        lineage = publication.current.lineage
        self.catalog = catalog
    }
}

/// What everybody goes by, replaced as a whole.
package final class InService: Sendable {
    private let current: Mutex<Service>
    private let count = Atomic<Int>(1)

    package init(_ service: Service) { current = Mutex(service) }

    package var value: Service { current.withLock { $0 } }

    /// Rises with each change, for those who look often. Who reads it finds what it counts, or something later, in
    /// ``value``.
    package var changes: Int { count.load(ordering: .acquiring) }

    package func set(_ service: Service) {
        current.withLock { $0 = service }
        count.add(1, ordering: .releasing)
    }

    package func setCatalog(_ catalog: AppliedCatalog) {
        current.withLock { $0.catalog = catalog }
        count.add(1, ordering: .releasing)
    }
}
