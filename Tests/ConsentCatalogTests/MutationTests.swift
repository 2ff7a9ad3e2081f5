import ConsentCatalog
import Testing

/// Numbers that look random and are the same in every run (SplitMix64).
private struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

@Suite struct MutationTests {
    private static let pieces = [
        ":", "-", "#", "&a", "*a", "[", "]", "{", "}", "|", ">", "'", "\"", "\n", "\t", "  ", "!!binary ", "? ",
        "%YAML 1.1\n",
        "---\n", "...\n", "<<: ", "~", "\u{0}", "\u{FEFF}", "\u{2028}", "é", "🧾", "1e9", "-1", "0x10", "true",
        "9999999999999999999",
    ]

    /// One to four changes: a byte changed, a piece put in, a stretch left out, doubled or moved.
    private static func mutated(_ original: [UInt8], _ numbers: inout SeededNumbers) -> String {
        var bytes = original
        for _ in 0..<Int.random(in: 1...4, using: &numbers) {
            let start = Int.random(in: 0..<bytes.count, using: &numbers)
            let end = min(bytes.count, start + Int.random(in: 1...200, using: &numbers))
            switch Int.random(in: 0..<6, using: &numbers) {
            case 0: bytes[start] = UInt8.random(in: 0...255, using: &numbers)
            case 1: bytes.insert(contentsOf: pieces.randomElement(using: &numbers)!.utf8, at: start)
            case 2: bytes.removeSubrange(start..<end)
            case 3: bytes.insert(contentsOf: bytes[start..<end], at: end)
            case 4: bytes.insert(contentsOf: bytes[start..<end], at: Int.random(in: 0..<bytes.count, using: &numbers))
            default: bytes.removeSubrange(end...)
            }
            if bytes.isEmpty { bytes = [0x0A] }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func expectEveryMutationJudged(_ text: String, seed: UInt64, count: Int) {
        var numbers = SeededNumbers(seed: seed)
        let bytes = Array(text.utf8)
        for _ in 0..<count {
            let mutation = Self.mutated(bytes, &numbers)
            do {
                _ = try CatalogDocument(text: mutation, file: "mutation.yaml")
            } catch {
                #expect(!error.problems.isEmpty)
                #expect(error.problems.allSatisfy { $0.line >= 1 && $0.column >= 1 && !$0.message.isEmpty })
                #expect(error.problems.allSatisfy { !$0.message.contains(where: \.isNewline) })
            }
        }
    }

    @Test(arguments: 1...8)
    func judgesEveryMutationOfTheTemplate(_ seed: UInt64) {
        expectEveryMutationJudged(TemplateCatalog.text, seed: seed, count: 200)
    }

    @Test(arguments: 101...104)
    func judgesEveryMutationOfASmallCatalog(_ seed: UInt64) {
        expectEveryMutationJudged(Sample.text, seed: seed, count: 400)
    }

    @Test func judgesEveryBeginningOfASmallCatalog() {
        let bytes = Array(Sample.text.utf8)
        for size in 0..<bytes.count { _ = problems(in: String(decoding: bytes[..<size], as: UTF8.self)) }
    }
}
