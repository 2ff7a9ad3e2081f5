import Foundation
import Testing

/// Rules of the house that a reader can check by looking, and so can a test.
struct HouseRulesTests {
    /// Who may import what; the table of the architecture as data.
    static let allowedImports: [String: Set<String>] = [
        "CKernel": [],
        "ConsentKernel": ["CKernel", "Glibc", "Synchronization"],
        "ConsentModel": [],
        "COpenSSL": [],
        "ConsentCrypto": ["COpenSSL", "Glibc"],
        "ConsentTLS": ["COpenSSL", "ConsentCrypto", "ConsentKernel", "Synchronization"],
        "ConsentCatalog": ["ConsentCrypto", "ConsentModel", "Yams"],
        "ConsentWire": ["ConsentModel"],
        "ConsentIndex": ["CKernel", "ConsentKernel", "ConsentModel", "Synchronization"],
        "CLedger": [],
        "ConsentLedger": [
            "CLedger", "ConsentCrypto", "ConsentModel", "Dispatch", "Foundation", "GRDB", "GRDBSQLite",
            "Synchronization",
        ],
        "ConsentProof": ["ConsentCatalog", "ConsentCrypto", "ConsentLedger", "ConsentModel"],
        "ConsentEngine": [
            "ConsentCatalog", "ConsentIndex", "ConsentKernel", "ConsentLedger", "ConsentModel", "ConsentProof",
            "Synchronization",
        ],
        "ConsentSync": [
            "ConsentIndex", "ConsentKernel", "ConsentModel", "ConsentTLS", "ConsentWire", "Synchronization",
        ],
        "ConsentServer": [
            "ConsentCatalog", "ConsentEngine", "ConsentIndex", "ConsentKernel", "ConsentModel", "ConsentProof",
            "ConsentSync", "ConsentTLS", "ConsentWire", "Synchronization",
        ],
        "ConsentEdge": [
            "ConsentCatalog", "ConsentEngine", "ConsentIndex", "ConsentKernel", "ConsentModel", "ConsentServer",
            "ConsentSync", "ConsentTLS", "ConsentWire", "Synchronization",
        ],
        "ConsentRegister": ["ConsentCrypto", "ConsentModel"],
        "ProtocolGenerator": ["Foundation"],
    ]

    /// The targets under `Bench`.
    static let allowedBenchImports: [String: Set<String>] = [
        "ConsentBench": [
            "CConsentClients", "CKernel", "ConsentCatalog", "ConsentEngine", "ConsentIndex", "ConsentKernel",
            "ConsentModel", "ConsentTLS", "ConsentWire",
            "Foundation", "Glibc", "Histogram", "Synchronization",
        ]
    ]

    static let root = URL(filePath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    /// Swift sources below a folder, by their path from the root.
    static func sources(_ folder: String) throws -> [(path: String, text: String)] {
        let base = root.appending(path: folder)
        let files = FileManager.default.enumerator(at: base, includingPropertiesForKeys: nil)!
        return try files.compactMap { $0 as? URL }.filter { $0.pathExtension == "swift" }.map { url in
            (String(url.path.dropFirst(root.path.count + 1)), try String(contentsOf: url, encoding: .utf8))
        }
    }

    static func imports(_ text: String) -> [String] {
        text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            guard let position = words.firstIndex(of: "import"), position <= 2, words.count > position + 1,
                words[..<position].allSatisfy({ ["package", "public", "internal", "@testable"].contains(String($0)) })
            else { return nil }
            return words.last.map { String($0.split(separator: ".")[0]) }
        }
    }

    @Test(arguments: allowedImports.keys.sorted())
    func importsOnlyWhatItsRowAllows(target: String) throws {
        let files = try Self.sources("Sources/\(target)")
        #expect(["CKernel", "CLedger", "COpenSSL"].contains(target) || !files.isEmpty)
        for (path, text) in files {
            let extra = Set(Self.imports(text)).subtracting(Self.allowedImports[target]!)
            #expect(extra.isEmpty, "\(path) imports \(extra.sorted())")
        }
    }

    @Test func benchmarksImportOnlyWhatTheirRowAllows() throws {
        for (target, allowed) in Self.allowedBenchImports {
            let files = try Self.sources("Bench/\(target)")
            #expect(!files.isEmpty)
            for (path, text) in files {
                let extra = Set(Self.imports(text)).subtracting(allowed)
                #expect(extra.isEmpty, "\(path) imports \(extra.sorted())")
            }
        }
    }

    @Test func everyTargetHasItsRow() throws {
        let folders = try FileManager.default.contentsOfDirectory(atPath: Self.root.appending(path: "Sources").path)
        #expect(Set(folders).subtracting(Self.allowedImports.keys) == ["consentd"])
    }

    @Test func theImportParserSeesAForbiddenImport() {
        #expect(
            Self.imports("package import Foundation\nimport struct Glibc.stat\n// import Nothing") == [
                "Foundation", "Glibc",
            ])
    }

    @Test func onlyTheClientHasPublicDeclarations() throws {
        for (path, text) in try Self.sources("Sources") + Self.sources("Bench") {
            for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
                let word = line.split(separator: " ").first
                #expect(word != "public" && word != "open", "\(path):\(number + 1) is public")
            }
        }
    }

    @Test func nothingIsLeftOpen() throws {
        let marks = ["TO" + "DO", "FIX" + "ME", "XX" + "X:", "HA" + "CK", "fatalError(" + "\"un"]
        for (path, text) in try ["Sources", "Bench", "Clients/swift", "Tests"].flatMap(Self.sources) {
            for mark in marks { #expect(!text.contains(mark), "\(path) contains \(mark)") }
        }
    }

    @Test func noTestIsSkipped() throws {
        let marks = [".dis" + "abled(", "XCT" + "Skip", "withKnown" + "Issue"]
        for (path, text) in try Self.sources("Tests") {
            for mark in marks { #expect(!text.contains(mark), "\(path) contains \(mark)") }
        }
    }

    @Test func everyUncheckedPromiseHasItsReason() throws {
        let marks = ["@unchecked " + "Sendable", "try" + "!", "@inline(__always)"]
        for (path, text) in try Self.sources("Sources") + Self.sources("Clients/swift") {
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            for (number, line) in lines.enumerated() where marks[..<2].contains(where: line.contains) {
                let before = number > 0 ? lines[number - 1].trimmingCharacters(in: .whitespaces) : ""
                let isExplained = before.hasPrefix("//") || line.contains("// ")
                #expect(isExplained, "\(path):\(number + 1) gives no reason on the line before")
            }
        }
    }

    @Test func theTopLevelIsAsAgreed() throws {
        let agreed: Set = [
            "Package.swift", "Sources", "Tests", "Protocol", "Clients", "Bench", "README.md", "LICENSE", "CHANGELOG.md",
            "dev",
        ]
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.root.path).filter { !$0.hasPrefix(".") }
        #expect(Set(names).subtracting(agreed).subtracting(["Package.resolved"]).isEmpty)
    }

    @Test func theDocumentationNamesBothCommands() throws {
        let readme = try String(contentsOf: Self.root.appending(path: "README.md"), encoding: .utf8)
        for command in ["./dev demo", "./dev test"] { #expect(readme.contains(command)) }
    }
}
