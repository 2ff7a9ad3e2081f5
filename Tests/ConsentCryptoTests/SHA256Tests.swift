import ConsentCrypto
import Testing

struct SHA256Tests {
    /// FIPS 180-4's examples, and a byte of NIST's CAVS.
    /// A text that is hashed so many times over stands here once: the runner writes down what it is given.
    static let known: [(bytes: [UInt8], times: Int, digest: String)] = [
        ([], 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ([0xD3], 1, "28969cdfa74a12c82f3bad960b0b000aca2ac329deea5c2328ebc6f2ba9802c1"),
        (Array("abc".utf8), 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8), 1,
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
        (
            Array(
                ("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
                    + "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu").utf8), 1,
            "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
        ),
        (
            [UInt8(ascii: "a")], 1_000_000,
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        ),
    ]

    private static func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private static func digest(of first: ArraySlice<UInt8>, _ second: ArraySlice<UInt8>) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: SHA256.size)
        first.withUnsafeBytes { first in
            second.withUnsafeBytes { second in
                digest.withUnsafeMutableBytes { SHA256.write(digestOf: first, second, to: $0) }
            }
        }
        return digest
    }

    @Test(arguments: known)
    func digestsAreThoseOfTheStandard(text: [UInt8], times: Int, digest: String) {
        let bytes = Array(repeatElement(text, count: times).joined())
        #expect(Self.hex(SHA256.digest(of: bytes)) == digest)
        var hash = SHA256()
        bytes.withUnsafeBytes { hash.update($0) }
        #expect(Self.hex(hash.digest) == digest)
    }

    @Test func piecesHashAsTheWholeWhereverItIsCutAndCanBeReadInBetween() {
        let whole = (0..<150).map { UInt8($0) }
        for cut in 0...whole.count {
            let expected = SHA256.digest(of: whole)
            #expect(Self.digest(of: whole[..<cut], whole[cut...]) == expected)
            var hash = SHA256()
            whole[..<cut].withUnsafeBytes { hash.update($0) }
            #expect(hash.digest == SHA256.digest(of: Array(whole[..<cut])) && hash.digest == hash.digest)
            whole[cut...].withUnsafeBytes { hash.update($0) }
            #expect(hash.digest == expected)
        }
    }

    @Test func aCopyGoesOnByItself() {
        let (one, other) = ([UInt8](0..<70), [UInt8](7..<99))
        var hash = SHA256()
        one.withUnsafeBytes { hash.update($0) }
        var copy = hash
        other.withUnsafeBytes { copy.update($0) }
        #expect(hash.digest == SHA256.digest(of: one) && copy.digest == SHA256.digest(of: one + other))
    }

    @Test func threadsDoNotDisturbEachOther() async {
        let expected = (0..<64).map { SHA256.digest(of: [UInt8](repeating: UInt8($0), count: 3 * $0)) }
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    (0..<6_400).allSatisfy { number in
                        let byte = number % 64
                        return SHA256.digest(of: [UInt8](repeating: UInt8(byte), count: 3 * byte)) == expected[byte]
                    }
                }
            }
            for await areRight in group { #expect(areRight) }
        }
    }
}
