import ConsentModel

/// Turns rows into events: the meaning of a register's columns.
///
/// Blanks around a field are no part of it. An empty field is as if the column were not there.
///
/// A row that takes consent away (a withdrawal, a refusal, an objection) is rejected only if it names nobody, no purpose
/// or no state that is known. Whatever else it says wrongly is left out, and what it says at too great length is cut. A
/// "no" that is lost breaks the law.
///
/// That holds for a row whose fields cannot be told apart to its end, too: with too many or too few of them, too long a
/// field, a quote that does not close. Where the state's own column holds the word for a "no", no separator before it is
/// missing or too many, so the columns up to it are what their names say; those behind it are passed over, and an
/// identifier among them is nobody's.
///
/// A date without a time of day is the whole day. A "no" counts from its end and everything else from its beginning, so
/// that a grant of the same day never outranks the "no".
struct RowInterpreter {
    let columns: RegisterColumns
    let options: RegisterOptions

    private let states = Vocabulary(EventState.allCases.map { ($0.name, $0) })
    private let methods = Vocabulary(EvidenceMethod.allCases.map { ($0.name, $0) })
    private let parties = Vocabulary(Party.allCases.map { ($0.name, $0) })
    private let relations = Vocabulary(GuardianRelation.allCases.map { ($0.name, $0) })
    private let listSources = Vocabulary(ListSource.allCases.map { ($0.name, $0) })
    private let explicitWords = Vocabulary(ExplicitWord.words)
    private var texts = [RepeatedText](repeating: RepeatedText(), count: RegisterField.allCases.count)
    private var days = RepeatedDay()

    init(columns: RegisterColumns, options: RegisterOptions) {
        self.columns = columns
        self.options = options
    }

    /// Whether the state's column says "no", also in a row that is at fault.
    func isNo(_ row: borrowing CSVRow) -> Bool { isNo(field(.state, in: row)) }

    /// Whether a row says "no", as far as anybody can tell: in one whose fields cannot be told apart, some piece of its text
    /// is a word for it.
    func mayBeNo(_ row: borrowing CSVRow) -> Bool {
        if row.isWhole { return isNo(row) }
        return row.text.split { Array(",;\t|\"\r\n".utf8).contains($0) }
            .contains { isNo(UnsafeBufferPointer(rebasing: $0).trimmed) }
    }

    private func isNo(_ word: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let state = states.value(of: word) else { return false }
        return state.takesAway && !state.isInternal
    }

    /// Whether a column of a row can be relied on.
    private func holds(_ position: Int, in row: borrowing CSVRow) -> Bool {
        guard !row.isWhole else { return true }
        guard let state = columns.position(of: .state) else { return false }
        return position < row.readableCount && position <= state
    }

    /// One event for each purpose that the row names.
    ///
    /// - Returns: the events, and what the row's grant lacks as proof, so that they ask again.
    /// - Throws: the first rule that the row breaks.
    mutating func events(of row: borrowing CSVRow) throws(RowFault) -> (
        events: [ConsentEvent], missing: [RegisterField]
    ) {
        let state = try word(.state, in: row, of: states) ?? .given
        guard !state.isInternal else { throw .stateIsInternal(state) }
        let identifiers = try identifiers(of: row, isLenient: state.takesAway)
        var event = ConsentEvent.Fields(identifiers: identifiers, purpose: "", state: state)
        try readAct(row, into: &event)
        try readTexts(row, into: &event)
        let missing = try judgeProof(row, of: &event)
        let (first, more) = try purposes(of: row, isLenient: state.takesAway)
        event.purpose = first
        // Most rows name one: what was put together is the event, and no copy.
        if more.isEmpty { return ([ConsentEvent(event)], missing) }
        return (
            ([first] + more).map { purpose in
                event.purpose = purpose
                return ConsentEvent(event)
            }, missing
        )
    }

