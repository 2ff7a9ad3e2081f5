#!/usr/bin/env python3
"""Writes the golden vectors of the wire protocol, version 1.

    python3 generate.py          writes *.json beside this file
    python3 generate.py --check  compares instead, and exits with 1 where a file is stale

This is an encoder of its own, written from ../protocol.md. It shares no code with any server or client, so that a
mistake has to be made twice before it goes unnoticed. Its numbers stand here a second time for the same reason;
--check also compares them with ../protocol.json and the examples in ../protocol.md with the vectors.

Frames are built from the `fields` that stand beside their bytes; broken frames are made by damaging a valid one.
README.md says what each key of a vector means. Standard library only, no clock, no randomness.
"""

import json
import pathlib
import re
import struct
import sys
import unicodedata

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))
import identifiers  # noqa: E402: beside the folder of this file

# The numbers of the definition

MAGIC = 0x44534E43
HEADER_SIZE = 16
LENGTH_MIN = HEADER_SIZE - 4
FRAME_SIZE_MAX = 1_048_576
LENGTH_MAX = FRAME_SIZE_MAX - 4
# Header, versions, reserved, deployment, two texts of 255 bytes and a token of 65535.
HELLO_SIZE_MAX = HEADER_SIZE + 2 + 2 + 4 + 16 + 2 * (1 + 255) + 2 + 65535
EVENTS_PER_RECORD_MAX = 4096
IDENTIFIER_SIZE_MAX = 255
EVIDENCE_SIZE_MAX = 4096
PROOF_SIZE_MAX = 16_777_216
PURPOSES_PER_TOKEN_MAX = 64
PURPOSE_WORDS_MAX = 15
VERSION = 1

REQUESTS = {
    "hello": 1, "ping": 2, "check": 16, "checkPurposes": 17, "checkSubjects": 18, "explain": 19, "record": 32,
    "applyCatalog": 34, "erase": 35, "link": 36, "unlink": 37, "issueToken": 38, "confirmToken": 39, "history": 48,
    "catalog": 49, "catalogDocument": 50, "statistics": 51, "countGranted": 52, "people": 53, "status": 54,
    "enforcement": 55, "checkpoint": 56, "prove": 57, "accessLog": 58, "readAs": 59,
    "subscribe": 64, "takeSnapshot": 65,
    "enforced": 66,
}
ANSWERS = {
    "welcome": 129, "pong": 130, "checked": 144, "checkedPurposes": 145, "checkedSubjects": 146, "explained": 147,
    "recorded": 160, "appliedCatalog": 162, "erased": 163, "linked": 164, "unlinked": 165, "tokenIssued": 166, "tokenConfirmed": 167, "historyPage": 176, "catalogPurposes": 177,
    "catalogText": 178,
    "statisticValues": 179, "grantedCount": 180, "peoplePage": 181, "nodeStatus": 182, "enforcedBy": 183,
    "checkpointed": 184, "proved": 185, "accessPage": 186,
    "subscribed": 192, "snapshotBegun": 193,
    "error": 255,
}
PUSHES = {
    "goingAway": 224, "catalogChanged": 225, "heartbeat": 226, "catalogRules": 227, "rulesText": 228,
    "snapshotChunk": 229, "delta": 230, "cutOff": 231,
}
OPCODES = REQUESTS | ANSWERS | PUSHES
# Only between an edge and the node that it follows; but for `subscribe`, nobody else knows them.
FOLLOWING = {
    "subscribe", "subscribed", "takeSnapshot", "snapshotBegun", "enforced", "heartbeat", "catalogRules", "rulesText",
    "snapshotChunk", "delta", "cutOff",
}
ALL_BUT_FOLLOWING = {name: code for name, code in OPCODES.items() if name not in FOLLOWING}

# Bits of the header that must be zero: flags, argument, word.
RESERVED = {
    "hello": (0xFF, 0xFFFF, 0), "welcome": (0xFF, 0, 0xFFFFFFFF),
    "ping": (0xFF, 0xFFFF, 0xFFFFFFFF), "pong": (0xFF, 0xFFFF, 0xFFFFFFFF),
    "check": (0xFF, 0, 0xFFFFFF00), "checked": (0xFF, 0, 0xFFFFFF00),
    "checkPurposes": (0xFF, 0xFFFF, 0xFFFF0000), "checkedPurposes": (0xFF, 0xFFFF, 0xFFFF0000),
    "checkSubjects": (0xFF, 0, 0x0000FF00), "checkedSubjects": (0xFF, 0xFFFF, 0x0000FF00),
    "explain": (0xFF, 0, 0xFFFFFF00), "explained": (0xFE, 0, 0xFF000000),
    "record": (0xFF, 0, 0xFFFFFFFF), "recorded": (0xFF, 0, 0xFFFFFFFF),
    "applyCatalog": (0xFE, 0xFFFF, 0xFFFFFFFF), "appliedCatalog": (0xFE, 0, 0),
    "erase": (0xFF, 0xFF00, 0xFFFFFF00), "erased": (0xFC, 0, 0),
    "link": (0xFF, 0xFFFF, 0xFFFF0000), "linked": (0xFF, 0, 0),
    "unlink": (0xFF, 0xFFFF, 0xFFFFFF00), "unlinked": (0xFF, 0, 0),
    "issueToken": (0xFF, 0, 0xFFFFFF00), "tokenIssued": (0xFF, 0, 0xFFFFFFFF),
    "confirmToken": (0xFE, 0xFFFF, 0xFFFFFFFF), "tokenConfirmed": (0xFF, 0, 0xFFFFFFFF),
    "history": (0xFE, 0, 0xFFFFFF00), "historyPage": (0xFE, 0, 0),
    "catalog": (0xFF, 0xFFFF, 0xFFFFFFFF), "catalogPurposes": (0xFF, 0, 0),
    "catalogDocument": (0xFF, 0xFFFF, 0xFFFFFFFF), "catalogText": (0xFF, 0xFFFF, 0),
    "statistics": (0xFF, 0xFFFF, 0xFFFFFFFF), "statisticValues": (0xFF, 0, 0xFFFFFFFF),
    "countGranted": (0xFF, 0xFFFF, 0xFFFFFFFF), "grantedCount": (0xFF, 0xFFFF, 0xFFFFFFFF),
    "people": (0xFF, 0, 0xFFFFE000), "peoplePage": (0xFE, 0, 0xFFFFFFFF),
    "status": (0xFF, 0xFFFF, 0xFFFFFFFF), "nodeStatus": (0xFC, 0, 0),
    "enforcement": (0xFF, 0xFFFF, 0xFFFFFFFF), "enforcedBy": (0xFF, 0, 0xFFFFFFFF),
    "checkpoint": (0xFF, 0xFFFF, 0xFFFFFFFF), "checkpointed": (0xFF, 0xFFFF, 0xFFFFFFFF),
    "accessLog": (0xFF, 0, 0xFFFFFF00), "accessPage": (0xFE, 0, 0xFFFFFFFF),
    "readAs": (0xFF, 0xFFFF, 0xFFFFFFFF),
    "prove": (0xFF, 0xFF00, 0xFFFFFFFF), "proved": (0xFE, 0xFFFF, 0xFFFFFFFF),
    "subscribe": (0xFF, 0xFFFF, 0xFFFFFFFF), "subscribed": (0xFF, 0xFF00, 0xFFFFFFFF),
    "takeSnapshot": (0xFF, 0xFFFF, 0xFFFFFFFF), "snapshotBegun": (0xFF, 0xFFFF, 0xFFFFFFFF),
    "enforced": (0xFF, 0xFFFF, 0xFFFFFFFF), "heartbeat": (0xFE, 0xFFFF, 0), "catalogRules": (0xFF, 0, 0),
    "rulesText": (0xFF, 0xFFFF, 0), "snapshotChunk": (0xFE, 0, 0), "delta": (0xFC, 0, 0), "cutOff": (0xFF, 0xFF00, 0),
    "goingAway": (0xFF, 0xFFFF, 0), "catalogChanged": (0xFF, 0xFFFF, 0), "error": (0xFF, 0, 0),
}

DECISION = {"unknown": 0, "denied": 1, "granted": 2}
STATE = {
    "unknown": 0, "requested": 1, "deferred": 2, "refused": 3, "given": 4, "renewed": 5, "withdrawn": 6, "revoked": 7,
    "expired": 8, "invalidated": 9, "outdated_revision": 10, "objected": 11, "basis_holds": 12, "erased": 13,
}
DECISION_OF_STATE = {
    "unknown": "unknown", "requested": "unknown", "deferred": "unknown", "refused": "denied", "given": "granted",
    "renewed": "granted", "withdrawn": "denied", "revoked": "denied", "expired": "unknown", "invalidated": "denied",
    "outdated_revision": "unknown", "objected": "denied", "basis_holds": "granted", "erased": "unknown",
}
REASONS_OF_CHECKS = ["given", "basis_holds", "withdrawn", "objected", "expired", "unknown"]
EVENT_STATE = {
    "requested": 1, "deferred": 2, "refused": 3, "given": 4, "renewed": 5, "withdrawn": 6, "revoked": 7, "expired": 8,
    "invalidated": 9, "objected": 11, "erased": 13, "confirmed": 14, "objection_lifted": 15,
}
BASIS = {
    "consent": 0, "contract": 1, "legal_obligation": 2, "vital_interest": 3, "public_task": 4,
    "legitimate_interest": 5,
}
METHOD = {
    "none": 0, "ticked_box": 1, "button": 2, "signature": 3, "spoken": 4, "double_opt_in": 5, "paper": 6,
    "electronic_id": 7, "preticked": 64, "silence": 65, "implied": 66, "bundled": 67,
}
PARTY = {"subject": 0, "guardian": 1, "controller": 2, "authority": 3, "system": 4}
GUARDIAN_RELATION = {"parent": 1, "legal_guardian": 2, "institution": 3}
IDENTIFIER_TYPE = {
    "customer": 1, "email": 2, "phone": 3, "device": 4, "cookie": 5, "advertising": 6, "loyalty_card": 7,
    "national_id": 8, "other": 15,
}
FRESHNESS = {"live": 0, "stale": 1, "unavailable": 2}
SYNC_VERDICT = {
    "follow": 0, "nothing_there": 1, "too_far_behind": 2, "other_history": 3, "digest_differs": 4, "ahead": 5,
    "forked": 6,
}
CUT_OFF_REASON = {"too_slow": 1, "silent": 2, "draining": 3, "outdated": 4, "history_changed": 5}
PEOPLE_SELECTION = {"audience": 1, "ask_again": 2, "ending": 3, "active": 4, "outdated_by": 5, "coming_of_age": 6}
ERASURE_REASON = {
    "no_longer_needed": 1, "consent_withdrawn": 2, "objection": 3, "unlawful": 4, "legal_obligation": 5,
    "child_service": 6,
}
ACCESS_QUESTION = {
    "explain": 1, "history": 2, "audience": 3, "ask_again": 4, "ending": 5, "active": 6, "outdated_by": 7, "proof": 8,
    "receipt": 9, "access_log": 10, "coming_of_age": 11,
}
LINK_ACTION = {"linked": 1, "joined_to": 2, "unlinked": 3, "separated": 4}
PROOF_KIND = {"event": 1, "dpv_receipt": 2, "kantara_receipt": 3}
ASK_AGAIN_REASONS = ["unknown", "requested", "expired", "outdated", "dormant"]
ENUMS = {
    "decision": DECISION, "state": STATE, "eventState": EVENT_STATE, "basis": BASIS, "method": METHOD, "party": PARTY, "guardianRelation": GUARDIAN_RELATION,
    "identifierType": IDENTIFIER_TYPE, "freshness": FRESHNESS, "peopleSelection": PEOPLE_SELECTION,
    "erasureReason": ERASURE_REASON, "linkAction": LINK_ACTION, "proofKind": PROOF_KIND,
    "accessQuestion": ACCESS_QUESTION,
    "syncVerdict": SYNC_VERDICT, "cutOffReason": CUT_OFF_REASON,
}

# Code, and whether the server closes the connection after it.
ERRORS = {
    "malformed": (1, False), "frameTooLarge": (2, True), "frameTooSmall": (3, True), "opcodeUnknown": (4, False),
    "reservedBitSet": (5, False), "helloExpected": (6, True), "magicWrong": (7, True),
    "versionUnsupported": (8, True),
    "deploymentMismatch": (9, True), "credentialsRefused": (10, True), "busy": (11, False),
    "tooManyInFlight": (12, False), "shuttingDown": (13, False), "internalFailure": (14, False),
    "idleTooLong": (15, True), "helloTooLate": (16, True), "tooManyConnections": (17, True),
    "purposeUnknown": (18, False), "identifierInvalid": (19, False), "catalogRejected": (20, False),
    "catalogConflict": (21, False), "ledgerUnavailable": (22, False), "ledgerDamaged": (23, False),
    "notHere": (32, False), "upstreamUnreachable": (33, False),
    "identityUnknown": (35, True), "nodeChanged": (36, True),
    "damaged": (24, True), "feedNotReady": (25, True), "tooManyEdges": (26, True), "subscribeTooLate": (27, False),
    "subscribeExpected": (28, False), "onlyFollowing": (29, True),
    "questionInvalid": (41, False),
    "questionInvalid": (41, False), "personUnknown": (48, False),
    "eventUnknown": (42, False), "receiptImpossible": (43, False),
    "readerRefused": (44, False), "readExpected": (45, False),
    "identifierMissing": (64, False),
    "identifierRefused": (65, False), "identifiersTooMany": (66, False), "admissionPurposeUnknown": (67, False),
    "purposeInactive": (68, False), "basisNeedsNoConsent": (69, False), "basisCannotBeWithdrawn": (70, False),
    "objectionIsAbsolute": (71, False), "stateIsInternal": (72, False), "declarationMissing": (73, False),
    "declarationUnknown": (74, False), "revisionUnknown": (75, False), "revisionNotCurrent": (76, False),
    "revisionLacksPurpose": (77, False), "languageUnknown": (78, False), "methodMissing": (79, False),
    "methodIsNotConsent": (80, False), "capturedInFuture": (81, False), "endsBeforeCapture": (82, False),
    "textTooLong": (83, False), "nothingToConfirm": (84, False), "keyReused": (85, False),
    "identifierConflict": (86, False), "ageImplausible": (87, False),
    "partyCannotConsent": (88, False), "capturedTooEarly": (89, False),
    "identifierEmpty": (100, False), "identifierTooLong": (101, False), "identifierMalformed": (102, False),
    "nationalIdIsHash": (103, False),
    "personErased": (90, False), "textNamesPerson": (91, False),
    "tokenUnknown": (92, False), "tokenUsed": (93, False), "tokenLapsed": (94, False),
    "identifierUnlinked": (95, False), "identifierIsOnlyOne": (96, False), "guardianMissing": (97, False),
}

# What the server of the vectors is like.
DEPLOYMENT = "000102030405060708090a0b0c0d0e0f"
HISTORY = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
TOKEN = "correct horse battery staple"
PURPOSES_KNOWN = 20  # bits 0 to 19, all on consent

NOBODY = "00" * 16  # no deployment in particular; no idempotency key
U16_MAX, U32_MAX, U64_MAX = 2**16 - 1, 2**32 - 1, 2**64 - 1
I64_MIN, I64_MAX = -(2**63), 2**63 - 1
SEQUENCE_MAX = 2**40 - 1


# Encoding: each function turns the JSON form of a thing into its bytes

def u8(value): return struct.pack("<B", value)
def u16(value): return struct.pack("<H", value)
def u32(value): return struct.pack("<I", value)
def u64(decimal): return struct.pack("<Q", int(decimal))
def time(decimal): return struct.pack("<q", int(decimal))
def text8(text): return u8(len(text.encode())) + text.encode()
def text16(text): return u16(len(text.encode())) + text.encode()
def words(bitset): return b"".join(struct.pack("<Q", int(word, 16)) for word in bitset)
def quad(first, second=0, third=0, fourth=0): return first | second << 8 | third << 16 | fourth << 24


def frame(opcode, payload=b"", flags=0, argument=0, word=0, request=1, length=None):
    """A frame; `length` only where the length field is to say something else than the truth."""
    code = OPCODES[opcode] if isinstance(opcode, str) else opcode
    true_length = LENGTH_MIN + len(payload)
    return struct.pack(
        "<IBBHII", true_length if length is None else length, code, flags, argument, request, word) + payload


def flag_bits(fields, names): return sum(1 << bit for bit, name in enumerate(names) if fields[name])


def named_bit(fields, bit=0): return 0 if fields["guardian"] is None else 1 << bit


def guardian_bytes(guardian):
    if guardian is None:
        return b""
    return (u8(GUARDIAN_RELATION[guardian["relation"]]) + u8(IDENTIFIER_TYPE[guardian["type"]])
            + text8(guardian["value"]))


def event_body(event, identifier_count=None):
    count = len(event["identifiers"]) if identifier_count is None else identifier_count
    return b"".join([
        bytes.fromhex(event["key"]), u16(event["purpose"]), u8(EVENT_STATE[event["state"]]),
        u8(METHOD[event["method"]]), u8(PARTY[event["party"]]), u8(flag_bits(event, ["express"]) | named_bit(event, 1)),
        u8(event["age"]),
        u8(count), time(event["capturedAt"]), time(event["expiresAt"]), text8(event["declaration"]),
        text8(event["revision"]), text8(event["language"]), text8(event["system"]), text8(event["channel"]),
        text8(event["form"]), text8(event["actor"]), text16(event["evidence"]),
        *(u8(IDENTIFIER_TYPE[one["type"]]) + text8(one["value"]) for one in event["identifiers"]),
        guardian_bytes(event["guardian"]),
    ])


def sized(body): return u32(len(body)) + body
def event_bytes(event): return sized(event_body(event))


def outcome_bytes(outcome):
    code = 0 if outcome["code"] is None else ERRORS[outcome["code"]][0]
    return (u16(code) + u8(flag_bits(outcome, ["repeated"])) + u8(0) + u64(outcome["sequence"])
            + text16(outcome["message"]))


def recorded_event_bytes(recorded):
    return (u64(recorded["sequence"]) + time(recorded["recordedAt"]) + u64(recorded["refersTo"])
            + bytes.fromhex(recorded["hash"]) + event_bytes(recorded["event"]))


PURPOSE_FLAGS = ["active", "explicit", "doubleOptIn", "profiling", "directMarketing", "sharing"]


def recorded_link_bytes(link):
    return (u64(link["sequence"]) + time(link["recordedAt"]) + u64(link["other"]) + bytes.fromhex(link["hash"])
            + u8(LINK_ACTION[link["action"]]) + u8(len(link["identifiers"])) + u16(0) + text8(link["actor"])
            + b"".join(u8(IDENTIFIER_TYPE[one["type"]]) + text8(one["value"]) for one in link["identifiers"]))


def purpose_bytes(purpose):
    return (u16(purpose["bit"]) + u8(BASIS[purpose["basis"]]) + u8(flag_bits(purpose, PURPOSE_FLAGS))
            + text8(purpose["id"]) + text8(purpose["controller"]))


def sized8(body): return u8(len(body)) + body


def found_people_bytes(people):
    data, before = b"", None
    for person in people:
        # The identifiers of a person stand in the first entry about them.
        named = person["identifiers"] if person["subject"] != before else []
        before = person["subject"]
        data += (u64(person["subject"]) + u8(STATE[person["state"]]) + u8(len(named)) + time(person["since"])
                 + time(person["until"]) + b"".join(text8(person[one]) for one in ("purpose", "declaration", "revision"))
                 + b"".join(u8(IDENTIFIER_TYPE[one["type"]]) + text8(one["value"]) for one in named))
    return data


