import ArgumentParser
import ConsentClient
import ConsentEngine
import ConsentKernel
import ConsentModel
import ConsentRegister
import ConsentServer
import Foundation

struct Import: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Import an old customer register, a CSV file.",
        discussion: """
            Columns, in any order: customer, email, phone and other types of identifiers; purpose (several with |); \
            state, captured_at, expires_at, declaration, revision, language, method, explicit, party, age, system, \
            channel, form, actor, evidence, list_source (own or bought).

            A grant without proof becomes a request to ask again. Rows that cannot be taken are written to \
            FILE.rejects.csv with line and reason. The import can be interrupted: run again, it goes on where it \
            stopped. Running it twice records nothing twice.

            EXAMPLES
              consentd import register.csv --data club
              consentd import register.csv --dry-run
            """)

    @OptionGroup var node: NodeOptions

    @Argument(help: "CSV file in UTF-8.")
    var file: String

    @Option(help: "Where to write rejected rows [default: FILE.rejects.csv].")
    var rejects: String?

    @Option(help: "Column to pass over; may be repeated.")
    var ignore: [String] = []

    @Flag(help: "Judge the rows without a node, and record nothing.")
    var dryRun = false

    @Flag(help: "Begin anew, though an earlier import of the file stopped half-way.")
    var restart = false

    func run() async throws {
        var options = RegisterOptions()
        options.ignoredColumns = ignore
        let paths = ImportPaths(register: file, rejects: rejects ?? file + ".rejects.csv")
        try await reportingFailures {
            if dryRun {
                try await RegisterImport(paths, options, restart: true, isDry: true).run(into: nil, json: node.json)
            } else {
                let importing = try RegisterImport(paths, options, restart: restart, isDry: false)
                // A register has about one identifier for every 30 bytes; too few only means to grow once more.
                let expected = importing.size > 1 << 20 ? importing.size / 100 : 0
                try await node.withRecorder(identifiersExpected: expected) { record in
                    try await importing.run(into: record, json: node.json)
                }
            }
        }
    }
}

/// Records events; when it returns, those that were not refused are durable.
typealias Recorder = @Sendable ([ConsentEvent]) async throws -> [ImportOutcome]

/// What became of one event of a register.
enum ImportOutcome {
    case recorded
    case known
    case refused(rule: String, message: String)

    init(_ outcome: RecordOutcome) {
        if let refusal = outcome.refusal {
            self = .refused(rule: refusal.name, message: outcome.message)
        } else {
            self = outcome.isDuplicate ? .known : .recorded
        }
    }

    init(_ outcome: EventOutcome) {
        switch outcome {
        case .recorded: self = .recorded
        case .duplicate: self = .known
        case .refused(let error): self = .refused(rule: "\(error.code)", message: "\(error)")
        }
    }
}

struct ImportPaths {
    var register: String
    var rejects: String
    /// How far an import has come; removed when it is done.
    var progress: String { register + ".progress" }
}

/// One run over a register: read, send in batches, note what was refused, remember how far it came.
private final class RegisterImport {
    /// Events sent in one request; a few requests are on their way while the next rows are read.
    private static let batchEvents = 2000
    private static let batchesInFlight = 6
    private static let chunkSize = 1 << 20
    /// A point to resume at is stored after so many answered batches.
    private static let batchesPerPoint = 32

    let size: Int
    private let paths: ImportPaths
    private let register: FileDescriptor
    private let fingerprint: RegisterFingerprint
    private let rejects: FileDescriptor
    private var rejectsSize: UInt64 = 0
    private var reader: RegisterReader
    private var summary = RegisterSummary()
    private var recorded = 0
    private var duplicates = 0
    private var answeredTo = FilePosition.start
    private var batchesSincePoint = 0
    private var resumedFrom: FilePosition?
    private let isDry: Bool

    /// Rows that are sent together, and what was rejected between them.
    private struct Batch: Sendable {
        var rows: [RegisterRow] = []
        var rejections: [RowRejection] = []
        var events = 0
        var end = FilePosition.start
    }

