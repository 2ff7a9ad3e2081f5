package import ConsentModel

/// Where a subject stands for one purpose.
package struct PurposeStanding: Equatable, Sendable {
    package let purposeBit: Int
    package fileprivate(set) var standing: Standing
}

/// Where a subject stands, purpose by purpose. A few at most, so looking through them is the fastest.
package struct Standings: Equatable, Sendable {
    /// In the order of their bits.
    package private(set) var all: [PurposeStanding] = []

    package init() {}

    package subscript(purposeBit: Int) -> Standing? {
        all.first { $0.purposeBit == purposeBit }?.standing
    }

    package mutating func fold(_ act: Act, purposeBit: Int) {
        let position = all.firstIndex { $0.purposeBit >= purposeBit } ?? all.count
        if position == all.count || all[position].purposeBit != purposeBit {
            all.insert(PurposeStanding(purposeBit: purposeBit, standing: Standing()), at: position)
        }
        all[position].standing.fold(act)
    }

    /// Takes in where somebody stands who turns out to be the same person.
    ///
    /// - Returns: the purposes for which the link itself says no: one side did, and the other said something later.
    package mutating func join(_ other: Standings, by link: RecordedLink) -> [Int] {
        var contradicted: [Int] = []
        for entry in other.all {
            let position = all.firstIndex { $0.purposeBit >= entry.purposeBit } ?? all.count
            if position == all.count || all[position].purposeBit != entry.purposeBit {
                all.insert(PurposeStanding(purposeBit: entry.purposeBit, standing: Standing()), at: position)
            }
            let joined = all[position].standing.joined(
                with: entry.standing, sequence: link.sequence, at: link.recordedAt)
            if joined.decidingAct?.sequence == link.sequence { contradicted.append(entry.purposeBit) }
            all[position].standing = joined
        }
        return contradicted
    }

    /// What stands for an identifier that is taken off the person: see ``Standing/separated``.
    package var separated: Standings {
        var separated = Standings()
        separated.all = all.map { PurposeStanding(purposeBit: $0.purposeBit, standing: $0.standing.separated) }
            .filter { $0.standing != Standing() }
        return separated
    }

    mutating func erase(by act: Act) {
        for position in all.indices { all[position].standing.fold(act) }
    }
}

// How standings are stored, integers little-endian:
//
//     standings  = count × standing
//     standing   = purpose bit u16 · flags u16 · act, if any · each moment that there is, i64, in the order of the flags
//     act        = sequence u64 · captured_at i64 · state u8 · method u8 · party u8 · age u8 (255: not stated)
//                  · revision u32 (0: none)

extension Standings {
    private enum Flag {
        static let confirmed: UInt16 = 1
        static let confirmedByGuardian: UInt16 = 2
        static let recordedExpired: UInt16 = 4
        static let explicit: UInt16 = 8
        static let act: UInt16 = 16
        static let expiresAt: UInt16 = 32
        static let takenAwayAt: UInt16 = 64
        static let liftedByPersonAt: UInt16 = 128
        static let liftedByOthersAt: UInt16 = 256
        static let erasedAt: UInt16 = 512
        static let all: UInt16 = 1023
    }

    private static let noAge = UInt8.max

