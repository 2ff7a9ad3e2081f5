package import ConsentKernel
import Foundation

/// A server that holds the data of a comparison, started for it and ended with it.
package protocol PeerServer {
    var name: String { get }
    var tcp: SocketAddress { get }
    /// Nil where it has none.
    var unix: SocketAddress? { get }
    /// Processor time so far.
    var processorNanos: Int64 { get }
    /// Runs a plan against it; nil where it cannot be asked so.
    func run(_ plan: LoadPlan, _ question: PeerQuestion, asking: Asking) throws -> LoadResult?
    func end()
}

/// A seed that no other run has: what a run records must be new.
package func freshSeed() -> UInt64 { SystemRandom.bytes(8).reduce(0) { $0 << 8 | UInt64($1) } }

/// Redis, or a server that is started with the same arguments and speaks the same protocol.
package final class RedisServer: PeerServer {
    package let name: String
    package let tcp: SocketAddress
    package let unix: SocketAddress?
    private let process: PeerProcess
    /// Bytes in use before it was filled.
    private var emptySize = 0.0

    /// - Parameters:
    ///   - isDurable: every write is on the disk before it is acknowledged.
    ///   - folder: exists, and is short enough for a socket's path.
    package init(
        program: String = "redis-server", name: String = "Redis", isDurable: Bool = false, folder: String,
        processor: Int?
    ) throws {
        let port = try freePort()
        let socketPath = "\(folder)/r\(port).sock"
        self.name = name
        tcp = .tcp(host: "127.0.0.1", port: port)
        unix = .unix(path: socketPath)
        let durable = isDurable ? ["--appendonly", "yes", "--appendfsync", "always"] : ["--appendonly", "no"]
        process = try PeerProcess(
            program,
            ["--port", "\(port)", "--bind", "127.0.0.1", "--unixsocket", socketPath, "--save", "", "--dir", folder]
                + durable + ["--appenddirname", "aof\(port)"], processor: processor)
        try process.waitUntilAccepting(tcp)
        emptySize = try usedSize()
    }

    package var processorNanos: Int64 { process.processorNanos }

    package func run(_ plan: LoadPlan, _ question: PeerQuestion, asking: Asking) throws -> LoadResult? {
        let seed = freshSeed()
        return try LoadRun.run(
            plan, processorNanos: { self.processorNanos },
            conversation: { RedisConversation(question, asking: asking, runSeed: seed, thread: $0) })
    }

    package func fill(_ population: Population) throws {
        try fillServer(tcp, population) { RedisConversation.filling($0, of: population) }
    }

    /// What it says that it uses, without what it used when it was empty.
    package func sizePerIdentifier(_ population: Population) throws -> Double {
        (try usedSize() - emptySize) / Double(population.subjects)
    }

    private func usedSize() throws -> Double {
        let text = try ask(tcp, "*2\r\n$4\r\nINFO\r\n$6\r\nmemory\r\n") { $0.contains("mem_allocator") }
        let line = text.split(whereSeparator: \.isNewline).first { $0.hasPrefix("used_memory:") }
        guard let size = line.flatMap({ Double($0.dropFirst("used_memory:".count)) }) else {
            throw PeerProcess.Failure.notReady(name)
        }
        return size
    }

    package func end() { process.end() }
}

package final class MemcachedServer: PeerServer {
    package let name = "memcached"
    package let tcp: SocketAddress
    package let unix: SocketAddress? = nil
    private let process: PeerProcess

    package init(processor: Int?) throws {
        let port = try freePort()
        tcp = .tcp(host: "127.0.0.1", port: port)
        process = try PeerProcess(
            "memcached",
            ["-l", "127.0.0.1", "-p", "\(port)", "-U", "0", "-t", "1", "-m", "8192", "-c", "1024"]
                + (geteuid() == 0 ? ["-u", "nobody"] : []), processor: processor)
        try process.waitUntilAccepting(tcp)
    }

    package var processorNanos: Int64 { process.processorNanos }

    package func run(_ plan: LoadPlan, _ question: PeerQuestion, asking: Asking) throws -> LoadResult? {
        if question == .record { return nil }
        return try LoadRun.run(
            plan, processorNanos: { self.processorNanos },
            conversation: { MemcachedConversation(question, asking: asking, thread: $0) })
    }

    package func fill(_ population: Population) throws {
        try fillServer(tcp, population) { MemcachedConversation.filling($0, of: population) }
    }

    /// Memory of the items by its own count.
    package func sizePerIdentifier(_ population: Population) throws -> Double {
        let text = try ask(tcp, "stats\r\n") { $0.hasSuffix("END\r\n") }
        let line = text.split(whereSeparator: \.isNewline).first { $0.hasPrefix("STAT bytes ") }
        guard let size = line.flatMap({ Double($0.dropFirst("STAT bytes ".count)) }) else {
            throw PeerProcess.Failure.notReady(name)
        }
        return size / Double(population.subjects)
    }

    package func end() { process.end() }
}

