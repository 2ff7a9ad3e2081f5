import ConsentModel
import ConsentWire
import Foundation

@testable import ConsentClient

// What was decoded, in the form of the vectors' fields.

private func text(_ number: some BinaryInteger) -> String { "\(number)" }
private func time(_ moment: Timestamp?) -> String { "\(moment?.millis ?? 0)" }

private func set(_ words: [UInt64]) -> [String] {
    words.map { word in
        let digits = String(word, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

extension Conversation.Event {
    var fields: [String: Any]? {
        switch self {
        case .welcomed(let welcome): welcome.fields
        case .turnedAway(let error), .ended(let error): error.fields(request: 0)
        case .refused(let request, let error): error.fields(request: request)
        case .goingAway(let millis): ["request": 0, "millis": millis]
        case .catalogChanged(let version): ["request": 0, "version": version]
        case .answered(let request, let answer): answer.fields.merging(["request": request]) { first, _ in first }
        case .broken: nil
        }
    }
}

extension Welcome {
    fileprivate var fields: [String: Any] {
        [
            "request": 1, "version": version, "versionMin": versionMin, "versionMax": versionMax,
            "catalogVersion": catalogVersion, "sequence": text(sequence), "deployment": deployment.description,
            "history": history.description, "frameSizeMax": frameSizeMax, "requestsInFlightMax": requestsInFlightMax,
            "subjectsPerCheckMax": subjectsPerCheckMax, "eventsPerRecordMax": eventsPerRecordMax,
            "serverName": serverName, "serverVersion": serverVersion,
        ]
    }
}

extension ErrorAnswer {
    fileprivate func fields(request: UInt32) -> [String: Any] {
        ["request": request, "code": code.map { "\($0)" } ?? "?", "detail": detail, "message": message]
    }
}

extension Answer {
    fileprivate var fields: [String: Any] {
        switch self {
        case .pong: [:]
        case .checked(let checked):
            [
                "decision": checked.decision.name, "reason": checked.reason.name, "freshness": checked.freshness.name,
                "sequence": text(checked.sequence),
            ]
        case .checkedPurposes(let answer, _):
            [
                "freshness": answer.freshness.name, "sequence": text(answer.sequence), "granted": set(answer.granted),
                "denied": set(answer.denied),
            ]
        case .checkedSubjects(let answer, let count):
            [
                "freshness": answer.freshness.name, "sequence": text(answer.sequence), "granted": set(answer.granted),
                "denied": set(answer.denied), "count": count,
            ]
        case .explained(let explained): explained.fields
        case .recorded(let recorded):
            ["head": text(recorded.head), "outcomes": recorded.outcomes.map(\.fields)]
        case .appliedCatalog(let applied):
            [
                "dryRun": applied.isDryRun, "version": applied.catalogVersion, "sequence": text(applied.sequence),
                "changes": applied.changes,
            ]
        case .historyPage(let page, _):
            [
                "more": page.hasMore, "head": text(page.head), "events": page.events.map(\.fields),
                "links": page.links.map(\.fields),
            ]
        case .catalogPurposes(let catalog):
            [
                "version": catalog.catalogVersion, "digest": catalog.digest.hex,
                "purposes": catalog.purposes.map { PurposeInfo($0).fields },
            ]
        case .catalogText(let catalog): ["version": catalog.catalogVersion, "document": catalog.document]
        case .statisticValues(let values):
            ["values": values.values.map { ["name": $0.name, "value": text($0.value)] }]
        case .nodeStatus(let status): status.fields
        case .enforcedBy(let enforced): enforced.fields
        case .grantedCount(let count):
            ["sequence": text(count.sequence), "granted": text(count.granted), "known": text(count.known)]
        case .accessPage(let page):
            [
                "more": page.hasMore, "head": text(page.head), "next": text(page.next),
                "entries": page.entries.map(\.fields),
            ]
        case .checkpointed(let text): ["document": text.document]
        case .proved(let text): ["document": text.document, "more": text.hasMore]
        case .erased(let erased):
            [
                "repeated": erased.isRepeated, "pending": erased.isPending, "emptiedEvents": erased.emptiedEvents,
                "sequence": text(erased.sequence), "erasedAt": text(erased.erasedAt), "hash": erased.hash.hex,
                "reason": erased.reason.name, "actor": erased.actor, "objections": erased.objections,
                "identifiers": erased.identifiers.map { ["type": $0.type.name, "hash": $0.hash.hex] },
            ]
        case .linked(let outcome), .unlinked(let outcome):
            [
                "sequence": text(outcome.sequence), "recordedAt": text(outcome.recordedAt), "hash": outcome.hash.hex,
                "identifiers": outcome.identifiers, "denied": outcome.denied,
            ]
        case .tokenIssued(let issued):
            ["endsAt": text(issued.endsAt), "token": issued.token, "events": issued.events.map(text)]
        case .tokenConfirmed(let confirmed):
            [
                "consents": confirmed.consents.map { consent in
                    [
                        "sequence": text(consent.sequence), "refersTo": text(consent.refersTo),
                        "purpose": consent.purpose, "declaration": consent.declaration, "revision": consent.revision,
                    ]
                }
            ]
        case .peoplePage(let page):
            [
                "more": page.hasMore, "head": text(page.head), "next": text(page.next),
                "people": page.people.map(\.fields),
            ]
        }
    }
}

extension NodeStatus {
    fileprivate var fields: [String: Any] {
        [
            "ready": isReady, "edge": isEdge, "catalogVersion": catalogVersion, "sequence": text(sequence),
            "head": text(head), "digest": text(digest), "ageMillis": text(ageMillis),
            "deployment": deployment.description, "history": history.description, "serverVersion": serverVersion,
            "upstream": upstream, "notReady": notReady, "trouble": trouble,
            "edges": edges.map { edge in
                [
                    "enforced": text(edge.enforced), "behindMillis": text(edge.behindMillis),
                    "heardMillis": text(edge.heardMillis), "connected": edge.isConnected,
                    "takesSnapshot": edge.takesSnapshot, "name": edge.name, "gone": edge.gone,
                ] as [String: Any]
            },
        ]
    }
}

extension EnforcedBy {
    fileprivate var fields: [String: Any] {
        [
            "sequence": text(sequence), "head": text(head),
            "edges": edges.map { edge in
                [
                    "enforced": text(edge.enforced), "since": text(edge.since?.millis ?? 0),
                    "connected": edge.isConnected, "answersByIt": edge.answersByIt, "name": edge.name,
                    "atTheLatest": edge.isAtTheLatest,
                ] as [String: Any]
            },
        ]
    }
}

extension Explained {
    fileprivate var fields: [String: Any] {
        [
            "decision": decision.name, "reason": reason.name, "freshness": freshness.name, "basis": basis.name,
            "decidingState": decidingState.map { $0.name as Any } ?? NSNull(), "sequence": text(sequence),
            "expiresAt": time(expiresAt), "grantedUntil": time(grantedUntil),
            "decidingSequence": text(decidingSequence), "decidingCapturedAt": time(decidingCapturedAt),
            "declaration": declaration, "consentedRevision": consentedRevision, "currentRevision": currentRevision,
            "guardian": guardian?.fields ?? NSNull(),
        ]
    }
}

extension RecordedAccess {
    fileprivate var fields: [String: Any] {
        [
            "sequence": text(sequence), "recordedAt": text(recordedAt.millis), "question": entry.question.name,
            "rows": text(entry.rows), "subject": text(entry.subject), "identifierHash": entry.identifierHash.hex,
            "after": text(entry.after), "about": text(entry.about), "from": text(entry.from?.millis ?? 0),
            "until": text(entry.until?.millis ?? 0), "actor": entry.reader.actor, "client": entry.reader.client,
            "purpose": entry.purpose, "except": entry.except, "declaration": entry.declaration,
            "revision": entry.revision, "recipient": entry.recipient,
        ]
    }
}

extension Outcome {
    fileprivate var fields: [String: Any] {
        [
            "code": refusal.map { "\($0)" as Any } ?? NSNull(), "repeated": isDuplicate,
            "sequence": text(sequence), "message": message,
        ]
    }
}

extension RecordedEventMessage {
    fileprivate var fields: [String: Any] {
        [
            "sequence": text(sequence), "recordedAt": text(recordedAt), "refersTo": text(refersTo), "hash": hash.hex,
            "event": event.fields,
        ]
    }
}

extension EventMessage {
    fileprivate var fields: [String: Any] {
        [
            "key": key.map { "\(IdempotencyKey($0))" } ?? String(repeating: "0", count: 32),
            "purpose": purposeBit, "state": state.name, "method": method.name, "party": party.name,
            "express": isExplicit, "age": subjectAge ?? 255, "capturedAt": text(capturedAt),
            "expiresAt": text(expiresAt), "declaration": declaration, "revision": revision, "language": language,
            "system": system, "channel": channel, "form": form, "actor": actor, "evidence": evidence,
            "identifiers": identifiers.map {
                ["type": ConsentModel.IdentifierType(rawValue: $0.typeByte)!.name, "value": $0.value]
            },
            "guardian": guardian?.fields ?? NSNull(),
        ]
    }
}

extension GuardianMessage {
    fileprivate var fields: [String: Any] {
        [
            "relation": relation.name, "type": ConsentModel.IdentifierType(rawValue: typeByte)!.name, "value": value,
        ]
    }
}

extension PurposeInfo {
    fileprivate var fields: [String: Any] {
        [
            "bit": bit, "basis": basis.name, "active": isActive, "explicit": requiresExplicit,
            "doubleOptIn": requiresDoubleOptIn, "profiling": isProfiling, "directMarketing": isDirectMarketing,
            "sharing": isSharing, "id": id, "controller": controller,
        ]
    }
}

extension FoundPerson {
    fileprivate var fields: [String: Any] {
        [
            "subject": text(subject), "state": state.name, "since": text(since?.millis ?? 0),
            "until": text(until?.millis ?? 0), "purpose": purpose, "declaration": revision?.declaration ?? "",
            "revision": revision?.revision ?? "",
            "identifiers": identifiers.map { ["type": $0.type.name, "value": $0.value] },
        ]
    }
}

extension RecordedLinkMessage {
    fileprivate var fields: [String: Any] {
        [
            "sequence": text(sequence), "recordedAt": text(recordedAt), "other": text(other), "hash": hash.hex,
            "action": action.name, "actor": actor,
            "identifiers": identifiers.map { ["type": $0.type.name, "value": $0.value] },
        ]
    }
}