    /// - Parameter revisionID: the number of a revision in the ledger.
    func encode(into bytes: inout [UInt8], revisionID: (RevisionName) -> Int64?) {
        for entry in all {
            let (purposeBit, standing) = (entry.purposeBit, entry.standing)
            let act = standing.decidingAct
            var flags: UInt16 = 0
            func set(_ flag: UInt16, _ isSet: Bool) { if isSet { flags |= flag } }
            set(Flag.confirmed, standing.isConfirmed)
            set(Flag.confirmedByGuardian, standing.isConfirmedByGuardian)
            set(Flag.recordedExpired, standing.isRecordedExpired)
            set(Flag.explicit, act?.isExplicit ?? false)
            set(Flag.act, act != nil)
            set(Flag.expiresAt, act?.expiresAt != nil)
            set(Flag.takenAwayAt, standing.takenAwayAt != nil)
            set(Flag.liftedByPersonAt, standing.objectionLiftedByPersonAt != nil)
            set(Flag.liftedByOthersAt, standing.objectionLiftedByOthersAt != nil)
            set(Flag.erasedAt, standing.erasedAt != nil)
            bytes.appendInteger(UInt16(purposeBit))
            bytes.appendInteger(flags)
            if let act {
                bytes.appendInteger(act.sequence)
                bytes.appendInteger(act.capturedAt.millis)
                bytes.append(act.state.rawValue)
                bytes.append(act.method.rawValue)
                bytes.append(act.party.rawValue)
                bytes.append(act.subjectAge.map { UInt8(clamping: $0) } ?? Self.noAge)
                bytes.appendInteger(UInt32(act.revision.flatMap(revisionID) ?? 0))
            }
            func append(_ moment: Timestamp?) {
                if let moment { bytes.appendInteger(moment.millis) }
            }
            append(act?.expiresAt)
            append(standing.takenAwayAt)
            append(standing.objectionLiftedByPersonAt)
            append(standing.objectionLiftedByOthersAt)
            append(standing.erasedAt)
        }
    }

    /// Nil if the bytes are damaged.
    init?(decoding bytes: UnsafeRawBufferPointer, revisionName: (Int64) -> RevisionName?) {
        var reader = IntegerReader(bytes)
        while !reader.isAtEnd {
            guard let bit = reader.next(UInt16.self), let flags = reader.next(UInt16.self), flags & ~Flag.all == 0,
                Int(bit) > all.last?.purposeBit ?? -1
            else { return nil }
            var standing = Standing()
            standing.isConfirmed = flags & Flag.confirmed != 0
            standing.isConfirmedByGuardian = flags & Flag.confirmedByGuardian != 0
            standing.isRecordedExpired = flags & Flag.recordedExpired != 0
            if flags & Flag.act != 0 {
                guard var act = Self.act(&reader, revisionName) else { return nil }
                act.isExplicit = flags & Flag.explicit != 0
                standing.decidingAct = act
            }
            func moment(_ flag: UInt16) -> Timestamp? {
                flags & flag == 0 ? nil : reader.next(Int64.self).map(Timestamp.init(millis:))
            }
            if let expiresAt = moment(Flag.expiresAt) { standing.decidingAct?.expiresAt = expiresAt }
            standing.takenAwayAt = moment(Flag.takenAwayAt)
            standing.objectionLiftedByPersonAt = moment(Flag.liftedByPersonAt)
            standing.objectionLiftedByOthersAt = moment(Flag.liftedByOthersAt)
            standing.erasedAt = moment(Flag.erasedAt)
            guard !reader.isBroken else { return nil }
            all.append(PurposeStanding(purposeBit: Int(bit), standing: standing))
        }
    }

    private static func act(_ reader: inout IntegerReader, _ revisionName: (Int64) -> RevisionName?) -> Act? {
        guard let sequence = reader.next(UInt64.self), let capturedAt = reader.next(Int64.self),
            let state = reader.next(UInt8.self).flatMap(EventState.init(rawValue:)),
            let method = reader.next(UInt8.self).flatMap(EvidenceMethod.init(rawValue:)),
            let party = reader.next(UInt8.self).flatMap(Party.init(rawValue:)), let age = reader.next(UInt8.self),
            let revision = reader.next(UInt32.self)
        else { return nil }
        var act = Act(sequence: sequence, state: state, capturedAt: Timestamp(millis: capturedAt))
        act.method = method
        act.party = party
        act.subjectAge = age == noAge ? nil : Int(age)
        if revision != 0 {
            guard let name = revisionName(Int64(revision)) else { return nil }
            act.revision = name
        }
        return act
    }
}

extension [UInt8] {
    mutating func appendInteger<Value: FixedWidthInteger>(_ value: Value) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }
}

/// Little-endian integers, one after another.
struct IntegerReader {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0
    /// Whether more was asked for than there is.
    private(set) var isBroken = false

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    mutating func next<Value: FixedWidthInteger>(_ type: Value.Type) -> Value? {
        guard position + MemoryLayout<Value>.size <= bytes.count else {
            isBroken = true
            return nil
        }
        defer { position += MemoryLayout<Value>.size }
        return Value(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: Value.self))
    }
}
