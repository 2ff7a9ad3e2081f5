import ArgumentParser
import ConsentCatalog
import ConsentClient
import ConsentEngine
import ConsentKernel
import ConsentModel
import ConsentRegister
import ConsentServer
import Foundation

extension PhoneCountry: ExpressibleByArgument {
    package init?(argument: String) { self.init(code: argument) }
}

struct Import: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Import an old customer register, a CSV file, or an export of 'consentd access'.",
        discussion: """
            Columns, in any order: customer, email, phone and other types of identifiers; purpose (several with |); \
            state, captured_at, expires_at, declaration, revision, language, method, explicit, party, age, system, \
            channel, form, actor, evidence, list_source (own or bought), guardian_relation, guardian (type:value).

            A grant without proof becomes a request to ask again; a time in 1970-01-01 or before counts as none. A row \
            that says no (withdrawn, refused, revoked, invalidated, objected) is taken unless it names nobody, no known \
            purpose or no known state; what else it says wrongly is left out, without a time it counts from now, and a \
            date is the end of that day. Where its fields cannot be told apart to its end, those up to the state's are \
            taken. One that could not be taken is named on standard error.

            Rows that cannot be taken are written to FILE.rejects.csv with line and reason, without national ids, and \
            with an apostrophe before what a spreadsheet would calculate; the import passes over that apostrophe.

            The import can be interrupted: run again, it goes on where it stopped, or begins anew if the file or the \
            ledger is not what it was. Running it twice records nothing twice.

            A phone number needs its country: + or 00 and the country in front. --phone-country puts one in front of \
            those without, by its own rules: 47 makes 90 00 00 00 to +4790000000, 46 makes 070-123 45 67 to \
            +46701234567. What is no number of that country is rejected.

            --dry-run judges each row by the node's catalog and the rows before it, and records nothing. What depends \
            on recorded events it cannot know: whose identifiers they are already, a confirmation without its grant, a \
            key that was used, and which rows are known.

            A register whose columns have other names is read with --map, or with a file of lines such as \
            'email = E-post'. --bought says that all of it comes from a bought list, unless a row says otherwise: \
            what proves nothing is rejected then instead of asked again.

            At the end stands what part of the register is worthless, and why; --report-language nb or sv says it in \
            Norwegian or Swedish. A dry run also counts rows that repeat or contradict an earlier one. With \
            --dormant-after, consents that are older are counted, and --ask-again writes every row whose person must \
            be asked again, or should be, to a file. For people instead of rows see 'consentd reconsent'.

            An export of 'consentd access' is read in both its forms. What its node recorded by itself, such as the \
            end of a period, is rejected, as it follows from the rest here, too.

            EXAMPLES
              consentd import register.csv --data club
              consentd import kari.json
              consentd import register.csv --dry-run
              consentd import register.csv --dry-run --rejects judged.csv
              consentd import register.csv --phone-country 47
              consentd import kunder.csv --map email=E-post --dry-run --report-language nb
              consentd import kunder.csv --mapping columns.txt --bought
              consentd import register.csv --dormant-after 2y --ask-again ask.csv
            """)

    @OptionGroup var node: NodeOptions

    @Argument(help: "CSV file in UTF-8, or an access export that ends in .json.")
    var file: String

    @Option(help: "Where to write rejected rows [default: FILE.rejects.csv; nowhere with --dry-run].")
    var rejects: String?

    @Option(help: "Column to pass over; may be repeated.")
    var ignore: [String] = []

    @Option(help: "Country of phone numbers without one: \(PhoneCountry.all.map(\.code).joined(separator: ", ")).")
    var phoneCountry: PhoneCountry?
    @Option(help: "Which column holds what, as name=column of the register; may be repeated.")
    var map: [String] = []

    @Option(help: "File of such lines.")
    var mapping: String?

    @Flag(help: "The register is a bought list: what proves nothing is rejected.")
    var bought = false

    @Option(help: "Age that makes a consent dormant, such as P2Y or 2y; counted in the report.")
    var dormantAfter: String?

    @Option(help: "File to write rows to whose people are to be asked again; such an import begins anew each time.")
    var askAgain: String?

    @Option(help: "Language of the report: nb, sv or en.")
    var reportLanguage = "en"

    @Flag(help: "Judge the rows by the node's catalog, and record nothing.")
    var dryRun = false

    @Flag(help: "Begin anew, though an earlier import of the file stopped half-way.")
    var restart = false

    func validate() throws {
        guard rejects != file else { throw ValidationError("--rejects would overwrite the register") }
        guard askAgain != file else { throw ValidationError("--ask-again would overwrite the register") }
        guard askAgain == nil || askAgain != rejects else {
            throw ValidationError("--ask-again and --rejects are two files")
        }
        guard ReportLanguage(name: reportLanguage) != nil else {
            throw ValidationError("--report-language is one of \(ReportLanguage.names)")
        }
        if let dormantAfter { _ = try period(dormantAfter, "--dormant-after") }
        var columns = ColumnMapping()
        for text in map {
            do { try columns.add(text) } catch {
                throw ValidationError("--map '\(text)' is not of the form column=its name in the register")
            }
        }
    }

    private func columns() throws -> [String: String] {
        var columns = ColumnMapping()
        if let mapping {
            do { try columns.read(try readText(mapping)) } catch let fault as ColumnMapping.Fault {
                throw Failure(code: Exit.refused, message: "\(mapping): \(fault)")
            }
        }
        for text in map { try columns.add(text) }
        return columns.columnNames
    }

    /// Tells runs apart that would read the same rows otherwise: none goes on where another one stopped.
    private func variant(_ options: RegisterOptions) -> String {
        let parts =
            options.columnNames.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            + options.ignoredColumns.sorted()
            + (bought ? ["bought"] : [])
        return parts.isEmpty ? "" : PrefixDigest.mark(of: parts.joined(separator: "\n"))
    }

    func run() async throws {
        var options = RegisterOptions()
        options.ignoredColumns = ignore
        options.phoneCountry = phoneCountry
        options.now = Timestamp(millis: Clock.realtimeMillis())
        options.listSource = bought ? .bought : .own
        try await reportingFailures {
            options.columnNames = try columns()
            let options = options
            var report = ImportReport(language: ReportLanguage(name: reportLanguage)!)
            report.dormantBefore = try dormantAfter.map {
                options.now.advanced(bySeconds: -(try period($0, "--dormant-after").seconds))
            }
            let chosen = report
            try await withRegister { register in
                var paths = ImportPaths(register: register, rejects: rejects, askAgain: askAgain)
                paths.variant = variant(options)
                if dryRun {
                    try await judge(paths, options, chosen)
                } else {
                    paths.rejects = rejects ?? file + ".rejects.csv"
                    try await record(paths, options, chosen)
                }
            }
        }
    }

    /// An access export that is a document becomes a register beside it, which stays until it is imported.
    private func withRegister(_ body: (String) async throws -> Void) async throws {
        guard let register = try AccessFile.register(file) else { return try await body(file) }
        let path = file + ".csv"
        try File.replace(path, with: register, mode: 0o600)
        try await body(path)
        try File.remove(path)
    }

    private func record(_ paths: ImportPaths, _ options: RegisterOptions, _ report: ImportReport) async throws {
        try await reportingFailures {
            let size = try FileDescriptor.open(paths.register, .readOnly).size()
            // A register has about one identifier for every 30 bytes; too few only means to grow once more.
            try await node.withRecorder(identifiersExpected: size > 1 << 20 ? size / 100 : 0) { recorder in
                let importing = try RegisterImport(
                    paths, options, report, restart: restart || paths.askAgain != nil, recorder: recorder)
                try await importing.run(json: node.json)
            }
        }
    }

    private func judge(_ paths: ImportPaths, _ options: RegisterOptions, _ report: ImportReport) async throws {
        var catalog = Catalog()
        try await node.withClient { client in catalog = try await client.appliedCatalog() }
        try await reportingFailures {
            let recorder = Recorder(judgingBy: catalog, now: options.now)
            try await RegisterImport(paths, options, report, restart: true, recorder: recorder).run(json: node.json)
        }
    }
}

