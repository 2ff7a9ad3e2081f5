import ConsentKernel
import Foundation

/// The real program, as somebody would run it, on an address that stays the same when it is started again.
final class Node {
    let name: String
    let data: String
    let address: SocketAddress
    private let binary: String
    private let arguments: [String]
    private let log: String
    private var process: Process?

    init(_ name: String, binary: String, data: String, address: SocketAddress, _ arguments: [String]) {
        self.name = name
        self.binary = binary
        self.data = data
        self.address = address
        self.arguments = arguments
        log = data + ".log"
    }

    var isRunning: Bool { process != nil }

    func start() throws {
        let started = Process()
        started.executableURL = URL(filePath: binary)
        started.arguments = arguments
        _ = FileManager.default.createFile(atPath: log, contents: nil)
        let output = try FileHandle(forWritingTo: URL(filePath: log))
        try output.seekToEnd()
        started.standardOutput = output
        started.standardError = output
        try started.run()
        process = started
    }

    /// As a crash would: `kill -9`.
    func kill() {
        guard let process else { return }
        Foundation.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        self.process = nil
    }

    /// Whether it ended by itself, which it must not.
    var hasEnded: Bool { process.map { !$0.isRunning } ?? false }

    var lastLines: String {
        let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").suffix(8).joined(separator: "\n")
    }
}

/// Runs a command to its end.
func runCommand(_ binary: String, _ arguments: [String]) throws {
    let process = Process()
    process.executableURL = URL(filePath: binary)
    process.arguments = arguments
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
        throw SoakFailure("'\(arguments.joined(separator: " "))' exits with \(process.terminationStatus)")
    }
}

struct SoakFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// An address of this machine that is free now.
func freeAddress() throws -> SocketAddress {
    let probe = try Socket.listen(.tcp(host: "127.0.0.1", port: 0))
    return .tcp(host: "127.0.0.1", port: try Socket.port(of: probe))
}
