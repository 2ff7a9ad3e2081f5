import Foundation
import Testing

@Suite struct ReadmeTests {
    @Test func theCodeOfTheReadmeIsTheSample() throws {
        let root = URL(filePath: #filePath).resolvingSymlinksInPath()
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let folder = root.appending(path: "Clients/swift")
        let readme = try String(contentsOf: folder.appending(path: "README.md"), encoding: .utf8)
        let sample = try String(contentsOf: folder.appending(path: "Sample/Sample.swift"), encoding: .utf8)
        #expect(readme.contains("```swift\n\(sample)```"))
    }
}
