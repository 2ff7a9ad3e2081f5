"""The golden vectors: every valid frame, every broken one, every beginning."""

from __future__ import annotations

import unittest
from typing import Any

from consentd import (
    ConsentError,
    Decision,
    ErasureReason,
    EventState,
    EvidenceMethod,
    GuardianRelation,
    IdentifierType,
    Party,
    PeopleSelection,
    ProofKind,
    ProtocolViolation,
    Subject,
)
from consentd import _wire as wire
from consentd._channel import Channel
from consentd._protocol import ERROR_NAMES, FRAME_SIZE_MAX, HEADER_SIZE, PROOF_SIZE_MAX, ErrorCode, Opcode

from .support import TABLE, Vector, open_channel, request_answered_by, vectors

ALL = vectors()
FOR_CLIENT = [vector for vector in ALL if vector.state == "client"]
VALID = [vector for vector in ALL if vector.kind == "valid" and not vector.is_of_session]


class Listening:
    """A channel that waits for what this frame would be if it were right, and what came of it."""

    def __init__(self, data: bytes) -> None:
        self.results: list[Any] = []
        self.request = int.from_bytes(data[8:12], "little") if len(data) >= 12 else 1
        self.is_greeting = len(data) > 4 and data[4] == Opcode.WELCOME
        if self.is_greeting:
            self.channel = Channel(wire.Hello(), now=0.0)
            # Hello took the first id.
            self.channel._hello_request = self.request
        else:
            self.channel = open_channel()
            self.channel._next_request = self.request or 1
            self.channel.submit(request_answered_by(data), self.results.append)
            self.channel.output.clear()

    def feed(self, data: bytes) -> None:
        self.channel.receive(data, 0.0)

    @property
    def answers(self) -> list[Any]:
        return [result for result in self.results if not isinstance(result, ConsentError)]


def bits(number: int, words: int) -> list[str]:
    return [f"{number >> 64 * word & (1 << 64) - 1:016x}" for word in range(words)]


def name(code: Any) -> str:
    return str(code.name).lower()


def event_fields(event: wire.EventMessage) -> dict[str, Any]:
    return {
        "key": event.key.hex(),
        "purpose": event.purpose,
        "state": name(event.state),
        "method": name(event.method),
        "party": name(event.party),
        "express": event.is_explicit,
        "age": event.age,
        "capturedAt": str(event.captured_at),
        "expiresAt": str(event.expires_at),
        "declaration": event.declaration,
        "revision": event.revision,
        "language": event.language,
        "system": event.system,
        "channel": event.channel,
        "form": event.form,
        "actor": event.actor,
        "evidence": event.evidence,
        "identifiers": [{"type": name(kind), "value": value} for kind, value in event.identifiers],
        "guardian": guardian_fields(event.guardian),
    }


def guardian_fields(named: wire.NamedGuardian | None) -> dict[str, Any] | None:
    return None if named is None else {"relation": name(named[0]), "type": name(named[1]), "value": named[2]}


def guardian_of(fields: dict[str, Any] | None) -> wire.NamedGuardian | None:
    if fields is None:
        return None
    relation, kind = fields["relation"].upper(), fields["type"].upper()
    return GuardianRelation[relation], IdentifierType[kind], fields["value"]


