import ArgumentParser
import ConsentKernel
import Foundation

/// The version of this program.
let version = "0.1.0"

/// Begins the program. What it writes is for its owner and group.
@main
enum Program {
    static func main() {
        umask(0o027)
        MappedFile.tellBusErrors(exitCode: Exit.failed.rawValue)
        do {
            try requireText()
            let command = try Consentd.parseAsRoot()
            if command is Serve || command is Edge {
                // On this first thread, which then takes the signals: behind asynchronous work it would take them
                // with their default action, which is to end the process at once.
                var serving = command
                try serving.run()
                return
            }
            // Handed over to the task; nothing here touches it any more.
            nonisolated(unsafe) let handedOver = command
            Task { await run(handedOver) }
            dispatchMain()
        } catch {
            end(error)
        }
    }

    /// Help and the version are no failures, and whoever throws another code has said why.
    private static func end(_ error: any Error) -> Never {
        guard Output.isJSON, Consentd.exitCode(for: error) == .validationFailure, !(error is ExitCode) else {
            Consentd.exit(withError: error)
        }
        Output.failure(Failure(code: .validationFailure, message: Consentd.message(for: error)))
        Foundation.exit(ExitCode.validationFailure.rawValue)
    }

    /// Refuses a command line that is not UTF-8. Swift puts the same character in the place of every byte that is none, so
    /// two people whose names a terminal sends as Latin-1 would become one, and the "yes" of one the other's.
    private static func requireText() throws {
        for number in 1..<max(1, Int(CommandLine.argc)) {
            guard let argument = CommandLine.unsafeArgv[number], String(validatingCString: argument) == nil else {
                continue
            }
            throw ValidationError(
                "argument \(number) is not UTF-8: '\(String(cString: argument))'; set the terminal to UTF-8 (LANG=C.UTF-8), "
                    + "or convert the text with 'iconv -t UTF-8'")
        }
        for name in ["CONSENTD_DATA", "CONSENTD_SERVER", "CONSENTD_ACTOR"] {
            if let value = getenv(name), String(validatingCString: value) == nil {
                throw ValidationError("the environment's \(name) is not UTF-8: '\(String(cString: value))'")
            }
        }
    }

    private static func run(_ command: any ParsableCommand) async {
        do {
            if let asynchronous = command as? any AsyncParsableCommand {
                // Nothing else knows of it.
                nonisolated(unsafe) var running = asynchronous
                try await running.run()
            } else {
                var command = command
                try command.run()
            }
            Output.flush()
            Foundation.exit(0)
        } catch {
            Output.flush()
            end(error)
        }
    }
}

struct Consentd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "consentd",
        abstract: "May we use this person's data for this purpose, now?",
        discussion: """
            A node keeps an append-only ledger of consents and answers checks from an index derived from it. Commands \
            talk to the server that runs on the node's folder, or open the folder themselves if none does.

            EXIT CODES
               0  done; check: granted
               1  check: denied, also if one of several answers is
               2  check: unknown, also if one of several is and none is denied
               3  failed
               4  no node, no server that answers, or another process has the node
               5  refused by a rule
               6  damaged: the ledger cannot be read, or does not verify
               7  bench: answers were wrong
              64  wrong usage
            """,
        version: version,
        subcommands: [
            Init.self, Serve.self, Edge.self, Status.self, Enforced.self, Check.self, Explain.self, Grant.self,
            Withdraw.self,
            Object.self, Confirm.self, IssueToken.self, ConfirmToken.self,
            History.self, Link.self, Unlink.self, Erase.self, Audience.self, Reconsent.self, Ending.self,
            ComingOfAge.self, Breach.self,
            Notices.self,
            Access.self, AccessLog.self, Import.self, CatalogGroup.self, Stats.self, Verify.self,
            CheckpointCommand.self,
            ProofGroup.self, ReceiptGroup.self, Rebuild.self, Ping.self,
            SampleRegisterCommand.self, Bench.self,
        ])
}
