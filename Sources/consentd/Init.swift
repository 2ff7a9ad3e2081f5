import ArgumentParser
import ConsentCatalog
import ConsentEngine
import ConsentKernel
import ConsentModel
import ConsentWire
import Foundation

struct Init: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make a new node.",
        discussion: """
            Applies the template catalog of a Nordic customer club, or the one that you name. Without a token the \
            server listens on this machine only; with one, clients must show what is in club/token.

            EXAMPLES
              consentd init --data club
              consentd init --data club --catalog club.yaml
              consentd init --data club --token
            """)

    @OptionGroup var node: FolderOptions

    @Option(help: "Catalog to apply: a YAML file, 'template', or 'none'.")
    var catalog = "template"

    @Option(help: "Deployment id, 32 hexadecimal digits: the same on all nodes of one service [default: a new one].")
    var deployment: String?

    @Flag(help: "Make a token that clients must show; also for a node that is there and has none.")
    var token = false

    func validate() throws {
        if let deployment, ID16(hex: deployment).map({ $0 == .zero }) ?? true {
            throw ValidationError("--deployment has 32 hexadecimal digits, not all zero")
        }
    }

    func run() async throws {
        try await reportingFailures {
            if token, node.folder.exists, !File.exists(node.folder.tokenPath) {
                try makeToken()
                Output.line(
                    node.json
                        ? #"{"token":true}"#
                        : "Clients must show the token in \(node.folder.tokenPath) when the server has started again.")
                return
            }
            let document = try catalogDocument()
            try node.folder.create(
                deployment: deployment.flatMap(ID16.init(hex:))?.bytes, now: Timestamp(millis: Clock.realtimeMillis()))
            if token { try makeToken() }
            try apply(document)
        }
    }

    private func makeToken() throws {
        let text = SystemRandom.bytes(24).map { String(format: "%02x", $0) }.joined() + "\n"
        try File.replace(node.folder.tokenPath, with: Array(text.utf8), mode: 0o600)
    }

    private func catalogDocument() throws -> CatalogDocument? {
        switch catalog {
        case "none": return nil
        case "template": return try CatalogDocument(text: TemplateCatalog.text, file: "template")
        default: return try readCatalog(catalog)
        }
    }

    private func apply(_ document: CatalogDocument?) throws {
        let engine = try Engine(node.folder) { Output.error("consentd: \($0)") }
        defer { try? engine.close() }
        let result = try document.map { try engine.apply($0) }
        let deployment = ID16(bytes: engine.identity.deployment).description
        if node.json {
            Output.json([
                "data": node.data, "deployment": deployment,
                "history": ID16(bytes: engine.identity.history).description,
                "catalogVersion": result?.version ?? 0, "token": token,
            ])
            return
        }
        print("Made a node in \(node.data), deployment \(deployment).")
        if let document {
            print("Applied a catalog with \(Output.counted(document.catalog.purposes.count, "purpose")).")
        }
        print(
            token
                ? "Clients must show the token in \(node.folder.tokenPath)."
                : "No token: the server will listen on this machine only.")
        print("Next: consentd serve --data \(node.data)")
    }
}

/// Reads and judges a catalog file.
func readCatalog(_ path: String) throws -> CatalogDocument {
    let text = try readText(path)
    do {
        return try CatalogDocument(text: text, file: path)
    } catch {
        throw Failure(code: Exit.refused, message: "\(path) breaks rules, nothing was applied:\n\(error)")
    }
}

/// The text of a file that a person wrote.
func readText(_ path: String) throws -> String {
    let bytes = try File.read(path, sizeMax: 1 << 22)
    guard let text = String(validating: bytes, as: UTF8.self) else {
        throw Failure(code: Exit.refused, message: "\(path) is not UTF-8; convert it with 'iconv -t UTF-8'")
    }
    return text
}