    /// - Parameters:
    ///   - restart: whether to pass over what an earlier run had stored.
    ///   - isDry: whether to leave no point to go on from.
    init(_ paths: ImportPaths, _ options: RegisterOptions, restart: Bool, isDry: Bool) throws {
        let file = try FileDescriptor.open(paths.register, .readOnly)
        let fileSize = try file.size()
        let head = try Self.read(file, count: 1 << 16)
        let fingerprint = head.withUnsafeBytes { RegisterFingerprint(size: UInt64(fileSize), head: $0) }
        let point = restart ? nil : try Self.storedPoint(paths.progress, fingerprint)
        self.paths = paths
        self.isDry = isDry
        self.fingerprint = fingerprint
        size = fileSize
        reader = RegisterReader(options: options)
        rejects = try FileDescriptor.open(paths.rejects, .createOrOpen)
        register = file
        if let point {
            try rejects.truncate(size: Int(point.rejectFileSize))
            try rejects.seek(to: Int(point.rejectFileSize))
            rejectsSize = point.rejectFileSize
            try skip(to: point)
        } else {
            try register.seek(to: 0)
            try rejects.truncate(size: 0)
            try write(RejectFile.header)
        }
    }

    private static func storedPoint(_ path: String, _ file: RegisterFingerprint) throws -> ProgressPoint? {
        guard File.exists(path) else { return nil }
        do {
            let point = try ProgressPoint(text: try File.read(path, sizeMax: 1 << 20))
            try point.checkBelongs(to: file)
            return point
        } catch let fault as ProgressFault {
            throw Failure(
                code: Exit.refused, message: "\(path): \(fault.message); begin anew with --restart or remove that file")
        }
    }