    /// - Parameter isLenient: whether one that is valid is enough.
    private func identifiers(of row: borrowing CSVRow, isLenient: Bool) throws(RowFault) -> [Identifier] {
        var identifiers: [Identifier] = []
        identifiers.reserveCapacity(columns.identifiers.count)
        var firstFault: RowFault?
        for (type, position) in columns.identifiers where holds(position, in: row) {
            let field = row[position].trimmed
            if field.isEmpty { continue }
            do throws(RowFault) {
                // A character that was put in for a broken one would make it another person's.
                if row.fault != nil, !Identifier.isText(field) { throw .identifierInvalid(.identifierInvalid(type)) }
                identifiers.append(try identifier(type, field))
            } catch {
                firstFault = firstFault ?? error
            }
        }
        if let firstFault, !isLenient || identifiers.isEmpty { throw firstFault }
        guard !identifiers.isEmpty else { throw .identifierMissing }
        return identifiers
    }

    private func identifier(_ type: IdentifierType, _ field: UnsafeBufferPointer<UInt8>) throws(RowFault) -> Identifier
    {
        if type == .nationalId, field.elementsEqual(RejectFile.nationalIDNote) { throw .nationalIDWithheld }
        do throws(AdmissionError) {
            if type == .phone, let phoneCountry = options.phoneCountry {
                return try phoneCountry.identifier(String(decoding: field, as: UTF8.self))
            }
            return try Identifier(type: type, utf8: field)
        } catch {
            throw .identifierInvalid(error)
        }
    }

    /// Each purpose once, in the order of the row.
    ///
    /// - Parameter isLenient: whether one is enough, and the node says of each what is wrong with it.
    private mutating func purposes(
        of row: borrowing CSVRow, isLenient: Bool
    ) throws(RowFault) -> (first: String, more: [String]) {
        let field = field(.purpose, in: row)
        guard field.contains(UInt8(ascii: "|")) else {
            guard !field.isEmpty else { throw .purposeMissing }
            if !isLenient { try refuseTooLong(.purpose, size: field.count) }
            return (texts[Int(RegisterField.purpose.rawValue)].text(of: field), [])
        }
        let parts = field.split(separator: UInt8(ascii: "|"), omittingEmptySubsequences: false)
        guard isLenient || parts.count <= RegisterLimit.purposesPerRowMax else { throw .purposesTooMany(parts.count) }
        var purposes: [String] = []
        var seen: Set<String> = []
        for part in parts {
            let bytes = UnsafeBufferPointer(rebasing: part).trimmed
            if bytes.isEmpty, isLenient { continue }
            guard !bytes.isEmpty else { throw .purposeMissing }
            if !isLenient { try refuseTooLong(.purpose, size: bytes.count) }
            let purpose = String(decoding: bytes, as: UTF8.self)
            if seen.insert(purpose).inserted { purposes.append(purpose) }
        }
        guard !purposes.isEmpty else { throw .purposeMissing }
        return (purposes.removeFirst(), purposes)
    }

    private mutating func readAct(_ row: borrowing CSVRow, into event: inout ConsentEvent.Fields) throws(RowFault) {
        let isLenient = event.state.takesAway
        do throws(RowFault) {
            event.capturedAt = try capturedAt(in: row, state: event.state)
        } catch  where isLenient {}
        do throws(RowFault) {
            event.party = try word(.party, in: row, of: parties) ?? (namesGuardian(row) ? .guardian : .subject)
        } catch  where isLenient {}
        do throws(RowFault) {
            event.guardian = try guardian(in: row)
        } catch  where isLenient {}
        do throws(RowFault) {
            event.expiresAt = try expiresAt(in: row)
        } catch  where isLenient {}
        do throws(RowFault) {
            event.method = try word(.method, in: row, of: methods) ?? .none
        } catch  where isLenient {}
        do throws(RowFault) {
            event.isExplicit = try word(.explicit, in: row, of: explicitWords) ?? false
        } catch  where isLenient {}
        do throws(RowFault) {
            event.subjectAge = try age(in: row)
        } catch  where isLenient {}
    }

    /// Whom a row names as guardian acts, unless it says that somebody else does.
    private func namesGuardian(_ row: borrowing CSVRow) -> Bool {
        !field(.guardian, in: row).isEmpty || !field(.guardianRelation, in: row).isEmpty
    }

