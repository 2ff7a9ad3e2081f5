package import ConsentModel

/// What the rows of one register say about each other: the same thing twice, yes and no at once, and identifiers that
/// belong to two people. It goes by the rules at the door for who is whom, and remembers hashes only: some 60 bytes a row.
package struct RegisterCensus {
    /// What an event is to those before it.
    package enum Finding: Sendable, Equatable {
        case new
        case repeated
        /// It is new; the other word at the same moment is another row's.
        case contradicted
        /// Its identifiers belong to different people, as far as the rows before it say.
        case severalPeople
    }

    private var owners: [UInt64: UInt32] = [:]
    /// Of each person: a customer number or the like that nobody else has; zero for none.
    private var ownNumbers: [UInt64] = []
    private var said: Set<UInt64> = []
    private var yesAndNo: [UInt64: UInt8] = [:]

    package init() {}

    /// Whether the identifiers of an event belong to different people, as far as the rows before it say.
    package func isOfSeveralPeople(_ event: ConsentEvent) -> Bool {
        owner(event.identifiers, event.identifiers.map(Self.hash)) == .several
    }

    /// Looks at an event that was not refused.
    package mutating func take(_ event: ConsentEvent) -> Finding {
        let hashes = event.identifiers.map(Self.hash)
        let person: UInt32
        switch owner(event.identifiers, hashes) {
        case .several: return .severalPeople
        case .one(let known): person = known
        case .nobody:
            person = UInt32(ownNumbers.count)
            ownNumbers.append(0)
        }
        if ownNumbers[Int(person)] == 0 { ownNumbers[Int(person)] = Self.ownNumber(event.identifiers, hashes) }
        for hash in hashes where owners[hash] == nil { owners[hash] = person }
        guard said.insert(Self.hash(event, hashes)).inserted else { return .repeated }
        return isContradicted(event, person) ? .contradicted : .new
    }

    private enum Owner: Equatable {
        case nobody
        case one(UInt32)
        case several
    }

    /// By the rules at the door: identifiers that lead to two people, or a second customer number for one.
    private func owner(_ identifiers: [Identifier], _ hashes: [UInt64]) -> Owner {
        var found: UInt32?
        for hash in hashes {
            guard let owner = owners[hash] else { continue }
            if let found, found != owner { return .several }
            found = owner
        }
        guard let found else { return .nobody }
        let (known, given) = (ownNumbers[Int(found)], Self.ownNumber(identifiers, hashes))
        let isAnother = known != 0 && given != 0 && owners[given] == nil && !hashes.contains(known)
        return isAnother ? .several : .one(found)
    }

    /// The first that two people can never share; zero if there is none.
    private static func ownNumber(_ identifiers: [Identifier], _ hashes: [UInt64]) -> UInt64 {
        zip(identifiers, hashes).first { $0.0.type.isOfOnePerson }?.1 ?? 0
    }

    private mutating func isContradicted(_ event: ConsentEvent, _ person: UInt32) -> Bool {
        let word: UInt8 = event.state.takesAway ? 2 : event.state.isGrant ? 1 : 0
        guard word > 0, let moment = event.capturedAt?.millis else { return false }
        let key = Self.hash(person, event, moment)
        let words = (yesAndNo[key] ?? 0) | word
        yesAndNo[key] = words
        return words == 3
    }

    private static func hash(_ identifier: Identifier) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(identifier.type)
        hasher.combine(text: identifier.value)
        return hasher.value
    }

    /// Of the person, the purpose and the moment.
    private static func hash(_ person: UInt32, _ event: ConsentEvent, _ moment: Int64) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(person)
        hasher.combine(text: event.purpose)
        hasher.combine(moment)
        return hasher.value
    }

    /// Of all that an event says, without its key.
    private static func hash(_ event: ConsentEvent, _ identifiers: [UInt64]) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(identifiers)
        hasher.combine(event.state)
        hasher.combine(event.party)
        hasher.combine(event.method)
        hasher.combine(event.isExplicit)
        hasher.combine(event.capturedAt?.millis)
        hasher.combine(event.expiresAt?.millis)
        hasher.combine(event.subjectAge)
        for text in [
            event.purpose, event.revision?.declaration ?? "", event.revision?.revision ?? "", event.language,
            event.source.system, event.source.channel, event.source.form, event.actor, event.evidence,
            event.guardian?.relation.name ?? "", event.guardian?.identifier.text ?? "",
        ] {
            hasher.combine(text: text)
        }
        return hasher.value
    }
}

extension Hasher {
    /// By bytes, with a mark where it ends.
    fileprivate mutating func combine(text: String) {
        var text = text
        text.withUTF8 { combine(bytes: UnsafeRawBufferPointer($0)) }
        combine(UInt8.max)
    }

    fileprivate var value: UInt64 { UInt64(bitPattern: Int64(finalize())) }
}