struct ImportPaths {
    var register: String
    /// Nil where rejected rows are only counted.
    var rejects: String?
    /// Nil where those to ask again are only counted.
    var askAgain: String?
    /// Empty where the register is read as it is.
    var variant = ""
    /// How far an import has come; removed when it is done.
    var progress: String { register + ".progress" + (variant.isEmpty ? "" : "-" + variant) }
}

/// How an import says what a register is worth.
struct ImportReport {
    var language: ReportLanguage
    /// A consent that was captured earlier is dormant; nil where none is.
    var dormantBefore: Timestamp?
}

/// One run over a register: read, send in batches, note what was refused, remember how far it came.
private final class RegisterImport {
    /// Events sent in one request. As many requests are on their way as make up three full groups of an engine: one that
    /// is stored, one that is decided about, and one that waits.
    private static let batchEvents = 2000
    private static let batchesInFlight = 18
    private static let chunkSize = 1 << 20
    /// A point to resume at is stored after so many answered batches.
    private static let batchesPerPoint = 8

    let size: Int
    private let paths: ImportPaths
    private let register: FileDescriptor
    private let rejects: FileDescriptor?
    private let askAgain: FileDescriptor?
    private let chosen: ImportReport
    private var census = RegisterCensus()
    private var rejectsSize: UInt64 = 0
    private var noNamedCount = 0
    private static let noNamedMax = 20
    private var reader: RegisterReader
    private var digest = PrefixDigest()
    private var summary = RegisterSummary()
    private var recorded = 0
    /// Of events that were only judged.
    private var admitted = 0
    private var duplicates = 0
    private var answeredTo = FilePosition.start
    /// Of everything before `answeredTo`.
    private var answeredDigest = PrefixDigest().value
    /// Whether the ledger is known to hold what was imported before; else the first batch tells.
    private var isWitnessed = true
    private let options: RegisterOptions
    private var batchesSincePoint = 0
    private let recorder: Recorder
    /// Nil if the rows are only judged: then no point is left to go on from.
    private var ledger: LedgerPoint?

