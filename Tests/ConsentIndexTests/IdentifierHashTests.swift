import CKernel
import ConsentModel
import ConsentTestSupport
import Testing

@testable import ConsentIndex

struct IdentifierHashTests {
    /// SipHash-2-4-128 of the messages 00 01 02 … of 0 to 63 bytes under the key 00 … 0f, as its authors publish them.
    private static let published = """
        a3817f04ba25a8e66df67214c7550293 da87c1d86b99af44347659119b22fc45 8177228da4a45dc7fca38bdef60affe4
        9c70b60c5267a94e5f33b6b02985ed51 f88164c12d9c8faf7d0f6e7c7bcd5579 1368875980776f8854527a07690e9627
        14eeca338b208613485ea0308fd7a15e a1f1ebbed8dbc153c0b84aa61ff08239 3b62a9ba6258f5610f83e264f31497b4
        264499060ad9baabc47f8b02bb6d71ed 00110dc378146956c95447d3f3d0fbba 0151c568386b6677a2b4dc6f81e5dc18
        d626b266905ef35882634df68532c125 9869e247e9c08b10d029934fc4b952f7 31fcefac66d7de9c7ec7485fe4494902
        5493e99933b0a8117e08ec0f97cfc3d9 6ee2a4ca67b054bbfd3315bf85230577 473d06e8738db89854c066c47ae47740
        a426e5e423bf4885294da481feaef723 78017731cf65fab074d5208952512eb1 9e25fc833f2290733e9344a5e83839eb
        568e495abe525a218a2214cd3e071d12 4a29b54552d16b9a469c10528eff0aae c9d184ddd5a9f5e0cf8ce29a9abf691c
        2db479ae78bd50d8882a8a178a6132ad 8ece5f042d5e447b5051b9eacb8d8f6f 9c0b53b4b3c307e87eaee08678141f66
        abf248af69a6eae4bfd3eb2f129eeb94 0664da1668574b88b935f3027358aef4 aa4b9dc4bf337de90cd4fd3c467c6ab7
        ea5c7f471faf6bde2b1ad7d4686d2287 2939b0183223fafc1723de4f52c43d35 7c3956ca5eeafc3e363e9d556546eb68
        77c6077146f01c32b6b69d5f4ea9ffcf 37a6986cb8847edf0925f0f1309b54de a705f0e69da9a8f907241a2e923c8cc8
        3dc47d1f29c448461e9e76ed904f6711 0d62bf01e6fc0e1a0d3c4751c5d3692b 8c03468bca7c669ee4fd5e084bbee7b5
        528a5bb93baf2c9c4473cce5d0d22bd9 df6a301e95c95dad97ae0cc8c6913bd8 801189902c857f39e73591285e70b6db
        e617346ac9c231bb3650ae34ccca0c5b 27d93437efb721aa401821dcec5adf89 89237d9ded9c5e78d8b1c9b166cc7342
        4a6d8091bf5e7d651189fa94a250b14c 0e33f96055e7ae893ffc0e3dcf492902 e61c432b720b19d18ec8d84bdc63151b
        f7e5aef549f782cf379055a608269b16 438d030fd0b7a54fa837f2ad201a6403 a590d3ee4fbf04e3247e0d27f286423f
        5fe2c1a172fe93c4b15cd37caef9f538 2c97325cbd06b36eb2133dd08b3a017c 92c814227a6bca949ff0659f002ad39e
        dce850110bd8328cfbd50841d6911d87 67f14984c7da791248e32bb5922583da 1938f2cf72d54ee97e94166fa91d2a36
        74481e9646ed49fe0f6224301604698e 57fca5de98a9d6d8006438d0583d8a1d 9fecde1cefdc1cbed4763674d9575359
        e3040c00eb28f15366ca73cbd872e740 7697009a6a831dfecca91c5993670f7a 5853542321f567a005d547a4f04759bd
        5150d1772f50834a503e069a973fbd7c
        """

    private static let key = IdentifierHashKey(bytes: Array(0..<16))

    /// The sixteen bytes in the order in which the reference program writes them.
    private static func hex(_ hash: IdentifierHash) -> String {
        [hash.low, hash.high].map { word in
            (0..<8).map { byte in
                let value = word >> UInt64(8 * byte) & 0xFF
                return String(value >> 4, radix: 16) + String(value & 15, radix: 16)
            }.joined()
        }.joined()
    }

    private static func hash(_ type: IdentifierType, _ bytes: [UInt8], _ key: IdentifierHashKey = key) -> IdentifierHash
    {
        bytes.withUnsafeBytes { key.hash(type, $0) }
    }

    @Test func twoFourIsSipHashAsPublished() {
        let vectors = Self.published.split { $0 == " " || $0 == "\n" }
        #expect(vectors.count == 64)
        let sip = SipHash(
            k0: 0x0706_0504_0302_0100, k1: 0x0F0E_0D0C_0B0A_0908, compressionRounds: 2, finalizationRounds: 4)
        for (size, vector) in vectors.enumerated() {
            let message = (0..<size).map { UInt8($0) }
            #expect(Self.hex(message.withUnsafeBytes { sip.hash128(prefix: nil, $0) }) == vector, "\(size) bytes")
        }
    }

