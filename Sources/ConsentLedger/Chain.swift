import ConsentCrypto
package import ConsentModel

// What is hashed, so that anyone can check the chain. Integers are little-endian, text8 is a size byte and UTF-8.
//
//     hash(n)     = SHA-256( hash(n - 1) · sequence u64 · kind u8 · recorded_at i64 · captured_at i64 · body )
//     hash(0)     = the history id, then sixteen zero bytes
//     body 1      = subject i64 · state u8 · method u8 · party u8 · explicit u8 · age u8 (255: not stated)
//                   · expires_at i64 (0: none) · refers_to u64 · key 16 bytes (zeros: none) · purpose text8
//                   · declaration text8 · revision text8 · language text8 · system text8 · channel text8 · form text8
//                   · actor text8 · commitment 32 bytes
//     body 2      = catalog version u64 · digest of the catalog 32 bytes
//     body 3      = nothing: a revision became current by time
//     body 4      = see AccessEvent.swift
//     body 5, 6   = see SubjectEvent.swift
//     commitment  = see Personal.swift
//
// Erasing a person removes salt and personal and keeps the commitment, so the chain stays whole and says nothing. The
// commitments of such events stand in the table erased_event, and zeros in the place of what was personal.

/// A SHA-256.
package struct ChainHash: Equatable, Sendable {
    private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    /// Nil unless there are 32 bytes.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count == Self.size else { return nil }
        withUnsafeMutableBytes(of: &words) { $0.copyMemory(from: bytes) }
    }

    /// Nil unless there are 32 of them.
    package init?(bytes: [UInt8]) {
        guard let hash = bytes.withUnsafeBytes({ ChainHash($0) }) else { return nil }
        self = hash
    }

    package init(hashing bytes: [UInt8]) { self = bytes.withUnsafeBytes { ChainHash(hashing: $0) } }

    /// Of one piece, or of two, one after the other.
    init(hashing piece: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer? = nil) {
        withUnsafeMutableBytes(of: &words) { SHA256.write(digestOf: piece, second, to: $0) }
    }

    /// Of a byte, and one or two hashes behind it.
    package init(hashing byte: UInt8, _ first: ChainHash, _ second: ChainHash? = nil) {
        self = withUnsafeTemporaryAllocation(byteCount: 1 + 2 * Self.size, alignment: 1) { bytes in
            bytes[0] = byte
            first.withBytes { UnsafeMutableRawBufferPointer(rebasing: bytes[1...]).copyMemory(from: $0) }
            let size = second == nil ? 1 + Self.size : 1 + 2 * Self.size
            second?.withBytes {
                UnsafeMutableRawBufferPointer(rebasing: bytes[(1 + Self.size)...]).copyMemory(from: $0)
            }
            return ChainHash(hashing: UnsafeRawBufferPointer(rebasing: bytes[..<size]))
        }
    }

    static let size = SHA256.size

    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try withUnsafeBytes(of: words, body)
    }

    package var bytes: [UInt8] { withBytes { Array($0) } }

    package static func == (left: ChainHash, right: ChainHash) -> Bool { left.words == right.words }
}

/// The end of the chain.
package struct ChainHead: Equatable, Sendable {
    package var sequence: UInt64
    package var hash: ChainHash

    package init(sequence: UInt64, hash: ChainHash) {
        self.sequence = sequence
        self.hash = hash
    }

    /// Before the first event.
    init(history: [UInt8]) {
        precondition(history.count == 16, "a history id has sixteen bytes")
        let bytes = history + [UInt8](repeating: 0, count: 16)
        self.init(sequence: 0, hash: bytes.withUnsafeBytes { ChainHash($0)! })
    }

    /// The first 8 bytes of the hash, to recognise it by.
    package var mark: UInt64 { hash.withBytes { UInt64(littleEndian: $0.load(as: UInt64.self)) } }
}

/// The numbers never change once released.
package enum EventKind: UInt8, Sendable, CaseIterable, NamedInSnakeCase {
    case consent = 1
    case catalog = 2
    case revisionBecameCurrent = 3
    case access = 4
    case link = 5
    case erasure = 6
}

/// Bytes to be hashed. One value serves for many events.
struct ChainBytes {
    private var bytes: [UInt8] = []

    init() { bytes.reserveCapacity(1024) }

    /// Begins anew.
    mutating func begin(
        previous: ChainHash, sequence: UInt64, kind: EventKind, recordedAt: Int64, capturedAt: Int64
    ) {
        bytes.removeAll(keepingCapacity: true)
        append(previous)
        append(sequence)
        bytes.append(kind.rawValue)
        append(UInt64(bitPattern: recordedAt))
        append(UInt64(bitPattern: capturedAt))
    }

    mutating func append(_ number: UInt64) { bytes.appendInteger(number) }
    mutating func append(_ more: [UInt8]) { bytes += more }
    mutating func append(_ hash: ChainHash) { hash.withBytes { bytes += $0 } }

    mutating func append(_ text: String) {
        bytes.append(UInt8(text.utf8.count))
        bytes += text.utf8
    }

    mutating func append(subject: Int64, actor: String, detail: [UInt8]) {
        append(UInt64(bitPattern: subject))
        append(actor)
        append(detail)
    }

