import ConsentKernel
import Foundation

/// Where and with what something was measured: without it a figure says nothing.
package struct MachineFacts: Codable, Sendable, Equatable {
    package var processor: String
    package var kernel: String
    package var cores: Int
    package var memoryBytes: Int
    /// How the system's clock ticks, on which every figure rests.
    package var clockSource: String
    package var congestionControl: String
    package var buildMode: String
    /// Of the sources that the program lies among; empty if it lies among none.
    package var commit: String
    package var measuredAt: String

    package static func now() -> MachineFacts {
        func read(_ path: String) -> String {
            let text = (try? File.read(path, sizeMax: 1 << 20)).map { String(decoding: $0, as: UTF8.self) } ?? ""
            return text.trimmingCharacters(in: .whitespacesAndNewlines)
        }
        func field(_ name: String, _ path: String) -> String {
            let line = read(path).split(separator: "\n").first { $0.hasPrefix(name) }
            return line?.split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) } ?? ""
        }
        #if DEBUG
            let buildMode = "debug"
        #else
            let buildMode = "release"
        #endif
        let memory = field("MemTotal", "/proc/meminfo").split(separator: " ").first.flatMap { Int($0) } ?? 0
        return MachineFacts(
            processor: field("model name", "/proc/cpuinfo"), kernel: read("/proc/sys/kernel/osrelease"),
            cores: System.processorCount, memoryBytes: memory * 1024,
            clockSource: read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            congestionControl: read("/proc/sys/net/ipv4/tcp_congestion_control"), buildMode: buildMode,
            commit: commit(), measuredAt: Date().formatted(.iso8601))
    }

    private static func commit() -> String {
        guard let program = try? OwnServer.program(), PeerProcess.isInstalled("git") else { return "" }
        let folder = String(program.prefix(upTo: program.lastIndex(of: "/")!))
        func git(_ arguments: [String]) -> String? {
            let process = Process()
            let output = Pipe()
            process.executableURL = URL(filePath: "/usr/bin/env")
            process.arguments = ["git", "-C", folder] + arguments
            process.standardOutput = output
            process.standardError = FileHandle.nullDevice
            guard (try? process.run()) != nil else { return nil }
            let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            return process.terminationStatus == 0 ? text.trimmingCharacters(in: .whitespacesAndNewlines) : nil
        }
        guard let commit = git(["rev-parse", "--short=12", "HEAD"]) else { return "" }
        // The sources may have moved on since the program was built from them.
        let builtAt = (try? FileManager.default.attributesOfItem(atPath: program))?[.modificationDate] as? Date
        let committedAt = git(["log", "-1", "--format=%ct"]).flatMap { Double($0) }
        if let builtAt, let committedAt, builtAt.timeIntervalSince1970 < committedAt { return "before \(commit)" }
        return commit + (git(["status", "--porcelain", "--untracked-files=no"]) == "" ? "" : " with changes")
    }
}
