/// Why something about one person, and not an event alone, was not done. Nothing was stored.
package enum RightsError: Error, Equatable, Sendable {
    /// The ledger knows nobody by this identifier.
    case personUnknown(Identifier)
    /// Who carries it out would stay in the ledger for ever, with the person's own name in it.
    case actorNamesPerson
    case actorTooLong(size: Int)
    /// A rule at the door stands against it.
    case admission(AdmissionError)
    /// Both have an identifier of this type, of which a person has one.
    case linksTwoPeople(IdentifierType)
    /// The only one that the person is known by.
    case identifierIsOnlyOne(IdentifierType)
    /// Nobody was given this confirmation token, or what it was for has been erased.
    case tokenUnknown
    case tokenUsed(at: Timestamp)
    case tokenLapsed(at: Timestamp)
}

extension RightsError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .personUnknown(let identifier): "nobody is known by this \(identifier.type.name) identifier"
        case .actorNamesPerson:
            "who does it holds an identifier of the person, and could never be erased; name the one who carries it out"
        case .actorTooLong(let size):
            "who does it has \(size) bytes; at most \(Limit.shortTextSizeMax) are taken"
        case .admission(let error): "\(error)"
        case .linksTwoPeople(let type):
            "both have a \(type.name) identifier, so they are two people; take off the wrong one with 'consentd unlink' first"
        case .identifierIsOnlyOne(let type):
            "the person is known by this \(type.name) identifier alone; 'consentd erase' forgets the person"
        case .tokenUnknown: "nobody was given this token; ask for a new one"
        case .tokenUsed(let time): "the token was used at \(time.iso8601); it counts once"
        case .tokenLapsed(let time): "the token lapsed at \(time.iso8601); ask the person again"
        }
    }
}
