package import Foundation

/// A folder of one test's own, removed with everything in it when the last reference goes.
package final class TemporaryFolder: Sendable {
    package let path: String

    package init() {
        // Short, because the path of a Unix socket has at most 107 bytes.
        let folder = FileManager.default.temporaryDirectory.appending(
            path: "consent-" + String(UInt64.random(in: 0...(.max)), radix: 36))
        try! FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        path = folder.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    package func path(_ name: String) -> String { "\(path)/\(name)" }
}

/// The project's own files.
package enum Project {
    package static let root = URL(filePath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    package static func file(_ path: String) throws -> Data { try Data(contentsOf: root.appending(path: path)) }
}
