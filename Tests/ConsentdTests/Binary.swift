import Foundation
import Testing

/// The real program, as a person would run it.
enum Binary {
    struct Run {
        var status: Int32
        var output: String
        var errors: String

        /// The lines of output, each a JSON object.
        var objects: [[String: Any]] {
            output.split(separator: "\n").compactMap {
                (try? JSONSerialization.jsonObject(with: Data($0.utf8))) as? [String: Any]
            }
        }
    }

    /// Beside the test program, where the package manager puts both.
    static func url(_ name: String) -> URL {
        let folder = URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent()
        return folder.appending(path: name)
    }

    /// Before it starts a process Foundation lists the open descriptors, and copies 256 bytes of each entry, also of the last
    /// one in the list's buffer of 32 KiB (`Process.run` of swift-corelibs-foundation): with some 1,350 descriptors that
    /// ends beyond the buffer, and beyond the heap at times. A buffer with pages of its own has room behind it.
    private static let givesBuffersRoom: Void = {
        typealias Mallopt = @convention(c) (Int32, Int32) -> Int32
        guard let mallopt = dlsym(nil, "mallopt") else { return }
        let mmapThreshold: Int32 = -3
        _ = unsafeBitCast(mallopt, to: Mallopt.self)(mmapThreshold, 32 * 1024)
    }()

    static func process(_ arguments: [String], name: String = "consentd") -> Process {
        givesBuffersRoom
        let process = Process()
        process.executableURL = url(name)
        process.arguments = arguments
        var environment = ProcessInfo.processInfo.environment
        environment["CONSENTD_DATA"] = nil
        environment["CONSENTD_SERVER"] = nil
        process.environment = environment
        return process
    }

    /// As above, with at most so many descriptors.
    static func process(_ arguments: [String], descriptorsMax: Int) -> Process {
        let process = process([])
        process.arguments =
            ["-c", "ulimit -n \(descriptorsMax) && exec \"$0\" \"$@\"", url("consentd").path] + arguments
        process.executableURL = URL(filePath: "/bin/sh")
        return process
    }

    /// Runs a command to its end.
    static func run(_ arguments: [String], name: String = "consentd") async throws -> Run {
        try await run(process(arguments, name: name))
    }

    /// Runs a process to its end.
    static func run(_ process: Process) async throws -> Run {
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        async let errorText = read(errors)
        try process.run()
        let text = await read(output)
        process.waitUntilExit()
        return await Run(status: process.terminationStatus, output: text, errors: errorText)
    }

    private static func read(_ pipe: Pipe) async -> String {
        await withCheckedContinuation { continuation in
            Foundation.Thread.detachNewThread {
                let data = pipe.fileHandleForReading.readDataToEndOfFile()
                continuation.resume(returning: String(decoding: data, as: UTF8.self))
            }
        }
    }
}

/// Every command that runs, with what its help says, from the program itself.
enum CommandTree {
    struct Leaf {
        /// From the program's name on.
        var path: [String]
        var options: [String]
    }

    /// As ``leaves()``, with the commands that only hold others.
    static func discussions() async throws -> [(path: [String], text: String)] {
        var found: [(path: [String], text: String)] = []
        try await walk { path, command in found.append((path, command["discussion"] as? String ?? "")) }
        return found
    }

    static func leaves() async throws -> [Leaf] {
        var leaves: [Leaf] = []
        try await walk { path, command in
            guard command["subcommands"] == nil else { return }
            let arguments = command["arguments"] as? [[String: Any]] ?? []
            leaves.append(Leaf(path: path, options: arguments.compactMap { $0["valueName"] as? String }))
        }
        return leaves
    }

