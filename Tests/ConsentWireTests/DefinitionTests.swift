import ConsentModel
import ConsentTestSupport
import ConsentWire
import Foundation
import Testing

/// `Protocol/protocol.json` against the code that speaks it.
struct DefinitionTests {
    private let definition: Json

    init() throws { definition = try Json(Project.file("Protocol/protocol.json")) }

    @Test func everyOpcodeHasItsNumber() throws {
        let defined = try definition["opcodes"].array.map {
            "\(try $0["name"].text) \(try $0["code"].number(Int.self))"
        }
        #expect(Opcode.allCases.map { "\($0) \($0.rawValue)" } == defined)
    }

    @Test func everyErrorHasItsNumberItsAdviceAndItsEnd() throws {
        let advice = ["do_not_retry": ErrorAdvice.doNotRetry, "retry_later": .retryLater, "reconnect": .reconnect]
        let defined = try definition["errors"].array
        #expect(ErrorCode.allCases.count == defined.count)
        for error in defined {
            let code = try #require(ErrorCode(rawValue: try error["code"].number()))
            #expect("\(code)" == (try error["name"].text))
            #expect(code.advice == advice[try error["advice"].text])
            #expect(code.closesConnection == (try error["closes"].bool), "\(code)")
        }
    }

    @Test func everyLimitIsThatOfTheDefinition() throws {
        let limits = [
            "accessPageMax": WireLimit.accessPageMax,
            "eventsPerRecordMax": WireLimit.eventsPerRecordMax, "evidenceSizeMax": WireLimit.evidenceSizeMax,
            "frameSizeMax": WireLimit.frameSizeMax, "headerSize": WireLimit.headerSize,
            "helloSizeMax": WireLimit.helloSizeMax,
            "historyPageEventsMax": WireLimit.historyPageEventsMax, "identifierSizeMax": WireLimit.identifierSizeMax,
            "identifiersPerEventMax": WireLimit.identifiersPerEventMax,
            "peoplePageMax": WireLimit.peoplePageMax, "proofSizeMax": WireLimit.proofSizeMax,
            "purposeWordsMax": WireLimit.purposeWordsMax, "purposesPerTokenMax": WireLimit.purposesPerTokenMax,
            "requestsInFlightMax": WireLimit.requestsInFlightMax,
            "subjectsPerCheckMax": WireLimit.subjectsPerCheckMax,
        ]
        #expect(try definition["limits"].object == limits.mapValues(Json.number))
    }

    @Test func theModelHasTheLimitsOfTheWire() {
        #expect(Limit.identifierSizeMax == WireLimit.identifierSizeMax)
        #expect(Limit.identifiersPerEventMax == WireLimit.identifiersPerEventMax)
        #expect(Limit.evidenceSizeMax == WireLimit.evidenceSizeMax)
        #expect(Limit.purposesMax == WireLimit.purposeWordsMax * 64)
        #expect(Limit.shortTextSizeMax == Int(UInt8.max))
    }

    @Test func versionAndMagicAreThoseOfTheDefinition() throws {
        #expect(WireVersion.min == (try definition["versionMin"].number()))
        #expect(WireVersion.max == (try definition["versionMax"].number()))
        #expect(WireVersion.magic == (try definition["magic"].number()))
    }

    @Test func everyWordOfTheModelHasItsNumberOnTheWire() throws {
        func expectNumbers<Value: NamedInSnakeCase>(_: Value.Type, of name: String) throws {
            let defined = try definition["enums"][name].object
            let coded = Dictionary(
                uniqueKeysWithValues: Value.allCases.map { ($0.name, Json.number(Int($0.rawValue))) })
            #expect(coded == defined, "\(name)")
        }
        try expectNumbers(Decision.self, of: "decision")
        try expectNumbers(ConsentState.self, of: "state")
        try expectNumbers(EventState.self, of: "eventState")
        try expectNumbers(LawfulBasis.self, of: "basis")
        try expectNumbers(EvidenceMethod.self, of: "method")
        try expectNumbers(Party.self, of: "party")
        try expectNumbers(GuardianRelation.self, of: "guardianRelation")
        try expectNumbers(IdentifierType.self, of: "identifierType")
        try expectNumbers(Freshness.self, of: "freshness")
        try expectNumbers(PeopleSelection.self, of: "peopleSelection")
        try expectNumbers(ErasureReason.self, of: "erasureReason")
        try expectNumbers(LinkAction.self, of: "linkAction")
        try expectNumbers(ProofKind.self, of: "proofKind")
        try expectNumbers(AccessQuestion.self, of: "accessQuestion")
        try expectNumbers(SyncVerdict.self, of: "syncVerdict")
        try expectNumbers(CutOffReason.self, of: "cutOffReason")
        #expect(try definition["enums"].object.count == 16)
    }

    @Test(arguments: [
        ("swift", "Sources/ConsentWire/Definition.swift"), ("c", "Clients/c/consent_protocol.h"),
    ])
    func theGeneratedConstantsAreFresh(language: String, path: String) throws {
        // Beside the binary that runs the tests, where the build has put it.
        let ownPath = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let generator = Process()
        generator.executableURL = URL(filePath: ownPath).deletingLastPathComponent().appending(
            path: "ProtocolGenerator")
        generator.arguments = [Project.root.appending(path: "Protocol/protocol.json").path, language]
        let output = Pipe()
        generator.standardOutput = output
        try generator.run()
        let generated = output.fileHandleForReading.readDataToEndOfFile()
        generator.waitUntilExit()
        #expect(generator.terminationStatus == 0)
        let kept = try Project.file(path)
        #expect(generated == kept, "run './dev generate'")
    }
}
