import Foundation
import Testing

/// The worked story, told by commands: whatever it shows is what they print.
struct StoryTests {
    private struct Step {
        var line: Int
        var command: String
        var output: [String]
        var status: Int32 = 0
    }

    @Test func everyCommandPrintsWhatTheStoryShows() async throws {
        let folder = try Folder()
        let steps = try steps()
        #expect(steps.count > 30)
        for step in steps {
            let run = try await run(step.command, in: folder.path)
            #expect(run.status == step.status, "line \(step.line): \(run)")
            let printed = (run.status > 2 ? run.output + run.errors : run.output).split(separator: "\n").map(
                String.init)
            #expect(printed.count == step.output.count, "line \(step.line): \(run)")
            for (printed, shown) in zip(printed, step.output) {
                #expect(fits(printed, shown), "line \(step.line): '\(printed)' instead of '\(shown)'")
            }
        }
    }

    /// Blanks align columns, whose widths are another at each run.
    private func fits(_ printed: String, _ shown: String) -> Bool {
        func words(_ text: some StringProtocol) -> String { text.split(separator: " ").joined(separator: " ") }
        var rest = words(printed)[...]
        let parts = words(shown).components(separatedBy: "…")
        for (position, part) in parts.enumerated() {
            let isLast = position == parts.count - 1
            guard let found = position == 0 ? rest.range(of: part, options: .anchored) : rest.range(of: part) else {
                if part.isEmpty { continue }
                return false
            }
            if isLast, !part.isEmpty, position > 0 { return rest.hasSuffix(part) }
            rest = rest[found.upperBound...]
            if isLast, position == 0 { return rest.isEmpty }
        }
        return true
    }

    private func steps() throws -> [Step] {
        let path = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Protocol/story.md")
        let lines = try String(contentsOf: path, encoding: .utf8).components(separatedBy: "\n")
        var steps: [Step] = []
        var (isInBlock, isCommand): (Bool, Bool) = (false, false)
        for (position, line) in lines.enumerated() {
            if line.hasPrefix("```") {
                isInBlock = line == "```console"
                continue
            }
            guard isInBlock else { continue }
            if isCommand {
                steps[steps.count - 1].command += "\n" + line
                isCommand = goesOn(steps[steps.count - 1].command)
            } else if line.hasPrefix("$ ") {
                steps.append(Step(line: position + 1, command: String(line.dropFirst(2)), output: []))
                isCommand = goesOn(steps[steps.count - 1].command)
            } else if line.hasPrefix("(exit ") {
                steps[steps.count - 1].status = Int32(line.filter(\.isNumber)) ?? -1
            } else {
                steps[steps.count - 1].output.append(line)
            }
        }
        return steps
    }

    private func goesOn(_ command: String) -> Bool {
        command.hasSuffix("\\") || command.contains("<<END") && !command.hasSuffix("\nEND")
    }

    private func run(_ command: String, in folder: String) async throws -> Binary.Run {
        let process = Binary.process([])
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments = ["-c", command]
        process.currentDirectoryURL = URL(filePath: folder)
        var environment = process.environment ?? [:]
        let programs = Binary.url("consentd").deletingLastPathComponent().path
        environment["PATH"] = programs + ":" + (environment["PATH"] ?? "/usr/bin:/bin")
        environment["CONSENTD_DATA"] = "club"
        process.environment = environment
        return try await Binary.run(process)
    }
}