    /// The ledger was put back to an older state since a point was stored: what the point takes for done is not there.
    private struct LedgerLacksRows: Error {}

    /// Rows that are sent together, and what was rejected between them.
    private struct Batch {
        var rows: [RegisterRow] = []
        var rejections: [RowRejection] = []
        /// Of its rows.
        var events: [ConsentEvent] = []
        var end = FilePosition.start
        /// Of everything before the end.
        var prefixDigest: [UInt8] = []

        /// Whether one of its events is nothing without those before it.
        var needsOrder: Bool { events.contains { $0.state == .confirmed } }
    }

    /// - Parameter restart: whether to pass over what an earlier run had stored.
    init(
        _ paths: ImportPaths, _ options: RegisterOptions, _ report: ImportReport, restart: Bool, recorder: Recorder
    ) throws {
        register = try FileDescriptor.open(paths.register, .readOnly)
        chosen = report
        size = try register.size()
        self.paths = paths
        self.options = options
        self.recorder = recorder
        ledger = recorder.ledger
        reader = RegisterReader(options: options)
        if let path = paths.rejects { rejects = try Self.listOfRows(path) } else { rejects = nil }
        if let path = paths.askAgain { askAgain = try Self.listOfRows(path) } else { askAgain = nil }
        do {
            if !restart, let ledger, let point = try storedPoint(ledger) {
                try goOn(from: point)
                return
            }
        } catch let fault as ProgressFault where fault != .notProgress {
            Output.error("consentd: \(paths.progress): \(fault.message); the import begins anew")
        } catch let fault as ProgressFault {
            throw Failure(code: Exit.refused, message: "\(paths.progress): \(fault.message); remove that file")
        }
        try begin()
    }

    /// A file to list rows in. One that is there is written over only if an import has made it.
    private static func listOfRows(_ path: String) throws -> FileDescriptor {
        let file = try FileDescriptor.open(path, .createOrOpen)
        let beginning = try read(file, count: RejectFile.header.count)
        guard beginning.isEmpty || beginning == RejectFile.header else {
            throw Failure(
                code: Exit.refused,
                message: "\(path) is there, and no import has made it; name another file, or remove it. Nothing was "
                    + "imported")
        }
        return file
    }

    /// Of the whole file: what tells it from another register that says the same.
    private func wholeDigest() throws -> [UInt8] {
        let file = try FileDescriptor.open(paths.register, .readOnly)
        var digest = PrefixDigest()
        var offset: UInt64 = 0
        while true {
            let chunk = try Self.read(file, count: Self.chunkSize)
            if chunk.isEmpty { return digest.value }
            digest.read(chunk)
            offset += UInt64(chunk.count)
            _ = digest.advance(to: offset)
        }
    }

    private func begin() throws {
        reader = RegisterReader(options: options)
        digest = PrefixDigest()
        summary = RegisterSummary()
        (answeredTo, answeredDigest, batchesSincePoint) = (.start, digest.value, 0)
        isWitnessed = true
        try register.seek(to: 0)
        try rejects?.seek(to: 0)
        try rejects?.truncate(size: 0)
        rejectsSize = 0
        census = RegisterCensus()
        try write(RejectFile.header)
        try askAgain?.seek(to: 0)
        try askAgain?.truncate(size: 0)
        try askAgain?.write(RejectFile.header)
    }

