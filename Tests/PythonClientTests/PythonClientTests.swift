import ConsentTestSupport
import Foundation
import Testing

/// The Python client's own tests, with the programs of this build.
struct PythonClientTests {
    static let suites = ["test_vectors", "test_clients", "test_server", "test_reader", "test_native"]

    @Test(arguments: suites)
    func itsSuitePasses(_ name: String) throws {
        let run = try Python.run(["-m", "unittest", "tests.\(name)"])
        #expect(run.status == 0, "\(run.text)")
        #expect(run.text.contains("\nOK"), "\(run.text)")
        #expect(!run.text.contains("skipped"), "\(run.text)")
    }

    @Test func noSuiteIsForgotten() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: Python.package.appending(path: "tests").path)
        let suites = names.filter { $0.hasPrefix("test_") && $0.hasSuffix(".py") }.map { String($0.dropLast(3)) }
        #expect(Set(suites) == Set(Self.suites))
    }

    @Test func theGeneratedConstantsAreFresh() throws {
        let generator = Process()
        generator.executableURL = Python.products.appending(path: "ProtocolGenerator")
        generator.arguments = [Project.root.appending(path: "Protocol/protocol.json").path, "python"]
        let output = Pipe()
        generator.standardOutput = output
        try generator.run()
        let generated = output.fileHandleForReading.readDataToEndOfFile()
        generator.waitUntilExit()
        #expect(generator.terminationStatus == 0)
        #expect(
            try generated == Project.file("Clients/python/src/consentd/_protocol.py"), "run './dev generate'")
    }
}