    mutating func append(_ event: ConsentEvent, subject: Int64, refersTo: UInt64, commitment: ChainHash) {
        let (key, revision, source) = (event.key, event.revision, event.source)
        let (purpose, language, actor) = (event.purpose, event.language, event.actor)
        let (declaration, name) = (revision?.declaration ?? "", revision?.revision ?? "")
        let textSize =
            purpose.utf8.count + declaration.utf8.count + name.utf8.count + language.utf8.count
            + source.system.utf8.count + source.channel.utf8.count + source.form.utf8.count + actor.utf8.count
        withUnsafeTemporaryAllocation(byteCount: Self.eventFixedSize + textSize, alignment: 1) { room in
            var writer = ByteWriter(room)
            writer.write(subject)
            writer.write(event.state.rawValue)
            writer.write(event.method.rawValue)
            writer.write(event.party.rawValue)
            writer.write(UInt8(event.isExplicit ? 1 : 0))
            writer.write(event.subjectAge.map { UInt8($0) } ?? UInt8.max)
            writer.write(event.expiresAt?.millis ?? 0)
            writer.write(refersTo)
            writer.write(key?.high.byteSwapped ?? 0)
            writer.write(key?.low.byteSwapped ?? 0)
            writer.write(text8: purpose)
            writer.write(text8: declaration)
            writer.write(text8: name)
            writer.write(text8: language)
            writer.write(text8: source.system)
            writer.write(text8: source.channel)
            writer.write(text8: source.form)
            writer.write(text8: actor)
            commitment.withBytes { writer.write($0) }
            bytes += writer.written
        }
    }

    /// Of the body of a consent, without its texts: numbers, codes and key, a size for each of eight texts, the commitment.
    private static let eventFixedSize = 45 + 8 + ChainHash.size

    var hash: ChainHash { bytes.withUnsafeBytes { ChainHash(hashing: $0) } }

    var all: [UInt8] { bytes }

    /// Behind what all events have.
    var body: [UInt8] { Array(bytes.dropFirst(Self.commonSize)) }
    private static let commonSize = ChainHash.size + 8 + 1 + 8 + 8
}

/// An event as a link of the chain: what is hashed, in its parts.
package struct ChainEntry: Sendable, Equatable {
    package var sequence: UInt64
    package var kind: EventKind
    package var recordedAt: Timestamp
    package var capturedAt: Timestamp
    /// Of the event before it.
    package var previous: ChainHash
    package var body: [UInt8]

    package init(
        sequence: UInt64, kind: EventKind, recordedAt: Timestamp, capturedAt: Timestamp, previous: ChainHash,
        body: [UInt8]
    ) {
        self.sequence = sequence
        self.kind = kind
        self.recordedAt = recordedAt
        self.capturedAt = capturedAt
        self.previous = previous
        self.body = body
    }

    /// Of the event.
    package var hash: ChainHash {
        var bytes = ChainBytes()
        bytes.begin(
            previous: previous, sequence: sequence, kind: kind, recordedAt: recordedAt.millis,
            capturedAt: capturedAt.millis)
        bytes.append(body)
        return bytes.hash
    }

    /// What a consent event hashes beyond what all events do.
    package static func body(_ event: RecordedEvent, commitment: ChainHash) -> [UInt8] {
        var bytes = ChainBytes()
        bytes.append(event.event, subject: event.subject, refersTo: event.refersTo, commitment: commitment)
        return bytes.all
    }

    /// What the body of an applied catalog says.
    package static func body(catalogVersion: Int, digest: [UInt8]) -> [UInt8] {
        var bytes = ChainBytes()
        bytes.append(UInt64(catalogVersion))
        bytes.append(digest)
        return bytes.all
    }

    /// What an event of an earlier build commits to of a person's identifiers and evidence.
    package static func commitment(salt: [UInt8], _ event: ConsentEvent) -> ChainHash {
        let identifiers = event.identifiers.flatMap(Personal.encode)
        return ChainHash(
            hashing: salt + [UInt8(clamping: event.identifiers.count)] + identifiers
                + Personal.encode(evidence: event.evidence))
    }
}

/// What an auditor needs to see of one event.
package struct ChainEvidence: Sendable, Equatable {
    package var entry: ChainEntry
    /// What it says, where it is about a person.
    package var event: SubjectEvent?
    /// What it says, where it is an entry of the access log.
    package var access: AccessEntry?
    /// Of a consent event: what it commits to of identifiers and evidence.
    package var commitment: ChainHash?
    /// What they are hashed with; nil where they were erased.
    package var salt: [UInt8]?
    /// How each is committed to; nil where they were erased, and of an event of an earlier build.
    package var parts: CommittedParts?
}

extension IdempotencyKey {
    /// Big-endian, as it stands on the wire.
    package var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(16)
        bytes.appendInteger(high.byteSwapped)
        bytes.appendInteger(low.byteSwapped)
        return bytes
    }

    /// Nil unless there are sixteen.
    package init?(bytes: UnsafeRawBufferPointer) {
        guard bytes.count == 16 else { return nil }
        self.init(
            high: bytes.loadUnaligned(as: UInt64.self).bigEndian,
            low: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self).bigEndian)
    }
}

/// Writes one thing behind another where there is room for all of them; integers little-endian.
struct ByteWriter {
    private let room: UnsafeMutableRawBufferPointer
    private var size = 0

    init(_ room: UnsafeMutableRawBufferPointer) { self.room = room }

    var written: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: room[..<size]) }

    mutating func write<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value) {
        precondition(size + MemoryLayout<Value>.size <= room.count, "there is room for what is written")
        room.storeBytes(of: value.littleEndian, toByteOffset: size, as: Value.self)
        size += MemoryLayout<Value>.size
    }

    mutating func write(_ bytes: UnsafeRawBufferPointer) {
        precondition(size + bytes.count <= room.count, "there is room for what is written")
        UnsafeMutableRawBufferPointer(rebasing: room[size..<size + bytes.count]).copyMemory(from: bytes)
        size += bytes.count
    }

    mutating func write(_ text: String) {
        var text = text
        text.withUTF8 { write(UnsafeRawBufferPointer($0)) }
    }

    /// Behind its size.
    mutating func write(text8 text: String) {
        write(UInt8(text.utf8.count))
        write(text)
    }
}
