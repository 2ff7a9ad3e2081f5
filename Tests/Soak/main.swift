import ConsentKernel
import Foundation

// `consent-soak [--minutes N | --seconds N] [--seed N] [--binary PATH]`: prints what happened, and the seed; exits 1 where
// an answer was wrong or the nodes do not agree in the end.

/// At once, also into a pipe.
func say(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }

var seconds = 25.0
var seed = UInt64.random(in: 0...(.max))
var binary = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
    .appending(path: "consentd").path
var arguments = CommandLine.arguments.dropFirst()
while let name = arguments.popFirst() {
    let value = arguments.popFirst() ?? ""
    switch (name, Double(value), UInt64(value)) {
    case ("--minutes", let minutes?, _): seconds = minutes * 60
    case ("--seconds", let given?, _): seconds = given
    case ("--seed", _, let given?): seed = given
    case ("--binary", _, _) where !value.isEmpty: binary = value
    default:
        print("usage: consent-soak [--minutes N | --seconds N] [--seed N] [--binary PATH]")
        exit(64)
    }
}

signal(SIGPIPE, SIG_IGN)
let folder = FileManager.default.temporaryDirectory.appending(path: "soak-" + String(seed, radix: 36)).path
say("soak: \(Int(seconds)) s of faults, seed \(seed)")
do {
    let soak = try Soak(Soak.Options(seed: seed, seconds: seconds, binary: binary, folder: folder))
    do {
        try soak.run()
        say("soak: \(soak.summary)")
        say("soak: sound; every answer could be right, and all nodes agree")
        try? FileManager.default.removeItem(atPath: folder)
    } catch {
        say("soak: \(soak.summary)")
        throw error
    }
} catch {
    say("soak: FAILED with seed \(seed), files in \(folder): \(error)")
    exit(1)
}
