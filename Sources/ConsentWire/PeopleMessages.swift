package import ConsentModel

// The questions of whole lists of people: `countGranted` and `people`, and their answers.

/// `countGranted`: identifiers that are granted a purpose, and not another.
package struct CountGrantedRequest: Equatable, Sendable {
    package var purpose: String
    /// Empty for none.
    package var except: String

    package init(purpose: String, except: String) {
        self.purpose = purpose
        self.except = except
    }

    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero()
        var reader = unsafe ByteReader(frame.payload)
        purpose = unsafe reader.text8()
        except = unsafe reader.text8()
        guard unsafe reader.isComplete else { throw malformed("countGranted") }
    }

    /// - Precondition: no text has more than 255 bytes.
    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(.countGranted, request: request)
        output.text8(purpose)
        output.text8(except)
        output.endFrame(start)
    }
}

package struct GrantedCount: Equatable, Sendable {
    package var sequence: UInt64
    package var granted: UInt64
    package var known: UInt64

    package init(sequence: UInt64, granted: UInt64, known: UInt64) {
        self.sequence = sequence
        self.granted = granted
        self.known = known
    }

    package init(_ frame: Frame) throws(AnswerError) {
        var reader = unsafe ByteReader(frame.payload)
        sequence = unsafe reader.u64()
        granted = unsafe reader.u64()
        known = unsafe reader.u64()
        guard unsafe reader.isComplete, unsafe frame.flags == 0, unsafe frame.argument == 0, unsafe frame.word == 0
        else { throw AnswerError(.grantedCount) }
    }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(.grantedCount, request: request)
        output.u64(sequence)
        output.u64(granted)
        output.u64(known)
        output.endFrame(start)
    }
}

extension PeopleQuestion {
    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero(
            argument: .max, word: 0xFF | UInt32(AskAgainReasons.all.rawValue) << 8)
        var reader = unsafe ByteReader(frame.payload)
        guard let selection = unsafe PeopleSelection(rawValue: UInt8(truncatingIfNeeded: frame.word)) else {
            throw malformed("people")
        }
        self.init(selection)
        countMax = unsafe Int(frame.argument)
        reasons = unsafe AskAgainReasons(rawValue: UInt8(truncatingIfNeeded: frame.word >> 8))
        after = unsafe reader.u64()
        from = unsafe Timestamp(wire: reader.time())
        until = unsafe Timestamp(wire: reader.time())
        asOf = unsafe reader.u64()
        purpose = unsafe reader.text8()
        except = unsafe reader.text8()
        revision = unsafe RevisionName(declaration: reader.text8(), revision: reader.text8())
        recipient = unsafe reader.text8()
        document = unsafe reader.restText()
        guard unsafe reader.isComplete else { throw malformed("people") }
    }

    /// - Precondition: no text but the document has more than 255 bytes.
    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(
            .people, argument: UInt16(clamping: countMax), request: request,
            word: UInt32(selection.rawValue) | UInt32(reasons.rawValue) << 8)
        output.u64(after)
        output.time(from?.millis)
        output.time(until?.millis)
        output.u64(asOf)
        output.text8(purpose)
        output.text8(except)
        output.text8(revision.declaration)
        output.text8(revision.revision)
        output.text8(recipient)
        output.utf8(document)
        output.endFrame(start)
    }
}

