import ArgumentParser
import ConsentBench
import ConsentKernel
import Foundation
import Synchronization

struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Load this build, and measure it beside peers and floors.",
        discussion: """
            'load' is a load generator that judges every answer; 'compare' drives Redis, memcached, PostgreSQL and LMDB \
            beside this build; 'suite' runs everything and writes a report. A wrong answer ends with exit code 7.

            EXAMPLES
              consentd bench load --subjects 1M --rate 50000
              consentd bench compare --rows 1,2,3
              consentd bench suite --output results
            """,
        subcommands: [
            BenchLoad.self, BenchPrepare.self, BenchCompare.self, BenchMicro.self, BenchRevision.self, BenchSync.self,
            BenchFigures.self, BenchReport.self, BenchSuite.self,
        ])
}

/// What a benchmark says beside its figures.
func benchNote(_ text: String) { Output.error("consentd bench: \(text)") }

/// A folder for one command's files, gone when it is done.
func withBenchFolderAwaiting<Value>(_ body: (String) async throws -> Value) async throws -> Value {
    let folder = try makeBenchFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    do {
        return try await body(folder.path)
    } catch {
        BenchEnd.waitIfTold()
        throw error
    }
}

func withBenchFolder<Value>(_ body: (String) throws -> Value) throws -> Value {
    let folder = try makeBenchFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    do {
        return try body(folder.path)
    } catch {
        BenchEnd.waitIfTold()
        throw error
    }
}

private func makeBenchFolder() throws -> URL {
    let url = FileManager.default.temporaryDirectory.appending(path: "consentd-bench-\(UUID().uuidString.prefix(8))")
    BenchEnd.waitIfTold()
    // Known before it is there: whoever sees it may tell this process to end.
    BenchEnd.watch(url)
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    // Servers that run as another user have files of their own below.
    chmod(url.path, 0o755)
    return url
}

/// What happens when a benchmark is told to end: the servers that it started end too, and its folders go.
private enum BenchEnd {
    private static let folders = Mutex<[URL]>([])
    private static let told = try? Wakeup()
    private static let isEnding = Atomic(false)
    private static let thread: ConsentKernel.Thread? = told.map { told in
        for number in [SIGTERM, SIGINT] { signal(number) { _ in BenchEnd.told?.raise() } }
        return ConsentKernel.Thread(name: "end") {
            told.wait(timeoutMillis: -1)
            isEnding.store(true, ordering: .releasing)
            PeerProcess.endAll()
            for folder in folders.withLock({ $0 }) { remove(folder) }
            Foundation.exit(Exit.failed.rawValue)
        }
    }

    /// What fails because its servers were told to end is not what went wrong: this process ends in a moment.
    static func waitIfTold() {
        while isEnding.load(ordering: .acquiring) { Wakeup.pause(millis: 100) }
    }

    /// Whatever this process still makes in it finds its way no more.
    private static func remove(_ folder: URL) {
        let aside = URL(filePath: folder.path + "-ended")
        try? FileManager.default.moveItem(at: folder, to: aside)
        try? FileManager.default.removeItem(at: aside)
        try? FileManager.default.removeItem(at: folder)
    }

    static func watch(_ folder: URL) {
        folders.withLock { $0.append(folder) }
        _ = thread
    }
}

/// A number of subjects, such as 5000, 250k or 10M.
struct SubjectCount: ExpressibleByArgument, Sendable {
    let value: Int

    init(_ value: Int) { self.value = value }

    init?(argument: String) {
        let factor = ["k": 1000, "M": 1_000_000][argument.suffix(1)] ?? 1
        guard let number = Int(factor == 1 ? argument[...] : argument.dropLast()), number > 0,
            number <= Population.subjectsMax / factor, number * factor >= 3
        else { return nil }
        value = number * factor
    }

    var defaultValueDescription: String {
        value % 1_000_000 == 0 ? "\(value / 1_000_000)M" : value % 1000 == 0 ? "\(value / 1000)k" : "\(value)"
    }
}

/// Where a command writes what it measured, besides the screen.
struct BenchOutput: ParsableArguments {
    @Flag(help: "Print JSON: one object with machine, runs, cases and parts.")
    var json = false

    @Option(help: "Write a report that needs no network: one HTML file with plots, in three languages.")
    var report: String?

    @Option(help: "JSON of an earlier run, to be shown in the same report; may be repeated.")
    var beside: [String] = []

    func validate() throws {
        if !beside.isEmpty, report == nil { throw ValidationError("--beside belongs to --report FILE") }
    }

    /// Prints, or leaves printing to the caller, and writes the report.
    func write(_ document: ReportDocument, print: () -> Void) throws {
        if let report {
            let earlier = try beside.map(readReport)
            try writeText(HTMLReport([document] + earlier).text, to: report)
            benchNote("wrote \(report)")
        }
        if json { Output.line(try jsonText(document)) } else { print() }
    }
}

func jsonText(_ document: ReportDocument) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
        positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return String(decoding: try encoder.encode(document), as: UTF8.self)
}

func readReport(_ path: String) throws -> ReportDocument {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
        positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    let bytes = try File.read(path, sizeMax: 1 << 28)
    guard let document = try? decoder.decode(ReportDocument.self, from: Data(bytes)),
        document.format == ReportDocument.formatRead
    else {
        throw Failure(
            code: Exit.refused,
            message: "\(path) is not what 'consentd bench load --json' or 'bench compare --json' print")
    }
    return document
}

func writeText(_ text: String, to path: String) throws {
    let folder = URL(filePath: path).deletingLastPathComponent()
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try File.replace(path, with: Array(text.utf8))
}

/// Three digits or all before the decimal point.
func benchNumber(_ value: Double?) -> String {
    guard let value, value.isFinite else { return "–" }
    let size = abs(value)
    if size >= 1000 { return "\(Int(value.rounded()))" }
    return String(format: size >= 100 ? "%.0f" : size >= 10 ? "%.1f" : "%.2f", value)
}

func machineLine(_ machine: MachineFacts) -> String {
    "\(machine.processor), \(Output.counted(machine.cores, "core")), Linux \(machine.kernel), \(machine.buildMode) build"
        + (machine.commit.isEmpty ? "" : " of \(machine.commit)")
}

/// One line that is written over and over on a terminal, and now and then elsewhere.
final class LoadLine {
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private var shownAt = 0.0

    func show(_ progress: LoadProgress) {
        let text =
            progress.isWarmUp
            ? String(format: "%6.1f s  warm-up", progress.seconds)
            : String(
                format: "%6.1f s  %@ answers/s  p99 %@ µs  %d wrong", progress.seconds,
                benchNumber(progress.perSecond), benchNumber(progress.p99Micros), progress.wrong)
        if isTerminal {
            try? FileHandle.standardError.write(contentsOf: Data("\r\u{1B}[K\(text)".utf8))
        } else if progress.seconds - shownAt >= 5 {
            shownAt = progress.seconds
            benchNote(text)
        }
    }

    func finish() {
        if isTerminal { try? FileHandle.standardError.write(contentsOf: Data("\r\u{1B}[K".utf8)) }
        shownAt = 0
    }
}
