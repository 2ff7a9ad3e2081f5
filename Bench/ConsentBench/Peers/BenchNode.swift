import ConsentCatalog
package import ConsentEngine
import ConsentKernel
import ConsentModel
import Foundation

/// A node whose people are known: made for a run, or kept in a folder for the next ones.
package struct BenchNode: Sendable {
    package let folder: NodeFolder
    package let population: Population

    package enum Failure: Error, CustomStringConvertible {
        case taken(String)
        case otherSize(String, has: Int, wanted: Int)

        package var description: String {
            switch self {
            case .taken(let path):
                "'\(path)' holds something that this command did not prepare, and stays as it is; name an empty folder"
            case .otherSize(let path, let has, let wanted):
                "'\(path)' was prepared for \(has) subjects, not \(wanted); name another folder, or use --subjects \(has)"
            }
        }
    }

    /// Beside the node's files: what was prepared. Written last, so that it vouches for the rest.
    private static let marker = "bench.json"
    private static let groupCount = 4096

    /// Prepares a node, or takes one that was prepared.
    ///
    /// - Parameter progress: is told how many subjects are there.
    /// - Throws: ``Failure`` if something else is there; nothing is changed then.
    package init(path: String, subjects: Int, progress: (Int) -> Void) throws {
        folder = NodeFolder(path)
        population = Population(subjects: subjects)
        if let has = try Self.prepared(path) {
            guard has == subjects else { throw Failure.otherSize(path, has: has, wanted: subjects) }
            return
        }
        if let names = try? File.names(in: path), !names.isEmpty { throw Failure.taken(path) }
        try folder.create(deployment: nil, now: Timestamp(millis: Clock.realtimeMillis()))
        let engine = try Engine(folder, identifiersExpected: subjects) { _ in }
        do {
            _ = try engine.apply(CatalogDocument(text: TemplateCatalog.text, file: "template"))
            try fill(engine, progress)
        } catch {
            try? engine.close()
            throw error
        }
        try engine.close()
        try File.replace("\(path)/\(Self.marker)", with: Array("{\"subjects\":\(subjects)}\n".utf8))
    }

    /// Nil where nothing was prepared.
    private static func prepared(_ path: String) throws -> Int? {
        let marker = "\(path)/\(marker)"
        guard File.exists(marker) else { return nil }
        let object = try JSONSerialization.jsonObject(with: Data(File.read(marker, sizeMax: 4096))) as? [String: Any]
        guard let subjects = object?["subjects"] as? Int else { throw Failure.taken(path) }
        return subjects
    }

    private func fill(_ engine: Engine, _ progress: (Int) -> Void) throws {
        let catalog = try BenchCatalog()
        for start in stride(from: 0, to: population.subjects, by: Self.groupCount) {
            let end = min(start + Self.groupCount, population.subjects)
            let events = (start..<end).map { number in
                let number = UInt32(number)
                return catalog.event(
                    BenchName.subject.identifier(number), isGranted: population.standing(number) == .granted)
            }
            _ = try engine.record(events)
            progress(end)
        }
    }
}
