import ConsentModel
import ConsentTestSupport
import ConsentWire

extension TokenIssued {
    init(_ fields: Json) throws {
        self.init(
            endsAt: try fields["endsAt"].number(), token: try fields["token"].text,
            events: try fields["events"].array.map { try $0.number() })
    }

    var fields: [String: Json] {
        ["endsAt": .decimal(endsAt), "token": .text(token), "events": .array(events.map { .decimal($0) })]
    }
}

extension ConfirmTokenRequest {
    init(_ fields: Json) throws {
        self.init(token: try fields["token"].text)
        guardian = try fields.optional("guardian").map(GuardianMessage.init)
        source = EventSource(
            system: try fields["system"].text, channel: try fields["channel"].text, form: try fields["form"].text)
        actor = try fields["actor"].text
    }

    var fields: [String: Json] {
        [
            "guardian": guardian?.fields ?? .null, "token": .text(token), "system": .text(source.system),
            "channel": .text(source.channel), "form": .text(source.form), "actor": .text(actor),
        ]
    }
}

extension TokenConfirmed {
    init(_ fields: Json) throws {
        self.init(
            consents: try fields["consents"].array.map { consent in
                Consent(
                    sequence: try consent["sequence"].number(), refersTo: try consent["refersTo"].number(),
                    purpose: try consent["purpose"].text, declaration: try consent["declaration"].text,
                    revision: try consent["revision"].text)
            })
    }

    var fields: [String: Json] {
        let consents = consents.map { consent in
            Json.object([
                "sequence": .decimal(consent.sequence), "refersTo": .decimal(consent.refersTo),
                "purpose": .text(consent.purpose), "declaration": .text(consent.declaration),
                "revision": .text(consent.revision),
            ])
        }
        return ["consents": .array(consents)]
    }
}