FOLLOWING_FLAGS = ["connected", "takesSnapshot"]
ENFORCING_FLAGS = ["connected", "answersByIt", "atTheLatest"]


def following_edge_bytes(edge):
    return (u64(edge["enforced"]) + u64(edge["behindMillis"]) + u64(edge["heardMillis"])
            + u8(flag_bits(edge, FOLLOWING_FLAGS)) + text8(edge["name"]) + text16(edge["gone"]))


def enforcing_edge_bytes(edge):
    return (u64(edge["enforced"]) + time(edge["since"]) + u8(flag_bits(edge, ENFORCING_FLAGS)) + text8(edge["name"]))


# Their payloads begin with a checksum.
SUMMED = {
    "subscribed", "takeSnapshot", "snapshotBegun", "enforced", "heartbeat", "catalogRules", "rulesText",
    "snapshotChunk", "delta", "cutOff",
}
MASK = 2**64 - 1


def mixed(total, word):
    product = (total ^ 0xA0761D6478BD642F) * (word ^ 0xE7037ED1A0B428DB)
    return product >> 64 ^ product & MASK


def checksum(opcode, flags, argument, rest):
    total = mixed(opcode | flags << 8 | argument << 16, len(rest))
    padded = rest + bytes(-len(rest) % 8)
    for (word,) in struct.iter_unpack("<Q", padded):
        total = mixed(total, word)
    return total


def summed(opcode, rest, flags=0, argument=0):
    """A payload that begins with its checksum."""
    return struct.pack("<Q", checksum(OPCODES[opcode], flags, argument, rest)) + rest


def sync_row_bytes(row):
    return (u64(int(row["tag"], 16) | int(row["sequence"]) >> 32)
            + u64(int(row["sequence"]) & U32_MAX | row["endsAt"] << 32) + words(row["permitted"])
            + words(row["denied"]) + struct.pack("<II", row["place"], int(row["absent"])))


def point_bytes(f): return u64(f["sequence"]) + u64(f["chain"]) + u64(f["digest"])


def access_entry_bytes(e):
    numbers = (u64(e["sequence"]) + time(e["recordedAt"]) + u8(ACCESS_QUESTION[e["question"]]) + u64(e["rows"])
               + u64(e["subject"]) + bytes.fromhex(e["identifierHash"]) + u64(e["after"]) + u64(e["about"])
               + time(e["from"]) + time(e["until"]))
    names = ("actor", "client", "purpose", "except", "declaration", "revision", "recipient")
    return numbers + b"".join(text8(e[name]) for name in names)


def encode(opcode, f):
    """The frame of `opcode` with the fields `f`."""
    flags = argument = word = 0
    payload = b""
    match opcode:
        case "hello":
            word = MAGIC
            payload = (u16(f["versionMin"]) + u16(f["versionMax"]) + u32(0) + bytes.fromhex(f["deployment"])
                       + text8(f["clientName"]) + text8(f["clientVersion"]) + text16(f["token"]))
        case "welcome":
            argument = f["version"]
            payload = (u16(f["versionMin"]) + u16(f["versionMax"]) + u32(f["catalogVersion"]) + u64(f["sequence"])
                       + bytes.fromhex(f["deployment"]) + bytes.fromhex(f["history"]) + u32(f["frameSizeMax"])
                       + u32(f["requestsInFlightMax"]) + u32(f["subjectsPerCheckMax"]) + u32(f["eventsPerRecordMax"])
                       + text8(f["serverName"]) + text8(f["serverVersion"]))
        case "ping" | "pong":
            payload = u64(f["echo"])
        case "check" | "explain":
            argument, word = f["purpose"], quad(IDENTIFIER_TYPE[f["type"]])
            payload = f["identifier"].encode()
        case "checked":
            argument = quad(DECISION[f["decision"]], STATE[f["reason"]])
            word = quad(FRESHNESS[f["freshness"]])
            payload = u64(f["sequence"])
        case "checkPurposes":
            word = quad(IDENTIFIER_TYPE[f["type"]], len(f["purposes"]))
            payload = words(f["purposes"]) + f["identifier"].encode()
        case "checkedPurposes":
            word = quad(FRESHNESS[f["freshness"]], len(f["granted"]))
            payload = u64(f["sequence"]) + words(f["granted"]) + words(f["denied"])
        case "checkSubjects":
            argument, word = f["purpose"], quad(IDENTIFIER_TYPE[f["type"]]) | len(f["identifiers"]) << 16
            payload = b"".join(map(text8, f["identifiers"]))
        case "checkedSubjects":
            word = quad(FRESHNESS[f["freshness"]]) | f["count"] << 16
            payload = u64(f["sequence"]) + words(f["granted"]) + words(f["denied"])
        case "explained":
            argument = quad(DECISION[f["decision"]], STATE[f["reason"]])
            state = 0 if f["decidingState"] is None else EVENT_STATE[f["decidingState"]]
            word = quad(FRESHNESS[f["freshness"]], BASIS[f["basis"]], state)
            payload = (u64(f["sequence"]) + time(f["expiresAt"]) + time(f["grantedUntil"])
                       + u64(f["decidingSequence"]) + time(f["decidingCapturedAt"]) + text8(f["declaration"])
                       + text8(f["consentedRevision"]) + text8(f["currentRevision"]) + guardian_bytes(f["guardian"]))
            flags = named_bit(f)
        case "record":
            argument = len(f["events"])
            payload = b"".join(map(event_bytes, f["events"]))
        case "recorded":
            argument = len(f["outcomes"])
            payload = u64(f["head"]) + b"".join(map(outcome_bytes, f["outcomes"]))
        case "applyCatalog":
            flags = flag_bits(f, ["dryRun"])
            payload = f["document"].encode()
        case "appliedCatalog":
            flags, argument, word = flag_bits(f, ["dryRun"]), len(f["changes"]), f["version"]
            payload = u64(f["sequence"]) + b"".join(map(text16, f["changes"]))
        case "erase":
            argument, word = quad(ERASURE_REASON[f["reason"]]), quad(IDENTIFIER_TYPE[f["type"]])
            payload = text8(f["actor"]) + f["identifier"].encode()
        case "erased":
            flags = flag_bits(f, ["repeated", "pending"])
            argument, word = len(f["objections"]), f["emptiedEvents"]
            payload = (u64(f["sequence"]) + time(f["erasedAt"]) + bytes.fromhex(f["hash"])
                       + u8(ERASURE_REASON[f["reason"]]) + u8(0) + u16(len(f["identifiers"])) + text8(f["actor"])
                       + b"".join(map(text8, f["objections"]))
                       + b"".join(u8(IDENTIFIER_TYPE[one["type"]]) + bytes.fromhex(one["hash"])
                                  for one in f["identifiers"]))
        case "link":
            word = quad(IDENTIFIER_TYPE[f["type"]], IDENTIFIER_TYPE[f["personType"]])
            payload = text8(f["actor"]) + text8(f["identifier"]) + f["person"].encode()
        case "unlink":
            word = quad(IDENTIFIER_TYPE[f["type"]])
            payload = text8(f["actor"]) + f["identifier"].encode()
        case "linked" | "unlinked":
            argument, word = len(f["denied"]), f["identifiers"]
            payload = (u64(f["sequence"]) + time(f["recordedAt"]) + bytes.fromhex(f["hash"])
                       + b"".join(map(text8, f["denied"])))
        case "issueToken":
            argument, word = len(f["purposes"]), quad(IDENTIFIER_TYPE[f["type"]])
            payload = b"".join(map(text8, f["purposes"])) + f["identifier"].encode()
        case "tokenIssued":
            argument = len(f["events"])
            payload = time(f["endsAt"]) + text8(f["token"]) + b"".join(map(u64, f["events"]))
        case "confirmToken":
            flags = named_bit(f)
            payload = (b"".join(text8(f[one]) for one in ("token", "system", "channel", "form", "actor"))
                       + guardian_bytes(f["guardian"]))
        case "tokenConfirmed":
            argument = len(f["consents"])
            payload = b"".join(u64(one["sequence"]) + u64(one["refersTo"]) + text8(one["purpose"])
                               + text8(one["declaration"]) + text8(one["revision"]) for one in f["consents"])
        case "history":
            flags = flag_bits({"links": False} | f, ["links"])
            argument, word = f["limit"], quad(IDENTIFIER_TYPE[f["type"]])
            payload = u64(f["after"]) + f["identifier"].encode()
        case "historyPage":
            flags, argument, word = flag_bits(f, ["more"]), len(f["events"]), len(f.get("links", []))
            payload = (u64(f["head"]) + b"".join(map(recorded_event_bytes, f["events"]))
                       + b"".join(map(recorded_link_bytes, f.get("links", []))))
        case "catalog" | "catalogDocument" | "statistics" | "status" | "checkpoint":
            pass
        case "nodeStatus":
            flags, argument, word = flag_bits(f, ["ready", "edge"]), len(f["edges"]), f["catalogVersion"]
            payload = (b"".join(u64(f[one]) for one in ("sequence", "head", "digest", "ageMillis"))
                       + bytes.fromhex(f["deployment"]) + bytes.fromhex(f["history"]) + text8(f["serverVersion"])
                       + b"".join(text16(f[one]) for one in ("upstream", "notReady", "trouble"))
                       + b"".join(map(following_edge_bytes, f["edges"])))
        case "prove":
            argument, payload = quad(PROOF_KIND[f["kind"]]), u64(f["sequence"])
        case "accessLog":
            argument, word = f["limit"], 0 if f["type"] is None else quad(IDENTIFIER_TYPE[f["type"]])
            payload = (u64(f["after"]) + time(f["since"]) + time(f["until"]) + text8(f["actor"])
                       + f["identifier"].encode())
        case "accessPage":
            flags, argument = flag_bits(f, ["more"]), len(f["entries"])
            payload = u64(f["head"]) + u64(f["next"]) + b"".join(map(access_entry_bytes, f["entries"]))
        case "readAs":
            payload = text8(f["actor"]) + text8(f["client"]) + bytes.fromhex(f["frame"])
        case "checkpointed":
            payload = f["document"].encode()
        case "proved":
            flags, payload = flag_bits(f, ["more"]), f["document"].encode()
        case "enforcement":
            payload = u64(f["sequence"])
        case "enforcedBy":
            argument = len(f["edges"])
            payload = u64(f["sequence"]) + u64(f["head"]) + b"".join(map(enforcing_edge_bytes, f["edges"]))
        case "catalogPurposes":
            argument, word = len(f["purposes"]), f["version"]
            payload = bytes.fromhex(f["digest"]) + b"".join(map(purpose_bytes, f["purposes"]))
        case "catalogText":
            word, payload = f["version"], f["document"].encode()
        case "statisticValues":
            argument = len(f["values"])
            payload = b"".join(text8(one["name"]) + u64(one["value"]) for one in f["values"])
        case "countGranted":
            payload = text8(f["purpose"]) + text8(f["except"])
        case "grantedCount":
            payload = u64(f["sequence"]) + u64(f["granted"]) + u64(f["known"])
        case "people":
            argument = f["peopleMax"]
            word = quad(PEOPLE_SELECTION[f["selection"]],
                        sum(1 << ASK_AGAIN_REASONS.index(one) for one in f["reasons"]))
            payload = (u64(f["after"]) + time(f["from"]) + time(f["until"]) + u64(f["asOf"])
                       + b"".join(text8(f[one]) for one in ("purpose", "except", "declaration", "revision", "recipient"))
                       + f["document"].encode())
        case "peoplePage":
            flags, argument = flag_bits(f, ["more"]), len(f["people"])
            payload = u64(f["head"]) + u64(f["next"]) + found_people_bytes(f["people"])
        case "subscribe":
            payload = bytes.fromhex(f["history"]) + point_bytes(f) + text8(f["name"])
        case "subscribed":
            argument = SYNC_VERDICT[f["verdict"]]
            payload = bytes.fromhex(f["history"]) + u64(f["head"]) + bytes.fromhex(f["hashKey"])
        case "takeSnapshot":
            payload = u64(f["start"]) + u64(f["startChain"]) + struct.pack("<II", f["chunkCount"], f["nextChunk"])
        case "snapshotBegun":
            payload = (u64(f["start"]) + u64(f["startChain"])
                       + struct.pack("<IIQII", f["chunkCount"], f["nextChunk"], int(f["rows"]), f["words"], 0))
        case "enforced":
            payload = u64(f["sequence"]) + u64(f["stamp"]) + time(f["time"])
        case "heartbeat":
            flags, word = flag_bits(f, ["known"]), f["number"]
            payload = (point_bytes(f) + u64(f["head"]) + u64(f["echo"]) + u64(f["ageMillis"]) + time(f["time"]))
        case "catalogRules":
            argument, word = len(f["purposes"]), f["number"]
            payload = u64(f["sequence"]) + struct.pack("<I", f["version"]) + bytes.fromhex(f["digest"]) + b"".join(
                struct.pack("<HBI", one["bit"], flag_bits(one, ["granted", "denied"]), one["maxStaleness"])
                + text8(one["id"]) for one in f["purposes"])
        case "rulesText":
            word, payload = f["number"], f["document"].encode()
        case "snapshotChunk":
            flags, argument, word = flag_bits(f, ["last"]), f["words"], f["number"]
            payload = (struct.pack("<IIQ", f["chunk"], 0, len(f["rows"])) + b"".join(map(sync_row_bytes, f["rows"])))
        case "delta":
            flags, argument, word = flag_bits(f, ["complete", "known"]), f["words"], f["number"]
            payload = (u64(f["after"]) + point_bytes(f) + struct.pack("<Q", len(f["rows"]))
                       + b"".join(map(sync_row_bytes, f["rows"])))
        case "cutOff":
            argument, word = CUT_OFF_REASON[f["reason"]], f["number"]
            payload = text16(f["message"])
        case "goingAway":
            word = f["millis"]
        case "catalogChanged":
            word = f["version"]
        case "error":
            argument, word = ERRORS[f["code"]][0], f["detail"]
            payload = text16(f["message"])
    if opcode in SUMMED:
        payload = summed(opcode, payload, flags, argument)
    return frame(opcode, payload, flags, argument, word, f.get("request", 1))


def normal_form(kind, value):
    """The normal form of an identifier: what is hashed, kept and compared."""
    return identifiers.normal(kind, value.encode()).decode()


def is_utf8(value):
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def is_identifier(value, kind):
    """Whether the bytes, as they came, are an identifier of that type."""
    try:
        return identifiers.normal(kind, value) != b""
    except identifiers.Fault:
        return False


# Vectors

FILES = {}


class Vectors:
    """The vectors of one file, in order; names are unique within it."""

    def __init__(self, file):
        self.rows = FILES.setdefault(file, [])

    def add(self, row):
        assert all(row["name"] != other["name"] for other in self.rows), row["name"]
        self.rows.append(row)


class Valid(Vectors):
    def __init__(self, opcode):
        super().__init__(f"{opcode}.valid.json")
        self.opcode = opcode

    def __call__(self, name, fields, **more):
        """`fields` without `request` get 1, pushes 0."""
        request = 0 if self.opcode in PUSHES else 1
        fields = {"request": request} | fields
        row = {"name": name, "kind": "valid", "opcode": self.opcode}
        self.add(row | {"hex": encode(self.opcode, fields).hex(), "fields": fields} | more)


class Broken(Vectors):
    """Broken frames that a server sees in `state`, or, in state "client", that a client sees."""

    def __init__(self, file, state="open"):
        super().__init__(f"{file}.broken.json")
        self.state = state

    def __call__(self, name, data, error="malformed", detail=0, state=None, **more):
        state = state or self.state
        row = {"name": name, "kind": "broken", "state": state, "hex": data.hex()}
        if state == "client":
            self.add(row | {"error": "protocolFailure", "closes": True} | more)
            return
        judged_by_length_alone = error in ("frameTooLarge", "frameTooSmall")
        request = 0 if judged_by_length_alone else struct.unpack_from("<I", data, 8)[0]
        self.add(row | {"error": error, "closes": ERRORS[error][1], "request": request, "detail": detail} | more)


def with_payload(data, payload):
    """The frame `data` with another payload and the length that this needs."""
    return u32(LENGTH_MIN + len(payload)) + data[4:HEADER_SIZE] + payload


def with_header(data, **fields):
    """The frame `data` with other header fields."""
    names = ["length", "opcode", "flags", "argument", "request", "word"]
    header = dict(zip(names, struct.unpack_from("<IBBHII", data))) | fields
    return struct.pack("<IBBHII", *(header[name] for name in names)) + data[HEADER_SIZE:]


def patched(data, position, replacement):
    return data[:position] + replacement + data[position + len(replacement):]


def truncations(broken, data, judge=lambda payload: "malformed", name="payload"):
    """Every truncation point; `judge` says what a shorter payload is, None where it is another valid frame."""
    payload = data[HEADER_SIZE:]
    for size in range(len(payload)):
        error = judge(payload[:size])
        if error:
            broken(f"{name} cut to {size} of {len(payload)} bytes", with_payload(data, payload[:size]), error)


def junk(broken, data):
    for tail in (b"\x00", b"\x01", b"\x00" * 8, data):
        payload = data[HEADER_SIZE:] + tail
        broken(f"{len(tail)} bytes of junk after the payload, first {tail[0]:02x}", with_payload(data, payload))


def reserved_bits(broken, opcode, data, error="reservedBitSet"):
    header = dict(zip(("flags", "argument", "word"), struct.unpack_from("<xxxxxBHxxxxI", data)))
    for (field, value), mask in zip(header.items(), RESERVED[opcode]):
        for bit in range(mask.bit_length()):
            if mask >> bit & 1:
                broken(f"reserved bit {bit} of {field}", with_header(data, **{field: value | 1 << bit}), error)


def lengths(broken, opcode, request=77):
    """Lengths out of range. Neither error waits for more than the four bytes of the length field."""
    header = frame(opcode, request=request, word=MAGIC if opcode == "hello" else 0)
    for length in (0, 1, 11):
        claimed = with_header(header, length=length)
        broken(f"length {length}, as many bytes as it says", claimed[:4 + length], "frameTooSmall")
        broken(f"length {length}, a whole header", claimed, "frameTooSmall")
    length_max = HELLO_SIZE_MAX - 4 if opcode == "hello" else LENGTH_MAX
    for name, length in (("the largest plus 1", length_max + 1), ("frameSizeMax", FRAME_SIZE_MAX),
                         ("2^31 - 1", 2**31 - 1), ("2^31", 2**31), ("2^32 - 1", U32_MAX)):
        broken(f"length {name}, header only", with_header(header, length=length), "frameTooLarge")
    broken("length the largest plus 1, length field only", u32(length_max + 1), "frameTooLarge")


NOT_UTF8 = {
    "a lone continuation byte": b"\x80", "a byte that never occurs": b"\xff",
    "a first byte without its second": b"\xc3",
    "two of three bytes": b"\xe2\x82", "three of four bytes": b"\xf0\x9f\x98", "an overlong NUL": b"\xc0\x80",
    "an overlong slash": b"\xc1\xaf", "overlong in three bytes": b"\xe0\x9f\xbf",
    "overlong in four": b"\xf0\x8f\xbf\xbf",
    "a surrogate": b"\xed\xa0\x80", "past U+10FFFF": b"\xf4\x90\x80\x80", "a five-byte form": b"\xf8\x88\x80\x80\x80",
    "a first byte followed by ASCII": b"\xc3a",
}
CONTROLS = [0x00, 0x01, 0x09, 0x0A, 0x0D, 0x1B, 0x1F, 0x7F]
TYPES_UNKNOWN = [0, 9, 10, 11, 12, 13, 14, 16, 127, 128, 255]

