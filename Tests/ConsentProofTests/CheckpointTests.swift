import ConsentLedger
import ConsentModel
import ConsentProof
import ConsentTestSupport
import Testing

/// Trees of hashes, and what is signed over them.
struct CheckpointTests {
    private static let key = SigningKey(bytes: [UInt8](repeating: 3, count: 32))!

    private func hashes(_ count: Int) -> [ChainHash] {
        (0..<count).map { ChainHash(hashing: Array("event \($0)".utf8)) }
    }

    private func checkpoint(first: UInt64 = 1, _ count: Int = 10) -> Checkpoint {
        Checkpoint(
            history: Array(0..<16), first: first, events: hashes(count), at: Timestamp(millis: 1_795_258_800_123),
            signedWith: Self.key)
    }

    // MARK: Trees

    @Test func everyLeafOfEverySmallTreeLeadsToItsRootAndNoOtherDoes() {
        for count in 1...33 {
            let events = hashes(count)
            let root = MerkleTree.root(events)
            for position in 0..<count {
                let path = MerkleTree.path(to: position, in: events)
                func reached(_ event: ChainHash, _ position: Int, _ count: Int, _ path: [ChainHash]) -> ChainHash? {
                    MerkleTree.root(from: event, at: position, of: count, path: path)
                }
                #expect(reached(events[position], position, count, path) == root)
                #expect(reached(ChainHash(hashing: [1]), position, count, path) != root)
                #expect(reached(events[position], position, count, path + [root]) == nil)
                #expect(path.isEmpty || reached(events[position], position, count, Array(path.dropLast())) == nil)
                #expect(reached(events[position], count, count, path) == nil)
                for other in 0..<count where other != position {
                    #expect(reached(events[position], other, count, path) != root)
                }
            }
        }
    }

    /// RFC 6962, 2.1: a leaf is not hashed as a node is, so no node passes for a leaf.
    @Test func aTreeIsHashedAsTheStandardSays() {
        let (first, second) = (hashes(2)[0], hashes(2)[1])
        let leaves = [first, second].map { ChainHash(hashing: [0] + $0.bytes).bytes }
        #expect(MerkleTree.root([first]).bytes == leaves[0])
        #expect(MerkleTree.root([first, second]) == ChainHash(hashing: [1] + leaves[0] + leaves[1]))
    }

    // MARK: Checkpoints

    @Test func aCheckpointIsReadAsItWasWritten() throws {
        for (first, count) in [(1, 1), (1, 10), (65_537, 65)] as [(UInt64, Int)] {
            let made = checkpoint(first: first, count)
            #expect(made.isSigned && made.sequence == first + UInt64(count) - 1)
            #expect(try Checkpoint(text: made.text) == made)
            #expect(try Checkpoint(text: made.json.pretty) == made)
        }
    }

    @Test func everyMemberIsSignedAndNeeded() throws {
        let made = checkpoint()
        for name in ["format", "history", "sequence", "hash", "first", "root", "at", "key", "signature"] {
            #expect(throws: ProofError.self, "\(name)") { try Checkpoint(made.json.without(name)) }
            let value = try #require(made.json[name])
            let changed: JSONValue =
                if let number = value.number {
                    .number(number + 1)
                } else if value.bytes != nil, let text = value.text {
                    .text((text.first == "0" ? "1" : "0") + text.dropFirst())
                } else {
                    .text(value.text!.replacing("1", with: "2"))
                }
            #expect(throws: ProofError.self, "\(name)") { try Checkpoint(made.json.with([name: changed])) }
        }
    }

    @Test func noChangedByteOfALineIsTaken() throws {
        let made = checkpoint()
        let line = Array(made.text.utf8)
        for position in line.indices {
            var changed = line
            changed[position] ^= 0x01
            let read = try? Checkpoint(text: String(decoding: changed, as: UTF8.self))
            #expect(read == nil, "\(position)")
        }
    }

    @Test func aFileOfThemSaysWhichLineIsWrong() throws {
        let (one, two) = (checkpoint(), checkpoint(first: 11, 3))
        #expect(try Checkpoint.list("\(one.text)\n\n\(two.text)\n") == [one, two])
        #expect(try Checkpoint.list("") == [])
        let broken = two.text.replacing("\"sequence\":13", with: "\"sequence\":12")
        #expect(throws: ProofError.notSigned("line 2: its signature is not that of the key in it")) {
            try Checkpoint.list("\(one.text)\n\(broken)\n")
        }
        #expect(throws: ProofError.notReadable("line 1: it is no JSON")) { try Checkpoint.list("nonsense") }
    }

    @Test func anEventLeadsToTheCheckpointThatCoversItOnly() {
        let made = checkpoint(first: 11, 20)
        let events = hashes(20)
        for position in 0..<20 {
            let path = MerkleTree.path(to: position, in: events)
            #expect(made.isReached(from: events[position], 11 + UInt64(position), by: path))
            #expect(!made.isReached(from: events[position], 10 + UInt64(position), by: path))
        }
        #expect(made.covers(11) && made.covers(30) && !made.covers(10) && !made.covers(31))
    }
}
