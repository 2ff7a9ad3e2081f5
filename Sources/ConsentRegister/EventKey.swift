import ConsentModel

/// The idempotency key of an imported event without a capture time: 128 bits of SipHash-2-4 over what the event says.
///
/// It depends neither on the line nor on the order of the columns, so a file can be imported twice, and a row that
/// stands in it twice is one event. And since it depends on all that the event says, and on nothing else, the same key
/// never comes with other content.
///
/// What is hashed, numbers little-endian, a text as its size in 4 bytes and its bytes:
///
///     SIZE  FIELD         MEANING
///     1     format        1; another one would make every register new
///     1     state, then party, method, explicit (0 or 1)
///     9     capturedAt    1 and milliseconds since 1970, or zeros
///     9     expiresAt     likewise
///     9     subjectAge    likewise
///     text  declaration, revision, language, system, channel, form, actor, evidence
///     text  identifiers   type in 1 byte and value as text, in the order of their types
///     text  purpose       last: the events of one row share all that stands before it
struct EventKey {
    private static let format: UInt8 = 1
    /// Not a secret: keys are made to be equal, in every place and for ever.
    private static let hashKey: (UInt64, UInt64) = (0x636F_6E73_656E_7464, 0x7265_6769_7374_6572)

    private var bytes: [UInt8] = []

    /// Sets the key of every event of one row; they differ in their purpose only.
    mutating func assign(to events: inout [ConsentEvent]) {
        guard let first = events.first else { return }
        bytes.removeAll(keepingCapacity: true)
        appendShared(first)
        let sharedCount = bytes.count
        for position in events.indices {
            bytes.removeSubrange(sharedCount...)
            append(events[position].purpose)
            events[position].key = bytes.withUnsafeBufferPointer(Self.key)
        }
    }

    private mutating func appendShared(_ event: ConsentEvent) {
        bytes.append(Self.format)
        bytes.append(event.state.rawValue)
        bytes.append(event.party.rawValue)
        bytes.append(event.method.rawValue)
        bytes.append(event.isExplicit ? 1 : 0)
        append(event.capturedAt?.millis)
        append(event.expiresAt?.millis)
        append(event.subjectAge.map(Int64.init))
        append(event.revision?.declaration ?? "")
        append(event.revision?.revision ?? "")
        append(event.language)
        append(event.source.system)
        append(event.source.channel)
        append(event.source.form)
        append(event.actor)
        append(event.evidence)
        for identifier in event.identifiers {
            bytes.append(identifier.type.rawValue)
            append(identifier.value)
        }
    }

    private mutating func append(_ number: Int64?) {
        bytes.append(number == nil ? 0 : 1)
        withUnsafeBytes(of: (number ?? 0).littleEndian) { bytes.append(contentsOf: $0) }
    }

    private mutating func append(_ text: String) {
        withUnsafeBytes(of: UInt32(text.utf8.count).littleEndian) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: text.utf8)
    }

    private static func key(_ bytes: UnsafeBufferPointer<UInt8>) -> IdempotencyKey {
        let hash = SipHash.hash128(bytes, key: hashKey)
        // A key whose high half is zero is none.
        return IdempotencyKey(high: max(hash.0, 1), low: hash.1)
    }
}

/// SipHash-2-4 with 128 bits of output (Aumasson and Bernstein 2012).
enum SipHash {
    private struct State {
        var v0, v1, v2, v3: UInt64

        mutating func rounds(_ count: Int) {
            for _ in 0..<count {
                v0 &+= v1
                v2 &+= v3
                v1 = (v1 << 13 | v1 >> 51) ^ v0
                v3 = (v3 << 16 | v3 >> 48) ^ v2
                v0 = v0 << 32 | v0 >> 32
                v2 &+= v1
                v0 &+= v3
                v1 = (v1 << 17 | v1 >> 47) ^ v2
                v3 = (v3 << 21 | v3 >> 43) ^ v0
                v2 = v2 << 32 | v2 >> 32
            }
        }

        mutating func take(_ word: UInt64) {
            v3 ^= word
            rounds(2)
            v0 ^= word
        }
    }

    static func hash128(_ bytes: UnsafeBufferPointer<UInt8>, key: (UInt64, UInt64)) -> (UInt64, UInt64) {
        var state = State(
            v0: key.0 ^ 0x736F_6D65_7073_6575, v1: key.1 ^ 0x646F_7261_6E64_6F6D ^ 0xEE,
            v2: key.0 ^ 0x6C79_6765_6E65_7261, v3: key.1 ^ 0x7465_6462_7974_6573)
        let raw = UnsafeRawBufferPointer(bytes)
        let tail = raw.count & ~7
        for start in stride(from: 0, to: tail, by: 8) {
            state.take(UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: start, as: UInt64.self)))
        }
        var last = UInt64(truncatingIfNeeded: raw.count) << 56
        for (place, byte) in raw[tail...].enumerated() { last |= UInt64(byte) << (8 * UInt64(place)) }
        state.take(last)
        state.v2 ^= 0xEE
        state.rounds(4)
        let first = state.v0 ^ state.v1 ^ state.v2 ^ state.v3
        state.v1 ^= 0xDD
        state.rounds(4)
        return (first, state.v0 ^ state.v1 ^ state.v2 ^ state.v3)
    }
}
