import CKernel
package import ConsentModel

/// The 128-bit keyed hash of an identifier: SipHash-1-3 with 128 bits of output (Aumasson and Bernstein) over the
/// identifier's type as a little-endian u64, followed by the bytes of its normal form. Without the key nobody can tell
/// from an index or a ledger whom a hash is about.
package struct IdentifierHash: Hashable, Sendable {
    /// Becomes the row's tag.
    package var high: UInt64
    /// Chooses the row's place.
    package var low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// What an index keeps of it to know it by, in the upper 56 bits.
    package var indexTag: UInt64 { IndexView.tag(self) }
    /// What an index keeps of it to place it by.
    package var indexPlace: UInt32 { IndexView.place(self) }

    /// It is evenly spread already, by a key that nobody outside knows.
    package func hash(into hasher: inout Hasher) { hasher.combine(low) }
}

package struct IdentifierHashKey: Sendable, Equatable {
    package static let size = 16

    fileprivate let k0: UInt64
    fileprivate let k1: UInt64

    package init(k0: UInt64, k1: UInt64) {
        self.k0 = k0
        self.k1 = k1
    }

    /// - Precondition: sixteen bytes.
    package init(bytes: [UInt8]) {
        precondition(bytes.count == Self.size)
        func word(_ start: Int) -> UInt64 { (0..<8).reduce(0) { $0 | UInt64(bytes[start + $1]) << UInt64(8 * $1) } }
        self.init(k0: word(0), k1: word(8))
    }

    /// The sixteen bytes that it was made of.
    package var bytes: [UInt8] {
        [k0, k1].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
    }

    /// Tells whether an index was built with this key, and nothing about the key.
    package var check: UInt64 {
        let hash = unsafe SipHash(k0: k0, k1: k1).hash128(prefix: .max, UnsafeRawBufferPointer(start: nil, count: 0))
        return hash.high ^ hash.low
    }

    package func hash(_ type: IdentifierType, _ value: UnsafeRawBufferPointer) -> IdentifierHash {
        unsafe SipHash(k0: k0, k1: k1).hash128(prefix: UInt64(type.rawValue), value)
    }

    /// Of an idempotency key: senders choose it, and must not be able to choose where it comes to lie.
    package func hash(_ key: IdempotencyKey) -> IdentifierHash {
        unsafe withUnsafeBytes(of: (key.high.bigEndian, key.low.bigEndian)) {
            unsafe SipHash(k0: k0, k1: k1).hash128(prefix: Self.keyPrefix, $0)
        }
    }

    /// No type of identifier.
    private static let keyPrefix: UInt64 = 1 << 32

    package func hash(_ identifier: Identifier) -> IdentifierHash {
        var value = identifier.value
        return value.withUTF8 { unsafe hash(identifier.type, UnsafeRawBufferPointer($0)) }
    }
}

/// Identifiers of one type that are hashed together, which takes half of the time. Its room is used again and again.
@safe package struct IdentifierBatch: ~Copyable {
    /// As many as are hashed at once.
    private static let lanes = 8

    private let texts: UnsafeMutableBufferPointer<ckernel_text>
    private let hashes: UnsafeMutableBufferPointer<ckernel_hash>

    package init(capacity: Int) {
        let room = (capacity + Self.lanes - 1) / Self.lanes * Self.lanes
        unsafe texts = .allocate(capacity: room)
        unsafe hashes = .allocate(capacity: room)
        unsafe hashes.initialize(repeating: ckernel_hash(high: 0, low: 0))
    }

    deinit {
        unsafe texts.deallocate()
        unsafe hashes.deallocate()
    }

    /// - Parameter value: a normal form, valid until it was hashed.
    @inline(__always)
    package mutating func set(_ position: Int, _ value: UnsafeRawBufferPointer) {
        unsafe texts[position] = ckernel_text(
            bytes: value.baseAddress?.assumingMemoryBound(to: UInt8.self), size: value.count)
    }

    /// The hashes of the first values, as ``IdentifierHashKey/hash(_:_:)`` has them; valid until the next call.
    package mutating func hash(
        _ type: IdentifierType, count: Int, with key: IdentifierHashKey
    ) -> UnsafeBufferPointer<IdentifierHash> {
        unsafe hash(type, count: count, with: key, ckernel_lanes_8)
    }

    @inline(__always)
    mutating func hash(
        _ type: IdentifierType, count: Int, with key: IdentifierHashKey, _ lanes: ckernel_lanes
    ) -> UnsafeBufferPointer<IdentifierHash> {
        guard count > 0 else { return unsafe UnsafeBufferPointer(start: nil, count: 0) }
        let whole = (count + Self.lanes - 1) / Self.lanes * Self.lanes
        for position in count..<whole { unsafe texts[position] = texts[0] }
        var words = (key.k0, key.k1)
        unsafe withUnsafeBytes(of: &words) { words in
            unsafe ckernel_siphash(
                lanes, words.baseAddress?.assumingMemoryBound(to: UInt64.self), UInt64(type.rawValue),
                texts.baseAddress,
                whole, hashes.baseAddress)
        }
        return unsafe UnsafeBufferPointer(
            start: UnsafeRawPointer(hashes.baseAddress!).assumingMemoryBound(to: IdentifierHash.self), count: count)
    }
}

