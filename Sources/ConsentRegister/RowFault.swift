package import ConsentModel

/// Why a row that could be read is not taken. None of its purposes becomes an event.
package enum RowFault: Error, Equatable, Sendable {
    case identifierMissing
    case identifierInvalid(AdmissionError)
    /// The row was copied from a reject file, which holds no national ids.
    case nationalIDWithheld
    case purposeMissing
    case purposesTooMany(Int)
    /// A word that none of the column's is.
    case wordUnknown(RegisterField, String)
    case timeInvalid(RegisterField, String)
    /// An act that follows another one, without saying when.
    case undated(EventState)
    case ageInvalid(String)
    case guardianInvalid(AdmissionError)
    case textTooLong(RegisterField, size: Int, sizeMax: Int)
    case stateIsInternal(EventState)
    case methodIsNotConsent(EvidenceMethod)
    case endsBeforeCapture
    case boughtWithoutProof(missing: [RegisterField])

    /// A slug for the reject file and for counting.
    package var rule: String {
        switch self {
        case .identifierMissing: "identifier_missing"
        case .identifierInvalid: "identifier_invalid"
        case .nationalIDWithheld: "national_id_withheld"
        case .purposeMissing: "purpose_missing"
        case .purposesTooMany: "purposes_too_many"
        case .wordUnknown(let field, _): "\(field.name)_unknown"
        case .timeInvalid(let field, _): "\(field.name)_invalid"
        case .undated: "captured_at_missing"
        case .ageInvalid: "age_invalid"
        case .guardianInvalid: "guardian_invalid"
        case .textTooLong: "text_too_long"
        case .stateIsInternal: "state_is_internal"
        case .methodIsNotConsent: "method_is_not_consent"
        case .endsBeforeCapture: "ends_before_capture"
        case .boughtWithoutProof: "bought_without_proof"
        }
    }

    /// What was wrong and what to do.
    package var message: String {
        switch self {
        case .identifierMissing: "no identifier column of this row holds anything"
        case .identifierInvalid(let error): error.description
        case .nationalIDWithheld:
            "the row was copied from a reject file, which holds no national id; take it from the register"
        case .purposeMissing: "the row names no purpose, or an empty one between '|'"
        case .purposesTooMany(let count):
            "the row names \(count) purposes; at most \(RegisterLimit.purposesPerRowMax) are taken"
        case .wordUnknown(let field, let word):
            "\(field.name) '\(Self.short(word))' is none of \(Self.words(of: field))"
        case .timeInvalid(let field, let text):
            "\(field.name) '\(Self.short(text))' is not a time; write 2026-11-22, 2026-11-22T10:15:30Z or "
                + "2026-11-22T10:15:30+01:00"
        case .undated(let state):
            "the row does not say when it was '\(state.name)', so it names no act that it could follow; write captured_at"
        case .ageInvalid(let text): "age '\(Self.short(text))' is not a number of years from 0 to 150"
        case .guardianInvalid(.identifierTypeUnknown):
            "the guardian is not named as type:value, with a type out of \(IdentifierType.names)"
        case .guardianInvalid(let error): "guardian: \(error)"
        case .textTooLong(let field, let size, let sizeMax):
            "\(field.name) has \(size) bytes; at most \(sizeMax) are taken"
        case .stateIsInternal(let state): "only the node itself records '\(state.name)'"
        case .methodIsNotConsent(let method):
            "'\(method.name)' is not consent: only an active, separate act is (GDPR art. 4 (11))"
        case .endsBeforeCapture: "the consent would end before it was given"
        case .boughtWithoutProof(let missing):
            "the row is from a bought list and proves nothing: it lacks "
                + missing.map(\.name).joined(separator: ", ")
        }
    }

    private static let wordSizeMax = 60

    private static func short(_ text: String) -> String {
        text.count <= wordSizeMax ? text : text.prefix(wordSizeMax) + "…"
    }

    private static func words(of field: RegisterField) -> String {
        switch field {
        case .state: EventState.names
        case .method: EvidenceMethod.names
        case .party: Party.names
        case .guardianRelation: GuardianRelation.names
        case .explicit: ExplicitWord.names
        case .listSource: ListSource.names
        default: ""
        }
    }
}

/// Where the addresses of a row come from.
package enum ListSource: UInt8, Sendable, NamedInSnakeCase {
    case own
    case bought
}

/// The ways of writing yes and no: English, Norwegian and Swedish exports have them all.
enum ExplicitWord {
    static let words = [
        ("true", true), ("false", false), ("1", true), ("0", false), ("ja", true), ("nej", false), ("nei", false),
        ("yes", true), ("no", false),
    ]
    static var names: String { words.map(\.0).joined(separator: ", ") }
}
