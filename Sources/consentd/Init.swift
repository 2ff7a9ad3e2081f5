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
            EXAMPLES
              consentd init --data club                      with the template catalog of a Nordic customer club
              consentd init --data club --catalog club.yaml  with a catalog of your own
              consentd init --data club --token              clients must show a token; it is in club/token

            Without a token the server listens on this machine only.
            """)

    @OptionGroup var node: NodeOptions

    @Option(help: "Catalog to apply: a YAML file, 'template', or 'none'.")
    var catalog = "template"

    @Option(help: "Deployment id, 32 hexadecimal digits: the same on all nodes of one service [default: a new one].")
    var deployment: String?

    @Flag(help: "Make a token that clients must show; also for a node that is there and has none.")
    var token = false

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
            try node.folder.create(deployment: deploymentBytes(), now: Timestamp(millis: Clock.realtimeMillis()))
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

    private func deploymentBytes() throws -> [UInt8]? {
        guard let deployment else { return nil }
        guard let id = ID16(hex: deployment), id != .zero else {
            throw Failure(code: Exit.refused, message: "a deployment id has 32 hexadecimal digits, not all zero")
        }
        return id.bytes
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
        if let document { print("Applied a catalog with \(document.catalog.purposes.count) purposes.") }
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