/// `peoplePage`: people in the order of their numbers. The identifiers of a person stand in the first entry about them.
package struct FoundPeople: Equatable, Sendable {
    package var hasMore: Bool
    package var head: UInt64
    package var next: UInt64
    package var people: [FoundPerson]

    package init(hasMore: Bool, head: UInt64, next: UInt64, people: [FoundPerson]) {
        self.hasMore = hasMore
        self.head = head
        self.next = next
        self.people = people
    }

    package init(_ frame: Frame) throws(AnswerError) {
        var reader = unsafe ByteReader(frame.payload)
        hasMore = unsafe frame.flags & 1 != 0
        head = unsafe reader.u64()
        next = unsafe reader.u64()
        people = []
        for _ in unsafe 0..<frame.argument {
            guard let person = unsafe FoundPerson(&reader, after: people.last) else { throw AnswerError(.peoplePage) }
            people.append(person)
        }
        guard unsafe reader.isComplete, unsafe frame.flags & ~1 == 0, unsafe frame.word == 0 else {
            throw AnswerError(.peoplePage)
        }
    }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(
            .peoplePage, flags: hasMore ? 1 : 0, argument: UInt16(people.count), request: request)
        output.u64(head)
        output.u64(next)
        var before: FoundPerson?
        for person in people {
            person.encode(isFirst: before?.subject != person.subject, into: &output)
            before = person
        }
        output.endFrame(start)
    }

    /// Leaves out people at the end until the rest fits into a frame; whoever is left is there with all that was found.
    package mutating func fitIntoFrame() {
        var size = WireLimit.headerSize + 16
        for (position, person) in people.enumerated() {
            let isFirst = position == 0 || people[position - 1].subject != person.subject
            size += person.size(isFirst: isFirst)
            // One person fits: 255 identifiers and 960 entries without any, all of the longest, are less than a frame.
            guard size > WireLimit.frameSizeMax, let cut = people.firstIndex(where: { $0.subject == person.subject }),
                cut > 0
            else { continue }
            people.removeSubrange(cut...)
            next = people[cut - 1].subject
            hasMore = true
            return
        }
    }
}

extension FoundPerson {
    fileprivate init?(_ reader: inout ByteReader, after before: FoundPerson?) {
        let subject = unsafe reader.u64()
        let state = unsafe ConsentState(rawValue: reader.u8())
        let count = unsafe Int(reader.u8())
        let since = unsafe Timestamp(wire: reader.time())
        let until = unsafe Timestamp(wire: reader.time())
        let purpose = unsafe reader.text8()
        let revision = unsafe RevisionName(declaration: reader.text8(), revision: reader.text8())
        var identifiers: [Identifier] = []
        for _ in 0..<count where unsafe reader.isIntact {
            let (type, value) = unsafe (IdentifierType(rawValue: reader.u8()), reader.text8())
            guard let type, !value.isEmpty else { return nil }
            identifiers.append(Identifier(recorded: type, value: value))
        }
        guard let state, unsafe reader.isIntact else { return nil }
        if let before, before.subject == subject, identifiers.isEmpty { identifiers = before.identifiers }
        self.init(
            subject: subject, purpose: purpose, state: state,
            revision: revision.declaration.isEmpty ? nil : revision, since: since, until: until,
            identifiers: identifiers)
    }

    fileprivate func encode(isFirst: Bool, into output: inout OutputBuffer) {
        let named = isFirst ? identifiers.prefix(Self.identifiersMax) : []
        output.u64(subject)
        output.u8(state.rawValue)
        output.u8(UInt8(named.count))
        output.time(since?.millis)
        output.time(until?.millis)
        output.text8(purpose)
        output.text8(revision?.declaration ?? "")
        output.text8(revision?.revision ?? "")
        for identifier in named {
            output.u8(identifier.type.rawValue)
            output.text8(identifier.value)
        }
    }

    /// Bytes on the wire.
    fileprivate func size(isFirst: Bool) -> Int {
        let texts = [purpose, revision?.declaration ?? "", revision?.revision ?? ""]
        let named = isFirst ? identifiers.prefix(Self.identifiersMax) : []
        return texts.reduce(26) { $0 + 1 + $1.utf8.count } + named.reduce(0) { $0 + 2 + $1.value.utf8.count }
    }
}

extension Timestamp {
    /// Nil for zero, which stands for none.
    fileprivate init?(wire millis: Int64) {
        if millis == 0 { return nil }
        self.init(millis: millis)
    }
}