def answer_fields(answer: Any, vector: Vector) -> dict[str, Any]:
    """An answer in the form of the vectors' fields."""
    match answer:
        case int():
            return {"echo": str(answer)}
        case wire.Checked():
            return {
                "decision": name(answer.decision),
                "reason": name(answer.reason),
                "freshness": name(answer.freshness),
                "sequence": str(answer.sequence),
            }
        case wire.CheckedSet():
            words = len(vector.fields["granted"])
            fields = {
                "freshness": name(answer.freshness),
                "sequence": str(answer.sequence),
                "granted": bits(answer.granted, words),
                "denied": bits(answer.denied, words),
            }
            return fields | ({"count": vector.fields["count"]} if "count" in vector.fields else {})
        case wire.Explained():
            return {
                "decision": name(answer.decision),
                "reason": name(answer.reason),
                "freshness": name(answer.freshness),
                "basis": name(answer.basis),
                "decidingState": name(answer.deciding_state) if answer.deciding_state else None,
                "sequence": str(answer.sequence),
                "expiresAt": str(answer.expires_at),
                "grantedUntil": str(answer.granted_until),
                "decidingSequence": str(answer.deciding_sequence),
                "decidingCapturedAt": str(answer.deciding_captured_at),
                "declaration": answer.declaration,
                "consentedRevision": answer.consented_revision,
                "currentRevision": answer.current_revision,
                "guardian": guardian_fields(answer.guardian),
            }
        case wire.Recorded():
            outcomes = [
                {
                    "code": ERROR_NAMES[ErrorCode(outcome.code)] if outcome.code else None,
                    "repeated": outcome.is_duplicate,
                    "sequence": str(outcome.sequence),
                    "message": outcome.message,
                }
                for outcome in answer.outcomes
            ]
            return {"head": str(answer.head), "outcomes": outcomes}
        case wire.AppliedCatalog():
            return {
                "dryRun": answer.is_dry_run,
                "version": answer.version,
                "sequence": str(answer.sequence),
                "changes": list(answer.changes),
            }
        case wire.HistoryPage():
            events = [
                {
                    "sequence": str(event.sequence),
                    "recordedAt": str(event.recorded_at),
                    "refersTo": str(event.refers_to),
                    "hash": event.hash.hex(),
                    "event": event_fields(event.event),
                }
                for event in answer.events
            ]
            links = [
                {
                    "sequence": str(link.sequence),
                    "recordedAt": str(link.recorded_at),
                    "other": str(link.other),
                    "hash": link.hash.hex(),
                    "action": name(link.action),
                    "actor": link.actor,
                    "identifiers": [{"type": name(kind), "value": value} for kind, value in link.identifiers],
                }
                for link in answer.links
            ]
            return {"more": answer.has_more, "head": str(answer.head), "events": events, "links": links}
        case wire.LinkOutcome():
            return {
                "sequence": str(answer.sequence),
                "recordedAt": str(answer.recorded_at),
                "hash": answer.hash.hex(),
                "identifiers": answer.identifiers,
                "denied": list(answer.denied),
            }
        case wire.Erased():
            return {
                "repeated": answer.is_repeated,
                "pending": answer.is_pending,
                "emptiedEvents": answer.emptied_events,
                "sequence": str(answer.sequence),
                "erasedAt": str(answer.erased_at),
                "hash": answer.hash.hex(),
                "reason": name(answer.reason),
                "actor": answer.actor,
                "objections": list(answer.objections),
                "identifiers": [{"type": name(kind), "hash": digest.hex()} for kind, digest in answer.suppressed],
            }
        case wire.AccessPage():
            entries = [
                {
                    "sequence": str(one.sequence),
                    "recordedAt": str(one.recorded_at),
                    "question": name(one.question),
                    "rows": str(one.rows),
                    "subject": str(one.subject),
                    "identifierHash": one.identifier_hash.hex(),
                    "after": str(one.after),
                    "about": str(one.about),
                    "from": str(one.start),
                    "until": str(one.until),
                    "actor": one.actor,
                    "client": one.client,
                    "purpose": one.purpose,
                    "except": one.but_not,
                    "declaration": one.declaration,
                    "revision": one.revision,
                    "recipient": one.recipient,
                }
                for one in answer.entries
            ]
            return {"more": answer.has_more, "head": str(answer.head), "next": str(answer.next), "entries": entries}
        case wire.ConfirmationToken():
            return {
                "endsAt": str(answer.ends_at),
                "token": answer.token,
                "events": [str(event) for event in answer.events],
            }
        case wire.TokenConfirmed():
            consents = [
                {
                    "sequence": str(consent.sequence),
                    "refersTo": str(consent.refers_to),
                    "purpose": consent.purpose,
                    "declaration": consent.declaration,
                    "revision": consent.revision,
                }
                for consent in answer.consents
            ]
            return {"consents": consents}
        case str():
            return {"document": answer} | ({"more": False} if vector.opcode == Opcode.PROVED else {})
        case wire.GrantedCount():
            return {"sequence": str(answer.sequence), "granted": str(answer.granted), "known": str(answer.known)}
        case wire.NodeStatus():
            return {
                "ready": answer.is_ready,
                "edge": answer.is_edge,
                "catalogVersion": answer.catalog_version,
                "sequence": str(answer.sequence),
                "head": str(answer.head),
                "digest": str(answer.digest),
                "ageMillis": millis(answer.age_millis),
                "deployment": answer.deployment,
                "history": answer.history,
                "serverVersion": answer.server_version,
                "upstream": answer.upstream,
                "notReady": answer.not_ready,
                "trouble": answer.trouble,
                "edges": [
                    {
                        "enforced": str(edge.enforced),
                        "behindMillis": millis(edge.behind_millis),
                        "heardMillis": millis(edge.heard_millis),
                        "connected": edge.is_connected,
                        "takesSnapshot": edge.takes_snapshot,
                        "name": edge.name,
                        "gone": edge.gone,
                    }
                    for edge in answer.edges
                ],
            }
        case wire.Enforcement():
            return {
                "sequence": str(answer.sequence),
                "head": str(answer.head),
                "edges": [
                    {
                        "enforced": str(edge.enforced),
                        "since": str(edge.since or 0),
                        "connected": edge.is_connected,
                        "answersByIt": edge.answers_by_it,
                        "atTheLatest": edge.is_at_the_latest,
                        "name": edge.name,
                    }
                    for edge in answer.edges
                ],
            }
        case wire.PeoplePage():
            people = [
                {
                    "subject": str(found.subject),
                    "state": name(found.state),
                    "since": str(found.since),
                    "until": str(found.until),
                    "purpose": found.purpose,
                    "declaration": found.declaration,
                    "revision": found.revision,
                    "identifiers": [{"type": name(kind), "value": value} for kind, value in found.identifiers],
                }
                for found in answer.people
            ]
            return {"more": answer.has_more, "head": str(answer.head), "next": str(answer.next), "people": people}
        case wire.CatalogPurposes():
            purposes = [
                {
                    "bit": info.bit,
                    "basis": name(info.basis),
                    "active": info.is_active,
                    "explicit": info.is_explicit,
                    "doubleOptIn": info.is_double_opt_in,
                    "profiling": info.is_profiling,
                    "directMarketing": info.is_direct_marketing,
                    "sharing": info.is_sharing,
                    "id": info.id,
                    "controller": info.controller,
                }
                for info in answer.purposes
            ]
            return {"version": answer.version, "digest": answer.digest.hex(), "purposes": purposes}
        case wire.CatalogDocument():
            return {"version": answer.version, "document": answer.document}
        case tuple():
            return {"values": [{"name": key, "value": str(value)} for key, value in answer]}
    raise AssertionError(f"no fields of {answer}")