    /// Nil where the row does not say both who it is and by what right.
    private func guardian(in row: borrowing CSVRow) throws(RowFault) -> Guardian? {
        let relation = try word(.guardianRelation, in: row, of: relations)
        let field = field(.guardian, in: row)
        if field.isEmpty { return nil }
        do throws(AdmissionError) {
            let text = String(decoding: field, as: UTF8.self)
            guard let colon = text.firstIndex(of: ":"), let type = IdentifierType(name: String(text[..<colon])) else {
                throw .identifierTypeUnknown(text)
            }
            if row.fault != nil, !Identifier.isText(field) { throw .identifierInvalid(type) }
            let value = text[text.index(after: colon)...]
            let named =
                if type == .phone, let phoneCountry = options.phoneCountry {
                    Guardian(.parent, try phoneCountry.identifier(String(value)))
                } else { try Guardian(.parent, type: type, value: value) }
            return relation.map { Guardian($0, named.identifier) }
        } catch {
            throw .guardianInvalid(error)
        }
    }

    private mutating func readTexts(_ row: borrowing CSVRow, into event: inout ConsentEvent.Fields) throws(RowFault) {
        let isCut = event.state.takesAway
        let declaration = try text(.declaration, in: row, isCut: isCut)
        let revision = try text(.revision, in: row, isCut: isCut)
        if !declaration.isEmpty, !revision.isEmpty {
            event.revision = RevisionName(declaration: declaration, revision: revision)
        }
        event.language = try text(.language, in: row, isCut: isCut)
        event.source.system = try text(.system, in: row, isCut: isCut)
        event.source.channel = try text(.channel, in: row, isCut: isCut)
        event.source.form = try text(.form, in: row, isCut: isCut)
        event.actor = try text(.actor, in: row, isCut: isCut)
        event.evidence = try text(.evidence, in: row, isCut: isCut)
    }

    /// A grant that cannot be proved becomes a request, to ask again; from a bought list it becomes nothing, and so
    /// does a request without proof from one: nobody there has asked to be asked. What follows an act, such as the end of
    /// an objection, must say when it did.
    ///
    /// - Returns: what is missing of a grant that became a request.
    private func judgeProof(_ row: borrowing CSVRow, of event: inout ConsentEvent.Fields) throws(RowFault)
        -> [RegisterField]
    {
        guard !event.state.takesAway else { return [] }
        let missing = missingProof(of: event, row)
        let source = try word(.listSource, in: row, of: listSources) ?? options.listSource
        if source == .bought, !missing.isEmpty {
            throw .boughtWithoutProof(missing: missing)
        }
        guard event.state.isGrant else {
            let followsAnAct = event.state == .confirmed || event.state == .objectionLifted
            if followsAnAct, event.capturedAt == nil { throw .undated(event.state) }
            event.capturedAt = event.capturedAt ?? options.undatedAt
            return []
        }
        if event.method != .none, !event.method.isActiveConsent { throw .methodIsNotConsent(event.method) }
        guard missing.isEmpty else {
            event.state = .requested
            event.capturedAt = event.capturedAt ?? options.undatedAt
            // The end was that of the consent, and there is none.
            event.expiresAt = nil
            return missing
        }
        if let expiresAt = event.expiresAt, let capturedAt = event.capturedAt, expiresAt <= capturedAt {
            throw .endsBeforeCapture
        }
        return []
    }

    private func missingProof(of event: ConsentEvent.Fields, _ row: borrowing CSVRow) -> [RegisterField] {
        var missing: [RegisterField] = []
        if event.revision == nil { missing += [.declaration, .revision] }
        if event.method == .none { missing.append(.method) }
        if event.capturedAt == nil { missing.append(.capturedAt) }
        if event.state.isGrant, event.party == .guardian {
            for field in [RegisterField.guardianRelation, .guardian] where self.field(field, in: row).isEmpty {
                missing.append(field)
            }
        }
        return missing
    }
}

