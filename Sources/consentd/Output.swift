import ArgumentParser
import ConsentBench
import ConsentClient
import ConsentEngine
import ConsentLedger
import ConsentProof
import ConsentSync
import Foundation

/// The exit codes of all commands, besides 0 (done, or granted) and the 64 of a command line that is none.
enum Exit {
    /// Of a check only.
    static let denied = ExitCode(1)
    /// Of a check only.
    static let unknown = ExitCode(2)
    static let failed = ExitCode(3)
    /// There is no node, no server answers or lets this client in, or another process has the node.
    static let unreachable = ExitCode(4)
    /// By a rule: of the catalog, of a register, or at the door.
    static let refused = ExitCode(5)
    /// The ledger is damaged, or what is kept does not follow from it.
    static let damaged = ExitCode(6)
    /// Of a benchmark only: answers were wrong.
    static let wrongAnswers = ExitCode(7)

    /// As failures in JSON have it, where the protocol has no name of its own.
    static func name(of code: ExitCode) -> String {
        switch code {
        case unreachable: "unreachable"
        case refused: "refused"
        case damaged: "damaged"
        case wrongAnswers: "wrongAnswers"
        case .validationFailure: "wrongUsage"
        default: "failed"
        }
    }
}

/// A failure with its exit code; the message goes to standard error.
struct Failure: Error {
    var code: ExitCode
    var message: String
    /// The name that the protocol has for it; nil where it is none of the protocol's.
    var name: String?
}

extension Failure {
    /// The one place that says which error ends with which code.
    init(_ error: any Error) {
        let code =
            switch error {
            case let failure as Failure: failure.code
            case let error as ConsentClientError: error.exitCode
            case let error as LedgerError: error.exitCode
            case let error as EngineError: error.exitCode
            case ProofError.notReadable, is CheckpointMismatch: Exit.refused
            case is ProofError: Exit.damaged
            case is WrongAnswers: Exit.wrongAnswers
            case LoadFailure.planImpossible, is BenchNode.Failure: Exit.refused
            case is LoadFailure: Exit.unreachable
            case is FollowerError: Exit.unreachable
            default: Exit.failed
            }
        self.init(code: code, message: (error as? Failure)?.message ?? "\(error)")
        if case ConsentClientError.server(let code, _) = error { name = code.name }
    }
}

/// Runs a command, and turns whatever it throws into a message and an exit code.
func reportingFailures(_ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch {
        throw report(error)
    }
}

/// Says what went wrong; returns what to exit with.
func report(_ error: any Error) -> ExitCode {
    // Whoever throws a code has said why.
    if let code = error as? ExitCode { return code }
    let failure = Failure(error)
    Output.failure(failure)
    return failure.code
}

extension ConsentClientError {
    fileprivate var exitCode: ExitCode {
        switch self {
        case .connectFailed, .notTrusted, .handshakeRefused, .versionUnsupported, .disconnected, .closed, .timedOut:
            Exit.unreachable
        case .unknownPurpose, .invalidArgument: Exit.refused
        case .server(let code, _):
            switch code.name {
            case "catalogRejected", "catalogConflict", "purposeUnknown", "identifierInvalid", "questionInvalid",
                "personUnknown", "personErased", "identifierConflict", "identifierIsOnlyOne", "identifiersTooMany",
                "admissionPurposeUnknown", "nothingToConfirm", "tokenUnknown", "tokenUsed", "tokenLapsed",
                "textTooLong", "textNamesPerson", "eventUnknown", "receiptImpossible", "readerRefused":
                Exit.refused
            case "ledgerDamaged": Exit.damaged
            default: Exit.failed
            }
        case .cancelled, .protocolViolation: Exit.failed
        }
    }
}

extension LedgerError {
    fileprivate var exitCode: ExitCode {
        switch self {
        case .missing: Exit.unreachable
        case .exists, .remains: Exit.refused
        case .notALedger, .keyWrong, .corrupt, .checkpointsUnreadable, .closedAsDamaged: Exit.damaged
        case .newerVersion, .unavailable: Exit.failed
        }
    }
}

extension EngineError {
    fileprivate var exitCode: ExitCode {
        switch self {
        case .locked: Exit.unreachable
        case .catalogRejected, .catalogConflict, .questionInvalid, .rights, .eventUnknown, .receipt, .access:
            Exit.refused
        case .ledger(let error): error.exitCode
        case .busy, .closing, .catalogMissing, .failed: Exit.failed
        }
    }
}

extension NodeFailure {
    var exitCode: ExitCode {
        switch self {
        case .ledgerDamaged: Exit.damaged
        case .indexBehind: Exit.failed
        }
    }
}

