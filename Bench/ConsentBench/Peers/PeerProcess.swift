package import ConsentKernel
package import Foundation
import Synchronization

/// A server that a benchmark starts and ends: this program's own, or a peer from a Debian package.
package final class PeerProcess {
    private let process = Process()
    private let endSignal: Int32
    private let output = Pipe()

    package enum Failure: Error, CustomStringConvertible {
        case missing(String)
        case notReady(String)
        /// This program was told to end.
        case ending

        package var description: String {
            switch self {
            case .ending: "told to end"
            case .missing(let name): "\(name) is not installed; 'apt-get install \(name)' brings it"
            case .notReady(let name): "\(name) did not become ready"
            }
        }
    }

    /// Starts a program on one processor, away from the generator's.
    ///
    /// - Parameters:
    ///   - path: of the program, or its name on the PATH.
    ///   - showsErrors: whether what it says on standard error is seen.
    ///   - endSignal: at which it ends in order, without waiting for whoever is connected.
    package init(
        _ path: String, _ arguments: [String], processor: Int?, showsErrors: Bool = false, endSignal: Int32 = SIGTERM
    ) throws {
        self.endSignal = endSignal
        guard let program = Self.find(path) else { throw Failure.missing(path) }
        if let processor, let taskset = Self.find("taskset") {
            process.executableURL = URL(filePath: taskset)
            process.arguments = ["-c", "\(processor)", program] + arguments
        } else {
            process.executableURL = URL(filePath: program)
            process.arguments = arguments
        }
        process.standardOutput = output
        if !showsErrors { process.standardError = FileHandle.nullDevice }
        // Nobody is told to end between the start of a process and its being known.
        try Self.running.withLock { running in
            if running.isEnding { throw Failure.ending }
            try Self.withSignals { try process.run() }
            running.endSignals[process.processIdentifier] = endSignal
        }
    }

    private struct Running {
        /// By the numbers of those that were started and not ended.
        var endSignals: [Int32: Int32] = [:]
        /// Then nothing is started any more.
        var isEnding = false
    }

    private static let running = Mutex(Running())
    private static let endMillisMax = 20_000

    /// Tells all that run to end, and waits until they are gone: for a program that was told so itself. Who is not gone
    /// in time is ended.
    package static func endAll() {
        let numbers = running.withLock { running in
            running.isEnding = true
            for (number, signal) in running.endSignals { kill(number, signal) }
            return running.endSignals.keys
        }
        let latest = Clock.monotonicNanos() + Int64(endMillisMax) * 1_000_000
        while numbers.contains(where: { kill($0, 0) == 0 }), Clock.monotonicNanos() < latest {
            Wakeup.pause(millis: 20)
        }
        running.withLock { for number in $0.endSignals.keys { kill(number, SIGKILL) } }
    }

    /// A child inherits the signals that its parent's thread blocks, and threads of a pool block all: it could not be told
    /// to end.
    private static func withSignals(_ start: () throws -> Void) rethrows {
        var (none, before) = (sigset_t(), sigset_t())
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        try start()
    }

    /// Where a program on the PATH lies; nil if there is none.
    package static func folder(of name: String) -> String? {
        find(name).map { String($0.prefix(upTo: $0.lastIndex(of: "/")!)) }
    }

    package static func isInstalled(_ name: String) -> Bool { find(name) != nil }

    private static func find(_ name: String) -> String? {
        if name.contains("/") { return File.exists(name) ? name : nil }
        return pathOf(name)
    }

    private static func pathOf(_ name: String) -> String? {
        (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map { "\($0)/\(name)" }
            .first(where: File.exists)
    }

    package var processID: Int32 { process.processIdentifier }

    /// Processor time so far.
    package var processorNanos: Int64 { System.processorNanos(of: processID) ?? 0 }

    /// Processor time so far, of the process and of those that it started.
    package var processorNanosWithChildren: Int64 {
        let children = "/proc/\(processID)/task/\(processID)/children"
        let numbers = (try? File.read(children)).map { String(decoding: $0, as: UTF8.self).split(separator: " ") } ?? []
        return numbers.compactMap { Int32($0) }.reduce(processorNanos) { $0 + (System.processorNanos(of: $1) ?? 0) }
    }

    /// Waits until it has ended by itself.
    ///
    /// - Returns: its exit code, and what it said.
    package func wait() -> (status: Int32, output: Data) {
        let data = output.fileHandleForReading.readDataToEndOfFile()
        finish()
        return (process.terminationStatus, data)
    }

    /// The first line of output that begins so, without that.
    package func line(after prefix: String) throws -> String {
        var text = ""
        while true {
            let data = output.fileHandleForReading.availableData
            if data.isEmpty { throw Failure.notReady(process.executableURL?.lastPathComponent ?? "") }
            text += String(decoding: data, as: UTF8.self)
            for line in text.split(separator: "\n") where line.hasPrefix(prefix) && text.hasSuffix("\n") {
                return String(line.dropFirst(prefix.count))
            }
        }
    }

    /// Waits until it accepts connections.
    package func waitUntilAccepting(_ address: SocketAddress) throws {
        for _ in 0..<200 {
            if (try? Socket.connect(address)) != nil { return }
            usleep(50_000)
        }
        throw Failure.notReady("\(address)")
    }

    /// Ends it in order, and waits.
    package func end() {
        tellToEnd()
        finish()
    }

    private func tellToEnd() { if process.isRunning { kill(process.processIdentifier, endSignal) } }

    private func finish() {
        process.waitUntilExit()
        // Its number may be another's from now on.
        Self.running.withLock { _ = $0.endSignals.removeValue(forKey: process.processIdentifier) }
    }

    deinit {
        guard process.processIdentifier > 0 else { return }
        tellToEnd()
        finish()
    }
}

/// A TCP port that was free a moment ago.
package func freePort() throws -> UInt16 {
    let listener = try Socket.listen(.tcp(host: "127.0.0.1", port: 0))
    return try Socket.port(of: listener)
}
