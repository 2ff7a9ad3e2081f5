package import ConsentModel

extension Identifier {
    package static func customer(_ value: String) -> Identifier { make(.customer, value) }
    package static func email(_ value: String) -> Identifier { make(.email, value) }
    package static func make(_ type: IdentifierType, _ value: String) -> Identifier {
        try! Identifier(type: type, value: value)
    }
}

extension ConsentEvent {
    package init(_ identifiers: [Identifier], _ purpose: String, _ state: EventState, at capturedAt: Timestamp? = nil) {
        self.init(identifiers: identifiers, purpose: purpose, state: state)
        self.capturedAt = capturedAt
    }

    /// With everything that a grant under the sample catalog needs.
    package static func grant(
        _ identifiers: [Identifier], _ purpose: String = "p0", at capturedAt: Timestamp? = nil, revision: String = "1.0"
    ) -> ConsentEvent {
        var event = ConsentEvent(identifiers, purpose, .given, at: capturedAt)
        event.revision = RevisionName(declaration: "club", revision: revision)
        event.language = "nb"
        event.method = .tickedBox
        return event
    }

    /// This event as somebody's act for the person; a guardian is named.
    package func by(_ party: Party, _ guardian: Guardian = .anne) -> ConsentEvent {
        with {
            $0.party = party
            $0.guardian = party == .guardian ? guardian : nil
        }
    }

    /// This event with some of it otherwise.
    package func with(_ change: (inout ConsentEvent) -> Void) -> ConsentEvent {
        var event = self
        change(&event)
        return event
    }
}

/// A consent of a customer under the sample catalog's first revision.
package func sampleGrant(customer: String, purpose: String = "p0") -> ConsentEvent {
    .grant([.customer(customer)], purpose)
}

extension Guardian {
    package static let anne = Guardian(.parent, .email("anne.nordmann@example.no"))
}

extension IdempotencyKey {
    /// Different numbers, different keys.
    package init(_ number: UInt64) { self.init(high: 1, low: number) }
}
