/// Why something about a person as a whole was not done. Nothing was stored.
package enum RightsError: Error, Equatable, Sendable {
    /// The ledger knows nobody by this identifier.
    case personUnknown(Identifier)
    /// Who carries it out would stay in the ledger for ever, with the person's own name in it.
    case actorNamesPerson
    case actorTooLong(size: Int)
}

extension RightsError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .personUnknown(let identifier): "nobody is known by this \(identifier.type.name) identifier"
        case .actorNamesPerson:
            "who does it holds an identifier of the person, and could never be erased; name the one who carries it out"
        case .actorTooLong(let size):
            "who does it has \(size) bytes; at most \(Limit.shortTextSizeMax) are taken"
        }
    }
}