def millis(number: int | None) -> str:
    return str(2**64 - 1 if number is None else number)


def welcome_fields(welcome: wire.Welcome) -> dict[str, Any]:
    return {
        "version": welcome.version,
        "versionMin": welcome.version_min,
        "versionMax": welcome.version_max,
        "catalogVersion": welcome.catalog_version,
        "sequence": str(welcome.sequence),
        "deployment": welcome.deployment.hex(),
        "history": welcome.history.hex(),
        "frameSizeMax": welcome.frame_size_max,
        "requestsInFlightMax": welcome.requests_in_flight_max,
        "subjectsPerCheckMax": welcome.subjects_per_check_max,
        "eventsPerRecordMax": welcome.events_per_record_max,
        "serverName": welcome.server_name,
        "serverVersion": welcome.server_version,
    }


def request_bytes(vector: Vector) -> bytes | None:
    """None for what this client never sends, such as a bitset that is longer than it need be."""
    fields = vector.fields

    def subject() -> Subject:
        return Subject(IdentifierType[fields["type"].upper()], fields["identifier"])

    def encoded(request: wire.Request) -> bytes:
        return request.encode(fields["request"], TABLE)[0]

    match vector.opcode:
        case Opcode.HELLO:
            hello = wire.Hello(
                bytes.fromhex(fields["deployment"]),
                fields["clientName"],
                fields["clientVersion"],
                fields["token"].encode(),
                fields["versionMin"],
                fields["versionMax"],
            )
            return hello.encode(fields["request"])
        case Opcode.PING:
            return encoded(wire.PingRequest(int(fields["echo"])))
        case Opcode.CHECK if fields["purpose"] < 960:
            return encoded(wire.CheckRequest(subject(), f"p{fields['purpose']}"))
        case Opcode.EXPLAIN if fields["purpose"] < 960:
            return encoded(wire.ExplainRequest(subject(), f"p{fields['purpose']}"))
        case Opcode.CHECK_PURPOSES:
            words = [int(word, 16) for word in fields["purposes"]]
            if len(words) > 1 and words[-1] == 0:
                return None
            asked = [64 * place + bit for place, word in enumerate(words) for bit in range(64) if word >> bit & 1]
            return encoded(wire.CheckPurposesRequest(subject(), tuple(f"p{bit}" for bit in asked)))
        case Opcode.CHECK_SUBJECTS if fields["purpose"] < 960:
            values = tuple(value.encode() for value in fields["identifiers"])
            kind = IdentifierType[fields["type"].upper()]
            return encoded(wire.CheckSubjectsRequest(kind, values, f"p{fields['purpose']}"))
        case Opcode.RECORD:
            return encoded(wire.RecordRequest(tuple(event_of(event) for event in fields["events"])))
        case Opcode.APPLY_CATALOG:
            return encoded(wire.ApplyCatalogRequest(fields["document"], fields["dryRun"]))
        case Opcode.HISTORY:
            return encoded(
                wire.HistoryRequest(subject(), int(fields["after"]), fields["limit"], fields["links"])
            )
        case Opcode.LINK:
            person = Subject(IdentifierType[fields["personType"].upper()], fields["person"])
            return encoded(wire.LinkRequest(subject(), person, fields["actor"]))
        case Opcode.UNLINK:
            return encoded(wire.UnlinkRequest(subject(), fields["actor"]))
        case Opcode.ERASE:
            return encoded(
                wire.EraseRequest(subject(), ErasureReason[fields["reason"].upper()], fields["actor"])
            )
        case Opcode.ISSUE_TOKEN:
            return encoded(wire.IssueTokenRequest(subject(), tuple(fields["purposes"])))
        case Opcode.CONFIRM_TOKEN:
            return encoded(
                wire.ConfirmTokenRequest(
                    fields["token"],
                    guardian_of(fields["guardian"]),
                    fields["system"],
                    fields["channel"],
                    fields["form"],
                    fields["actor"],
                )
            )
        case Opcode.COUNT_GRANTED:
            return encoded(wire.CountGrantedRequest(fields["purpose"], fields["except"]))
        case Opcode.PEOPLE:
            known = ["unknown", "requested", "expired", "outdated", "dormant"]
            question = wire.PeopleQuestion(
                PeopleSelection[fields["selection"].upper()],
                sum(1 << known.index(reason) for reason in fields["reasons"]),
                int(fields["from"]),
                int(fields["until"]),
                fields["purpose"],
                fields["except"],
                fields["declaration"],
                fields["revision"],
                fields["recipient"],
                fields["document"],
            )
            asked = wire.PeopleRequest(question, int(fields["after"]), int(fields["asOf"]), fields["peopleMax"])
            return encoded(asked)
        case Opcode.CATALOG:
            return encoded(wire.CatalogRequest())
        case Opcode.CATALOG_DOCUMENT:
            return encoded(wire.CatalogDocumentRequest())
        case Opcode.STATISTICS:
            return encoded(wire.StatisticsRequest())
        case Opcode.STATUS:
            return encoded(wire.StatusRequest())
        case Opcode.ACCESS_LOG:
            about = subject() if fields["type"] else None
            times = int(fields["since"]), int(fields["until"])
            return encoded(wire.AccessLogRequest(about, fields["actor"], *times, int(fields["after"]), fields["limit"]))
        case Opcode.READ_AS if not fields["client"]:
            return wire.read_as(fields["actor"], bytes.fromhex(fields["frame"]), fields["request"])
        case Opcode.CHECKPOINT:
            return encoded(wire.CheckpointRequest())
        case Opcode.PROVE:
            return encoded(wire.ProveRequest(ProofKind[fields["kind"].upper()], int(fields["sequence"])))
        case Opcode.ENFORCEMENT:
            return encoded(wire.EnforcementRequest(int(fields["sequence"])))
    return None


