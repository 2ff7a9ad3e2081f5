import ConsentIndex
import ConsentTestSupport
import Foundation

/// The program that reads an index from another process.
final class ProbeProcess {
    struct Report: Codable {
        var reads: Int
        var granted: Int
        var wrong: Int
        var firstWrong: String
    }

    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()

    /// Started, and reading already.
    init(_ folder: TemporaryFolder) throws {
        let products = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        process.executableURL = products.appending(path: "IndexProbe")
        process.arguments = [folder.index.path]
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        var first = Data()
        while first.last != UInt8(ascii: "\n") {
            guard let byte = try output.fileHandleForReading.read(upToCount: 1) else {
                throw CocoaError(.fileReadUnknown)
            }
            first += byte
        }
    }

    func stop() throws -> Report {
        try input.fileHandleForWriting.close()
        let text = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return try JSONDecoder().decode(Report.self, from: text)
    }
}