    @Test func aPrefixIsTheSameAsItsBytesInFront() {
        let sip = SipHash(k0: 1, k1: 2)
        for size in 0..<40 {
            let message = (0..<size).map { UInt8(200 + $0) }
            let joined: [UInt8] = [8, 7, 6, 5, 4, 3, 2, 1] + message
            let prefixed = message.withUnsafeBytes { sip.hash128(prefix: 0x0102_0304_0506_0708, $0) }
            #expect(prefixed == joined.withUnsafeBytes { sip.hash128(prefix: nil, $0) }, "\(size) bytes")
        }
    }

    @Test func aMessageThatIsNotAlignedHashesAlike() {
        let bytes = (0..<80).map { UInt8($0) }
        for start in 0..<8 {
            let slice = Array(bytes[start..<start + 61])
            bytes.withUnsafeBytes { all in
                let shifted = Self.key.hash(.email, UnsafeRawBufferPointer(rebasing: all[start..<start + 61]))
                #expect(shifted == Self.hash(.email, slice))
            }
        }
    }

    /// From another implementation of SipHash-1-3-128: an index must find its rows after an upgrade.
    @Test(arguments: [
        (IdentifierType.email, "kari@example.no", "c73cf2627ca3ab47ed7a2f844beea184"),
        (IdentifierType.customer, "", "bd2946305a442f7c013687728df8cbeb"),
        (IdentifierType.customer, "12345678", "909d1a4be6a0f1b09e5f9f13be6c2729"),
        (IdentifierType.phone, "+4790000000", "18ee8368586b15d6904a82c4f8f40fa7"),
        (IdentifierType.other, String(repeating: "x", count: 255), "ec8035062439f1be4059677ada4c0a38"),
    ])
    func theHashOfAnIdentifierNeverChanges(type: IdentifierType, value: String, expected: String) {
        #expect(Self.hex(Self.hash(type, Array(value.utf8))) == expected)
    }

    /// With all that this processor can do, and with less.
    @Test(arguments: [ckernel_lanes_8, ckernel_lanes_4, ckernel_lanes_any])
    func identifiersThatAreHashedTogetherHashAsEachAlone(lanes: ckernel_lanes) {
        var random = SeededGenerator(seed: 5)
        var batch = IdentifierBatch(capacity: 300)
        let uniform = (0...255).map { size in [Int](repeating: size, count: 9) }
        let mixed = (1...300).map { count in (0..<count).map { _ in Int.random(in: 0...255, using: &random) } }
        let short = (1...40).map { count in (0..<count).map { _ in Int.random(in: 0...20, using: &random) } }
        for sizes in uniform + mixed + short {
            let values = sizes.map { size in (0..<size).map { _ in UInt8.random(in: 0...255, using: &random) } }
            // Each in memory of its own, so that a byte read past its end is another one's, or nobody's.
            let copies = values.map { value in
                let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: value.count, alignment: 1)
                copy.copyBytes(from: value)
                return copy
            }
            defer { for copy in copies { copy.deallocate() } }
            for (position, copy) in copies.enumerated() { batch.set(position, UnsafeRawBufferPointer(copy)) }
            let hashes = Array(batch.hash(.email, count: values.count, with: Self.key, lanes))
            #expect(hashes == values.map { Self.hash(.email, $0) }, "sizes \(sizes)")
        }
    }

    @Test func anIdentifierHashesAsTheBytesOfItsNormalForm() throws {
        let identifier = try Identifier(type: .email, value: "  Kari@Example.NO ")
        #expect(Self.key.hash(identifier) == Self.hash(.email, Array("kari@example.no".utf8)))
        // A value that is not kept as contiguous UTF-8 of at most fifteen bytes.
        let long = try Identifier(text: "customer:" + String(repeating: "ø", count: 100))
        #expect(Self.key.hash(long) == Self.hash(.customer, Array(long.value.utf8)))
    }

    @Test func theSameTextUnderAnotherTypeIsAnother() {
        let hashes = IdentifierType.allCases.map { Self.hash($0, Array("12345".utf8)) }
        #expect(Set(hashes.map(\.high)).count == hashes.count)
        #expect(Set(hashes.map(\.low)).count == hashes.count)
    }

    @Test func everyBitOfTheKeyAndOfTheValueCounts() {
        let value = Array("kari@example.no".utf8)
        var seen: Set<IdentifierHash> = [Self.hash(.email, value)]
        var checks: Set<UInt64> = [Self.key.check]
        for bit in 0..<128 {
            var bytes = (0..<16).map { UInt8($0) }
            bytes[bit / 8] ^= 1 << (bit % 8)
            let other = IdentifierHashKey(bytes: bytes)
            seen.insert(Self.hash(.email, value, other))
            checks.insert(other.check)
        }
        for bit in 0..<value.count * 8 {
            var changed = value
            changed[bit / 8] ^= 1 << (bit % 8)
            seen.insert(Self.hash(.email, changed))
        }
        for size in 0..<value.count { seen.insert(Self.hash(.email, Array(value[..<size]))) }
        #expect(seen.count == 1 + 128 + value.count * 8 + value.count)
        #expect(checks.count == 129)
    }

    @Test func trailingZeroBytesCount() {
        let hashes = (0..<20).map { Self.hash(.other, [UInt8](repeating: 0, count: $0)) }
        #expect(Set(hashes).count == hashes.count)
    }
}
