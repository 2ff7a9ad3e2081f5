import ConsentCatalog
import ConsentEdge
import ConsentEngine
import ConsentKernel
import ConsentModel
import ConsentServer
import ConsentSync
import ConsentTestSupport
import ConsentWire
import Testing

/// A catalog that does not match takes the place of none.
struct EdgeCatalogTests {
    private let catalog: SyncCatalog

    init() throws {
        let document = try SampleCatalog([
            SampleCatalog.PurposeLines("p0", bit: 0),
            SampleCatalog.PurposeLines("p1", bit: 1, "failPolicy: static", "maxStaleness: PT10S"),
        ]).document
        let applied = AppliedCatalog(
            version: 3, catalog: document.catalog, text: document.text, digest: document.digest)
        catalog = SyncCatalog(applied, sequence: 17)
    }

    private func changed(_ change: (inout SyncCatalog) -> Void) -> SyncCatalog {
        var catalog = catalog
        change(&catalog)
        return catalog
    }

    @Test func whatMatchesIsAnsweredBy() throws {
        let applied = try AppliedCatalog.judged(catalog)
        #expect(applied.version == 3 && applied.catalog.purposes.map(\.id) == ["p0", "p1"])
    }

    @Test func aTextThatIsNotAcceptedIsSaidWithItsVersion() {
        let error = #expect(throws: EdgeCatalogProblem.self) {
            try AppliedCatalog.judged(changed { $0.text = "format: 99\n" })
        }
        #expect(error.map { "\($0)" }?.contains("version 3 of the upstream is not accepted") == true)
    }

    @Test func anotherTextThanTheDigestsIsRefused() {
        #expect(throws: EdgeCatalogProblem.anotherText(version: 3)) {
            try AppliedCatalog.judged(changed { $0.digest[0] ^= 1 })
        }
    }

    /// Whatever one rule says otherwise.
    @Test func otherRulesThanTheTextsAreRefused() {
        let changes: [(inout SyncCatalog) -> Void] = [
            { $0.purposes[0].isGrantedByDefault = true }, { $0.purposes[0].isDeniedByDefault = true },
            { $0.purposes[1].maxStaleness = 11 }, { $0.purposes[0].maxStaleness = 1 }, { $0.purposes[0].id = "p9" },
            { $0.purposes[0].bit = 9 }, { $0.purposes.removeLast() },
        ]
        for change in changes {
            #expect(throws: EdgeCatalogProblem.otherRules(version: 3)) { try AppliedCatalog.judged(changed(change)) }
        }
    }

    /// The store keeps what it had, and the edge is told why.
    @Test func aStoreKeepsTheCatalogThatItHad() throws {
        let temporary = TemporaryFolder()
        let store = try IndexStore(EdgeFolder(temporary.path("edge"))) { catalog in
            do {
                _ = try AppliedCatalog.judged(catalog)
                return nil
            } catch {
                return "\(error)"
            }
        }
        try store.setCatalog(catalog, .live)
        let doctored = changed { $0.purposes[0].isGrantedByDefault = true }
        #expect(throws: StoreFailure("\(EdgeCatalogProblem.otherRules(version: 3))")) {
            try store.setCatalog(doctored, .live)
        }
        #expect(store.catalog(.live) == catalog)
        try store.close()
    }
}
