import Foundation
import Testing

@testable import ConsentBench

struct ReportTests {
    private static func document() -> ReportDocument {
        var result = LoadResult()
        (result.seconds, result.answers, result.units, result.answersInAll) = (2, 4000, 4000, 5000)
        var latencies = Latencies()
        for step in 1...4000 { latencies.record(responseNanos: Int64(step) * 1000, serviceNanos: Int64(step) * 500) }
        result.operations = [(Operation("check"), latencies)]
        result.timeline = [
            .init(second: 0, perSecond: 2000, p50Micros: 100, p99Micros: 900),
            .init(second: 1, perSecond: 2100, p50Micros: 110, p99Micros: 950),
        ]
        result.wrong = 3
        var document = ReportDocument(machine: .now())
        for name in ["a <run>", "b"] {
            document.runs.append(
                RunSummary(result, name: name, group: "checks", parameters: [.init("keys", "zipf:0.99")]))
        }
        var reached = ComparisonCase(row: 1, name: "throughput", unit: "/s", peerName: "Redis", target: 1.3)
        (reached.ours, reached.peer, reached.ratio, reached.least, reached.most) = (140, 100, 1.4, 1.2, 1.5)
        var notRun = ComparisonCase(row: 2, name: "other", unit: "ns", peerName: "LMDB get", target: 20)
        notRun.reason = "liblmdb is not installed"
        document.cases = [reached, notRun]
        document.micro = [MicroResult(name: "hash", nanos: 12.5, operations: 10, checksum: "abc")]
        return document
    }

    @Test func aReportNeedsNoNetworkAndNoScript() {
        let html = HTMLReport([Self.document()]).text
        for mark in ["http:", "https:", "<script", "@import", "url(", "<link", "<img"] {
            #expect(!html.contains(mark), "\(mark)")
        }
        #expect(html.contains("a &lt;run&gt;") && !html.contains("<run>"))
        #expect(html.components(separatedBy: "<svg").count == 4)
    }

    @Test(arguments: ["en", "nb", "sv"])
    func aReportCanBeReadInEachLanguage(language: String) {
        let html = HTMLReport([Self.document()]).text
        let words = ["en": "not reached", "nb": "ikke nådd", "sv": "inte nådd"]
        var document = Self.document()
        document.cases[0].ratio = 1.1
        #expect(HTMLReport([document]).text.contains("<span lang=\"\(language)\">\(words[language]!)</span>"))
        #expect(html.contains("id=\"l-\(language)\""))
        #expect(html.contains("#l-\(language):checked~main"))
        // Every text is there in all languages.
        let counts = ["en", "nb", "sv"].map { html.components(separatedBy: "<span lang=\"\($0)\">").count }
        #expect(Set(counts).count == 1)
    }

    @Test func aReportSaysWhereItWasMeasured() {
        let document = Self.document()
        let html = HTMLReport([document]).text
        for fact in [document.machine.kernel, "\(document.machine.cores)", document.machine.buildMode] {
            #expect(!fact.isEmpty && html.contains(fact))
        }
        #expect(html.contains("keys zipf:0.99"))
    }

    @Test func aMachineIsNamedOnceHoweverManyRunsItMade() {
        var (first, second, other) = (Self.document(), Self.document(), Self.document())
        (first.machine.measuredAt, second.machine.measuredAt) = ("at noon", "at one")
        other.machine.commit = "another"
        let html = HTMLReport([first, second]).text
        #expect(html.components(separatedBy: Phrase.machine.html).count == 2)
        #expect(html.contains("at noon, at one"))
        #expect(HTMLReport([first, other]).text.components(separatedBy: Phrase.machine.html).count == 3)
    }

    @Test func whatIsPrintedAsJSONIsReadAgain() throws {
        let document = Self.document()
        let data = try JSONEncoder().encode(document)
        let again = try JSONDecoder().decode(ReportDocument.self, from: data)
        #expect(HTMLReport([again]).text == HTMLReport([document]).text)
        let object = try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
        let cases = try #require(object["cases"] as? [[String: Any]])
        for key in ["row", "name", "ours", "peer", "ratio", "target", "reason", "reached"] {
            #expect(cases.allSatisfy { $0[key] != nil }, "\(key)")
        }
        #expect(cases[1]["ratio"] is NSNull && cases[0]["reached"] as? Bool == true)
    }

    @Test func casesAreNamedInEachLanguage() {
        for row in ComparisonRow.allCases where row != .growth {
            let name = Glossary.phrase(row.title)
            #expect(name.english == row.title)
            #expect(name.norwegian != row.title && name.swedish != row.title, "\(row.title)")
        }
        let name = Glossary.phrase("50 connections, no pipeline: throughput")
        #expect(name.norwegian == "50 forbindelser, uten pipeline: gjennomstrømning")
        #expect(name.swedish == "50 anslutningar, utan pipeline: genomströmning")
        // Within a word nothing is one of the phrases.
        #expect(Glossary.phrase("spinster, atmosphere").norwegian == "spinster, atmosphere")
    }

    @Test func numbersHaveTheDecimalSignOfTheirLanguage() {
        let number = Phrase(1.25)
        #expect(number.english == "1.25" && number.norwegian == "1,25" && number.swedish == "1,25")
        #expect(Phrase.decimal(1_234_567) == "1\u{202F}234\u{202F}567")
        #expect(Phrase.decimal(0) == "0" && Phrase.decimal(.nan) == "–" && Phrase.decimal(0.05) == "0.0500")
    }

    @Test func distributionsAreWrittenForOtherTools() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "consentd-hgrm-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var result = LoadResult()
        var latencies = Latencies()
        for step in 1...1000 { latencies.record(responseNanos: Int64(step) * 1_000_000, serviceNanos: 1000) }
        result.operations = [(Operation("check"), latencies)]
        let paths = try HistogramFile.write(result, folder: folder, name: "x")
        #expect(paths == ["\(folder)/x.response.hgrm", "\(folder)/x.service.hgrm"])
        let text = try String(contentsOfFile: paths[0], encoding: .utf8)
        #expect(text.contains("Value") && text.contains("#[Max"))
        let line = try #require(text.split(separator: "\n").first { $0.contains(" 0.500000000000 ") })
        #expect(line.split(separator: " ").first.flatMap { Double($0) }.map { abs($0 - 500) < 2 } == true)
    }
}
