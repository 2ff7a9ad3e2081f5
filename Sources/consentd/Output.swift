import ArgumentParser
import Foundation

/// Exit codes beyond those of a check.
enum Exit {
    static let failed = ExitCode(3)
    static let unreachable = ExitCode(4)
    static let refused = ExitCode(5)
    static let doesNotVerify = ExitCode(6)
}

/// A failure with its exit code; the message goes to standard error.
struct Failure: Error {
    var code: ExitCode
    var message: String
}

enum Output {
    static let null = NSNull()

    /// Prints an object, one a line, with sorted keys.
    static func json(_ object: [String: Any]) {
        let data = try? JSONSerialization.data(withJSONObject: object, options: [.sortedKeys, .withoutEscapingSlashes])
        line(String(decoding: data ?? Data("{}".utf8), as: UTF8.self))
    }

    /// Prints at once, also into a pipe.
    static func line(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }

    static func error(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }

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
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private let startedAt = Date()
    private var shownAt = Date.distantPast
    private var isShown = false

    init(_ label: String) { self.label = label }

    func show(_ done: Int, of all: Int, unit: String) {
        let now = Date()
        guard now.timeIntervalSince(shownAt) > (isTerminal ? 0.1 : 5) else { return }
        shownAt = now
        draw(done, of: all, unit: unit)
    }

    /// Shows the end, however short the work was.
    func finish(_ done: Int, of all: Int, unit: String) {
        guard isTerminal || isShown else { return }
        draw(done, of: all, unit: unit)
        if isTerminal { FileHandle.standardError.write(Data("\n".utf8)) }
    }

    private func draw(_ done: Int, of all: Int, unit: String) {
        isShown = true
        let share = all == 0 ? 1 : min(1, Double(done) / Double(all))
        let elapsed = max(Date().timeIntervalSince(startedAt), 0.001)
        let rate = Int(Double(done) / elapsed)
        let percent = "\(Int(share * 100)) %"
        if isTerminal {
            let filled = Int(share * 30)
            let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: 30 - filled)
            let left = share > 0 ? Int(elapsed / share - elapsed) : 0
            FileHandle.standardError.write(
                Data("\r\(label) \(bar) \(percent)  \(done) \(unit), \(rate)/s, \(left) s left  ".utf8))
        } else {
            Output.error("\(label): \(percent), \(done) \(unit), \(rate)/s")
        }
    }
}
