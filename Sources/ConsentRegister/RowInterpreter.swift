import ConsentModel

/// Turns rows into events: the meaning of a register's columns.
///
/// Blanks around a field are no part of it. An empty field is as if the column were not there.
///
/// A row that takes consent away (a withdrawal, a refusal, an objection) is never rejected for its evidence: what it
/// says wrongly of method, explicitness, age, end or list is left out. A "no" that is lost breaks the law.
struct RowInterpreter {
    let columns: RegisterColumns
    let options: RegisterOptions

    private let states = Vocabulary(EventState.allCases.map { ($0.name, $0) })
    private let methods = Vocabulary(EvidenceMethod.allCases.map { ($0.name, $0) })
    private let parties = Vocabulary(Party.allCases.map { ($0.name, $0) })
    private let listSources = Vocabulary(ListSource.allCases.map { ($0.name, $0) })
    private let explicitWords = Vocabulary(ExplicitWord.words)
    private var texts = [RepeatedText](repeating: RepeatedText(), count: RegisterField.allCases.count)
    private var days = RepeatedDay()
    private var keys = EventKey()

    init(columns: RegisterColumns, options: RegisterOptions) {
        self.columns = columns
        self.options = options
    }

    /// One event for each purpose that the row names, each with a key if it could not be known again without.
    ///
    /// - Returns: the events, and whether they ask again because the row's grant is without proof.
    /// - Throws: the first rule that the row breaks.
    mutating func events(of row: borrowing CSVRow) throws(RowFault) -> (events: [ConsentEvent], isWithoutProof: Bool) {
        let state = try word(.state, in: row, of: states) ?? .given
        guard !state.isInternal else { throw .stateIsInternal(state) }
        var event = ConsentEvent(identifiers: try identifiers(of: row), purpose: "", state: state)
        try readAct(row, into: &event)
        try readTexts(row, into: &event)
        let isWithoutProof = try judgeProof(row, of: &event)
        var events = try purposes(of: row).map { purpose in
            var event = event
            event.purpose = purpose
            return event
        }
        // With its capture time, an event is known again by what it says.
        if event.capturedAt == nil { keys.assign(to: &events) }
        return (events, isWithoutProof)
    }

    private func identifiers(of row: borrowing CSVRow) throws(RowFault) -> [Identifier] {
        var identifiers: [Identifier] = []
        identifiers.reserveCapacity(columns.identifiers.count)
        for (type, position) in columns.identifiers {
            let field = row[position].trimmed
            if field.isEmpty { continue }
            do throws(AdmissionError) {
                identifiers.append(try Identifier(type: type, value: String(decoding: field, as: UTF8.self)))
            } catch {
                throw .identifierInvalid(error)
            }
        }
        guard !identifiers.isEmpty else { throw .identifierMissing }
        return identifiers
    }

    /// Each purpose once, in the order of the row.
    private mutating func purposes(of row: borrowing CSVRow) throws(RowFault) -> [String] {
        let field = field(.purpose, in: row)
        guard field.contains(UInt8(ascii: "|")) else {
            guard !field.isEmpty else { throw .purposeMissing }
            return [try text(.purpose, in: row)]
        }
        let parts = field.split(separator: UInt8(ascii: "|"), omittingEmptySubsequences: false)
        guard parts.count <= RegisterLimit.purposesPerRowMax else { throw .purposesTooMany(parts.count) }
        var purposes: [String] = []
        for part in parts {
            let bytes = UnsafeBufferPointer(rebasing: part).trimmed
            guard !bytes.isEmpty else { throw .purposeMissing }
            try refuseTooLong(.purpose, size: bytes.count)
            let purpose = String(decoding: bytes, as: UTF8.self)
            if !purposes.contains(purpose) { purposes.append(purpose) }
        }
        return purposes
    }

    private mutating func readAct(_ row: borrowing CSVRow, into event: inout ConsentEvent) throws(RowFault) {
        let isLenient = event.state.takesAway
        event.capturedAt = try time(.capturedAt, in: row)
        event.party = try word(.party, in: row, of: parties) ?? .subject
        do throws(RowFault) {
            event.expiresAt = try time(.expiresAt, in: row)
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

    private mutating func readTexts(_ row: borrowing CSVRow, into event: inout ConsentEvent) throws(RowFault) {
        let declaration = try text(.declaration, in: row)
        let revision = try text(.revision, in: row)
        if !declaration.isEmpty, !revision.isEmpty {
            event.revision = RevisionName(declaration: declaration, revision: revision)
        }
        event.language = try text(.language, in: row)
        event.source.system = try text(.system, in: row)
        event.source.channel = try text(.channel, in: row)
        event.source.form = try text(.form, in: row)
        event.actor = try text(.actor, in: row)
        event.evidence = try text(.evidence, in: row)
    }

    /// A grant that cannot be proved becomes a request, to ask again; from a bought list it becomes nothing, and so
    /// does a request without proof from one: nobody there has asked to be asked.
    private func judgeProof(_ row: borrowing CSVRow, of event: inout ConsentEvent) throws(RowFault) -> Bool {
        guard !event.state.takesAway else { return false }
        let missing = missingProof(of: event)
        if try word(.listSource, in: row, of: listSources) == .bought, !missing.isEmpty {
            throw .boughtWithoutProof(missing: missing)
        }
        guard event.state.isGrant else {
            event.capturedAt = event.capturedAt ?? options.undatedAt
            return false
        }
        if event.method != .none, !event.method.isActiveConsent { throw .methodIsNotConsent(event.method) }
        guard missing.isEmpty else {
            event.state = .requested
            event.capturedAt = event.capturedAt ?? options.undatedAt
            // The end was that of the consent, and there is none.
            event.expiresAt = nil
            return true
        }
        if let expiresAt = event.expiresAt, let capturedAt = event.capturedAt, expiresAt <= capturedAt {
            throw .endsBeforeCapture
        }
        return false
    }

    private func missingProof(of event: ConsentEvent) -> [RegisterField] {
        var missing: [RegisterField] = []
        if event.revision == nil { missing += [.declaration, .revision] }
        if event.method == .none { missing.append(.method) }
        if event.capturedAt == nil { missing.append(.capturedAt) }
        return missing
    }
}

/// One field.
extension RowInterpreter {
    private static let ageMax = 150

    private func field(_ field: RegisterField, in row: borrowing CSVRow) -> UnsafeBufferPointer<UInt8> {
        columns.position(of: field).map { row[$0].trimmed } ?? UnsafeBufferPointer(start: nil, count: 0)
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

    private mutating func text(_ field: RegisterField, in row: borrowing CSVRow) throws(RowFault) -> String {
        let bytes = self.field(field, in: row)
        if bytes.isEmpty { return "" }
        try refuseTooLong(field, size: bytes.count)
        return texts[Int(field.rawValue)].text(of: bytes)
    }

    private func refuseTooLong(_ field: RegisterField, size: Int) throws(RowFault) {
        let sizeMax = field == .evidence ? Limit.evidenceSizeMax : Limit.shortTextSizeMax
        guard size <= sizeMax else { throw .textTooLong(field, size: size, sizeMax: sizeMax) }
    }
}