/// SipHash-c-d with 128 bits of output. The rounds are parameters so that the published vectors of 2-4 test this code.
struct SipHash {
    var k0: UInt64
    var k1: UInt64
    var compressionRounds = 1
    var finalizationRounds = 3

    /// - Parameter prefix: eight bytes that stand before the message; nil for none.
    // Always inlined, so that the round counts are constants where it is used.
    @inline(__always)
    func hash128(prefix: UInt64?, _ message: UnsafeRawBufferPointer) -> IdentifierHash {
        var state = SipState(k0: k0, k1: k1)
        if let prefix { state.absorb(prefix, rounds: compressionRounds) }
        let wholeWords = message.count >> 3
        for position in 0..<wholeWords {
            let word = unsafe message.loadUnaligned(fromByteOffset: position << 3, as: UInt64.self)
            state.absorb(UInt64(littleEndian: word), rounds: compressionRounds)
        }
        let size = message.count + (prefix == nil ? 0 : 8)
        var last = UInt64(truncatingIfNeeded: size) << 56
        for position in (wholeWords << 3)..<message.count {
            last |= unsafe UInt64(message[position]) << UInt64((position & 7) << 3)
        }
        state.absorb(last, rounds: compressionRounds)
        return state.finish(rounds: finalizationRounds)
    }
}

private struct SipState {
    var v0: UInt64
    var v1: UInt64
    var v2: UInt64
    var v3: UInt64

    @inline(__always)
    init(k0: UInt64, k1: UInt64) {
        v0 = k0 ^ 0x736f_6d65_7073_6575
        v1 = k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee
        v2 = k0 ^ 0x6c79_6765_6e65_7261
        v3 = k1 ^ 0x7465_6462_7974_6573
    }

    @inline(__always)
    mutating func absorb(_ word: UInt64, rounds: Int) {
        v3 ^= word
        for _ in 0..<rounds { round() }
        v0 ^= word
    }

    @inline(__always)
    mutating func finish(rounds: Int) -> IdentifierHash {
        v2 ^= 0xee
        for _ in 0..<rounds { round() }
        let low = v0 ^ v1 ^ v2 ^ v3
        v1 ^= 0xdd
        for _ in 0..<rounds { round() }
        return IdentifierHash(high: v0 ^ v1 ^ v2 ^ v3, low: low)
    }

    @inline(__always)
    private mutating func round() {
        v0 &+= v1
        v2 &+= v3
        v1 = rotated(v1, 13) ^ v0
        v3 = rotated(v3, 16) ^ v2
        v0 = rotated(v0, 32)
        v2 &+= v1
        v0 &+= v3
        v1 = rotated(v1, 17) ^ v2
        v3 = rotated(v3, 21) ^ v0
        v2 = rotated(v2, 32)
    }

    @inline(__always)
    private func rotated(_ word: UInt64, _ bits: UInt64) -> UInt64 { word << bits | word >> (64 - bits) }
}