# Identifiers as clients send them, with the form that they have in the ledger; ../identifiers.json has all spellings.
IDENTIFIERS = [
    ("e-mail", "email", "kari@example.no", "kari@example.no"),
    ("e-mail in capitals between blanks", "email", "  Kari.Nordmann@Example.NO ", "kari.nordmann@example.no"),
    ("e-mail with capitals beyond ASCII", "email", "Åse.ÅÄÖ@Example.NO", "åse.åäö@example.no"),
    ("e-mail with a letter in two parts", "email", "A\u030ase@example.no", "åse@example.no"),
    ("e-mail with a blank inside, which stays", "email", "kari nordmann@example.no", "kari nordmann@example.no"),
    ("phone in international form", "phone", "+4722334455", "+4722334455"),
    ("phone with blanks, dashes, dots and brackets", "phone", "(+47) 22-33.44 55", "+4722334455"),
    ("phone with 00 in front", "phone", "0047 22 33 44 55", "+4722334455"),
    ("phone with 00 in front only once the brackets are gone", "phone", "(0)0 46-8-123 45", "+46812345"),
    ("phone with a zero in brackets", "phone", "+46 (0)70-123 45 67", "+46701234567"),
    ("customer of 1 byte", "customer", "7", "7"),
    ("customer of 16 bytes", "customer", "C-00000000012345", "C-00000000012345"),
    ("customer of 255 bytes", "customer", "x" * 255, "x" * 255),
    ("customer in capitals, which stay", "customer", "KARI@EXAMPLE.NO", "KARI@EXAMPLE.NO"),
    ("customer between blanks", "customer", " C 1 ", "C 1"),
    ("device with two-, three- and four-byte characters", "device", "blåbær-Ω-語-😀", "blåbær-Ω-語-😀"),
    ("cookie of 255 bytes of which all are in three-byte characters", "cookie", "語" * 85, "語" * 85),
    ("advertising in capitals", "advertising", "38400000-8CF0-11BD-B23E-10B96E40000D",
     "38400000-8cf0-11bd-b23e-10b96e40000d"),
    ("loyalty card", "loyalty_card", "9578 0012 3456", "9578 0012 3456"),
    ("national id", "national_id", "010190 12345", "01019012345"),
    ("national id with its century and a hyphen", "national_id", "19900101-1234", "199001011234"),
    ("other, from blank to tilde", "other", "a ~", "a ~"),
    ("other with U+0085, which is no control character here", "other", "a\u0085b", "a\u0085b"),
    ("other with a no-break space and a byte order mark", "other", "\ufeffa\u00a0b", "a\u00a0b"),
]


def bad_identifiers(limited=True):
    """Name, type code, bytes of each identifier that is invalid though its frame is whole."""
    email, phone, customer = (IDENTIFIER_TYPE[name] for name in ("email", "phone", "customer"))
    yield "empty identifier", customer, b""
    yield "e-mail of blanks only", email, b"   "
    yield "phone of separators only", phone, b"( ) - ."
    yield "phone without its country", phone, b"22 33 44 55"
    yield "phone with letters", phone, b"+4722334455 ext"
    yield "e-mail in another script", email, "用户@example.cn".encode()
    yield "national id with other characters", IDENTIFIER_TYPE["national_id"], "Å1".encode()
    yield "hash of a national id", IDENTIFIER_TYPE["national_id"], b"#" + b"0f" * 16
    yield "UUID of zeros", IDENTIFIER_TYPE["advertising"], b"00000000-0000-0000-0000-000000000000"
    if not limited:
        yield "identifier of 256 bytes", customer, b"x" * 256
        yield "identifier of 1000 bytes", customer, b"x" * 1000
        yield "e-mail of 256 bytes, one a blank that would fall away", email, b" " + b"a" * 255
        yield "identifier of 255 characters and 256 bytes", customer, ("å" + "x" * 254).encode()
    for kind in TYPES_UNKNOWN:
        yield f"identifier type {kind}", kind, b"kari@example.no"
    for name, bad in NOT_UTF8.items():
        yield f"not UTF-8: {name}", customer, b"ab" + bad
    for control in CONTROLS:
        yield f"control character {control:02x}", email, b"ka" + bytes([control]) + b"ri@example.no"
    yield "control character 09 at the edge of an e-mail", email, b"\tkari@example.no"


def purposes_words(bits, count):
    value = sum(1 << bit for bit in bits)
    return [f"{value >> 64 * index & U64_MAX:016x}" for index in range(count)]