    private static func read(_ file: borrowing FileDescriptor, count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let got = try bytes.withUnsafeMutableBytes { try file.read(into: .init(rebasing: $0[filled...])) }
            if got == 0 { break }
            filled += got
        }
        return Array(bytes[..<filled])
    }

    /// Learns the columns from the start of the file, then goes on at the point.
    private func skip(to point: ProgressPoint) throws {
        try register.seek(to: 0)
        while reader.columns == nil {
            let chunk = try Self.read(register, count: Self.chunkSize)
            if chunk.isEmpty { break }
            try reader.feed(chunk) { _ in }
        }
        reader.resume(at: point)
        summary = point.summary
        answeredTo = point.position
        resumedFrom = point.position
        try register.seek(to: Int(point.position.offset))
    }

    /// Reads to the end.
    ///
    /// - Parameter record: nil judges the rows only.
    func run(into record: Recorder?, json: Bool) async throws {
        let bar = ProgressBar("Importing")
        let start = ContinuousClock.now
        if let resumedFrom, !json { Output.error("consentd: going on at line \(resumedFrom.line)") }
        var waiting: [Task<[ImportOutcome], any Error>] = []
        var batches: [Batch] = []
        var current = Batch()
        var ended = false
        do {
            while !ended {
                let chunk = try Self.read(register, count: Self.chunkSize)
                ended = chunk.isEmpty
                var filled: [Batch] = []
                let take: (RegisterItem) -> Void = { item in
                    Self.add(item, to: &current)
                    if current.events >= Self.batchEvents || current.rejections.count >= Self.batchEvents {
                        filled.append(current)
                        current = Batch()
                    }
                }
                if ended { try reader.finish(take) } else { try reader.feed(chunk, take) }
                if ended {
                    current.end = reader.position
                    filled.append(current)
                }
                for batch in filled {
                    if waiting.count >= Self.batchesInFlight {
                        try settle(batches.removeFirst(), try await waiting.removeFirst().value)
                    }
                    waiting.append(Self.send(batch, record))
                    batches.append(batch)
                }
                bar.show(Int(answeredTo.offset), of: size, unit: "bytes")
            }
            while !waiting.isEmpty { try settle(batches.removeFirst(), try await waiting.removeFirst().value) }
        } catch {
            for task in waiting { task.cancel() }
            if let refusal = error as? RegisterRefusal {
                throw Failure(code: Exit.refused, message: "\(paths.register): \(refusal.description)")
            }
            throw error
        }
        bar.finish(size, of: size, unit: "bytes")
        if !isDry { try? File.remove(paths.progress) }
        let took = ContinuousClock.now - start
        report(seconds: Double(took.components.seconds) + Double(took.components.attoseconds) / 1e18, json: json)
    }

    private static func add(_ item: RegisterItem, to batch: inout Batch) {
        switch item {
        case .row(let row):
            batch.rows.append(row)
            batch.events += row.events.count
            batch.end = row.end
        case .rejection(let rejection):
            batch.rejections.append(rejection)
            batch.end = rejection.end
        }
    }

    private static func send(_ batch: Batch, _ record: Recorder?) -> Task<[ImportOutcome], any Error> {
        Task {
            guard let record, batch.events > 0 else { return [] }
            return try await record(batch.rows.flatMap(\.events))
        }
    }

    /// Takes the answers of a batch: counts, writes rejected rows, and now and then stores how far it came.
    private func settle(_ batch: Batch, _ outcomes: [ImportOutcome]) throws {
        var rejected = batch.rejections
        for rejection in batch.rejections { summary.count(rejectedBy: rejection.rule) }
        var rest = outcomes[...]
        for row in batch.rows {
            summary.count(row)
            let answers = rest.prefix(row.events.count)
            rest = rest.dropFirst(row.events.count)
            var refusal: (rule: String, message: String)?
            for answer in answers {
                switch answer {
                case .recorded: recorded += 1
                case .known: duplicates += 1
                case .refused(let rule, let message): refusal = refusal ?? (rule, message)
                }
            }
            if let refusal {
                rejected.append(RowRejection(row, rule: refusal.rule, message: refusal.message))
                summary.move(row, toRejectedBy: refusal.rule)
            }
        }
        var text: [UInt8] = []
        for rejection in rejected.sorted(by: { $0.line < $1.line }) { RejectFile.append(rejection, to: &text) }
        try write(text)
        answeredTo = batch.end
        batchesSincePoint += 1
        if batchesSincePoint >= Self.batchesPerPoint, !isDry { try storePoint() }
    }

    private func write(_ bytes: [UInt8]) throws {
        try rejects.write(bytes)
        rejectsSize += UInt64(bytes.count)
    }

    private func storePoint() throws {
        batchesSincePoint = 0
        try rejects.synchronize()
        let point = ProgressPoint(
            file: fingerprint, position: answeredTo, rejectFileSize: rejectsSize, summary: summary)
        try File.replace(paths.progress, with: Array(point.text.utf8))
    }

    private func report(seconds: Double, json: Bool) {
        let rate = Int(Double(recorded + duplicates) / max(seconds, 0.001))
        if json {
            Output.json([
                "rows": summary.rowCount, "accepted": summary.acceptedCount, "withoutProof": summary.withoutProofCount,
                "rejected": summary.rejectedCount, "rejectedByRule": summary.rejectedCounts,
                "eventsRecorded": recorded, "eventsKnown": duplicates, "recoveredRows": summary.recoveredCount,
                "seconds": (seconds * 1000).rounded() / 1000, "eventsPerSecond": rate, "rejectFile": paths.rejects,
                "worthlessShare": (summary.worthlessShare * 10_000).rounded() / 10_000,
            ])
            return
        }
        print("\(summary.rowCount) rows in \(String(format: "%.1f", seconds)) s, \(rate) events a second")
        var rows = [
            ["  accepted", "\(summary.acceptedCount)"],
            ["  without proof, to ask again", "\(summary.withoutProofCount)"],
            ["  rejected", "\(summary.rejectedCount)"],
        ]
        for (rule, count) in summary.rejectedCounts.sorted(by: { $0.value > $1.value }) {
            rows.append(["    \(rule)", "\(count)"])
        }
        rows.append(["  events recorded", "\(recorded)"])
        if duplicates > 0 { rows.append(["  events that were known already", "\(duplicates)"]) }
        Output.table(rows)
        if summary.recoveredCount > 0 {
            print("\(summary.recoveredCount) rows were taken from behind a quote that never closed: look at them")
        }
        if summary.rejectedCount > 0 { print("rejected rows with line and reason: \(paths.rejects)") }
        print(String(format: "%.1f %% of this register is worthless as it is", summary.worthlessShare * 100))
    }
}

/// Writes a register to try things with.
struct SampleRegisterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sample-register",
        abstract: "Write a made-up customer register for the template catalog, to try the import with.",
        discussion: """
            EXAMPLES
              consentd sample-register register.csv --subjects 1000
              consentd import register.csv
            """)

    @Argument(help: "File to write.") var file: String
    @Option(help: "People in it.") var subjects = 100_000
    @Option(help: "The same seed gives the same register.") var seed: UInt64 = 1
    @Flag(name: .long, help: "Print JSON.") var json = false

    func run() async throws {
        try await reportingFailures {
            try? File.remove(file)
            let output = try FileDescriptor.open(file, .createNew, mode: 0o644)
            var sample = SampleRegister(subjectCount: subjects, seed: seed)
            var buffer: [UInt8] = []
            while sample.next(into: &buffer) {
                if buffer.count > 1 << 20 {
                    try output.write(buffer)
                    buffer.removeAll(keepingCapacity: true)
                }
            }
            try output.write(buffer)
            if json {
                Output.json(["rows": sample.counts.rowCount, "subjects": subjects, "file": file])
            } else {
                print("wrote \(sample.counts.rowCount) rows about \(subjects) people to \(file)")
            }
        }
    }
}
