import ConsentCrypto
import Testing

struct Ed25519Tests {
    /// RFC 8032, 7.1: tests 1, 2, 3 and SHA(abc).
    static let known: [(seed: String, publicKey: String, message: String, signature: String)] = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0"
                + "595bbe24655141438e7a100b"
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eae"
                + "b4302aeeb00d291612bb0c00"
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9"
                + "716ed28dc027beceea1ec40a"
        ),
        (
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd"
                + "454d4423643ce80e2a9ac94fa54ca49f",
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c"
                + "138ac17ad9bef1177331a704"
        ),
    ]

    private static func bytes(_ hex: String) -> [UInt8] {
        let digits = hex.compactMap(\.hexDigitValue)
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }

    @Test(arguments: known)
    func keysAndSignaturesAreThoseOfTheStandard(
        seed: String, publicKey: String, message: String, signature: String
    ) throws {
        let key = try #require(Ed25519.PrivateKey(seed: Self.bytes(seed)))
        let (message, signature) = (Self.bytes(message), Self.bytes(signature))
        #expect(key.publicKey == Self.bytes(publicKey))
        #expect(key.signature(over: message) == signature)
        #expect(Ed25519.isValid(signature, over: message, publicKey: key.publicKey))
    }

    @Test func noBitOfSignatureKeyOrMessageCanBeChanged() throws {
        let key = try #require(Ed25519.PrivateKey(seed: Array(0..<32)))
        let message: [UInt8] = [1, 2, 3]
        let signature = key.signature(over: message)
        #expect(Ed25519.isValid(signature, over: message, publicKey: key.publicKey))
        func changed(_ bytes: [UInt8], _ bit: Int) -> [UInt8] {
            var bytes = bytes
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            return bytes
        }
        for bit in 0..<512 {
            #expect(!Ed25519.isValid(changed(signature, bit), over: message, publicKey: key.publicKey))
        }
        for bit in 0..<256 {
            #expect(!Ed25519.isValid(signature, over: message, publicKey: changed(key.publicKey, bit)))
        }
        for bit in 0..<24 {
            #expect(!Ed25519.isValid(signature, over: changed(message, bit), publicKey: key.publicKey))
        }
    }

    @Test func otherSizesAreNoKeysAndNoSignatures() throws {
        for size in [0, 31, 33, 64] {
            #expect(Ed25519.PrivateKey(seed: [UInt8](repeating: 1, count: size)) == nil)
        }
        let key = try #require(Ed25519.PrivateKey(seed: Array(0..<32)))
        let signature = key.signature(over: [])
        for other in [[], Array(signature.dropLast()), signature + [0]] {
            #expect(!Ed25519.isValid(other, over: [], publicKey: key.publicKey))
        }
        for other in [[], Array(key.publicKey.dropLast()), key.publicKey + [0]] {
            #expect(!Ed25519.isValid(signature, over: [], publicKey: other))
        }
    }

    /// 5.1.7: S plus the order of the group is the same number to the equation.
    @Test func aSignatureHasOneSpelling() throws {
        let order = Self.bytes("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
        let key = try #require(Ed25519.PrivateKey(seed: Array(0..<32)))
        var signature = key.signature(over: [7])
        var carry = 0
        for position in 0..<32 {
            carry += Int(signature[32 + position]) + Int(order[position])
            signature[32 + position] = UInt8(carry & 0xFF)
            carry >>= 8
        }
        #expect(carry == 0 && !Ed25519.isValid(signature, over: [7], publicKey: key.publicKey))
    }

    /// About half of all y have no x.
    @Test func nothingIsValidUnderAKeyThatIsNoPoint() throws {
        let key = try #require(Ed25519.PrivateKey(seed: Array(0..<32)))
        // The y of 2 has none.
        let none: [UInt8] = [2] + [UInt8](repeating: 0, count: 31)
        #expect(!Ed25519.isValid(key.signature(over: []), over: [], publicKey: none))
        for low in UInt8.min...UInt8.max {
            let point = [low] + [UInt8](repeating: 0, count: 31)
            for message in UInt8.min..<32 {
                #expect(!Ed25519.isValid(point + [UInt8](repeating: 0, count: 32), over: [message], publicKey: none))
            }
        }
    }

    @Test func oneKeySignsOnManyThreads() async throws {
        let key = try #require(Ed25519.PrivateKey(seed: Array(0..<32)))
        let expected = (0..<16).map { key.signature(over: [UInt8($0)]) }
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<4 {
                group.addTask { (0..<16).allSatisfy { key.signature(over: [UInt8($0)]) == expected[$0] } }
            }
            for await areRight in group { #expect(areRight) }
        }
    }
}