    private static func walk(_ visit: ([String], [String: Any]) -> Void) async throws {
        let dump = try await Binary.run(["--experimental-dump-help"]).output
        let tree = try #require(JSONSerialization.jsonObject(with: Data(dump.utf8)) as? [String: Any])
        func look(_ command: [String: Any], under parents: [String]) throws {
            let path = parents + [try #require(command["commandName"] as? String)]
            if path.last == "help" { return }
            visit(path, command)
            for part in command["subcommands"] as? [[String: Any]] ?? [] { try look(part, under: path) }
        }
        try look(try #require(tree["command"] as? [String: Any]), under: [])
    }
}

/// A folder that goes when its owner does.
final class Folder: Sendable {
    let path: String

    init() throws {
        let url = FileManager.default.temporaryDirectory.appending(path: "consentd-tests-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// A node with the template catalog; its folder.
    func node(_ more: [String] = []) async throws -> String {
        let data = path + "/node"
        let run = try await Binary.run(["init", "--data", data] + more)
        #expect(run.status == 0, "\(run.errors)")
        return data
    }

    func write(_ name: String, _ content: some DataProtocol) throws -> String {
        try Data(content).write(to: URL(filePath: path + "/" + name))
        return path + "/" + name
    }
}

/// `consentd serve` on a free port.
final class Server {
    let process: Process
    let address: String
    let firstLine: [String: Any]

    /// - Parameter errors: a file for what it says of itself; nil for nowhere.
    init(_ data: String, _ more: [String] = [], descriptorsMax: Int? = nil, errors: String? = nil) throws {
        let arguments = ["serve", "--data", data, "--listen", "127.0.0.1:0", "--json"] + more
        process =
            descriptorsMax.map { Binary.process(arguments, descriptorsMax: $0) } ?? Binary.process(arguments)
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        if let errors {
            try Data().write(to: URL(filePath: errors))
            process.standardError = FileHandle(forWritingAtPath: errors)
        }
        try process.run()
        var text = ""
        while !text.contains("\n") {
            let data = output.fileHandleForReading.availableData
            guard !data.isEmpty else { throw Failure.ended }
            text += String(decoding: data, as: UTF8.self)
        }
        firstLine = try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        address = try #require((firstLine["listening"] as? [String])?.first)
    }

    enum Failure: Error { case ended }

    /// Ends it at once, as a crash would.
    func kill() {
        Foundation.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    /// Ends it in order; its exit code.
    func end() -> Int32 {
        process.terminate()
        process.waitUntilExit()
        return process.terminationStatus
    }

    deinit { if process.isRunning { kill() } }
}

/// Catalogs as long as any may be, whose proofs and receipts are more than a frame holds.
enum LongCatalog: String, CaseIterable {
    /// Each character of the text takes two in JSON.
    case text
    /// Each recipient takes ten times as much in a receipt.
    case recipients

    static let size = 900 * 1024

    var document: String {
        let head = """
            format: 1
            languages: [nb]
            controllers:
              - {id: c, name: C, contact: c@c.example}
            """
        func tail(_ recipients: String, sharing: Bool) -> String {
            """

            purposes:
              - {id: newsletter, bit: 0, controller: c, title: {nb: N}, basis: consent, sharing: \(sharing)}
            declarations:
              - id: long
                revisions:
                  - revision: "1"
                    effectiveAt: 2024-01-01
                    purposes: [newsletter]
                    recipients: [\(recipients)]
                    retention: r
                    storageLocation: s
                    jurisdiction: j
                    withdrawal: w
                    texts:
                      nb:
                        title: T
                        body: |

            """ + String(repeating: " ", count: 14)
        }
        switch self {
        case .text:
            let begun = head + tail("", sharing: false)
            return begun + String(repeating: "\"", count: Self.size - begun.utf8.count)
        case .recipients:
            let ids = (0..<3000).map { "r" + String($0, radix: 36) }
            let recipients = ids.map { "\n  - {id: \($0), name: N, address: A, country: NO}" }.joined()
            let begun = head + "\nrecipients:" + recipients + tail(ids.joined(separator: ","), sharing: true)
            return begun + String(repeating: "x", count: Self.size - begun.utf8.count)
        }
    }

    static let grant = [
        "grant", "customer:7", "-p", "newsletter", "--declaration", "long", "--revision", "1", "--language", "nb",
        "--method", "button",
    ]
}

let grantOfNewsletter = [
    "-p", "newsletter", "--declaration", "club-membership-marketing", "--revision", "1.2", "--language", "nb",
    "--method", "double_opt_in",
]