    private func storedPoint(_ ledger: LedgerPoint) throws -> ProgressPoint? {
        guard File.exists(paths.progress) else { return nil }
        let point = try ProgressPoint(text: try File.read(paths.progress, sizeMax: 1 << 20))
        try point.checkBelongs(
            toFileOf: UInt64(size), rejectFileSize: UInt64(try rejects?.size() ?? 0), ledger: ledger)
        return point
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

    /// Reads everything before the point once more, which is what the columns and the digest are learned from, and goes on
    /// there.
    ///
    /// - Throws: ``ProgressFault`` if it is not what was read then; nothing is changed.
    private func goOn(from point: ProgressPoint) throws {
        var reader = RegisterReader(options: options)
        var digest = PrefixDigest()
        var offset: UInt64 = 0
        try register.seek(to: 0)
        while offset < point.position.offset || reader.columns == nil {
            let chunk = try Self.read(register, count: Self.chunkSize)
            if chunk.isEmpty { throw ProgressFault.registerChanged }
            if reader.columns == nil {
                do { try reader.feed(chunk) { _ in } } catch { throw ProgressFault.registerChanged }
            }
            let start = offset
            offset += UInt64(chunk.count)
            guard start < point.position.offset else { continue }
            let before = Array(chunk.prefix(Int(min(offset, point.position.offset) - start)))
            digest.read(before)
            guard offset >= point.position.offset else {
                _ = digest.advance(to: offset)
                continue
            }
            guard digest.advance(to: point.position.offset) == point.prefixDigest else {
                throw ProgressFault.registerChanged
            }
        }
        reader.resume(at: point)
        self.reader = reader
        self.digest = digest
        summary = point.summary
        (answeredTo, answeredDigest) = (point.position, point.prefixDigest)
        isWitnessed = false
        rejectsSize = point.rejectFileSize
        try rejects?.truncate(size: Int(point.rejectFileSize))
        try rejects?.seek(to: Int(point.rejectFileSize))
        try register.seek(to: Int(point.position.offset))
        Output.error("consentd: going on at line \(point.position.line)")
    }

    /// Reads to the end.
    func run(json: Bool) async throws {
        let bar = ProgressBar(ledger == nil ? "Judging" : "Importing", unit: "bytes")
        let start = ContinuousClock.now
        do {
            try await readToTheEnd(bar)
        } catch is LedgerLacksRows {
            Output.error("consentd: the ledger lacks rows that were imported before; the import begins anew")
            try begin()
            try await readToTheEnd(bar)
        }
        bar.finish(size)
        if ledger != nil { try? File.remove(paths.progress) }
        let took = ContinuousClock.now - start
        report(seconds: Double(took.components.seconds) + Double(took.components.attoseconds) / 1e18, json: json)
    }

    private func readToTheEnd(_ bar: ProgressBar) async throws {
        var waiting: [(batch: Batch, outcomes: Recorder.Outcomes)] = []
        func settleFirst() async throws {
            let (batch, outcomes) = waiting.removeFirst()
            try await settle(batch, try await outcomes())
        }
        var current = Batch()
        var ended = false
        let fileDigest = try wholeDigest()
        do {
            while !ended {
                let chunk = try Self.read(register, count: Self.chunkSize)
                ended = chunk.isEmpty
                digest.read(chunk)
                var filled: [Batch] = []
                func fill() {
                    current.prefixDigest = digest.advance(to: current.end.offset)
                    filled.append(current)
                    current = Batch()
                }
                let take: (RegisterItem) -> Void = { item in
                    self.add(item, to: &current, fileDigest)
                    if current.events.count >= Self.batchEvents || current.rejections.count >= Self.batchEvents {
                        fill()
                    }
                }
                if ended { try reader.finish(take) } else { try reader.feed(chunk, take) }
                if ended {
                    current.end = reader.position
                    fill()
                }
                for position in filled.indices {
                    let mustWait = recorder.mayReorder && filled[position].needsOrder
                    let inFlightMax = mustWait ? 1 : Self.batchesInFlight
                    while waiting.count >= inFlightMax { try await settleFirst() }
                    waiting.append((filled[position], try await send(filled[position].events)))
                }
                bar.show(Int(answeredTo.offset), of: size)
            }
            while !waiting.isEmpty { try await settleFirst() }
        } catch let error as ConsentClientError {
            Output.error("consentd: the lines before \(answeredTo.line) are done; run the same command again to go on")
            throw error
        } catch let refusal as RegisterRefusal {
            throw Failure(code: Exit.refused, message: "\(paths.register): \(refusal.description)")
        }
    }

    private func add(_ item: RegisterItem, to batch: inout Batch, _ fileDigest: [UInt8]) {
        switch item {
        case .row(var row):
            if row.isUndated { row.identify(by: fileDigest) }
            batch.events += row.events
            batch.rows.append(row)
            batch.end = row.end
        case .rejection(let rejection):
            batch.rejections.append(rejection)
            batch.end = rejection.end
        }
    }

    private func send(_ events: [ConsentEvent]) async throws -> Recorder.Outcomes {
        guard !events.isEmpty else { return { [] } }
        return try await recorder.send(events)
    }

    /// Takes the answers of a batch: counts, writes rejected rows, and now and then stores how far it came.
    private func settle(_ batch: Batch, _ outcomes: [ImportOutcome]) async throws {
        let (before, recordedBefore) = (point, recorded)
        var rejected = batch.rejections
        for rejection in batch.rejections { summary.count(rejection) }
        var answered = 0
        var toAsk: [UInt8] = []
        for row in batch.rows {
            summary.count(row)
            let answers = outcomes[answered..<answered + row.events.count]
            answered = answers.endIndex
            if let refusal = count(answers) ?? refusal(of: row) {
                let rejection = RowRejection(row, rule: refusal.rule, message: refusal.message)
                rejected.append(rejection)
                summary.move(row, to: rejection)
            } else {
                note(row, &toAsk)
            }
        }
        try askAgain?.write(toAsk)
        var text: [UInt8] = []
        for rejection in rejected.sorted(by: { $0.line < $1.line }) {
            RejectFile.append(rejection, to: &text)
            if rejection.saysNo { sayNoNotTaken(rejection) }
        }
        try write(text)
        if !isWitnessed, !outcomes.isEmpty {
            // It was imported before the point was stored, so nothing of it can be new.
            if recorded > recordedBefore { throw LedgerLacksRows() }
            isWitnessed = true
        }
        (answeredTo, answeredDigest) = (batch.end, batch.prefixDigest)
        batchesSincePoint += 1
        if batchesSincePoint >= Self.batchesPerPoint, let before { try store(before) }
    }

    /// Names a row at once whose "no" is lost unless somebody acts; of very many, the file of rejected rows has the rest.
    private func sayNoNotTaken(_ rejection: RowRejection) {
        noNamedCount += 1
        if noNamedCount <= Self.noNamedMax {
            Output.error(
                "consentd: line \(rejection.line), \(Output.words(rejection.rule)): it says no and was not taken")
        }
    }

    /// What the rows before it say against a row that is only judged: the node would know by then.
    private func refusal(of row: RegisterRow) -> (rule: String, message: String)? {
        guard ledger == nil, let event = row.events.first, !event.state.takesAway,
            census.isOfSeveralPeople(event)
        else { return nil }
        admitted -= row.events.count
        let error = AdmissionError.identifierConflict(event.identifiers[0])
        return ("\(error.code)", "\(error)")
    }

    /// Notes what a row is worth that was not refused, and whether its person is to be asked again.
    private func note(_ row: RegisterRow, _ toAsk: inout [UInt8]) {
        if ledger == nil { compare(row) }
        // What is without proof is counted as that.
        let worth = row.isWithoutProof ? RowNote.asked : RowNote(row, catalog: recorder.catalog, now: options.now)
        if !row.isWithoutProof { summary.count(worth) }
        let isDormant = worth == .counts && row.isDormant(before: chosen.dormantBefore)
        if isDormant { summary.count(.dormant) }
        guard askAgain != nil, isDormant || worth.isWorthless else { return }
        let why = row.isWithoutProof ? "without_proof" : (isDormant ? RowNote.dormant : worth).name
        RejectFile.append(RowRejection(row, rule: why, message: Output.words(why)), to: &toAsk)
    }

    /// With the rows before it; of what is recorded, the ledger knows.
    private func compare(_ row: RegisterRow) {
        let findings = row.events.map { census.take($0) }
        if !findings.isEmpty, findings.allSatisfy({ $0 == .repeated }) { summary.count(.repeated) }
        if findings.contains(.contradicted) { summary.count(.contradicted) }
    }

    /// Where everything so far is settled.
    private var point: ProgressPoint? {
        ledger.map { ledger in
            ProgressPoint(
                fileSize: UInt64(size), position: answeredTo, prefixDigest: answeredDigest, ledger: ledger,
                rejectFileSize: rejectsSize, summary: summary)
        }
    }

    /// - Returns: the first refusal.
    private func count(_ answers: ArraySlice<ImportOutcome>) -> (rule: String, message: String)? {
        var refusal: (rule: String, message: String)?
        for answer in answers {
            switch answer {
            case .recorded(let sequence):
                recorded += 1
                noteNewest(sequence)
            case .known(let sequence):
                duplicates += 1
                noteNewest(sequence)
            case .admitted: admitted += 1
            case .refused(let rule, let message): refusal = refusal ?? (rule, message)
            }
        }
        return refusal
    }

    private func noteNewest(_ sequence: UInt64) {
        if let ledger, sequence > ledger.sequence { self.ledger?.sequence = sequence }
    }

    private func write(_ bytes: [UInt8]) throws {
        try rejects?.write(bytes)
        rejectsSize += UInt64(bytes.count)
    }

    /// - Parameter point: of before the last batch: that one is sent again when the import goes on, and tells whether the
    ///   ledger still holds it.
    private func store(_ point: ProgressPoint) throws {
        batchesSincePoint = 0
        try rejects?.synchronize()
        try File.replace(paths.progress, with: Array(point.text.utf8))
    }

    private func report(seconds: Double, json: Bool) {
        let rate = Int(Double(recorded + duplicates) / max(seconds, 0.001))
        let worth = RegisterReport(summary, in: chosen.language)
        if json {
            Output.json([
                "dryRun": ledger == nil, "eventsAdmitted": admitted, "rows": summary.rowCount,
                "accepted": summary.acceptedCount, "withoutProof": summary.withoutProofCount,
                "rejected": summary.rejectedCount, "rejectedByRule": summary.rejectedCounts,
                "eventsRecorded": recorded, "eventsKnown": duplicates, "recoveredRows": summary.recoveredCount,
                "seconds": (seconds * 1000).rounded() / 1000, "eventsPerSecond": rate,
                "rejectFile": paths.rejects ?? Output.null,
                "notUsableShare": (summary.unusableShare * 10_000).rounded() / 10_000,
                "usableToday": worth.usableCount, "worthless": summary.worthlessCount,
                "reasons": worth.reasons.map {
                    ["reason": $0.slug, "rows": $0.rows, "text": $0.text] as [String: Any]
                },
                "sayNo": summary[.saysNo], "noNotTaken": summary[.noNotTaken], "dormant": summary[.dormant],
                "repeated": ledger == nil ? summary[.repeated] : Output.null,
                "contradicted": ledger == nil ? summary[.contradicted] : Output.null,
                "askAgainFile": paths.askAgain ?? Output.null,
            ])
            return
        }
        let rowText = "\(Output.counted(summary.rowCount, "row")) in \(String(format: "%.1f", seconds)) s"
        print(ledger == nil ? "\(rowText), judged only: nothing was recorded" : "\(rowText), \(rate) events a second")
        var rows = [
            ["  accepted", "\(summary.acceptedCount)"],
            ["  without proof, to ask again", "\(summary.withoutProofCount)"],
            ["  rejected", "\(summary.rejectedCount)"],
        ]
        for (rule, count) in summary.rejectedCounts.sorted(by: { $0.value > $1.value }) {
            rows.append(["    \(Output.words(rule))", "\(count)"])
        }
        rows.append(ledger == nil ? ["  events to record", "\(admitted)"] : ["  events recorded", "\(recorded)"])
        if duplicates > 0 { rows.append(["  events that were known already", "\(duplicates)"]) }
        Output.table(rows)
        if summary.recoveredCount > 0 {
            print(
                "\(Output.counted(summary.recoveredCount, "row was", "rows were")) taken from behind a quote that never "
                    + "closed: a person should look")
        }
        if summary.rejectedCount > 0, let path = paths.rejects { print("rejected rows with line and reason: \(path)") }
        if let path = paths.askAgain { print("rows to ask again: \(path)") }
        for line in worth.lines { print(line) }
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

    func validate() throws {
        guard subjects > 0 else { throw ValidationError("--subjects is greater than zero") }
    }

    func run() async throws {
        try await reportingFailures {
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
                print(
                    "wrote \(Output.counted(sample.counts.rowCount, "row")) about "
                        + "\(Output.counted(subjects, "person", "people")) to \(file)")
            }
        }
    }
}
