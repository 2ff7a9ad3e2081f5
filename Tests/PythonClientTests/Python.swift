import ConsentTestSupport
import Foundation

/// `python3` with the client's sources on its path, in the client's folder.
enum Python {
    static let package = Project.root.appending(path: "Clients/python")
    /// Where the package manager puts the test program and everything that it starts.
    static let products = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()

    static func process(_ arguments: [String], temporary: String? = nil) -> Process {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["python3", "-W", "error::ResourceWarning"] + arguments
        process.currentDirectoryURL = package
        var environment = ProcessInfo.processInfo.environment
        for name in ["CONSENTD_DATA", "CONSENTD_SERVER"] { environment[name] = nil }
        environment["PYTHONPATH"] = package.appending(path: "src").path
        // The tree stays as it is.
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        environment["CONSENTD_BINARY"] = products.appending(path: "consentd").path
        if let temporary { environment["TMPDIR"] = temporary }
        process.environment = environment
        return process
    }

    /// Runs to the end; what it printed, errors included.
    static func run(_ arguments: [String]) throws -> (status: Int32, text: String) {
        let temporary = TemporaryFolder()
        let process = process(arguments, temporary: temporary.path)
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: data, as: UTF8.self))
    }
}

/// A Python program that answers a line with a line.
final class PythonDialogue {
    private let process: Process
    private let input = Pipe()
    private let output = Pipe()

    init(_ arguments: [String]) throws {
        process = Python.process(arguments)
        process.standardInput = input
        process.standardOutput = output
        try process.run()
    }

    deinit {
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
    }

    func say(_ question: some Encodable) throws {
        try input.fileHandleForWriting.write(contentsOf: JSONEncoder().encode(question) + Data("\n".utf8))
    }

    func answer<Answer: Decodable>(_: Answer.Type) throws -> Answer {
        var line = Data()
        while line.last != UInt8(ascii: "\n") {
            guard let byte = try output.fileHandleForReading.read(upToCount: 1), !byte.isEmpty else {
                throw CocoaError(.fileReadUnknown)
            }
            line += byte
        }
        return try JSONDecoder().decode(Answer.self, from: line)
    }
}