def bits_where(count, test):
    return purposes_words([n for n in range(count) if test(n)], (count + 63) // 64)


FEWEST = {
    "key": NOBODY, "purpose": 0, "state": "withdrawn", "method": "none", "party": "subject", "express": False,
    "age": 255, "capturedAt": "0", "expiresAt": "0", "declaration": "", "revision": "", "language": "", "system": "",
    "channel": "", "form": "", "actor": "", "evidence": "", "identifiers": [{"type": "customer", "value": "7"}],
    "guardian": None,
}
GUARDIAN = {"relation": "parent", "type": "email", "value": "Anne@example.no"}
EVERY = {
    "key": "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf", "purpose": 3, "state": "given", "method": "ticked_box",
    "party": "guardian", "express": True, "age": 12, "capturedAt": "1795258800000", "expiresAt": "1826794800000",
    "declaration": "club", "revision": "1.2", "language": "nb-NO", "system": "till-17", "channel": "store",
    "form": "join", "actor": "Åse", "evidence": "receipt 4711",
    "identifiers": [{"type": "customer", "value": "C-1"}, {"type": "email", "value": "Kåre@example.no"}],
    "guardian": GUARDIAN,
}
LONGEST = EVERY | {
    "key": "ff" * 16, "purpose": 19, "state": "renewed", "method": "electronic_id", "party": "system", "age": 254,
    "capturedAt": str(I64_MIN), "expiresAt": str(I64_MAX), "declaration": "d" * 255, "revision": "r" * 255,
    "language": "l" * 255, "system": "s" * 255, "channel": "c" * 255, "form": "f" * 255, "actor": "語" * 85,
    "evidence": "ø" * (EVIDENCE_SIZE_MAX // 2),
    "identifiers": [{"type": "other", "value": f"{n:02}" + "i" * 253} for n in range(16)],
    "guardian": {"relation": "institution", "type": "other", "value": "語" * 85},
}
NORMAL = EVERY | {"identifiers": [{"type": "customer", "value": "C-1"},
                                  {"type": "email", "value": "kåre@example.no"}],
                  "guardian": GUARDIAN | {"value": "anne@example.no"}}
PERSON = {
    "subject": "17", "state": "given", "since": "1795258800000", "until": "1826794800000", "purpose": "newsletter",
    "declaration": "club", "revision": "1.2",
    "identifiers": [{"type": "customer", "value": "C-1"}, {"type": "email", "value": "kåre@example.no"}],
}
RECORDED = {
    "sequence": "1002", "recordedAt": "1795258800123", "refersTo": "0", "hash": "5a" * 32, "event": NORMAL,
}

HELLO = {
    "versionMin": 1, "versionMax": 1, "deployment": DEPLOYMENT, "clientName": "consent-ads", "clientVersion": "2.0.1",
    "token": TOKEN,
}
WELCOME = {
    "version": 1, "versionMin": 1, "versionMax": 1, "catalogVersion": 7, "sequence": "1001", "deployment": DEPLOYMENT,
    "history": HISTORY, "frameSizeMax": FRAME_SIZE_MAX, "requestsInFlightMax": 1024, "subjectsPerCheckMax": 65535,
    "eventsPerRecordMax": EVENTS_PER_RECORD_MAX, "serverName": "consentd", "serverVersion": "1.0.0",
}
EXPLAINED = {
    "decision": "granted", "reason": "given", "freshness": "live", "basis": "consent", "decidingState": "given",
    "sequence": "1002", "expiresAt": "1826794800000", "grantedUntil": "1798761600000", "decidingSequence": "1002",
    "decidingCapturedAt": "1795258800000", "declaration": "club", "consentedRevision": "1.1",
    "currentRevision": "1.2", "guardian": None,
}


# The handshake, ping

def handshake():
    valid = Valid("hello")
    valid("with every field", HELLO)
    valid("meant for no deployment in particular", HELLO | {"deployment": NOBODY})
    valid("with the fewest bytes, for a server that wants no token",
          HELLO | {"deployment": NOBODY, "clientName": "", "clientVersion": "", "token": ""},
          refusal="credentialsRefused")
    valid("with the longest texts",
          HELLO | {"clientName": "n" * 255, "clientVersion": "v" * 255, "token": "t" * 65535},
          refusal="credentialsRefused")
    valid("with texts beyond ASCII", HELLO | {"clientName": "reklame-tjänst Ω 😀", "clientVersion": "β"})
    valid("that also speaks older and newer versions", HELLO | {"versionMin": 0, "versionMax": U16_MAX})
    valid("with request id 0", HELLO | {"request": 0})
    valid("with the largest request id", HELLO | {"request": U32_MAX})

    broken = Broken("hello", "handshake")
    hello = encode("hello", HELLO | {"request": 5})
    payload = hello[HEADER_SIZE:]
    truncations(broken, hello)
    junk(broken, hello)
    lengths(broken, "hello")
    reserved_bits(broken, "hello", hello)
    for bit in range(32):
        broken(f"bit {bit} of the payload's reserved field",
               patched(hello, HEADER_SIZE + 4, u32(1 << bit)), "reservedBitSet")
    for name, bad in NOT_UTF8.items():
        client_name, client_version, token = (
            size(len(HELLO[field])) + HELLO[field].encode()
            for field, size in (("clientName", u8), ("clientVersion", u8), ("token", u16)))
        bad8, bad16 = u8(len(bad)) + bad, u16(len(bad)) + bad
        for field, texts in (("clientName", bad8 + client_version + token),
                             ("clientVersion", client_name + bad8 + token),
                             ("token", client_name + client_version + bad16)):
            broken(f"{field} is not UTF-8: {name}", with_payload(hello, payload[:24] + texts))
    for name, word in (("zero", 0), ("in the other byte order", 0x434E5344), ("one bit off", MAGIC ^ 1),
                       ("'GET '", 0x20544547), ("all ones", U32_MAX)):
        broken(f"magic {name}", with_header(hello, word=word), "magicWrong")
    window = VERSION | VERSION << 16
    for name, low, high in (("older", 0, 0), ("newer by one", 2, 2), ("newer", 2, 9),
                            ("the newest", U16_MAX, U16_MAX),
                            ("upside down around ours", 2, 1), ("upside down below ours", 1, 0)):
        data = encode("hello", HELLO | {"request": 5, "versionMin": low, "versionMax": high})
        broken(f"version window {name}: {low} to {high}", data, "versionUnsupported", window)
    for name, deployment in (("another", "ff" * 16), ("one bit off in the last byte", DEPLOYMENT[:-1] + "e"),
                             ("the right one backwards", bytes.fromhex(DEPLOYMENT)[::-1].hex()),
                             ("zero but for the last byte", "00" * 15 + "01")):
        data = encode("hello", HELLO | {"request": 5, "deployment": deployment})
        broken(f"deployment {name}", data, "deploymentMismatch")
    for name, token in (("missing", ""), ("another", "wrong horse battery staple"), ("cut by one", TOKEN[:-1]),
                        ("longer by one", TOKEN + "s"), ("in capitals", TOKEN.upper()),
                        ("with a blank after it", TOKEN + " ")):
        broken(f"token {name}", encode("hello", HELLO | {"request": 5, "token": token}), "credentialsRefused")
    for opcode in sorted(set(REQUESTS) - {"hello"} - FOLLOWING):
        broken(f"{opcode} before hello", frame(opcode, request=6), "helloExpected")
    for code in (0, 3, 33, 127, 128, *ANSWERS.values(), *PUSHES.values()):
        broken(f"opcode {code} before hello", frame(code, request=6), "helloExpected")
    broken("hello twice", with_header(hello, request=8), "helloExpected", state="open")

    far = HELLO | {"request": 5, "versionMin": 2, "versionMax": 2, "deployment": "ff" * 16, "token": "x"}
    broken("order: version before deployment and token", encode("hello", far), "versionUnsupported", window)
    broken("order: deployment before token", encode("hello", far | {"versionMin": 1}), "deploymentMismatch")
    broken("order: magic before a reserved flag", with_header(hello, word=0, flags=1), "magicWrong")
    broken("order: magic before the layout", with_payload(with_header(hello, word=0), b"\x00"), "magicWrong")
    broken("order: a reserved flag before the layout", with_payload(with_header(hello, flags=1), b"\x00"),
           "reservedBitSet")
    broken("order: a reserved flag before the version", with_header(encode("hello", far), flags=1), "reservedBitSet")
    broken("order: the layout before the version", with_payload(hello, encode("hello", far)[HEADER_SIZE:] + b"\x00"))
    broken("order: hello expected before a reserved flag", frame("ping", u64(1), flags=1, request=6), "helloExpected")
    broken("order: too small before hello expected", frame("ping", request=6, length=11), "frameTooSmall")
    broken("order: too large before hello expected", frame("ping", request=6, length=HELLO_SIZE_MAX - 3),
           "frameTooLarge")
    broken("hello of the largest length of any frame", with_header(hello, length=LENGTH_MAX), "frameTooLarge")
    broken("order: hello twice before magic and layout", frame("hello", request=8), "helloExpected", state="open")

    valid = Valid("welcome")
    valid("with every field", WELCOME)
    valid("before the first catalog, with the fewest bytes",
          WELCOME | {"catalogVersion": 0, "sequence": "0", "serverName": "", "serverVersion": ""})
    valid("with the largest numbers and longest texts",
          WELCOME | {"request": U32_MAX, "versionMax": U16_MAX, "catalogVersion": U32_MAX,
                     "sequence": str(SEQUENCE_MAX),
                     "requestsInFlightMax": U32_MAX, "serverName": "n" * 255, "serverVersion": "v" * 255})
    valid("with texts beyond ASCII", WELCOME | {"serverName": "samtykke-tjänst", "serverVersion": "1.0.0-β"})
    broken = client_side("welcome", encode("welcome", WELCOME))
    for version in (0, 2, U16_MAX):
        broken(f"a version that was not offered: {version}", encode("welcome", WELCOME | {"version": version}))
    texts_in_answer(broken, encode("welcome", WELCOME),
                    {"serverName": ("consentd", 1), "serverVersion": ("1.0.0", 1)})


def pings():
    for opcode in ("ping", "pong"):
        valid = Valid(opcode)
        for echo in (0, 1, 0x0102030405060708, U64_MAX):
            valid(f"echo {echo}", {"echo": str(echo)})
        valid("with the largest request id", {"request": U32_MAX, "echo": "42"})
        valid("with request id 0", {"request": 0, "echo": "42"})
    broken = Broken("ping")
    ping = encode("ping", {"request": 9, "echo": "72623859790382856"})
    common_damage(broken, "ping", ping)
    truncations(broken, ping)
    junk(broken, ping)
    broken("order: a reserved flag before the layout", frame("ping", flags=1, request=9), "reservedBitSet")
    client_side("pong", encode("pong", {"request": 1, "echo": "72623859790382856"}))


def common_damage(broken, opcode, data):
    """What can be wrong with every request."""
    reserved_bits(broken, opcode, data)
    lengths(broken, opcode)


# Checks

def checks():
    for opcode in ("check", "explain"):
        valid = Valid(opcode)
        for name, kind, value, _ in IDENTIFIERS:
            valid(name, {"purpose": 3, "type": kind, "identifier": value}, normalForm=normal_form(kind, value))
        for purpose in (0, 19):
            valid(f"purpose bit {purpose}", {"purpose": purpose, "type": "email", "identifier": "kari@example.no"})
        valid("with the largest request id",
              {"request": U32_MAX, "purpose": 1, "type": "customer", "identifier": "C-00000000012345"})
        broken = Broken(opcode)
        fields = {"request": 11, "purpose": 3, "type": "email", "identifier": "kåre-😀@example.no"}
        data = encode(opcode, fields)
        common_damage(broken, opcode, data)
        truncations(broken, data, lambda rest: None if is_identifier(rest, "email") else "identifierInvalid")
        for name, kind, value in bad_identifiers(limited=False):
            broken(name, frame(opcode, value, argument=3, word=kind, request=11), "identifierInvalid")
        for bit in (20, 63, 64, 959, 960, U16_MAX):
            broken(f"purpose bit {bit}", encode(opcode, fields | {"purpose": bit}), "purposeUnknown", bit)
        broken("order: the purpose before the identifier", frame(opcode, argument=20, word=2, request=11),
               "purposeUnknown", 20)
        broken("order: the purpose before the identifier's type",
               frame(opcode, b"kari", argument=20, word=0, request=11), "purposeUnknown", 20)
        broken("order: a reserved bit before the purpose",
               frame(opcode, b"kari", argument=20, word=0x0102, request=11), "reservedBitSet")

    valid = Valid("checked")
    for reason in REASONS_OF_CHECKS:
        valid(f"reason {reason}", checked(reason))
    valid("stale", checked("given", freshness="stale"))
    valid("unavailable", checked("unknown", freshness="unavailable"))
    for sequence in (0, SEQUENCE_MAX, U64_MAX):
        valid(f"sequence {sequence}", checked("unknown", sequence=sequence))
    valid("with the largest request id", {"request": U32_MAX} | checked("basis_holds"))
    data = encode("checked", {"request": 1} | checked("unknown"))
    broken = client_side("checked", data)
    decisions_in_answer(broken, data)
    for reason in REASONS_OF_CHECKS:
        if DECISION_OF_STATE[reason] != "unknown":
            broken(f"unavailable, yet {DECISION_OF_STATE[reason]}: {reason}",
                   encode("checked", {"request": 1} | checked(reason, freshness="unavailable")))


def checked(reason, sequence=1001, freshness="live"):
    return {"decision": DECISION_OF_STATE[reason], "reason": reason, "freshness": freshness,
            "sequence": str(sequence)}


def decisions_in_answer(broken, data):
    """Damage to decision, reason and freshness of an answer, which stands for unknown before."""
    for decision in (3, 4, 128, 255):
        broken(f"decision code {decision}", patched(data, 6, u8(decision)))
    for reason in (14, 15, 128, 255):
        for decision, code in DECISION.items():
            broken(f"reason code {reason} with decision {decision}", patched(data, 6, u8(code) + u8(reason)))
    for reason, right in DECISION_OF_STATE.items():
        for decision, code in DECISION.items():
            if decision != right:
                broken(f"decision {decision}, yet reason {reason}", patched(data, 6, u8(code) + u8(STATE[reason])))
    freshness_in_answer(broken, data)


def freshness_in_answer(broken, data):
    for freshness in (3, 128, 255):
        broken(f"freshness code {freshness}", patched(data, 12, u8(freshness)))


def checks_of_purposes():
    valid = Valid("checkPurposes")
    email = {"type": "email", "identifier": "kari@example.no"}
    for bit in (0, 19):
        valid(f"1 word, bit {bit} only", email | {"purposes": purposes_words([bit], 1)})
    valid("1 word, every purpose of the catalog", email | {"purposes": purposes_words(range(20), 1)})
    valid("1 word, no purpose at all", email | {"purposes": purposes_words([], 1)})
    valid("2 words, the second empty", email | {"purposes": purposes_words([2, 5], 2)})
    valid("15 words, all but the first empty", email | {"purposes": purposes_words(range(0, 20, 3), 15)})
    for name, kind, value, _ in IDENTIFIERS:
        valid(f"1 word, {name}", {"type": kind, "purposes": purposes_words([1], 1), "identifier": value},
              normalForm=normal_form(kind, value))
    valid("15 words and 255 bytes", {"request": U32_MAX, "type": "other", "purposes": purposes_words([19], 15),
                                     "identifier": "語" * 85})

    broken = Broken("checkPurposes")
    fields = {"request": 12, "type": "email", "purposes": purposes_words([3, 7], 2), "identifier": "kåre@example.no"}
    data = encode("checkPurposes", fields)
    common_damage(broken, "checkPurposes", data)

    def judge(payload):
        if len(payload) < 16:
            return "malformed"
        return None if is_identifier(payload[16:], "email") else "identifierInvalid"
    truncations(broken, data, judge)
    empty = encode("checkPurposes", fields | {"purposes": purposes_words([], 15)})
    for count in range(1, 15):
        cut = with_payload(empty, empty[HEADER_SIZE:HEADER_SIZE + 8 * count])
        broken(f"15 words said, {count} there", cut)
    for count in (0, 16, 17, 128, 255):
        payload = words(purposes_words([3], max(count, 1))) + b"kari@example.no"
        broken(f"{count} words, as many there", frame("checkPurposes", payload, word=quad(2, count), request=12))
    for name, kind, value in bad_identifiers(limited=False):
        payload = words(purposes_words([3], 1)) + value
        broken(name, frame("checkPurposes", payload, word=quad(kind, 1), request=12), "identifierInvalid")
    for bits, count in (([20], 1), ([63], 1), ([64], 2), ([959], 15), ([3, 20], 1), ([40, 30, 700], 15)):
        unknown = min(bit for bit in bits if bit >= PURPOSES_KNOWN)
        asked = encode("checkPurposes", fields | {"purposes": purposes_words(bits, count)})
        broken(f"bits {', '.join(map(str, bits))}", asked, "purposeUnknown", unknown)
    nothing = words(purposes_words([20], 1))
    broken("order: the purpose before the identifier",
           frame("checkPurposes", nothing, word=quad(2, 1), request=12), "purposeUnknown", 20)
    broken("order: the purpose before the identifier's type",
           frame("checkPurposes", nothing + b"kari", word=quad(0, 1), request=12), "purposeUnknown", 20)
    broken("order: the layout before the identifier's type",
           frame("checkPurposes", nothing[:7], word=quad(0, 1), request=12))
    broken("order: a reserved bit before the layout",
           frame("checkPurposes", b"", word=quad(2, 0, 1), request=12), "reservedBitSet")

    valid = Valid("checkedPurposes")
    answer = {"freshness": "live", "sequence": "1001"}
    valid("1 word, some granted, some denied",
          answer | {"granted": purposes_words([0, 3], 1), "denied": purposes_words([1, 19], 1)})
    valid("1 word, all unknown", answer | {"granted": purposes_words([], 1), "denied": purposes_words([], 1)})
    valid("1 word, all bits granted", answer | {"granted": ["f" * 16], "denied": ["0" * 16]})
    valid("1 word, all bits denied", answer | {"granted": ["0" * 16], "denied": ["f" * 16]})
    valid("2 words", answer | {"granted": purposes_words([0, 64], 2), "denied": purposes_words([63, 127], 2)})
    valid("15 words, stale, the largest numbers",
          {"request": U32_MAX, "freshness": "stale", "sequence": str(U64_MAX),
           "granted": purposes_words(range(0, 960, 2), 15), "denied": purposes_words(range(1, 960, 2), 15)})
    valid("unavailable", answer | {"freshness": "unavailable", "granted": ["0" * 16], "denied": ["0" * 16]})
    both = {"request": 1} | answer | {"granted": purposes_words([0, 64], 2), "denied": purposes_words([63, 127], 2)}
    data = encode("checkedPurposes", both)
    broken = client_side("checkedPurposes", data)
    freshness_in_answer(broken, data)
    for count in (0, 1, 3, 15, 16, 255):
        broken(f"{count} words said, 2 there", with_header(data, word=quad(0, count)))
    for count in (0, 16):
        payload = u64(1001) + words(purposes_words([], count)) * 2
        broken(f"{count} words, as many there", frame("checkedPurposes", payload, word=quad(0, count)))
    broken("a purpose both granted and denied",
           encode("checkedPurposes", both | {"denied": purposes_words([63, 64], 2)}))


def checks_of_subjects():
    valid = Valid("checkSubjects")
    for count in (1, 2, 3, 63, 64, 65, 1000):
        valid(f"{count} subject{plural(count)}",
              {"purpose": 3, "type": "customer", "identifiers": [f"C{n}" for n in range(count)]})
    for name, kind, value, form in IDENTIFIERS:
        other = "+4790000000" if kind == "phone" else "0"
        valid(f"two, one of them: {name}", {"purpose": 0, "type": kind, "identifiers": [value, other]},
              normalForms=[form, other])
    valid("the same subject twice", {"purpose": 19, "type": "email", "identifiers": ["kari@example.no"] * 2})
    valid("3 subjects of 255 bytes",
          {"request": U32_MAX, "purpose": 3, "type": "other", "identifiers": ["x" * 255, "å" * 127 + "y", "語" * 85]})

    broken = Broken("checkSubjects")
    fields = {"request": 13, "purpose": 3, "type": "email",
              "identifiers": ["kari@example.no", "ola@example.no", "åse@example.no"]}
    data = encode("checkSubjects", fields)
    common_damage(broken, "checkSubjects", data)
    truncations(broken, data)
    junk(broken, data)
    broken("count 0, nothing there", frame("checkSubjects", argument=3, word=2, request=13))
    for count in (0, 1, 2, 4, 65535):
        broken(f"count {count}, 3 there", with_header(data, word=2 | count << 16))
    for count in (64, 65):
        many = encode("checkSubjects", fields | {"identifiers": ["a"] * count})
        broken(f"count {count + 1}, {count} there", with_header(many, word=2 | (count + 1) << 16))
        broken(f"count {count - 1}, {count} there", with_header(many, word=2 | (count - 1) << 16))
    good = text8("0")
    for name, kind, value in bad_identifiers():
        if kind in TYPES_UNKNOWN:
            broken(name, frame("checkSubjects", good * 3, argument=3, word=kind | 3 << 16, request=13),
                   "identifierInvalid", 0)
            continue
        bad, other = u8(len(value)) + value, text8("0047 9000 0000")
        for position in (0, 2):
            payload = other * position + bad + other * (2 - position)
            broken(f"{name}, at position {position} of 3",
                   frame("checkSubjects", payload, argument=3, word=kind | 3 << 16, request=13),
                   "identifierInvalid", position)
    for count, position in ((65, 64), (1000, 999)):
        payload = good * position + u8(0)
        broken(f"empty identifier, at position {position} of {count}",
               frame("checkSubjects", payload, argument=3, word=2 | count << 16, request=13),
               "identifierInvalid", position)
    broken("two bad identifiers, at positions 1 and 2 of 3",
           frame("checkSubjects", good + u8(0) * 2, argument=3, word=2 | 3 << 16, request=13), "identifierInvalid", 1)
    for bit in (20, 63, 64, 959, 960, U16_MAX):
        broken(f"purpose bit {bit}", encode("checkSubjects", fields | {"purpose": bit}), "purposeUnknown", bit)
    broken("order: the purpose before the identifiers",
           frame("checkSubjects", u8(0), argument=20, word=2 | 1 << 16, request=13), "purposeUnknown", 20)
    broken("order: the layout before the purpose",
           frame("checkSubjects", good, argument=20, word=2 | 2 << 16, request=13))
    broken("order: the layout before an empty identifier",
           frame("checkSubjects", u8(0), argument=3, word=2 | 2 << 16, request=13))
    broken("order: a reserved bit before the layout",
           frame("checkSubjects", b"", argument=3, word=quad(2, 1), request=13), "reservedBitSet")

    valid = Valid("checkedSubjects")
    for count in (1, 3, 63, 64, 65, 1000):
        valid(f"{count} subject{plural(count)}", subjects_answer(count))
    valid("65 subjects, all granted", subjects_answer(65) | {"granted": bits_where(65, lambda n: True),
                                                             "denied": ["0" * 16] * 2})
    valid("65 subjects, all denied", subjects_answer(65) | {"granted": ["0" * 16] * 2,
                                                            "denied": bits_where(65, lambda n: True)})
    valid("2 subjects, both unknown, unavailable",
          subjects_answer(2) | {"freshness": "unavailable", "granted": ["0" * 16], "denied": ["0" * 16]})
    valid("65535 subjects, stale, the largest numbers",
          {"request": U32_MAX} | subjects_answer(65535) | {"freshness": "stale", "sequence": str(U64_MAX)})
    data = encode("checkedSubjects", {"request": 1} | subjects_answer(65))
    broken = client_side("checkedSubjects", data)
    freshness_in_answer(broken, data)
    for count in (0, 1, 64, 129, 65535):
        broken(f"count {count}, words for 65", with_header(data, word=count << 16))
    broken("count 0, no words", frame("checkedSubjects", u64(1001)))
    for count, bit in ((1, 1), (1, 63), (63, 63), (65, 65), (65, 127)):
        answer = {"request": 1} | subjects_answer(count)
        beyond = purposes_words([bit], (count + 63) // 64)
        for field in ("granted", "denied"):
            broken(f"{count} subjects, bit {bit} {field}", encode("checkedSubjects", answer | {field: beyond}))
    broken("a subject both granted and denied",
           encode("checkedSubjects", {"request": 1} | subjects_answer(2) | {"granted": purposes_words([1], 1),
                                                                            "denied": purposes_words([0, 1], 1)}))


def plural(count): return "" if count == 1 else "s"


def subjects_answer(count):
    return {"freshness": "live", "count": count, "sequence": "1001",
            "granted": bits_where(count, lambda n: n % 3 == 0), "denied": bits_where(count, lambda n: n % 3 == 1)}


def explanations():
    valid = Valid("explained")
    nothing = {"decidingState": None, "expiresAt": "0", "grantedUntil": "0", "decidingSequence": "0",
               "decidingCapturedAt": "0", "declaration": "", "consentedRevision": "", "currentRevision": ""}
    valid("given by the person", EXPLAINED)
    valid("given, with every field", EXPLAINED | {"guardian": GUARDIAN | {"value": "anne@example.no"}})
    for relation in GUARDIAN_RELATION:
        valid(f"given by a guardian: {relation}",
              EXPLAINED | {"guardian": {"relation": relation, "type": "national_id", "value": "#" + "0f" * 16}})
    acts = {"given": "given", "renewed": "renewed", "requested": "given", "expired": "given",
            "outdated_revision": "given", "deferred": "deferred", "refused": "refused", "withdrawn": "withdrawn",
            "revoked": "revoked", "invalidated": "invalidated", "objected": "objected"}
    for reason, decision in DECISION_OF_STATE.items():
        of_reason = {"reason": reason, "decision": decision, "decidingState": acts.get(reason)}
        if reason in ("unknown", "erased", "basis_holds"):
            of_reason = nothing | of_reason
        elif decision != "granted":
            of_reason["grantedUntil"] = "0"
        basis = {"basis_holds": "legitimate_interest", "objected": "public_task"}.get(reason, "consent")
        valid(f"reason {reason}", EXPLAINED | of_reason | {"basis": basis})
    for basis in BASIS:
        if basis != "consent":
            valid(f"basis {basis} holds", EXPLAINED | nothing | {"reason": "basis_holds", "basis": basis})
    valid("objection lifted, so the basis holds",
          EXPLAINED | {"reason": "basis_holds", "basis": "legitimate_interest", "decidingState": "objection_lifted",
                       "expiresAt": "0", "grantedUntil": "0", "declaration": "", "consentedRevision": "",
                       "currentRevision": ""})
    valid("with the largest numbers and longest texts",
          EXPLAINED | {"request": U32_MAX, "sequence": str(U64_MAX), "expiresAt": str(I64_MAX),
                       "grantedUntil": str(I64_MAX),
                       "decidingSequence": str(U64_MAX), "decidingCapturedAt": str(I64_MIN), "declaration": "d" * 255,
                       "consentedRevision": "語" * 85, "currentRevision": "r" * 255})
    valid("stale", EXPLAINED | {"freshness": "stale"})
    valid("with texts beyond ASCII", EXPLAINED | {"declaration": "kundeklubb-å", "consentedRevision": "1.1-β"})
    data = encode("explained", {"request": 1} | EXPLAINED)
    broken = client_side("explained", data)
    decisions_in_answer(broken, encode("explained",
                                       {"request": 1} | EXPLAINED | nothing | {"reason": "unknown",
                                                                               "decision": "unknown"}))
    for code in (6, 128, 255):
        broken(f"basis code {code}", patched(data, 13, u8(code)))
    for code in (10, 12, 16, 128, 255):
        broken(f"deciding state code {code}", patched(data, 14, u8(code)))
    texts_in_answer(broken, data, {"declaration": ("club", 1), "consentedRevision": ("1.1", 1),
                                   "currentRevision": ("1.2", 1)})
    damage_guardian(broken, lambda end: with_header(with_payload(data, data[HEADER_SIZE:] + end), flags=1))


# Changes

EVENT_TEXTS = ["declaration", "revision", "language", "system", "channel", "form", "actor"]


def records():
    valid = Valid("record")
    valid("one event with every field", {"events": [EVERY]})
    valid("one event with the fewest", {"events": [FEWEST]})
    valid("one event with the longest texts and 16 identifiers", {"request": U32_MAX, "events": [LONGEST]})
    valid("two events", {"events": [EVERY, FEWEST]})
    valid("three events of one act", {"events": [EVERY | {"purpose": bit, "key": f"{bit:032x}"} for bit in (1, 2,
                                                                                                            3)]})
    valid("64 events", {"events": [FEWEST | {"key": f"{n + 1:032x}",
                                             "identifiers": [{"type": "customer",
                                                              "value": f"C{n}"}]} for n in range(64)]})
    for state in EVENT_STATE:
        internal = {"outcomes": ["stateIsInternal"]} if state in ("expired", "erased") else {}
        valid(f"state {state}", {"events": [EVERY | {"state": state}]}, **internal)
    for method in METHOD:
        valid(f"method {method}", {"events": [EVERY | {"method": method}]})
    for party in PARTY:
        valid(f"party {party}", {"events": [EVERY | {"party": party, "guardian": None}]})
    for relation in GUARDIAN_RELATION:
        valid(f"guardian: {relation}", {"events": [EVERY | {"guardian": GUARDIAN | {"relation": relation}}]})
    for kind in IDENTIFIER_TYPE:
        valid(f"guardian by {kind}",
              {"events": [EVERY | {"guardian": GUARDIAN | {"type": kind, "value": "0047 2233 4455"}}]})
    for kind in IDENTIFIER_TYPE:
        valid(f"identifier type {kind}", {"events": [FEWEST | {"identifiers": [{"type": kind, "value": "0047 2233 4455"}]}]})
    for name, kind, value, _ in IDENTIFIERS:
        valid(f"identifier: {name}", {"events": [FEWEST | {"identifiers": [{"type": kind, "value": value}]}]},
              normalForm=normal_form(kind, value))
    for age in (0, 1, 150, 255):
        valid(f"age {age}", {"events": [FEWEST | {"age": age}]})
    for bit in (0, 19):
        valid(f"purpose bit {bit}", {"events": [FEWEST | {"purpose": bit}]})
    for millis in (-1, 1, I64_MIN, I64_MAX):
        valid(f"captured at {millis}, ends at {-millis - 1}",
              {"events": [FEWEST | {"capturedAt": str(millis), "expiresAt": str(-millis - 1)}]})
    for field in EVENT_TEXTS + ["evidence"]:
        valid(f"{field} beyond ASCII", {"events": [FEWEST | {field: "Blåbær Ω 語 😀"}]})
        if field != "evidence":
            valid(f"{field} of 255 bytes", {"events": [FEWEST | {field: "語" * 85}]})
    valid("evidence of 4096 bytes", {"events": [FEWEST | {"evidence": "e" * EVIDENCE_SIZE_MAX}]})

    # Whole frames whose events break a rule at the door: the answer is `recorded`, with these outcomes.
    one = FEWEST["identifiers"]
    rules = [
        ("no identifier", {"identifiers": []}, "identifierMissing"),
        ("17 identifiers", {"identifiers": [{"type": "device", "value": str(n)} for n in range(17)]},
         "identifiersTooMany"),
        ("255 identifiers", {"identifiers": [{"type": "device", "value": str(n)} for n in range(255)]},
         "identifiersTooMany"),
        ("an empty identifier", {"identifiers": [{"type": "customer", "value": ""}]}, "identifierEmpty"),
        ("an empty identifier after a good one",
         {"state": "requested", "identifiers": one + [{"type": "customer", "value": ""}]}, "identifierEmpty"),
        ("an e-mail of blanks only", {"identifiers": [{"type": "email", "value": "  "}]}, "identifierEmpty"),
        ("a phone of separators only", {"identifiers": [{"type": "phone", "value": "(-)"}]}, "identifierEmpty"),
        ("a phone without its country", {"identifiers": [{"type": "phone", "value": "22334455"}]}, "identifierRefused"),
        ("an e-mail in another script", {"identifiers": [{"type": "email", "value": "用户@example.cn"}]},
         "identifierRefused"),
        ("the hash of a national id", {"identifiers": [{"type": "national_id", "value": "#" + "0f" * 16}]},
         "nationalIdIsHash"),
        ("a control character in an identifier", {"identifiers": [{"type": "customer", "value": "a\nb"}]},
         "identifierMalformed"),
        ("a DEL in an identifier", {"identifiers": [{"type": "customer", "value": "a\x7fb"}]}, "identifierMalformed"),
        ("purpose bit 20", {"purpose": 20}, "admissionPurposeUnknown"),
        ("purpose bit 65535", {"purpose": U16_MAX}, "admissionPurposeUnknown"),
        # A "no" goes without a text that is too long, and without an identifier that is none beside one that is.
        ("evidence of 4097 bytes", {"state": "requested", "evidence": "e" * (EVIDENCE_SIZE_MAX + 1)}, "textTooLong"),
        ("evidence of 65535 bytes", {"state": "requested", "evidence": "e" * U16_MAX}, "textTooLong"),
        # A "no" drops an age that cannot be right instead of being refused for it, too.
        ("age 151", {"state": "requested", "age": 151}, "ageImplausible"),
        ("age 254", {"state": "requested", "age": 254}, "ageImplausible"),
        ("a guardian confirms, unnamed", {"state": "confirmed", "party": "guardian"}, "guardianMissing"),
        ("a guardian is named, but the person acts", {"state": "requested", "guardian": GUARDIAN}, "guardianMissing"),
        ("the guardian is the person",
         {"state": "requested", "party": "guardian",
          "guardian": {"relation": "parent", "type": "customer", "value": "7"}}, "guardianMissing"),
        ("a guardian without a name", {"state": "requested", "party": "guardian", "guardian": GUARDIAN | {"value": ""}},
         "identifierEmpty"),
        ("a guardian by a phone without its country",
         {"state": "requested", "party": "guardian",
          "guardian": {"relation": "parent", "type": "phone", "value": "22334455"}}, "identifierRefused"),
    ]
    for name, change, outcome in rules:
        valid(f"rule at the door: {name}", {"events": [FEWEST | change]}, outcomes=[outcome])
    valid("rule at the door: broken by the second of three", outcomes=[None, "identifierMissing", None],
          fields={"events": [FEWEST | {"key": f"{n:032x}"} | ({"identifiers": []} if n == 2 else {}) for n in (1, 2,
                                                                                                               3)]})

    broken = Broken("record")
    data = encode("record", {"request": 14, "events": [EVERY, FEWEST]})
    common_damage(broken, "record", data)
    truncations(broken, data)
    junk(broken, data)

    def record(body, count=1): return frame("record", body, argument=count, request=14)
    body = event_body(EVERY)
    for size in range(len(body)):
        broken(f"event cut to {size} of {len(body)} bytes, its size as well", record(sized(body[:size])))
    few = event_body(FEWEST)
    broken("event with a byte of junk within its size", record(sized(few + b"\x00")))
    for size in (0, 1, 48, len(few) - 1, len(few) + 1, U16_MAX, 2**31 - 1, 2**31, U32_MAX - 4, U32_MAX):
        broken(f"event size {size} instead of {len(few)}", record(u32(size) + few))
    broken("event size that takes in the next event", record(u32(len(few) * 2 + 4) + few + sized(few), 2))
    broken("event size one less, the next one's one more",
           record(u32(len(few) - 1) + few + u32(len(few) + 1) + few, 2))
    broken("count 0, nothing there", record(b"", 0))
    for count in (0, 2, EVENTS_PER_RECORD_MAX, EVENTS_PER_RECORD_MAX + 1, U16_MAX):
        broken(f"count {count}, 1 there", record(sized(few), count))
    broken("count 1, 2 there", record(sized(few) * 2, 1))
    broken("count 2, 3 there", record(sized(few) * 3, 2))
    damage_events(broken, lambda damaged: record(sized(damaged)), "reservedBitSet", of_identifiers=False)
    broken("one bad event among good ones takes the frame down",
           record(sized(few) + sized(patched(few, 18, u8(0))) + sized(few), 3))
    broken("order: a reserved bit before the layout", frame("record", b"", flags=1, argument=1, request=14),
           "reservedBitSet")
    broken("order: a reserved bit before the count", frame("record", b"", argument=0, word=1, request=14),
           "reservedBitSet")

    valid = Valid("recorded")
    good = {"code": None, "repeated": False, "sequence": "1002", "message": ""}
    bad = {"code": "revisionNotCurrent", "repeated": False, "sequence": "0",
           "message": "revision club 1.1 was not current at the time of capture; 1.2 was: show that one"}
    valid("one event", {"head": "1002", "outcomes": [good]})
    valid("one event that was there already",
          {"head": "1002", "outcomes": [good | {"repeated": True, "sequence": "17"}]})
    valid("one event refused", {"head": "1001", "outcomes": [bad]})
    valid("three events, the second refused", {"head": "1003", "outcomes": [good, bad, good | {"sequence": "1003"}]})
    valid("64 events", {"head": "64", "outcomes": [good | {"sequence": str(n + 1)} for n in range(64)]})
    for name, (code, _) in ERRORS.items():
        if code >= 64:
            valid(f"outcome {name}", {"head": "1001", "outcomes": [bad | {"code": name, "message": ""}]})
    valid("with the largest numbers",
          {"request": U32_MAX, "head": str(SEQUENCE_MAX), "outcomes": [good | {"sequence": str(SEQUENCE_MAX)}]})
    valid("with the longest message", {"head": "0", "outcomes": [bad | {"message": "å" * 32767 + "."}]})
    valid("with a message beyond ASCII", {"head": "0", "outcomes": [bad | {"message": "Blåbær Ω 語 😀"}]})
    data = encode("recorded", {"request": 1, "head": "1002",
                               "outcomes": [good, bad | {"message": "no such revision"}]})
    broken = client_side("recorded", data)
    for count in (0, 1, 3, U16_MAX):
        broken(f"count {count}, 2 there", with_header(data, argument=count))
    for bit in range(1, 8):
        broken(f"reserved bit {bit} of an outcome's flags", patched(data, HEADER_SIZE + 10, u8(1 << bit)))
    for bit in range(8):
        broken(f"bit {bit} of an outcome's reserved byte", patched(data, HEADER_SIZE + 11, u8(1 << bit)))
    texts_in_answer(broken, data, {"message": ("no such revision", 2)})


def damage_events(broken, wrap, error_of_reserved, of_identifiers=True):
    """Everything that an event's bytes can get wrong; `wrap` puts the event's body into a frame. In `record`, what an
    identifier holds is the event's fault and has an outcome."""
    few, every = event_body(FEWEST), event_body(EVERY)
    for bit in range(2, 8):
        broken(f"reserved bit {bit} of an event's flags", wrap(patched(few, 21, u8(1 << bit))), error_of_reserved)
    for field, position, codes in (("state", 18, (0, 10, 12, 16, 128, 255)), ("method", 19, (8, 63, 68, 128, 255)),
                                   ("party", 20, (5, 128, 255))):
        for code in codes:
            broken(f"event {field} code {code}", wrap(patched(few, position, u8(code))))
    kind_at = len(few) - 3
    for code in TYPES_UNKNOWN if of_identifiers else ():
        broken(f"event identifier type {code}", wrap(patched(few, kind_at, u8(code))))
    for count in (0, 2, 16, 17, 255):
        broken(f"event identifier count {count}, 1 there", wrap(event_body(FEWEST, count)))
    broken("event identifier count 1, 2 there", wrap(event_body(EVERY, 1)))
    for index, field in enumerate(EVENT_TEXTS):
        for name, bad in NOT_UTF8.items():
            at = 40 + index
            broken(f"event {field} is not UTF-8: {name}", wrap(few[:at] + u8(len(bad)) + bad + few[at + 1:]))
    for name, bad in NOT_UTF8.items():
        broken(f"event evidence is not UTF-8: {name}", wrap(few[:47] + u16(len(bad)) + bad + few[49:]))
        if not of_identifiers:
            continue
        broken(f"event identifier is not UTF-8: {name}", wrap(few[:kind_at + 1] + u8(len(bad)) + bad))
    damage_guardian(broken, lambda end: wrap(patched(few, 21, u8(2)) + end))
    broken("guardian that no flag says", wrap(few + guardian_bytes(GUARDIAN)))
    text_at = every.index(b"\x04club")
    for size in (3, 5, 255):
        broken(f"event declaration says {size} bytes instead of 4", wrap(patched(every, text_at, u8(size))))
    evidence_at = every.index(b"\x0c\x00receipt")
    for size in (11, 13, U16_MAX):
        broken(f"event evidence says {size} bytes instead of 12", wrap(patched(every, evidence_at, u16(size))))


def damage_guardian(broken, wrap):
    """What can be wrong at the end of a frame or event that says that a guardian is named."""
    whole = guardian_bytes(GUARDIAN)
    for size in range(len(whole)):
        broken(f"guardian cut to {size} of {len(whole)} bytes", wrap(whole[:size]))
    broken("guardian with a byte of junk behind it", wrap(whole + b"\x00"))
    for code in (0, 4, 128, 255):
        broken(f"guardian relation code {code}", wrap(u8(code) + whole[1:]))
    for code in TYPES_UNKNOWN:
        broken(f"guardian identifier type {code}", wrap(whole[:1] + u8(code) + whole[2:]))
    for name, bad in NOT_UTF8.items():
        broken(f"guardian is not UTF-8: {name}", wrap(whole[:2] + u8(len(bad)) + bad))


DOCUMENT = "controllers:\n  - id: blåbær\n    name: Blåbær AS\n"


def catalogs():
    valid = Valid("applyCatalog")
    for dry in (False, True):
        valid("a document, dry run" if dry else "a document", {"dryRun": dry, "document": DOCUMENT})
    valid("an empty document", {"dryRun": True, "document": ""})
    valid("a document beyond ASCII", {"request": U32_MAX, "dryRun": False, "document": "# Blåbær Ω 語 😀\r\n"})
    valid("a document of 9,163 bytes", {"dryRun": False, "document": "# 語 ….\n" * 833})
    broken = Broken("applyCatalog")
    data = encode("applyCatalog", {"request": 15, "dryRun": True, "document": DOCUMENT})
    common_damage(broken, "applyCatalog", data)
    truncations(broken, data, lambda rest: None if is_utf8(rest) else "malformed")
    for name, bad in NOT_UTF8.items():
        for place, document in (("alone", bad), ("at the end", b"a: b\n# " + bad),
                                ("in the middle", b"a: " + bad + b"\n# b\n")):
            broken(f"not UTF-8, {place}: {name}", with_payload(data, document))
    broken("order: a reserved flag before the layout", with_payload(with_header(data, flags=2), b"\xff"),
           "reservedBitSet")

    valid = Valid("appliedCatalog")
    two = ["purpose newsletter: added, bit 3", "declaration club: revision 1.2 is effective at 2027-01-01T00:00:00Z"]
    valid("two changes", {"dryRun": False, "version": 8, "sequence": "1003", "changes": two})
    valid("two changes, dry run", {"dryRun": True, "version": 7, "sequence": "0", "changes": two})
    valid("no change", {"dryRun": False, "version": 7, "sequence": "0", "changes": []})
    valid("with the largest numbers and the longest change",
          {"request": U32_MAX, "dryRun": False, "version": U32_MAX, "sequence": str(SEQUENCE_MAX),
           "changes": ["c" * 65535]})
    valid("an empty change and one beyond ASCII",
          {"dryRun": True, "version": 0, "sequence": "0", "changes": ["", "Blåbær Ω 語 😀"]})
    valid("300 changes", {"dryRun": False, "version": 2, "sequence": "5",
                          "changes": [f"change {n}" for n in range(300)]})
    data = encode("appliedCatalog", {"request": 1, "dryRun": False, "version": 8, "sequence": "1003",
                                     "changes": ["one", "two"]})
    broken = client_side("appliedCatalog", data)
    for count in (0, 1, 3, U16_MAX):
        broken(f"count {count}, 2 there", with_header(data, argument=count))
    texts_in_answer(broken, data, {"first change": ("one", 2), "second change": ("two", 2)})


# Erasure

def erasure():
    valid = Valid("erase")
    kari = {"reason": "consent_withdrawn", "actor": "clerk-7", "type": "email", "identifier": "kari@example.no"}
    for reason in ERASURE_REASON:
        valid(f"for the reason {reason}", kari | {"reason": reason})
    for name, kind, value, form in IDENTIFIERS:
        valid(name, kari | {"type": kind, "identifier": value}, normalForm=form)
    valid("by nobody in particular", kari | {"actor": ""})
    valid("with the largest request id and the longest texts",
          {"request": U32_MAX, "reason": "unlawful", "actor": "語" * 85, "type": "other", "identifier": "o" * 255})
    broken = Broken("erase")
    data = encode("erase", kari | {"request": 23})
    common_damage(broken, "erase", data)
    # What is left of a longer identifier is a shorter one; with none left, nothing names the person.
    start = HEADER_SIZE + 1 + len(kari["actor"])
    for size in range(start - HEADER_SIZE):
        broken(f"payload cut to {size} bytes", with_payload(data, data[HEADER_SIZE:HEADER_SIZE + size]))
    broken("no identifier", data[:0] + with_payload(data, data[HEADER_SIZE:start]), "identifierInvalid")
    broken("an identifier of 256 bytes", with_payload(data, data[HEADER_SIZE:start] + b"a" * 256),
           "identifierInvalid")
    for reason in (0, 7, 8, 255):
        broken(f"reason {reason}", with_header(data, argument=reason))
    for kind in TYPES_UNKNOWN:
        broken(f"identifier type {kind}", with_header(data, word=kind), "identifierInvalid")
    for control in CONTROLS:
        broken(f"control character {control:02x} in the identifier",
               with_payload(data, data[HEADER_SIZE:start] + b"a" + bytes([control])), "identifierInvalid")
    for name, bad in NOT_UTF8.items():
        broken(f"actor not UTF-8: {name}", with_payload(data, sized8(bad) + b"kari@example.no"))
        broken(f"identifier not UTF-8: {name}", with_payload(data, data[HEADER_SIZE:start] + bad),
               "identifierInvalid")
    broken("order: a reserved bit before the reason", with_header(data, argument=0x100), "reservedBitSet")
    broken("order: the reason before the identifier", with_header(data, argument=0, word=0))

    valid = Valid("erased")
    done = {"repeated": False, "pending": False, "emptiedEvents": 3, "sequence": "1004", "erasedAt": "1795258800000",
            "hash": "5a" * 32, "reason": "consent_withdrawn", "actor": "clerk-7", "objections": ["profiling"],
            "identifiers": [{"type": "email", "hash": "0f" * 16}, {"type": "customer", "hash": "f0" * 16}]}
    valid("an erasure", done)
    valid("that was done before", done | {"repeated": True, "emptiedEvents": 0})
    valid("whose traces may be left in the log", done | {"pending": True})
    valid("of who never objected", done | {"objections": []})
    valid("with the largest numbers and the longest texts",
          done | {"request": U32_MAX, "repeated": True, "pending": True, "emptiedEvents": U32_MAX,
                  "sequence": str(SEQUENCE_MAX), "erasedAt": str(I64_MAX), "actor": "語" * 85,
                  "objections": ["p" * 255, "é" * 127],
                  "identifiers": [{"type": kind, "hash": "ff" * 16} for kind in IDENTIFIER_TYPE]})
    data = encode("erased", done | {"request": 1})
    broken = client_side("erased", data)
    for count in (0, 2, U16_MAX):
        broken(f"{count} objections said, 1 there", with_header(data, argument=count))
    for reason in (0, 7, 255):
        broken(f"reason {reason}", patched(data, HEADER_SIZE + 48, u8(reason)))
    broken("a reserved byte", patched(data, HEADER_SIZE + 49, u8(1)))
    for count in (0, 1, 3, U16_MAX):
        broken(f"{count} identifiers said, 2 there", patched(data, HEADER_SIZE + 50, u16(count)))
    for kind in TYPES_UNKNOWN:
        broken(f"identifier type {kind}", patched(data, len(data) - 17, u8(kind)))
    texts_in_answer(broken, data, {"actor": ("clerk-7", 1), "objection": ("profiling", 1)})


# Links

def links():
    valid = Valid("link")
    login = {"actor": "web", "type": "cookie", "identifier": "f3a1", "personType": "customer", "person": "100"}
    valid("a cookie with a customer", login)
    valid("by nobody in particular", login | {"actor": ""})
    valid("an e-mail address with itself",
          login | {"type": "email", "identifier": "kari@example.no", "personType": "email", "person": "kari@example.no"})
    valid("with the largest request id and the longest texts",
          {"request": U32_MAX, "actor": "語" * 85, "type": "other", "identifier": "o" * 255, "personType": "device",
           "person": "d" * 255})
    broken = Broken("link")
    data = encode("link", login | {"request": 26})
    common_damage(broken, "link", data)
    fixed = text8("web") + text8("f3a1")
    for size in range(len(fixed)):
        broken(f"payload cut to {size} bytes", with_payload(data, fixed[:size]))
    broken("no person", with_payload(data, fixed), "identifierInvalid")
    broken("no identifier", with_payload(data, text8("web") + text8("") + b"100"), "identifierInvalid")
    broken("a person of 256 bytes", with_payload(data, fixed + b"a" * 256), "identifierInvalid")
    for kind in TYPES_UNKNOWN:
        broken(f"identifier type {kind}", with_header(data, word=quad(kind, 1)), "identifierInvalid")
        broken(f"identifier type {kind} of the person", with_header(data, word=quad(5, kind)), "identifierInvalid")
    for name, bad in NOT_UTF8.items():
        broken(f"actor not UTF-8: {name}", with_payload(data, sized8(bad) + text8("f3a1") + b"100"))
        broken(f"identifier not UTF-8: {name}", with_payload(data, text8("web") + sized8(bad) + b"100"),
               "identifierInvalid")
        broken(f"person not UTF-8: {name}", with_payload(data, fixed + bad), "identifierInvalid")
    broken("order: a reserved bit before the layout", with_header(with_payload(data, b""), word=1 << 16),
           "reservedBitSet")
    broken("order: the layout before the type", with_header(with_payload(data, b""), word=0))

    valid = Valid("unlink")
    wrong = {"actor": "clerk-7", "type": "cookie", "identifier": "f3a1"}
    valid("a cookie", wrong)
    for name, kind, value, form in IDENTIFIERS:
        valid(name, wrong | {"type": kind, "identifier": value}, normalForm=form)
    valid("with the largest request id and the longest texts",
          {"request": U32_MAX, "actor": "語" * 85, "type": "other", "identifier": "o" * 255})
    broken = Broken("unlink")
    data = encode("unlink", wrong | {"request": 27})
    common_damage(broken, "unlink", data)
    for size in range(len(text8("clerk-7"))):
        broken(f"payload cut to {size} bytes", with_payload(data, text8("clerk-7")[:size]))
    broken("no identifier", with_payload(data, text8("clerk-7")), "identifierInvalid")
    broken("an identifier of 256 bytes", with_payload(data, text8("clerk-7") + b"a" * 256), "identifierInvalid")
    for kind in TYPES_UNKNOWN:
        broken(f"identifier type {kind}", with_header(data, word=kind), "identifierInvalid")
    for name, bad in NOT_UTF8.items():
        broken(f"actor not UTF-8: {name}", with_payload(data, sized8(bad) + b"f3a1"))
        broken(f"identifier not UTF-8: {name}", with_payload(data, text8("clerk-7") + bad), "identifierInvalid")

    for opcode in ("linked", "unlinked"):
        valid = Valid(opcode)
        done = {"identifiers": 1, "sequence": "1006", "recordedAt": "1795258800000", "hash": "5a" * 32,
                "denied": ["profiling"]}
        valid("with a no", done)
        valid("without one", done | {"denied": []})
        valid("with the largest numbers and the longest texts",
              {"request": U32_MAX, "identifiers": U32_MAX, "sequence": str(SEQUENCE_MAX), "recordedAt": str(I64_MAX),
               "hash": "ff" * 32, "denied": ["p" * 255, "é" * 127]})
        data = encode(opcode, done | {"request": 1})
        broken = client_side(opcode, data)
        for count in (0, 2, U16_MAX):
            broken(f"{count} purposes said, 1 there", with_header(data, argument=count))
        texts_in_answer(broken, data, {"purpose": ("profiling", 1)})
    Valid("linked")("that changed nothing", {"identifiers": 0, "sequence": "0", "recordedAt": "1795258800000",
                                             "hash": "00" * 32, "denied": []})


# Tokens

def tokens():
    valid = Valid("issueToken")
    kari = {"purposes": ["newsletter"], "type": "email", "identifier": "kari@example.no"}
    valid("one purpose", kari)
    valid("two purposes", kari | {"purposes": ["newsletter", "sms"]})
    valid("as many purposes as may be", kari | {"purposes": [f"p{n}" for n in range(PURPOSES_PER_TOKEN_MAX)]})
    for name, kind, value, form in IDENTIFIERS:
        valid(name, kari | {"type": kind, "identifier": value}, normalForm=form)
    valid("with the largest request id and the longest texts",
          {"request": U32_MAX, "purposes": ["語" * 85], "type": "other", "identifier": "o" * 255})
    broken = Broken("issueToken")
    data = encode("issueToken", kari | {"request": 24})
    common_damage(broken, "issueToken", data)
    start = HEADER_SIZE + 1 + len("newsletter")
    for size in range(start - HEADER_SIZE):
        broken(f"payload cut to {size} bytes", with_payload(data, data[HEADER_SIZE:HEADER_SIZE + size]))
    broken("no identifier", with_payload(data, data[HEADER_SIZE:start]), "identifierInvalid")
    broken("an identifier of 256 bytes", with_payload(data, data[HEADER_SIZE:start] + b"a" * 256), "identifierInvalid")
    for count in (0, PURPOSES_PER_TOKEN_MAX + 1, U16_MAX):
        broken(f"{count} purposes said", with_header(data, argument=count))
    many = text8("p") * (PURPOSES_PER_TOKEN_MAX + 1)
    broken("more purposes than may be, all there",
           frame("issueToken", many + b"kari@example.no", argument=PURPOSES_PER_TOKEN_MAX + 1, word=2, request=24))
    for kind in TYPES_UNKNOWN:
        broken(f"identifier type {kind}", with_header(data, word=kind), "identifierInvalid")
    for control in CONTROLS:
        broken(f"control character {control:02x} in the identifier",
               with_payload(data, data[HEADER_SIZE:start] + b"a" + bytes([control])), "identifierInvalid")
    for name, bad in NOT_UTF8.items():
        broken(f"purpose not UTF-8: {name}", with_payload(data, sized8(bad) + b"kari@example.no"))
        broken(f"identifier not UTF-8: {name}", with_payload(data, data[HEADER_SIZE:start] + bad), "identifierInvalid")
    broken("order: a reserved bit before the count", with_header(data, argument=0, word=0x102), "reservedBitSet")
    broken("order: the count before the identifier", with_header(data, argument=0, word=0))

    valid = Valid("tokenIssued")
    issued = {"endsAt": "1795863600000", "token": "A" * 42 + "-", "events": ["1002"]}
    valid("for one grant", issued)
    valid("for two grants", issued | {"events": ["1002", "1003"]})
    valid("with the largest numbers and the longest text",
          {"request": U32_MAX, "endsAt": str(I64_MAX), "token": "t" * 255, "events": [str(U64_MAX)] * 64})
    data = encode("tokenIssued", issued | {"request": 1})
    broken = client_side("tokenIssued", data)
    for count in (0, 2, U16_MAX):
        broken(f"{count} events said, 1 there", with_header(data, argument=count))
    texts_in_answer(broken, data, {"token": ("A" * 42 + "-", 1)})

    valid = Valid("confirmToken")
    confirm = {"guardian": None, "token": "A" * 42 + "-", "system": "web", "channel": "mail", "form": "link",
               "actor": ""}
    valid("by the person", confirm)
    valid("by a guardian", confirm | {"guardian": GUARDIAN})
    valid("that is no token, from nowhere", {"guardian": None, "token": "", "system": "", "channel": "", "form": "",
                                             "actor": ""})
    valid("with the largest request id and the longest texts",
          {"request": U32_MAX, "guardian": LONGEST["guardian"], "token": "t" * 255, "system": "s" * 255, "channel": "c" * 255,
           "form": "f" * 255, "actor": "語" * 85})
    broken = Broken("confirmToken")
    data = encode("confirmToken", confirm | {"actor": "clerk-7", "request": 25})
    common_damage(broken, "confirmToken", data)
    truncations(broken, data)
    junk(broken, data)
    for name, bad in NOT_UTF8.items():
        broken(f"token not UTF-8: {name}", with_payload(data, sized8(bad) + text8("") * 4))
        broken(f"actor not UTF-8: {name}", with_payload(data, text8("") * 4 + sized8(bad)))
    damage_guardian(broken, lambda end: with_header(with_payload(data, data[HEADER_SIZE:] + end), flags=1))
    broken("guardian that no flag says", with_payload(data, data[HEADER_SIZE:] + guardian_bytes(GUARDIAN)))
    broken("order: a reserved bit before the layout", with_header(with_payload(data, b""), word=1), "reservedBitSet")

    valid = Valid("tokenConfirmed")
    consent = {"sequence": "1005", "refersTo": "1002", "purpose": "newsletter", "declaration": "club",
               "revision": "1.2"}
    valid("one consent", {"consents": [consent]})
    valid("two consents", {"consents": [consent, consent | {"sequence": "1006", "refersTo": "1003", "purpose": "sms"}]})
    valid("with the largest numbers and the longest texts",
          {"request": U32_MAX, "consents": [{"sequence": str(SEQUENCE_MAX), "refersTo": str(SEQUENCE_MAX),
                                             "purpose": "p" * 255, "declaration": "d" * 255,
                                             "revision": "語" * 85}] * 64})
    data = encode("tokenConfirmed", {"request": 1, "consents": [consent]})
    broken = client_side("tokenConfirmed", data)
    for count in (0, 2, U16_MAX):
        broken(f"{count} consents said, 1 there", with_header(data, argument=count))
    texts_in_answer(broken, data, {"purpose": ("newsletter", 1), "declaration": ("club", 1), "revision": ("1.2", 1)})


# Reads

def reads():
    asked = Valid("history")

    def valid(name, fields, **more): asked(name, {"links": False} | fields, **more)
    valid("with links", {"links": True, "limit": 0, "type": "email", "after": "0", "identifier": "kari@example.no"})
    for name, kind, value, _ in IDENTIFIERS:
        valid(name, {"limit": 0, "type": kind, "after": "0", "identifier": value},
              normalForm=normal_form(kind, value))
    for limit in (1, 200, 201, U16_MAX):
        valid(f"limit {limit}", {"limit": limit, "type": "email", "after": "1001", "identifier": "kari@example.no"})
    for after in (1, SEQUENCE_MAX, U64_MAX):
        valid(f"after {after}", {"limit": 50, "type": "email", "after": str(after), "identifier": "kari@example.no"})
    valid("with the largest request id", {"request": U32_MAX, "limit": 0, "type": "other", "after": "0",
                                          "identifier": "x"})
    broken = Broken("history")
    data = encode("history", {"request": 16, "limit": 0, "type": "email", "after": "1001",
                              "identifier": "kåre-😀@example.no"})
    common_damage(broken, "history", data)

    def judge(payload):
        if len(payload) < 8:
            return "malformed"
        return None if is_identifier(payload[8:], "email") else "identifierInvalid"
    truncations(broken, data, judge)
    for name, kind, value in bad_identifiers(limited=False):
        broken(name, frame("history", u64(0) + value, word=kind, request=16), "identifierInvalid")
    broken("order: the layout before the identifier's type", frame("history", b"\x00" * 7, word=0, request=16))
    broken("order: a reserved bit before the layout", frame("history", b"", word=0x0102, request=16),
           "reservedBitSet")

    pages = Valid("historyPage")

    def valid(name, fields): pages(name, {"links": []} | fields)
    few = RECORDED | {"sequence": "1003", "event": FEWEST | {"capturedAt": "1795258800000"}}
    valid("no event", {"more": False, "head": "1001", "events": []})
    valid("one event with every field", {"more": False, "head": "1002", "events": [RECORDED]})
    valid("two events, more follow", {"more": True, "head": "2000", "events": [RECORDED, few]})
    valid("a grant, its confirmation and its end",
          {"more": False, "head": "1009", "events": [
              RECORDED,
              few | {"sequence": "1004", "refersTo": "1002",
                     "event": FEWEST | {"state": "confirmed", "purpose": 3, "capturedAt": "1795258900000"}},
              few | {"sequence": "1009", "refersTo": "1002",
                     "event": FEWEST | {"state": "expired", "purpose": 3, "party": "system",
                                        "capturedAt": "1826794800000"}}]})
    for state in EVENT_STATE:
        valid(f"state {state}", {"more": False, "head": "1002",
                                 "events": [RECORDED | {"event": NORMAL | {"state": state}}]})
    valid("with the largest numbers and longest texts",
          {"request": U32_MAX, "more": True, "head": str(U64_MAX),
           "events": [{"sequence": str(U64_MAX), "recordedAt": str(I64_MAX), "refersTo": str(U64_MAX),
                       "hash": "ff" * 32, "event": LONGEST}]})
    valid("65 events", {"more": True, "head": "70", "events": [few | {"sequence": str(n + 1)} for n in range(65)]})
    link = {"sequence": "1004", "recordedAt": "1795258900000", "other": "18", "hash": "a5" * 32, "action": "linked",
            "actor": "web", "identifiers": [{"type": "cookie", "value": "f3a1"}]}
    valid("an event and a link", {"more": False, "head": "1004", "events": [RECORDED], "links": [link]})
    for action in LINK_ACTION:
        valid(f"link action {action}", {"more": False, "head": "1004", "events": [], "links": [link | {"action": action}]})
    valid("a link of who was erased", {"more": False, "head": "1004", "events": [],
                                       "links": [link | {"other": "0", "actor": "", "identifiers": []}]})
    valid("links with the largest numbers and longest texts",
          {"request": U32_MAX, "more": True, "head": str(U64_MAX), "events": [],
           "links": [{"sequence": str(U64_MAX), "recordedAt": str(I64_MAX), "other": str(U64_MAX), "hash": "ff" * 32,
                      "action": "separated", "actor": "語" * 85,
                      "identifiers": [{"type": "other", "value": "i" * 255}] * 16}] * 3})
    linking = encode("historyPage", {"request": 1, "more": False, "head": "1004", "events": [], "links": [link]})
    broken = Broken("historyPage", "client")
    truncations(broken, linking, name="payload with a link")
    for count in (0, 2, U32_MAX):
        broken(f"{count} links said, 1 there", with_header(linking, word=count))
    for action in (0, 5, 255):
        broken(f"link action {action}", patched(linking, HEADER_SIZE + 8 + 56, u8(action)))
    for count in (0, 2, 255):
        broken(f"{count} identifiers of a link said, 1 there", patched(linking, HEADER_SIZE + 8 + 57, u8(count)))
    broken("a reserved byte of a link", patched(linking, HEADER_SIZE + 8 + 58, u8(1)))
    for kind in TYPES_UNKNOWN:
        broken(f"identifier type {kind} of a link", patched(linking, HEADER_SIZE + 8 + 60 + len(text8("web")), u8(kind)))
    texts_in_answer(broken, linking, {"actor of a link": ("web", 1), "identifier of a link": ("f3a1", 1)})
    head = u64(1002)

    def page(body, count=1): return frame("historyPage", head + body, argument=count)
    before = encode("historyPage", {"request": 1, "more": False, "head": "0", "links": [],
                                    "events": [RECORDED]})[HEADER_SIZE + 8:][:56]
    data = page(before + sized(event_body(EVERY)))
    broken = client_side("historyPage", data)
    for count in (0, 2, U16_MAX):
        broken(f"count {count}, 1 there", page(before + sized(event_body(FEWEST)), count))
    damage_events(broken, lambda damaged: page(before + sized(damaged)), "protocolFailure")
    for size in (0, 51, 53, U32_MAX):
        broken(f"event size {size} instead of 52", page(before + u32(size) + event_body(FEWEST)))

    for opcode in ("catalog", "catalogDocument", "statistics", "status", "checkpoint"):
        valid = Valid(opcode)
        for request in (0, 1, 17, U32_MAX):
            valid(f"request id {request}", {"request": request})
        broken = Broken(opcode)
        data = frame(opcode, request=17)
        common_damage(broken, opcode, data)
        junk(broken, data)
        broken("order: a reserved bit before the layout", frame(opcode, b"\x00", word=1, request=17),
               "reservedBitSet")

    valid = Valid("catalogPurposes")
    purpose = {"bit": 3, "basis": "consent", "active": True, "explicit": False, "doubleOptIn": True,
               "profiling": False,
               "directMarketing": True, "sharing": False, "id": "newsletter", "controller": "blabar"}
    digest = "c0" * 32
    valid("no purpose", {"version": 0, "digest": "00" * 32, "purposes": []})
    valid("one purpose", {"version": 7, "digest": digest, "purposes": [purpose]})
    for basis in BASIS:
        valid(f"basis {basis}", {"version": 7, "digest": digest, "purposes": [purpose | {"basis": basis}]})
    for flag in PURPOSE_FLAGS:
        valid(f"flag {flag} alone", {"version": 7, "digest": digest,
                                     "purposes": [purpose | {one: one == flag for one in PURPOSE_FLAGS}]})
    valid("no flag at all, which is a retired purpose",
          {"version": 7, "digest": digest, "purposes": [purpose | dict.fromkeys(PURPOSE_FLAGS, False)]})
    valid("with the largest numbers and longest texts",
          {"request": U32_MAX, "version": U32_MAX, "digest": "ff" * 32,
           "purposes": [purpose | dict.fromkeys(PURPOSE_FLAGS, True) | {"bit": 959, "id": "p" * 255,
                                                                        "controller": "語" * 85}]})
    valid("the 20 purposes that these vectors assume",
          {"version": 7, "digest": digest,
           "purposes": [purpose | dict.fromkeys(PURPOSE_FLAGS, False) | {"bit": n, "active": True,
                                                                         "id": f"purpose-{n}"} for n in range(20)]})
    data = encode("catalogPurposes", {"request": 1, "version": 7, "digest": digest,
                                      "purposes": [purpose, purpose | {"bit": 4}]})
    broken = client_side("catalogPurposes", data)
    for count in (0, 1, 3, U16_MAX):
        broken(f"count {count}, 2 there", with_header(data, argument=count))
    for code in (6, 128, 255):
        broken(f"basis code {code}", patched(data, HEADER_SIZE + 34, u8(code)))
    for bit in (6, 7):
        broken(f"reserved bit {bit} of a purpose's flags", patched(data, HEADER_SIZE + 35, u8(1 << bit)))
    texts_in_answer(broken, data, {"id": ("newsletter", 1), "controller": ("blabar", 1)})

    valid = Valid("catalogText")
    valid("a document", {"version": 7, "document": DOCUMENT})
    valid("an empty document", {"version": 0, "document": ""})
    valid("with the largest numbers", {"request": U32_MAX, "version": U32_MAX, "document": "# Ω 語 😀\n"})
    data = encode("catalogText", {"request": 1, "version": 7, "document": DOCUMENT})
    broken = client_side("catalogText", data, is_rest=True)
    for name, bad in NOT_UTF8.items():
        broken(f"not UTF-8: {name}", with_payload(data, b"a: b\n# " + bad))

    valid = Valid("statisticValues")
    valid("no value", {"values": []})
    valid("one value", {"values": [{"name": "checks", "value": "123456789"}]})
    valid("with the largest numbers, the longest and the emptiest names",
          {"request": U32_MAX, "values": [{"name": "n" * 255, "value": str(U64_MAX)}, {"name": "", "value": "0"}]})
    valid("a name beyond ASCII", {"values": [{"name": "kø.Ω.語.😀", "value": "1"}]})
    valid("100 values", {"values": [{"name": f"counter.{n}", "value": str(n * n)} for n in range(100)]})
    data = encode("statisticValues", {"request": 1,
                                      "values": [{"name": "checks", "value": "1"}, {"name": "events", "value": "2"}]})
    broken = client_side("statisticValues", data)
    for count in (0, 1, 3, U16_MAX):
        broken(f"count {count}, 2 there", with_header(data, argument=count))
    texts_in_answer(broken, data, {"first name": ("checks", 1), "second name": ("events", 1)})


# Documents that show to others what the ledger holds

def proofs():
    valid = Valid("prove")
    for kind in PROOF_KIND:
        valid(f"{kind}", {"kind": kind, "sequence": "2"})
    for sequence in (0, 1, SEQUENCE_MAX, U64_MAX):
        valid(f"event {sequence}", {"kind": "event", "sequence": str(sequence)})
    valid("with the largest request id", {"request": U32_MAX, "kind": "event", "sequence": "1"})
    broken = Broken("prove")
    data = encode("prove", {"request": 23, "kind": "event", "sequence": "72623859790382856"})
    common_damage(broken, "prove", data)
    truncations(broken, data)
    junk(broken, data)
    for kind in (0, 4, 255):
        broken(f"kind {kind}", with_header(data, argument=kind))
    broken("order: a reserved bit before the layout", frame("prove", argument=1, word=1, request=23), "reservedBitSet")

    for opcode, document in (("checkpointed", '{"format":"consentd.checkpoint.1"}'),
                             ("proved", '{"format":"consentd.proof.1","name":"kåre Ω 語 😀"}')):
        valid = Valid(opcode)
        last = {"more": False} if opcode == "proved" else {}
        valid("a document", last | {"document": document})
        valid("an empty document", last | {"document": ""})
        valid("with the largest request id", last | {"request": U32_MAX, "document": document})
        data = encode(opcode, last | {"request": 1, "document": document})
        broken = client_side(opcode, data, is_rest=True)
        if opcode == "proved":
            valid("a part of a document", {"document": document[:20], "more": True})
            broken("an empty part, more to follow", with_header(with_payload(data, b""), flags=1))
        for name, bad in NOT_UTF8.items():
            broken(f"not UTF-8: {name}", with_payload(data, b"{" + bad))


# Who read

def accesses():
    valid = Valid("accessLog")
    all_of_it = {"limit": 0, "type": None, "after": "0", "since": "0", "until": "0", "actor": "", "identifier": ""}
    valid("all of it", all_of_it)
    valid("one reader's of a week", all_of_it | {"since": "1795258800000", "until": "1795863600000", "actor": "clerk-7"})
    for name, kind, value, form in IDENTIFIERS:
        valid(name, all_of_it | {"type": kind, "identifier": value}, normalForm=normal_form(kind, value))
    valid("with the largest numbers and longest texts",
          {"request": U32_MAX, "limit": U16_MAX, "type": "other", "after": str(U64_MAX), "since": str(I64_MAX),
           "until": str(I64_MIN), "actor": "語" * 85, "identifier": "o" * 255})
    broken = Broken("accessLog")
    data = encode("accessLog", {"request": 23} | all_of_it | {"actor": "clerk-7"})
    common_damage(broken, "accessLog", data)
    truncations(broken, data)
    junk(broken, data)
    named = encode("accessLog", {"request": 23} | all_of_it | {"type": "email", "identifier": "kari@example.no"})
    broken("a type and no identifier", with_payload(named, named[HEADER_SIZE:HEADER_SIZE + 25]), "identifierInvalid")
    broken("an identifier and no type", with_header(named, word=0))
    for kind in TYPES_UNKNOWN:
        if kind:
            broken(f"identifier type {kind}", with_header(named, word=kind), "identifierInvalid")
    for name, bad in NOT_UTF8.items():
        broken(f"actor not UTF-8: {name}", with_payload(data, data[HEADER_SIZE:HEADER_SIZE + 24] + sized8(bad)))
    broken("order: a reserved bit before the layout", frame("accessLog", word=0x100, request=23), "reservedBitSet")

    valid = Valid("accessPage")
    entry = {"sequence": "1007", "recordedAt": "1795258800123", "question": "history", "rows": "4", "subject": "17",
             "identifierHash": NOBODY, "after": "0", "about": "0", "from": "0", "until": "0", "actor": "clerk-7",
             "client": "consentd", "purpose": "", "except": "", "declaration": "", "revision": "", "recipient": ""}
    valid("no entry", {"more": False, "head": "1007", "next": "0", "entries": []})
    valid("a history", {"more": False, "head": "1007", "next": "1007", "entries": [entry]})
    for question in ACCESS_QUESTION:
        valid(f"question {question}", {"more": True, "head": "1009", "next": "1007",
                                       "entries": [entry | {"question": question}]})
    valid("about somebody who is not known",
          {"more": False, "head": "1007", "next": "1007",
           "entries": [entry | {"subject": "0", "rows": "0", "identifierHash": "0f" * 16}]})
    valid("with the largest numbers and longest texts",
          {"request": U32_MAX, "more": True, "head": str(U64_MAX), "next": str(U64_MAX), "entries": [
              entry | dict.fromkeys(("sequence", "rows", "subject", "after", "about"), str(U64_MAX))
              | dict.fromkeys(("recordedAt", "from", "until"), str(I64_MAX)) | {"identifierHash": "ff" * 16}
              | dict.fromkeys(("actor", "client", "purpose", "except", "declaration", "revision", "recipient"),
                              "語" * 85)] * 2})
    data = encode("accessPage", {"request": 1, "more": False, "head": "9", "next": "8",
                                 "entries": [entry | {"purpose": "newsletter"}]})
    broken = client_side("accessPage", data)
    for count in (0, 2, U16_MAX):
        broken(f"count {count}, 1 there", with_header(data, argument=count))
    for question in (0, 12, 255):
        broken(f"question {question}", patched(data, HEADER_SIZE + 32, u8(question)))
    texts_in_answer(broken, data, {"actor": ("clerk-7", 1), "client": ("consentd", 1), "purpose": ("newsletter", 1)})

    valid = Valid("readAs")
    inner = {
        "history": encode("history", {"request": 0, "limit": 0, "type": "email", "after": "0",
                                      "identifier": "kari@example.no"}),
        "explain": encode("explain", {"request": 0, "purpose": 3, "type": "email", "identifier": "kari@example.no"}),
        "prove": encode("prove", {"request": 0, "kind": "event", "sequence": "2"}),
        "accessLog": encode("accessLog", {"request": 0} | all_of_it),
    }
    for name, one in inner.items():
        valid(f"{name}", {"actor": "clerk-7", "client": "", "frame": one.hex()})
    valid("by nobody in particular", {"actor": "", "client": "", "frame": inner["history"].hex()})
    valid("handed on for another system", {"actor": "clerk-7", "client": "crm", "frame": inner["history"].hex()})
    valid("with the largest request id and the longest texts",
          {"request": U32_MAX, "actor": "語" * 85, "client": "c" * 255, "frame": inner["history"].hex()})
    broken = Broken("readAs")
    data = encode("readAs", {"request": 23, "actor": "clerk-7", "client": "crm", "frame": inner["prove"].hex()})
    common_damage(broken, "readAs", data)
    truncations(broken, data)
    junk(broken, data)
    start = data[HEADER_SIZE:HEADER_SIZE + 12]
    broken("request id 1 inside", with_payload(data, start + with_header(inner["prove"], request=1)))
    broken("two frames inside", with_payload(data, start + inner["prove"] * 2))
    for name in ("ping", "check", "record", "erase", "readAs", "countGranted", "statistics"):
        broken(f"{name} inside", with_payload(data, start + frame(name, request=0)), "readExpected")
    broken("opcode 200 inside", with_payload(data, start + frame(200, request=0)), "readExpected")
    broken("broken inside", with_payload(data, start + with_header(inner["prove"], argument=7)))
    broken("a reserved bit inside", with_payload(data, start + with_header(inner["prove"], word=1)), "reservedBitSet")
    for name, bad in NOT_UTF8.items():
        broken(f"actor not UTF-8: {name}", with_payload(data, sized8(bad) + text8("") + inner["prove"]))
    broken("order: a reserved bit before the layout", frame("readAs", word=1, request=23), "reservedBitSet")


# Who the node is, and who follows it

def statuses():
    edge = {"enforced": "1001", "behindMillis": "12", "heardMillis": "40", "connected": True, "takesSnapshot": False,
            "name": "oslo-2", "gone": ""}
    status = {"ready": True, "edge": False, "catalogVersion": 7, "sequence": "1002", "head": "1002",
              "digest": "1311768467463790320", "ageMillis": "0", "deployment": DEPLOYMENT, "history": HISTORY,
              "serverVersion": "1.0.0", "upstream": "", "notReady": "", "trouble": "", "edges": [edge]}
    valid = Valid("nodeStatus")
    valid("the node with the ledger, and an edge", status)
    valid("an edge that nobody follows", status | {"edge": True, "upstream": "10.0.0.1:7411", "ageMillis": "120",
                                                   "edges": []})
    valid("an edge that has nothing yet",
          {"ready": False, "edge": True, "catalogVersion": 0, "sequence": "0", "head": "0", "digest": "0",
           "ageMillis": str(U64_MAX), "deployment": NOBODY, "history": NOBODY, "serverVersion": "",
           "upstream": "10.0.0.1:7411", "notReady": "no snapshot yet", "trouble": "nothing listens at 10.0.0.1:7411",
           "edges": []})
    for flag in FOLLOWING_FLAGS:
        valid(f"an edge with flag {flag} alone",
              status | {"edges": [edge | {one: one == flag for one in FOLLOWING_FLAGS}]})
    largest = {"enforced": str(U64_MAX), "behindMillis": str(U64_MAX), "heardMillis": str(U64_MAX),
               "connected": True, "takesSnapshot": True, "name": "n" * 255, "gone": "語" * 85}
    valid("with the largest numbers and longest texts",
          status | {"request": U32_MAX, "edge": True, "catalogVersion": U32_MAX, "serverVersion": "v" * 255,
                    "upstream": "u" * 65535, "notReady": "r" * 65535, "trouble": "ø" * 32767, "edges": [largest] * 2}
          | dict.fromkeys(("sequence", "head", "digest", "ageMillis"), str(U64_MAX)))
    valid("an edge that is gone", status | {"edges": [edge | {"connected": False, "gone": "it was too slow"}]})
    valid("300 edges", status | {"edges": [edge | {"name": f"edge-{n}"} for n in range(300)]})
    data = encode("nodeStatus", {"request": 1} | status
                  | {"upstream": "up", "notReady": "why", "trouble": "what", "edges": [edge, edge | {"name": "b"}]})
    broken = client_side("nodeStatus", data)
    for count in (0, 1, 3, U16_MAX):
        broken(f"count {count}, 2 there", with_header(data, argument=count))
    for bit in range(2, 8):
        broken(f"reserved bit {bit} of an edge's flags",
               encode("nodeStatus", {"request": 1} | status).replace(
                   u64(12) + u64(40) + u8(1), u64(12) + u64(40) + u8(1 | 1 << bit)))
    texts_in_answer(broken, data, {"serverVersion": ("1.0.0", 1), "upstream": ("up", 2), "notReady": ("why", 2),
                                   "trouble": ("what", 2), "name": ("oslo-2", 1)})

    valid = Valid("enforcement")
    for sequence in (0, 1002, U64_MAX):
        valid(f"sequence {sequence}", {"sequence": str(sequence)})
    valid("with the largest request id", {"request": U32_MAX, "sequence": "1"})
    broken = Broken("enforcement")
    data = encode("enforcement", {"request": 23, "sequence": "72623859790382856"})
    common_damage(broken, "enforcement", data)
    truncations(broken, data)
    junk(broken, data)
    broken("order: a reserved bit before the layout", frame("enforcement", word=1, request=23), "reservedBitSet")

    valid = Valid("enforcedBy")
    edge = {"enforced": "1005", "since": "1795258800123", "connected": True, "answersByIt": True,
            "atTheLatest": False, "name": "oslo-2"}
    found = {"sequence": "1002", "head": "1006", "edges": [edge]}
    valid("one edge", found)
    valid("nobody", found | {"edges": []})
    valid("one edge that is behind, and one that is gone",
          found | {"edges": [edge | {"enforced": "1001", "since": "0", "answersByIt": False},
                             edge | {"connected": False, "atTheLatest": True}]})
    valid("with the largest numbers and longest texts",
          {"request": U32_MAX, "sequence": str(U64_MAX), "head": str(U64_MAX),
           "edges": [edge | {"enforced": str(U64_MAX), "since": str(I64_MAX), "name": "n" * 255}]})
    data = encode("enforcedBy", {"request": 1} | found | {"edges": [edge, edge | {"name": "b"}]})
    broken = client_side("enforcedBy", data)
    for count in (0, 1, 3, U16_MAX):
        broken(f"count {count}, 2 there", with_header(data, argument=count))
    for bit in range(3, 8):
        broken(f"reserved bit {bit} of an edge's flags",
               encode("enforcedBy", {"request": 1} | found).replace(
                   time(1795258800123) + u8(3), time(1795258800123) + u8(3 | 1 << bit)))
    texts_in_answer(broken, data, {"name": ("oslo-2", 1)})


# Lists of people

def people():
    valid = Valid("countGranted")
    valid("one purpose", {"purpose": "p3", "except": ""})
    valid("one purpose and not another", {"purpose": "p3", "except": "p4"})
    valid("with the largest request id and longest texts",
          {"request": U32_MAX, "purpose": "p" * 255, "except": "語" * 85})
    valid("no purpose, which no catalog has", {"purpose": "", "except": ""})
    broken = Broken("countGranted")
    data = encode("countGranted", {"request": 21, "purpose": "newsletter", "except": "profiling"})
    common_damage(broken, "countGranted", data)
    truncations(broken, data)
    junk(broken, data)
    for name, bad in NOT_UTF8.items():
        broken(f"not UTF-8: {name}", frame("countGranted", sized8(bad) + text8(""), request=21))
    broken("order: a reserved bit before the layout", frame("countGranted", b"", word=1, request=21), "reservedBitSet")

    valid = Valid("grantedCount")
    count = {"sequence": "1002", "granted": "123456", "known": "10000000"}
    valid("a count", count)
    valid("nobody", count | {"granted": "0", "known": "0"})
    valid("with the largest numbers", {"request": U32_MAX} | dict.fromkeys(count, str(U64_MAX)))
    client_side("grantedCount", encode("grantedCount", {"request": 1} | count))

    valid = Valid("people")
    nothing = {"peopleMax": 0, "reasons": [], "after": "0", "from": "0", "until": "0", "asOf": "0", "purpose": "",
               "except": "", "declaration": "", "revision": "", "recipient": "", "document": ""}
    audience = nothing | {"selection": "audience", "purpose": "p3"}
    valid("an audience", audience)
    valid("an audience, and not another purpose", audience | {"except": "p4"})
    valid("an audience, further on", audience | {"after": "4711", "peopleMax": 200})
    for reason in ASK_AGAIN_REASONS:
        valid(f"ask again, {reason}", nothing | {"selection": "ask_again", "purpose": "p3", "reasons": [reason],
                                                 "until": "1795258800000"})
    valid("ask again, for every reason", nothing | {"selection": "ask_again", "purpose": "p3",
                                                    "reasons": ASK_AGAIN_REASONS, "until": "1795258800000"})
    valid("ending soon", nothing | {"selection": "ending", "until": "4102444800000"})
    valid("coming of age", nothing | {"selection": "coming_of_age", "until": "4102444800000"})
    valid("active in a window", nothing | {"selection": "active", "from": "1795258800000", "until": "1795345200000"})
    valid("active in a window, for a recipient, as of a sequence",
          nothing | {"selection": "active", "from": "1795258800000", "until": "1795345200000", "asOf": "1",
                     "recipient": "sender"})
    valid("outdated by a revision", nothing | {"selection": "outdated_by", "declaration": "club", "revision": "1.0"})
    valid("outdated by a revision of a catalog that is not applied",
          nothing | {"selection": "outdated_by", "declaration": "club", "revision": "1.3", "document": DOCUMENT})
    every = {"request": U32_MAX, "selection": "active", "peopleMax": U16_MAX, "reasons": ASK_AGAIN_REASONS,
             "after": str(U64_MAX), "from": str(I64_MIN), "until": str(I64_MAX), "asOf": str(U64_MAX),
             "purpose": "p" * 255, "except": "e" * 255, "declaration": "d" * 255, "revision": "語" * 85,
             "recipient": "r" * 255, "document": "# Ω 語 😀\n"}
    valid("with the largest numbers and longest texts", every)
    broken = Broken("people")
    data = encode("people", nothing | {"request": 22, "selection": "audience", "purpose": "newsletter"})
    common_damage(broken, "people", data)
    truncations(broken, data)
    for code in (0, 7, 128, 255):
        broken(f"selection {code}", with_header(data, word=code))
    for name, bad in NOT_UTF8.items():
        broken(f"document not UTF-8: {name}", with_payload(data, data[HEADER_SIZE:] + bad))
        broken(f"purpose not UTF-8: {name}",
               with_payload(data, data[HEADER_SIZE:][:32] + sized8(bad) + text8("") * 4))
    broken("order: a reserved bit before the layout", frame("people", b"", word=1 << 13, request=22),
           "reservedBitSet")

    valid = Valid("peoplePage")
    valid("nobody", {"more": False, "head": "1002", "next": "0", "people": []})
    valid("nobody among those looked at, more follow", {"more": True, "head": "1002", "next": "10000", "people": []})
    valid("one person", {"more": False, "head": "1002", "next": "17", "people": [PERSON]})
    valid("one person and two purposes, the identifiers once, then another",
          {"more": True, "head": "1002", "next": "18",
           "people": [PERSON, PERSON | {"purpose": "sms"},
                      PERSON | {"subject": "18", "identifiers": [{"type": "customer", "value": "C-2"}]}]})
    valid("one person of whom nothing is left but a number",
          {"more": False, "head": "1002", "next": "17",
           "people": [PERSON | {"since": "0", "until": "0", "declaration": "", "revision": "", "identifiers": []}]})
    for state in STATE:
        valid(f"state {state}", {"more": False, "head": "1002", "next": "17", "people": [PERSON | {"state": state}]})
    valid("with the largest numbers and longest texts",
          {"request": U32_MAX, "more": True, "head": str(U64_MAX), "next": str(U64_MAX),
           "people": [{"subject": str(U64_MAX), "state": "basis_holds", "since": str(I64_MIN), "until": str(I64_MAX),
                       "purpose": "p" * 255, "declaration": "d" * 255, "revision": "語" * 85,
                       "identifiers": [{"type": "other", "value": f"{n:03}" + "i" * 252} for n in range(255)]}]})
    data = encode("peoplePage", {"request": 1, "more": False, "head": "1002", "next": "17", "people": [PERSON]})
    broken = client_side("peoplePage", data)
    for count in (0, 2, U16_MAX):
        broken(f"count {count}, 1 there", with_header(data, argument=count))
    person = HEADER_SIZE + 16
    for code in (14, 128, 255):
        broken(f"state code {code}", patched(data, person + 8, u8(code)))
    for count in (0, 1, 3, 255):
        broken(f"{count} identifiers said, 2 there", patched(data, person + 9, u8(count)))
    texts_in_answer(broken, data, {"purpose": ("newsletter", 1), "declaration": ("club", 1), "revision": ("1.2", 1),
                                   "identifier": ("C-1", 1)})
    at = data.rindex(b"\x01\x03C-1")
    for code in TYPES_UNKNOWN:
        broken(f"identifier type {code}", patched(data, at, u8(code)))
    broken("an empty identifier",
           with_payload(data, data[HEADER_SIZE:at] + b"\x01\x00" + data[at + 5:]))


# Pushes, errors, frames in general

def pushes():
    valid = Valid("goingAway")
    for millis in (0, 1, 30000, U32_MAX):
        valid(f"{millis} ms", {"millis": millis})
    valid = Valid("catalogChanged")
    for version in (1, 8, U32_MAX):
        valid(f"version {version}", {"version": version})
    for opcode in sorted(set(PUSHES) - FOLLOWING, key=PUSHES.get):
        data = frame(opcode, word=8, request=0)
        broken = client_side(opcode, data)
        for request in (1, U32_MAX):
            broken(f"request id {request} in a push", with_header(data, request=request))


def errors():
    valid = Valid("error")
    details = {"versionUnsupported": VERSION | VERSION << 16, "purposeUnknown": 20}
    for name, (code, _) in ERRORS.items():
        if code < 64:
            valid(name, {"code": name, "detail": details.get(name, 0), "message": f"an example of {name}"})
    for name in ("frameTooLarge", "frameTooSmall", "idleTooLong", "helloTooLate", "tooManyConnections"):
        valid(f"{name}, of the connection as a whole", {"request": 0, "code": name, "detail": 0, "message": ""})
    valid("identifierInvalid, at position 999",
          {"code": "identifierInvalid", "detail": 999, "message": "identifier 999 is empty"})
    valid("versionUnsupported by a server that speaks 2 to 5",
          {"code": "versionUnsupported", "detail": 2 | 5 << 16, "message": "this server speaks 2 to 5"})
    valid("with the longest message", {"request": U32_MAX, "code": "catalogRejected", "detail": 0,
                                       "message": "m" * 65535})
    valid("with a message beyond ASCII", {"code": "catalogConflict", "detail": 0, "message": "Blåbær Ω 語 😀"})
    data = encode("error", {"request": 1, "code": "purposeUnknown", "detail": 20, "message": "no purpose 20"})
    broken = client_side("error", data)
    broken("error code 0", with_header(data, argument=0))
    texts_in_answer(broken, data, {"message": ("no purpose 20", 2)})


def client_side(opcode, data, is_rest=False):
    """What a client can see wrong with every answer and push."""
    broken = Broken(opcode, "client")
    truncations(broken, data, lambda rest: None if is_rest and is_utf8(rest) else "malformed")
    if not is_rest:
        junk(broken, data)
    reserved_bits(broken, opcode, data)
    return broken


def texts_in_answer(broken, data, texts):
    """`texts`: name, then the text and the size of its size field; the text occurs once in `data`."""
    for field, (text, size_size) in texts.items():
        size = len(text).to_bytes(size_size, "little")
        at = data.rindex(size + text.encode())
        for name, bad in NOT_UTF8.items():
            changed = data[:at] + len(bad).to_bytes(size_size, "little") + bad + data[at + size_size + len(text):]
            broken(f"{field} is not UTF-8: {name}", with_payload(changed, changed[HEADER_SIZE:]))


def frames():
    broken = Broken("frame")
    for code in range(256):
        if code in REQUESTS.values():
            continue
        name = next((name for name, other in OPCODES.items() if other == code), None)
        broken(f"opcode {code}" + (f", which is {name}" if name else ""), frame(code, request=18), "opcodeUnknown")
    for opcode, code in (ANSWERS | PUSHES).items():
        if opcode != "error" and opcode not in FOLLOWING:
            row = next(row for row in FILES[f"{opcode}.valid.json"])
            broken(f"a whole {opcode} from a client", bytes.fromhex(row["hex"]), "opcodeUnknown")
    for field in ("flags", "argument", "word"):
        broken(f"order: the opcode before a reserved bit in {field}", frame(3, request=18, **{field: 1}),
               "opcodeUnknown")
    broken("order: the opcode before the layout", frame(3, b"\xff" * 40, request=18), "opcodeUnknown")
    broken("order: too small before the opcode", frame(3, request=18, length=11), "frameTooSmall")
    broken("order: too large before the opcode", frame(3, request=18, length=LENGTH_MAX + 1), "frameTooLarge")
    broken("order: too large before a reserved bit", frame("ping", flags=1, request=18, length=LENGTH_MAX + 1),
           "frameTooLarge")

    broken = Broken("answer", "client")
    for code in range(256):
        if code in REQUESTS.values() or code not in ALL_BUT_FOLLOWING.values():
            broken(f"opcode {code}", frame(code))
    lengths(broken, "pong")


def incompletes():
    vectors = Vectors("incomplete.json")
    chosen = [
        ("handshake", "hello", HELLO), ("open", "ping", {"echo": "1"}),
        ("open", "check", {"purpose": 3, "type": "customer", "identifier": "C-00000000012345"}),
        ("open", "checkPurposes", {"type": "email", "purposes": purposes_words([3], 1),
                                   "identifier": "kåre@example.no"}),
        ("open", "checkSubjects", {"purpose": 3, "type": "customer", "identifiers": ["a", "b"]}),
        ("open", "record", {"events": [FEWEST]}), ("open", "catalog", {}),
        ("client", "welcome", WELCOME), ("client", "checked", checked("given")),
        ("client", "checkedPurposes", {"freshness": "live", "sequence": "1", "granted": ["0" * 16],
                                       "denied": ["0" * 16]}),
        ("client", "error", {"code": "busy", "detail": 0, "message": "later"}),
        ("client", "goingAway", {"request": 0, "millis": 1}),
    ]
    for state, opcode, fields in chosen:
        data = encode(opcode, {"request": 1} | fields)
        for size in range(len(data)):
            vectors.add({"name": f"{opcode}, {size} of {len(data)} bytes", "kind": "incomplete", "state": state,
                         "hex": data[:size].hex()})
    for opcode in ("applyCatalog", "record", "checkSubjects"):
        data = frame(opcode, request=1, argument=1 if opcode == "record" else 0,
                     word=0x10002 if opcode == "checkSubjects" else 0, length=LENGTH_MAX)
        vectors.add({"name": f"{opcode} of the largest length, header only", "kind": "incomplete", "state": "open",
                     "hex": data.hex()})
    vectors.add({"name": "hello of its largest length, header only", "kind": "incomplete", "state": "handshake",
                 "hex": frame("hello", request=1, word=MAGIC, length=HELLO_SIZE_MAX - 4).hex()})


def larges():
    """Frames too large for a line: after `hex` come `tail.count` times the bytes `tail.hex`."""
    rest_size_max = FRAME_SIZE_MAX - HEADER_SIZE

    def tail(data, count): return {"tail": {"hex": data.hex(), "count": count}}

    broken = Broken("large")
    full = {
        "hello": ("malformed", frame("hello", word=MAGIC, request=19), 0),
        "ping": ("malformed", frame("ping", request=19), 0),
        "check": ("identifierInvalid", frame("check", argument=3, word=1, request=19), 0),
        "checkPurposes": ("identifierInvalid",
                          frame("checkPurposes", words(purposes_words([3], 1)), word=quad(1, 1), request=19), 8),
        "checkSubjects": ("malformed", frame("checkSubjects", argument=3, word=1 | 1 << 16, request=19), 0),
        "explain": ("identifierInvalid", frame("explain", argument=3, word=1, request=19), 0),
        "record": ("malformed", frame("record", argument=1, request=19), 0),
        "erase": ("identifierInvalid", frame("erase", text8(""), argument=1, word=1, request=19), 1),
        "link": ("identifierInvalid", frame("link", text8("") + text8("a"), word=quad(5, 1), request=19), 3),
        "unlink": ("identifierInvalid", frame("unlink", text8(""), word=1, request=19), 1),
        "issueToken": ("identifierInvalid", frame("issueToken", text8(""), argument=1, word=1, request=19), 1),
        "confirmToken": ("malformed", frame("confirmToken", request=19), 0),
        "history": ("identifierInvalid", frame("history", u64(0), word=1, request=19), 8),
        "catalog": ("malformed", frame("catalog", request=19), 0),
        "catalogDocument": ("malformed", frame("catalogDocument", request=19), 0),
        "statistics": ("malformed", frame("statistics", request=19), 0),
        "countGranted": ("malformed", frame("countGranted", request=19), 0),
        "people": ("malformed", frame("people", request=19), 0),
    }
    for opcode, (error, data, used) in full.items():
        size_max = HELLO_SIZE_MAX if opcode == "hello" else FRAME_SIZE_MAX
        broken(f"{opcode} of exactly the largest length", with_header(data, length=size_max - 4), error,
               state="handshake" if opcode == "hello" else "open", **tail(b"a", size_max - HEADER_SIZE - used))
    one = event_bytes(FEWEST)
    count = EVENTS_PER_RECORD_MAX + 1
    broken(f"record of {count} events, all there",
           frame("record", argument=count, request=19, length=LENGTH_MIN + count * len(one)),
           **tail(one, count))
    count = 65535
    broken("checkSubjects of 65535 said, 65534 there",
           frame("checkSubjects", argument=3, word=1 | count << 16, request=19, length=LENGTH_MIN + 2 * (count - 1)),
           **tail(b"\x01a", count - 1))

    valid = Vectors("large.valid.json")

    def add(name, opcode, data, repeated, times, fields):
        """`fields` hold one thing where the frame holds `times` of them; `repeat` says where."""
        whole = with_header(data, length=LENGTH_MIN + len(data) - HEADER_SIZE + len(repeated) * times)
        valid.add({"name": name, "kind": "valid", "opcode": opcode, "hex": whole.hex(), **tail(repeated, times),
                   "fields": fields})
    add("a document of exactly the largest length", "applyCatalog", frame("applyCatalog", flags=1, request=1), b"#",
        rest_size_max,
        {"request": 1, "dryRun": True, "document": {"repeat": "#", "count": rest_size_max}})
    add("a catalog text of exactly the largest length", "catalogText", frame("catalogText", word=7, request=1), b"#",
        rest_size_max,
        {"request": 1, "version": 7, "document": {"repeat": "#", "count": rest_size_max}})
    add("65535 subjects", "checkSubjects", frame("checkSubjects", argument=3, word=1 | 65535 << 16, request=1),
        b"\x01a", 65535,
        {"request": 1, "purpose": 3, "type": "customer", "identifiers": {"repeat": "a", "count": 65535}})
    add("4096 events", "record", frame("record", argument=4096, request=1), one, EVENTS_PER_RECORD_MAX,
        {"request": 1, "events": {"repeat": FEWEST, "count": EVENTS_PER_RECORD_MAX}})


def session():
    """The worked session of protocol.md, in the order of its frames."""
    vectors = Vectors("session.json")
    grant = EVERY | {"party": "subject", "guardian": None, "age": 255, "expiresAt": "0", "declaration": "club", "system": "web",
                     "channel": "web",
                     "form": "join", "actor": "", "evidence": "", "language": "nb",
                     "identifiers": [{"type": "customer", "value": "C-00000000012345"}]}
    ask = {"purpose": 3, "type": "customer", "identifier": "C-00000000012345"}
    steps = [
        ("client", "hello", {"request": 1} | HELLO),
        ("server", "welcome", {"request": 1} | WELCOME),
        ("client", "check", {"request": 2} | ask),
        ("server", "checked", {"request": 2} | checked("unknown")),
        ("client", "record", {"request": 3, "events": [grant]}),
        ("client", "ping", {"request": 4, "echo": "1"}),
        ("server", "pong", {"request": 4, "echo": "1"}),
        ("server", "recorded", {"request": 3, "head": "1002",
                                "outcomes": [{"code": None, "repeated": False, "sequence": "1002", "message": ""}]}),
        ("client", "check", {"request": 5} | ask),
        ("server", "checked", {"request": 5} | checked("given", sequence=1002)),
        ("client", "checkPurposes", {"request": 6, "type": "customer", "purposes": purposes_words([3, 4], 1),
                                     "identifier": "C-00000000012345"}),
        ("server", "checkedPurposes", {"request": 6, "freshness": "live", "sequence": "1002",
                                       "granted": purposes_words([3], 1), "denied": purposes_words([], 1)}),
        ("client", "check", {"request": 7} | ask | {"purpose": 20}),
        ("server", "error", {"request": 7, "code": "purposeUnknown", "detail": 20,
                             "message": "no purpose has bit 20"}),
        ("server", "goingAway", {"request": 0, "millis": 30000}),
    ]
    for number, (sender, opcode, fields) in enumerate(steps, 1):
        vectors.add({"name": f"{number} {opcode}", "kind": "valid", "opcode": opcode, "from": sender,
                     "hex": encode(opcode, fields).hex(), "fields": fields})


# Files

# Following a node

def following():
    """What only an edge and the node that it follows say to each other: in a folder of their own, as no other client
    and no session that has not been handed over meets them."""
    key = "00112233445566778899aabbccddeeff"
    point = {"sequence": "70000000001", "chain": str(2**63 + 5), "digest": str(U64_MAX)}
    nothing = {"sequence": "0", "chain": "0", "digest": "0"}

    def row(tag, sequence, permitted, denied, ends=U32_MAX, place=7, absent=False):
        return {"tag": tag, "sequence": str(sequence), "endsAt": ends, "permitted": permitted, "denied": denied,
                "place": place, "absent": absent}

    one = row("0000000000000200", 1, ["0000000000000001"], ["0000000000000002"])
    late = row("ffffffffffffff00", SEQUENCE_MAX, ["f000000000000000"], ["0" * 16], ends=1_700_000_000, place=U32_MAX)
    gone = row("00ab00000000ff00", 70000000001, ["0" * 16], ["0" * 16], ends=0, place=0, absent=True)
    wide = row("0123456789abcd00", 12, ["0" * 15 + str(n) for n in range(3)], ["8" + "0" * 15] * 3)
    widest = row("0123456789abcd00", 13, ["f" * 16] * 15, ["0" * 16] * 15)
    catalog = {"number": 0, "sequence": "5", "version": 3, "digest": "ab" * 32}
    purposes = [
        {"bit": 0, "granted": False, "denied": False, "maxStaleness": 0, "id": "newsletter"},
        {"bit": 1, "granted": True, "denied": False, "maxStaleness": 3600, "id": "receipts"},
        {"bit": 959, "granted": False, "denied": True, "maxStaleness": U32_MAX, "id": "x" * 255},
    ]
    valid_of = {
        "subscribe": [
            ("nothing yet", {"history": NOBODY, **nothing, "name": ""}),
            ("from what it has", {"history": HISTORY, **point, "name": "kant-øst"}),
        ],
        "subscribed": [
            (verdict, {"verdict": verdict, "history": HISTORY, "head": "9", "hashKey": key}) for verdict in SYNC_VERDICT
        ],
        "takeSnapshot": [
            ("a new one", {"start": "0", "startChain": "0", "chunkCount": 0, "nextChunk": 0}),
            ("the rest of one", {"start": "77", "startChain": "3", "chunkCount": 1000, "nextChunk": 999}),
            ("of which nothing is missing", {"start": "77", "startChain": "3", "chunkCount": 4, "nextChunk": 4}),
        ],
        "snapshotBegun": [
            (f"{count} words", {"start": "77", "startChain": "3", "chunkCount": 12, "nextChunk": 0,
                                "rows": "10000000", "words": count}) for count in (1, 3, 7, 15)
        ],
        "enforced": [("a sequence", {"request": 0, "sequence": "77", "stamp": "123456789", "time": "1700000000000"})],
        "heartbeat": [
            ("at the head", {"number": 5, "known": True, **point, "head": "70000000001", "echo": "5", "ageMillis": "0",
                             "time": "1700000000000"}),
            ("behind, and not vouched for", {
                "number": U32_MAX, "known": False, **nothing, "head": "9", "echo": "0", "ageMillis": str(U64_MAX),
                "time": "-1"}),
        ],
        "catalogRules": [("no purposes", {**catalog, "purposes": []}), ("three", {**catalog, "purposes": purposes}),
                         ("two", {**catalog, "purposes": purposes[:2]})],
        "rulesText": [("empty", {"number": 1, "document": ""}), ("some", {"number": 1, "document": "purposes: []\n"})],
        "snapshotChunk": [
            ("the whole of one", {"number": 2, "last": True, "words": 1, "chunk": 0, "rows": [one, late]}),
            ("a part", {"number": 3, "last": False, "words": 3, "chunk": 9, "rows": [wide]}),
            ("without rows", {"number": 3, "last": True, "words": 1, "chunk": U32_MAX, "rows": []}),
            ("the widest rows", {"number": 3, "last": True, "words": 15, "chunk": 1, "rows": [widest, widest]}),
        ],
        "delta": [
            ("of one row", {"number": 4, "complete": True, "known": True, "words": 1, "after": "70000000000", **point,
                            "rows": [one]}),
            ("with a row that is gone", {"number": 4, "complete": True, "known": True, "words": 1, "after": "0",
                                         **point, "rows": [gone, late]}),
            ("a part", {"number": 4, "complete": False, "known": False, "words": 3, "after": "3",
                        **point, "digest": "0", "rows": [wide]}),
            ("without rows", {"number": 4, "complete": True, "known": False, "words": 1, "after": "3",
                              **point, "digest": "0", "rows": []}),
        ],
        "cutOff": [(reason, {"number": 8, "reason": reason, "message": "because"}) for reason in CUT_OFF_REASON],
    }

    for opcode, cases in valid_of.items():
        valid = Valid(opcode)
        valid.rows = FILES.setdefault(f"sync/{opcode}.valid.json", [])
        FILES.pop(f"{opcode}.valid.json")
        for name, fields in cases:
            valid(name, fields)
        broken = Broken(f"sync/{opcode}", state="following")
        data = encode(opcode, {"request": 0 if opcode in PUSHES or opcode == "enforced" else 1} 
                      | cases[0 if opcode in ("snapshotChunk", "delta") else -1][1])
        reserved_bits(broken, opcode, data)
        if opcode not in SUMMED:
            truncations(broken, data)
            junk(broken, data)
            continue
        payload = data[HEADER_SIZE:]
        flags, argument = data[5], struct.unpack_from("<H", data, 6)[0]

        def with_sum(rest, name, flags=flags, argument=argument, opcode=opcode, data=data, broken=broken):
            changed = with_payload(data, summed(opcode, rest, flags, argument))
            broken(name, with_header(changed, flags=flags, argument=argument))

        truncations(broken, data, lambda shorter: "malformed" if len(shorter) < 8 else "damaged")
        for position in range(min(len(payload), 80)):
            flipped = patched(payload, position, bytes([payload[position] ^ 1 << position % 8]))
            broken(f"bit {position % 8} of byte {position} is wrong", with_payload(data, flipped), "damaged")
        if opcode != "rulesText":
            for size in range(len(payload) - 8):
                with_sum(payload[8:8 + size], f"{size} of {len(payload) - 8} bytes behind a checksum that is right")
            with_sum(payload[8:] + b"\x00", "a byte too many behind a checksum that is right")
        match opcode:
            case "subscribed":
                with_sum(payload[8:], "no such verdict", argument=7)
            case "snapshotBegun":
                for name, at, value in (("no chunks", 16, 0), ("a chunk past the last", 20, 13), ("two words", 32, 2)):
                    with_sum(patched(payload[8:], at, struct.pack("<I", value)), name)
            case "takeSnapshot":
                with_sum(patched(payload[8:], 20, struct.pack("<I", 5)), "a chunk past the last")
            case "catalogRules":
                with_sum(payload[8:], "fewer purposes than it says", argument=4)
                with_sum(patched(payload[8:], 44, struct.pack("<H", 960)), "a bit that no purpose has")
                with_sum(patched(payload[8:], 46, b"\x04"), "a flag that nothing has")
            case "rulesText":
                with_sum(b"\xff", "not UTF-8")
            case "snapshotChunk" | "delta":
                whole = encode(opcode, valid_of[opcode][0][1])
                flags, rest = whole[5], whole[HEADER_SIZE + 8:]
                first = 16 if opcode == "snapshotChunk" else 40

                def with_rows(changed, name, argument=1, flags=flags, opcode=opcode, broken=broken):
                    broken(name, frame(opcode, summed(opcode, changed, flags, argument), flags, argument, 4, 0))

                with_rows(patched(rest, first + 1, b"\x01" + bytes(6)), "a tag that no row has")
                with_rows(patched(rest, first + 36, b"\x02"), "a flag of a row that nothing has")
                with_rows(rest, "two words", argument=2)
                with_rows(rest, "wider rows than there are bytes", argument=15)
                with_rows(patched(rest, first - 8, struct.pack("<Q", 3)), "more rows than there are bytes")
                with_rows(patched(rest, first - 8, struct.pack("<Q", U64_MAX)), "a count that cannot be")
                if opcode == "delta":
                    with_rows(patched(rest, 0, u64(str(70000000002))), "it begins after its end")
            case "cutOff":
                with_sum(payload[8:], "no such reason", argument=6)


def escaped(text):
    """JSON text in which nothing invisible stands as itself."""
    def is_visible(character): return character == " " or unicodedata.category(character)[0] not in "CZ"
    return "".join(one if is_visible(one) else "\\u%04x" % ord(one) for one in text)


def file_text(rows):
    lines = [escaped(json.dumps(row, ensure_ascii=False, separators=(",", ":"))) for row in rows]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def generated():
    for part in (handshake, pings, checks, checks_of_purposes, checks_of_subjects, explanations, records, catalogs,
                 erasure, links, tokens, reads, proofs, accesses, statuses, people, pushes, errors, frames, incompletes, larges,
                 session, following):
        part()
    return {file: file_text(rows) for file, rows in sorted(FILES.items())}


def disagreements():
    """Where the numbers above are not those of the definition, and where an example in protocol.md is no vector."""
    definition = json.loads((FOLDER.parent / "protocol.json").read_text(encoding="utf-8"))
    limits = definition["limits"]
    kinds = {"request": REQUESTS, "answer": ANSWERS, "push": PUSHES}
    claims = [
        ("opcodes", {one["name"]: one["code"] for one in definition["opcodes"]}, OPCODES),
        *((f"opcodes of direction {kind}", {one["name"] for one in definition["opcodes"] if one["direction"] == kind},
           set(ours))
          for kind, ours in kinds.items()),
        ("errors", {one["name"]: (one["code"], one["closes"]) for one in definition["errors"]}, ERRORS),
        ("enums", definition["enums"], ENUMS),
        ("magic", definition["magic"], MAGIC),
        ("versions", (definition["versionMin"], definition["versionMax"]), (VERSION, VERSION)),
        ("limits", [limits[name] for name in ("frameSizeMax", "headerSize", "helloSizeMax", "eventsPerRecordMax",
                                              "identifierSizeMax", "evidenceSizeMax", "proofSizeMax", "purposeWordsMax")],
         [FRAME_SIZE_MAX, HEADER_SIZE, HELLO_SIZE_MAX, EVENTS_PER_RECORD_MAX, IDENTIFIER_SIZE_MAX, EVIDENCE_SIZE_MAX,
          PROOF_SIZE_MAX, PURPOSE_WORDS_MAX]),
    ]
    for name, theirs, ours in claims:
        if theirs != ours:
            yield f"protocol.json: {name} are not those of generate.py"
    known = {row["hex"] for rows in FILES.values() for row in rows if "hex" in row}
    text = (FOLDER.parent / "protocol.md").read_text(encoding="utf-8")
    for block in re.findall(r"^```hex\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        data = "".join("".join(line.split("|")[0].split()) for line in block.splitlines())
        if data not in known:
            yield f"protocol.md: an example is not among the vectors: {data[:48]}…"


def main():
    files = generated()
    if sys.argv[1:] == ["--check"]:
        stale = [f"vectors/{file}: stale, run generate.py" for file, text in files.items()
                 if not (FOLDER / file).is_file() or (FOLDER / file).read_bytes() != text.encode()]
        extra = [f"vectors/{path.name}: nothing generates it" for path in sorted(FOLDER.rglob("*.json"))
                 if str(path.relative_to(FOLDER)) not in files]
        wrong = stale + extra + list(disagreements())
        print("\n".join(wrong) or f"{len(files)} files, {sum(map(len, FILES.values()))} vectors: up to date")
        return 1 if wrong else 0
    if sys.argv[1:]:
        print("usage: generate.py [--check]", file=sys.stderr)
        return 2
    (FOLDER / "sync").mkdir(exist_ok=True)
    for file, text in files.items():
        (FOLDER / file).write_bytes(text.encode())
    print(f"{len(files)} files, {sum(map(len, FILES.values()))} vectors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