def event_of(fields: dict[str, Any]) -> wire.EventMessage:
    return wire.EventMessage(
        fields["purpose"],
        EventState[fields["state"].upper()],
        bytes.fromhex(fields["key"]),
        EvidenceMethod[fields["method"].upper()],
        Party[fields["party"].upper()],
        fields["express"],
        fields["age"],
        int(fields["capturedAt"]),
        int(fields["expiresAt"]),
        declaration=fields["declaration"],
        revision=fields["revision"],
        language=fields["language"],
        system=fields["system"],
        channel=fields["channel"],
        form=fields["form"],
        actor=fields["actor"],
        evidence=fields["evidence"],
        identifiers=tuple((IdentifierType[each["type"].upper()], each["value"]) for each in fields["identifiers"]),
        guardian=guardian_of(fields["guardian"]),
    )


def is_part(vector: Vector) -> bool:
    """Whether another frame has the rest of the answer."""
    return vector.opcode == Opcode.PROVED and bool(vector.fields["more"])


class VectorTests(unittest.TestCase):
    def test_the_vectors_are_there(self) -> None:
        self.assertGreater(len(FOR_CLIENT), 1000)
        self.assertGreater(len(VALID), 350)

    def test_valid_requests_encode_to_their_bytes(self) -> None:
        requests = [vector for vector in VALID if vector.opcode and vector.opcode < Opcode.WELCOME]
        encoded = 0
        for vector in requests:
            if (data := request_bytes(vector)) is not None:
                encoded += 1
                self.assertEqual(data.hex(), vector.bytes.hex(), str(vector))
        self.assertGreater(encoded, len(requests) * 3 // 4)

    def test_valid_answers_decode_to_their_fields(self) -> None:
        for vector in self._answers():
            with self.subTest(str(vector)):
                listening = Listening(vector.bytes)
                listening.feed(vector.bytes)
                self._expect_fields(listening, vector)

    def test_answers_that_come_byte_by_byte_are_the_same(self) -> None:
        for vector in self._answers():
            if len(vector.bytes) > 2000:
                continue
            with self.subTest(str(vector)):
                listening = Listening(vector.bytes)
                for position in range(len(vector.bytes)):
                    self.assertEqual(listening.results, [])
                    listening.feed(vector.bytes[position : position + 1])
                self._expect_fields(listening, vector)

    def test_parts_of_a_document_are_joined(self) -> None:
        parts = [vector for vector in VALID if is_part(vector)]
        self.assertTrue(parts)
        for vector in parts:
            with self.subTest(str(vector)):
                listening = Listening(vector.bytes)
                listening.feed(vector.bytes)
                self.assertEqual(listening.results, [])
                last = bytearray(vector.bytes)
                last[5] = 0
                listening.feed(vector.bytes + bytes(last))
                self.assertEqual(listening.results, [3 * vector.fields["document"]])

    def test_a_document_without_end_is_refused(self) -> None:
        part = next(vector for vector in VALID if is_part(vector)).bytes
        size = FRAME_SIZE_MAX - HEADER_SIZE
        whole = (size + HEADER_SIZE - 4).to_bytes(4, "little") + part[4:HEADER_SIZE] + b"x" * size
        listening = Listening(part)
        for _ in range(PROOF_SIZE_MAX // size):
            listening.feed(whole)
            self.assertEqual(listening.results, [])
        listening.feed(whole)
        self.assertIsInstance(listening.results[0], ProtocolViolation)

    def _answers(self) -> list[Vector]:
        """Without the answers to a request with id 0, which this client never sends."""
        return [
            vector
            for vector in VALID
            if vector.opcode and vector.opcode >= Opcode.WELCOME and (vector.fields["request"] or vector.opcode >= 224)
            and not is_part(vector)
        ]

    def _expect_fields(self, listening: Listening, vector: Vector) -> None:
        channel = listening.channel
        match vector.opcode:
            case Opcode.WELCOME:
                assert channel.welcome is not None
                fields = welcome_fields(channel.welcome)
            case Opcode.GOING_AWAY:
                self.assertTrue(channel.is_draining)
                return
            case Opcode.CATALOG_CHANGED:
                # The catalog is asked for again.
                self.assertEqual(channel.output[4], Opcode.CATALOG)
                return
            case Opcode.ERROR if vector.fields["request"] == 0:
                self.assertIsNotNone(channel.failure)
                self.assertNotIsInstance(channel.failure, ProtocolViolation)
                return
            case Opcode.ERROR:
                (error,) = listening.results
                fields = {"code": error.name, "detail": error.detail, "message": error.message}
            case _:
                self.assertEqual(len(listening.answers), 1, channel.failure)
                fields = answer_fields(listening.answers[0], vector)
        self.assertEqual(fields | {"request": vector.fields["request"]}, vector.fields)

    def test_broken_answers_are_protocol_failures_and_grant_nothing(self) -> None:
        broken = [vector for vector in FOR_CLIENT if vector.kind == "broken"]
        self.assertGreater(len(broken), 800)
        for vector in broken:
            with self.subTest(str(vector)):
                listening = Listening(vector.bytes)
                others: list[Any] = []
                if not listening.is_greeting:
                    listening.channel.submit(wire.CheckRequest(Subject.customer("2"), "p3"), others.append)
                listening.feed(vector.bytes)
                self.assertIsInstance(listening.channel.failure, ProtocolViolation)
                # Everything in flight failed, and nothing behind it is read.
                self.assertEqual(listening.answers, [])
                self.assertTrue(all(isinstance(result, ProtocolViolation) for result in others))
                self.assertEqual(len(others), 0 if listening.is_greeting else 1)
                listening.feed(vector.bytes)
                self.assertEqual(listening.answers, [])

    def test_incomplete_answers_are_waited_for(self) -> None:
        for vector in FOR_CLIENT:
            if vector.kind == "incomplete":
                with self.subTest(str(vector)):
                    listening = Listening(vector.bytes)
                    listening.feed(vector.bytes)
                    self.assertEqual(listening.results, [])
                    self.assertIsNone(listening.channel.failure)

    def test_only_reasons_of_grants_are_granted(self) -> None:
        granted = {state.name for state, decision in wire.DECISIONS.items() if decision is Decision.GRANTED}
        self.assertEqual(granted, {"GIVEN", "RENEWED", "BASIS_HOLDS"})


if __name__ == "__main__":
    unittest.main()