/// One field.
extension RowInterpreter {
    private static let ageMax = 150
    private static let dateSize = 10
    private static let dayMillis: Int64 = 86_400_000

    private func field(_ field: RegisterField, in row: borrowing CSVRow) -> UnsafeBufferPointer<UInt8> {
        guard let position = columns.position(of: field), holds(position, in: row) else {
            return UnsafeBufferPointer(start: nil, count: 0)
        }
        return row[position].trimmed
    }

    private func word<Value>(
        _ field: RegisterField, in row: borrowing CSVRow, of words: Vocabulary<Value>
    ) throws(RowFault) -> Value? {
        let bytes = self.field(field, in: row)
        if bytes.isEmpty { return nil }
        guard let value = words.value(of: bytes) else {
            throw .wordUnknown(field, String(decoding: bytes, as: UTF8.self))
        }
        return value
    }

    /// Nil where the row does not say, or says what stands for "unknown", or a "no" claims to be later than now: the node
    /// then says when that was.
    private mutating func capturedAt(
        in row: borrowing CSVRow, state: EventState
    ) throws(RowFault) -> Timestamp? {
        guard let time = try time(.capturedAt, in: row), time >= RegisterLimit.datedMin else { return nil }
        guard state.takesAway else { return time }
        let isDay = field(.capturedAt, in: row).count == Self.dateSize
        let counted = isDay ? Timestamp(millis: time.millis + Self.dayMillis - 1) : time
        return counted > options.now ? nil : counted
    }

    /// An end in 1970 or before is none that can be handed on.
    private mutating func expiresAt(in row: borrowing CSVRow) throws(RowFault) -> Timestamp? {
        guard let time = try time(.expiresAt, in: row) else { return nil }
        guard time >= Limit.captureMin else {
            throw .timeInvalid(.expiresAt, String(decoding: field(.expiresAt, in: row), as: UTF8.self))
        }
        return time
    }

    private mutating func time(_ field: RegisterField, in row: borrowing CSVRow) throws(RowFault) -> Timestamp? {
        let bytes = self.field(field, in: row)
        if bytes.isEmpty { return nil }
        guard let time = days.time(of: bytes) else {
            throw .timeInvalid(field, String(decoding: bytes, as: UTF8.self))
        }
        return time
    }

    private func age(in row: borrowing CSVRow) throws(RowFault) -> Int? {
        let bytes = field(.age, in: row)
        if bytes.isEmpty { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        guard let age = Int(text), (0...Self.ageMax).contains(age) else { throw .ageInvalid(text) }
        return age
    }

    /// - Parameter isCut: whether what is too long is cut instead of refused.
    private mutating func text(
        _ field: RegisterField, in row: borrowing CSVRow, isCut: Bool
    ) throws(RowFault) -> String {
        let bytes = self.field(field, in: row)
        if bytes.isEmpty { return "" }
        if row.fault != nil { return Self.mended(bytes, sizeMax: Self.sizeMax(field)) }
        if !isCut { try refuseTooLong(field, size: bytes.count) }
        return texts[Int(field.rawValue)].text(of: bytes.cut(to: Self.sizeMax(field)))
    }

    /// With U+FFFD for what is not text, which may make it longer.
    private static func mended(_ bytes: UnsafeBufferPointer<UInt8>, sizeMax: Int) -> String {
        let text = String(decoding: bytes.lazy.map { $0 == 0 ? 0xFF : $0 }, as: UTF8.self)
        return Array(text.utf8).withUnsafeBufferPointer { String(decoding: $0.cut(to: sizeMax), as: UTF8.self) }
    }

    private func refuseTooLong(_ field: RegisterField, size: Int) throws(RowFault) {
        let sizeMax = Self.sizeMax(field)
        guard size <= sizeMax else { throw .textTooLong(field, size: size, sizeMax: sizeMax) }
    }

    private static func sizeMax(_ field: RegisterField) -> Int {
        field == .evidence ? Limit.evidenceSizeMax : Limit.shortTextSizeMax
    }
}