/// PostgreSQL with its defaults, which are durable: every transaction is on the disk before it is acknowledged.
package final class PostgresServer: PeerServer {
    package let name = "PostgreSQL"
    package let tcp: SocketAddress
    package let unix: SocketAddress? = nil
    private let process: PeerProcess
    private let catalog: BenchCatalog
    private static let user = "bench"

    /// - Parameter folder: for its files; made, and given to the user that it runs as.
    package init(folder: String, connections: Int, catalog: BenchCatalog, processor: Int?) throws {
        self.catalog = catalog
        guard let programs = Self.programs() else { throw PeerProcess.Failure.missing("postgresql") }
        let port = try freePort()
        tcp = .tcp(host: "127.0.0.1", port: port)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        // It refuses to run as root.
        var wrapper: [String] = []
        if geteuid() == 0 {
            guard let user = getpwnam("postgres") ?? getpwnam("nobody"), chown(folder, user.pointee.pw_uid, .max) == 0
            else { throw PeerProcess.Failure.notReady("PostgreSQL, which needs a user that is not root,") }
            wrapper = [
                "setpriv", "--reuid", "\(user.pointee.pw_uid)", "--regid", "\(user.pointee.pw_gid)", "--clear-groups",
                "--",
            ]
        }
        func start(_ command: [String], processor: Int?, showsErrors: Bool = false) throws -> PeerProcess {
            let command = wrapper + command
            // At SIGTERM it would wait until the last client has gone.
            return try PeerProcess(
                command[0], Array(command.dropFirst()), processor: processor, showsErrors: showsErrors,
                endSignal: SIGINT)
        }
        let data = folder + "/data"
        let initialized = try start(
            ["\(programs)/initdb", "-D", data, "-U", Self.user, "-A", "trust", "--no-sync"], processor: nil,
            showsErrors: true)
        guard initialized.wait().status == 0 else { throw PeerProcess.Failure.notReady("PostgreSQL's initdb") }
        process = try start(
            [
                "\(programs)/postgres", "-D", data, "-p", "\(port)", "-c", "listen_addresses=127.0.0.1", "-k", folder,
                "-c", "max_connections=\(connections + 10)", "-c", "synchronous_commit=on", "-c", "fsync=on",
            ], processor: processor)
        try process.waitUntilAccepting(tcp)
        try makeTable(programs, port)
    }

    private func makeTable(_ programs: String, _ port: UInt16) throws {
        // It accepts connections before it lets anybody in.
        for _ in 0..<100 {
            let made = try PeerProcess(
                "\(programs)/psql",
                ["-h", "127.0.0.1", "-p", "\(port)", "-U", Self.user, "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-q"]
                    + ["-c", PostgresConversation.table], processor: nil)
            if made.wait().status == 0 { return }
            usleep(100_000)
        }
        throw PeerProcess.Failure.notReady("PostgreSQL")
    }

    /// The newest that is installed as Debian lays it out, or the one on the PATH.
    private static func programs() -> String? {
        let root = "/usr/lib/postgresql"
        let versions = ((try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []).compactMap { Int($0) }
        let folders =
            versions.sorted(by: >).map { "\(root)/\($0)/bin" } + [PeerProcess.folder(of: "initdb")].compactMap(\.self)
        return folders.first { folder in ["initdb", "postgres", "psql"].allSatisfy { File.exists("\(folder)/\($0)") } }
    }

    /// Of all its processes.
    package var processorNanos: Int64 { process.processorNanosWithChildren }

    package func run(_ plan: LoadPlan, _ question: PeerQuestion, asking: Asking) throws -> LoadResult? {
        guard question == .record else { return nil }
        let seed = freshSeed()
        return try LoadRun.run(
            plan, processorNanos: { self.processorNanos },
            conversation: { PostgresConversation(user: Self.user, catalog: self.catalog, runSeed: seed, thread: $0) })
    }

    package func end() { process.end() }
}

/// Sends commands, a thousand identifiers at a time, and waits for as many lines.
private func fillServer(
    _ address: SocketAddress, _ population: Population, _ commands: (Range<Int>) -> (bytes: [UInt8], answers: Int)
) throws {
    let socket = try Socket.connect(address)
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    for start in stride(from: 0, to: population.subjects, by: 1000) {
        let (bytes, answers) = commands(start..<min(start + 1000, population.subjects))
        try socket.write(bytes)
        var lines = 0
        while lines < answers {
            let count = try buffer.withUnsafeMutableBytes { try socket.read(into: $0) }
            if count == 0 { throw LoadFailure.disconnected(address) }
            lines += buffer[..<count].count { $0 == UInt8(ascii: "\n") }
        }
    }
}

/// Asks once and reads until the text is whole.
private func ask(_ address: SocketAddress, _ request: String, until isWhole: (String) -> Bool) throws -> String {
    let socket = try Socket.connect(address)
    try socket.write(Array(request.utf8))
    var (bytes, buffer): ([UInt8], [UInt8]) = ([], [UInt8](repeating: 0, count: 1 << 16))
    while true {
        let count = try buffer.withUnsafeMutableBytes { try socket.read(into: $0) }
        if count == 0 { throw LoadFailure.disconnected(address) }
        bytes += buffer[..<count]
        let text = String(decoding: bytes, as: UTF8.self)
        if isWhole(text) { return text }
    }
}
