import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentModel
import ConsentReader
import ConsentTestSupport
import Foundation
import Testing

/// A reader of a real node's folder, as another process would be.
struct ReaderTests {
    private static let kari = Identifier.customer("kari")

    private static func node() throws -> TestNode {
        let node = try TestNode(
            SampleCatalog([
                .init("p0", bit: 0), .init("p1", bit: 1, basis: "consent", "failPolicy: static", "maxStaleness: PT15M"),
            ]))
        _ = try node.engine.record([.grant([kari])])
        return node
    }

    /// Asks again until the writer's next turn.
    private static func answer(
        _ reader: inout ConsentReader, _ person: ConsentReader.Person, _ purpose: ConsentReader.Purpose
    ) async -> ConsentReader.Answer {
        for _ in 0..<200 {
            let answer = reader.check(person, purpose: purpose)
            if answer.freshness == .live { return answer }
            await sleep(until: now.advanced(millis: 20))
        }
        return reader.check(person, purpose: purpose)
    }

    @Test func aReaderAnswersAsTheNodeDoes() async throws {
        let node = try Self.node()
        var reader = try ConsentReader(folder: node.folder.path)
        let (p0, p1) = (try reader.purpose("p0"), try reader.purpose("p1"))
        let (kari, ola) = (try ConsentReader.Person("customer:kari"), try ConsentReader.Person("customer:ola"))
        let given = await Self.answer(&reader, kari, p0)
        #expect(given.isGranted && given.reason == .given && given.freshness == .live)
        let answers = reader.check([ola, kari], purpose: p0)
        #expect(answers.map(\.decision) == [.unknown, .granted])
        #expect(reader.check(kari, purposes: [p1, p0]).map(\.decision) == [.unknown, .granted])
        nextMillisecond()
        _ = try node.engine.record([ConsentEvent([Self.kari], "p0", .withdrawn)])
        // Visible when it is acknowledged, not at a later turn.
        let withdrawn = reader.check(kari, purpose: p0)
        #expect(withdrawn.decision == .denied && withdrawn.reason == .withdrawn)
        try node.close()
    }

    @Test func theCatalogSaysForHowLongAnAnswerCounts() throws {
        let node = try Self.node()
        let table = node.engine.publication.current
        #expect(table.maxStalenessSeconds(purposeBit: 0) == 0 && table.maxStalenessSeconds(purposeBit: 1) == 900)
        #expect(try node.folder.indexFolder.purposes() == ["p0": 0, "p1": 1])
        _ = try node.engine.apply(
            SampleCatalog([
                .init("p0", bit: 0, basis: "consent", "failPolicy: static", "maxStaleness: PT1M"),
                .init("p1", bit: 1),
            ]).document)
        let newer = node.engine.publication.current
        #expect(newer.maxStalenessSeconds(purposeBit: 0) == 60 && newer.maxStalenessSeconds(purposeBit: 1) == 0)
        #expect(try node.folder.indexFolder.purposes() == ["p0": 0, "p1": 1])
        try node.close()
    }

    @Test func aNodeVouchesForItsIndexUntilItIsClosed() async throws {
        let node = try Self.node()
        let table = node.engine.publication.current
        let first = table.vouchedAt
        #expect(await eventually { table.vouchedAt > first })
        try node.close()
        let last = table.vouchedAt
        await sleep(until: now.advanced(millis: 600))
        #expect(table.vouchedAt == last && last <= Clock.boottimeMillis())
    }

    @Test func anIndexOfTheFormatBeforeIsMadeAnewAndSaidSo() throws {
        let node = try Self.node()
        try node.close()
        let file = try FileDescriptor.open(node.folder.indexFolder.currentFilePath, .readWrite)
        try file.seek(to: 8)
        try file.write([1])
        try node.open()
        let reason = "it has format version 1; this program reads 2"
        #expect(node.engine.recovery == .rebuilt(reason: reason, identifiers: 1))
        #expect(node.engine.decision(Self.kari) == .granted)
        try node.close()
    }

    /// The ledger keeps its history, and gives its next bits anew.
    @Test func aBitIsThePurposeThatItWasAskedForAlsoWhenABackupWasPutBack() async throws {
        let node = try TestNode()
        try node.close()
        let backup = try File.read(node.folder.ledgerPath)
        try node.open()
        _ = try node.engine.apply(SampleCatalog([.init("p0", bit: 0), .init("analysis", bit: 1)]).document)
        _ = try node.engine.record([.grant([Self.kari], "analysis")])
        var reader = try ConsentReader(folder: node.folder.path)
        let kari = try ConsentReader.Person("customer:kari")
        let analysis = try reader.purpose("analysis")
        #expect(await Self.answer(&reader, kari, analysis).isGranted)
        try node.close()

        for name in ["-wal", "-shm"] { try? File.remove(node.folder.ledgerPath + name) }
        try? File.remove(node.folder.path + "/checkpoints")
        try File.replace(node.folder.ledgerPath, with: backup)
        try node.open()
        var catalog = SampleCatalog(
            [.init("p0", bit: 0), .init("profiling", bit: 1)],
            revisions: [.init("1.0", effectiveAt: SampleCatalog.begin, purposes: ["p0", "profiling"])])
        _ = try node.engine.apply(catalog.document)
        _ = try node.engine.record([.grant([Self.kari], "profiling")])
        let profiling = try reader.purpose("profiling")
        #expect(await Self.answer(&reader, kari, profiling).isGranted)
        let unavailable = reader.check(kari, purpose: analysis)
        #expect(unavailable.decision == .unknown && unavailable.freshness == .unavailable)
        #expect(await Self.answer(&reader, kari, profiling).isGranted)
        // Of the same rows, a catalog names more.
        catalog.purposes.append(.init("p9", bit: 9, basis: "contract"))
        _ = try node.engine.apply(catalog.document)
        let p9 = try reader.purpose("p9")
        #expect(await Self.answer(&reader, kari, p9).isGranted)
        #expect(await Self.answer(&reader, kari, profiling).isGranted)
        try node.close()
    }

    @Test func whatCannotBeReadIsNamed() throws {
        #expect(throws: ConsentReaderError.self) { _ = try ConsentReader(folder: "/no/such/folder") }
        #expect(throws: ConsentReaderError.self) { _ = try ConsentReader.Person("kari") }
        let node = try Self.node()
        let reader = try ConsentReader(folder: node.folder.path)
        do {
            _ = try reader.purpose("p9")
            Issue.record("there is no p9")
        } catch {
            #expect("\(error)" == "the catalog has no purpose 'p9'")
        }
        try node.close()
    }
}
