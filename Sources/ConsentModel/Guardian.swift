/// Who consents for a person, and by what right: the evidence that a consent by a guardian rests on (GDPR art. 8 (2)).
/// Personal: erasure removes it.
package struct Guardian: Hashable, Sendable {
    package var relation: GuardianRelation
    /// By which the guardian is found: an identifier, or as `other` a reference, such as a case number. Nobody is looked
    /// up by it.
    package var identifier: Identifier

    package init(_ relation: GuardianRelation, _ identifier: Identifier) {
        self.relation = relation
        self.identifier = identifier
    }

    /// - Throws: ``AdmissionError``, as ``Identifier/init(type:value:)`` does. Only the hash that stands in place of a
    ///   national id is taken as what it is, so that what was exported can be imported.
    package init(
        _ relation: GuardianRelation, type: IdentifierType, value: some StringProtocol
    ) throws(AdmissionError) {
        let kept = Identifier(recorded: type, value: value.lowercased())
        self.init(relation, kept.nationalIDHash == nil ? try Identifier(type: type, value: String(value)) : kept)
    }
}