enum Output {
    static let null = NSNull()

    /// Prints an object, one a line, with sorted keys.
    static func json(_ object: [String: Any]) { line(text(object)) }

    private static func text(_ object: [String: Any]) -> String {
        let data = try? JSONSerialization.data(withJSONObject: object, options: [.sortedKeys, .withoutEscapingSlashes])
        return String(decoding: data ?? Data("{}".utf8), as: UTF8.self)
    }

    /// Prints at once, also into a pipe.
    static func line(_ text: String) {
        print(text)
        flush()
    }

    /// Ends the program where what it has to say cannot be written: part of an answer must not pass for all of it.
    static func flush() {
        guard fflush(nil) != 0 else { return }
        error("consentd: the output cannot be written: \(String(cString: strerror(errno)))")
        Foundation.exit(Exit.failed.rawValue)
    }

    static func error(_ text: String) { errorBytes(text + "\n") }

    /// Whether the command was asked for JSON. Also told of a command line that is none.
    static let isJSON = CommandLine.arguments.dropFirst().prefix { $0 != "--" }.contains("--json")

    /// Says why a command fails: in words or, with --json, as one object on the last line.
    static func failure(_ failure: Failure) {
        guard isJSON else { return error("consentd: \(failure.message)") }
        error(
            text([
                "error": [
                    "code": failure.name ?? Exit.name(of: failure.code), "exit": Int(failure.code.rawValue),
                    "message": failure.message,
                ] as [String: Any]
            ]))
    }

    /// A server goes on, and ends in order, though whoever read its log is gone.
    fileprivate static func errorBytes(_ text: String) {
        try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
    }

    /// A number with its noun, such as `1 event` and `2 events`.
    static func counted(_ count: some BinaryInteger, _ one: String, _ many: String? = nil) -> String {
        "\(count) \(count == 1 ? one : many ?? one + "s")"
    }

    /// A rule or a reason as people read it: `captured_at_missing` and `capturedAtMissing` are "captured at missing".
    static func words(_ name: String) -> String {
        var text = ""
        for character in name {
            if character.isUppercase { text += " " }
            text += character == "_" ? " " : character.lowercased()
        }
        return text
    }

    /// Columns, aligned with spaces.
    static func table(_ rows: [[String]]) {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in rows.map { $0.count > column ? $0[column].count : 0 }.max() ?? 0 }
        for row in rows {
            let cells = row.enumerated().map { column, cell in
                column == row.count - 1 ? cell : cell.padding(toLength: widths[column] + 2, withPad: " ", startingAt: 0)
            }
            print(cells.joined())
        }
    }

    /// Bytes on a screen cannot move its cursor or change its colours.
    static func printable(_ text: String) -> String {
        String(
            String.UnicodeScalarView(text.unicodeScalars.map { $0.properties.generalCategory == .control ? "?" : $0 }))
    }
}

/// How far a long piece of work has come: a bar on a terminal, a line now and then elsewhere.
final class ProgressBar {
    private let label: String
    private let unit: String
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private let startedAt = Date()
    private var shownAt: Date
    private var shown: Int?

    /// - Parameter unit: of what is counted, in the plural.
    init(_ label: String, unit: String) {
        self.label = label
        self.unit = unit
        shownAt = isTerminal ? .distantPast : startedAt
    }

    func show(_ done: Int, of all: Int) {
        let now = Date()
        guard now.timeIntervalSince(shownAt) > (isTerminal ? 0.1 : 5) else { return }
        shownAt = now
        draw(done, of: all)
    }

    /// Shows the end: on a terminal always, elsewhere if there was anything before it.
    func finish(_ all: Int) {
        guard isTerminal || shown != nil else { return }
        if shown != all || isTerminal { draw(all, of: all) }
        if isTerminal { Output.errorBytes("\n") }
    }

    private func draw(_ done: Int, of all: Int) {
        shown = done
        let share = all == 0 ? 1 : min(1, Double(done) / Double(all))
        let elapsed = max(Date().timeIntervalSince(startedAt), 0.001)
        let rate = Int(Double(done) / elapsed)
        let percent = "\(Int(share * 100)) %"
        if isTerminal {
            let filled = Int(share * 30)
            let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: 30 - filled)
            let left = share > 0 ? Int(elapsed / share - elapsed) : 0
            Output.errorBytes(
                "\r\(label) \(bar) \(percent)  \(done) \(unit), \(rate) \(unit)/s, \(left) s left  ")
        } else {
            Output.error("\(label): \(percent), \(done) \(unit), \(rate) \(unit)/s")
        }
    }
}
