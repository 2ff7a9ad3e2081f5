// Generated from Protocol/protocol.json by ProtocolGenerator. Change the definition, then run `./dev generate`.
#ifndef CONSENT_PROTOCOL_H
#define CONSENT_PROTOCOL_H

enum {
    CONSENT_VERSION_MIN = 1,
    CONSENT_VERSION_MAX = 1,
    CONSENT_MAGIC = 0x44534E43
};

enum {
    CONSENT_LIMIT_ACCESS_PAGE_MAX = 500,
    CONSENT_LIMIT_EVENTS_PER_RECORD_MAX = 4096,
    CONSENT_LIMIT_EVIDENCE_SIZE_MAX = 4096,
    CONSENT_LIMIT_FRAME_SIZE_MAX = 1048576,
    CONSENT_LIMIT_HEADER_SIZE = 16,
    CONSENT_LIMIT_HELLO_SIZE_MAX = 66089,
    CONSENT_LIMIT_HISTORY_PAGE_EVENTS_MAX = 200,
    CONSENT_LIMIT_IDENTIFIER_SIZE_MAX = 255,
    CONSENT_LIMIT_IDENTIFIERS_PER_EVENT_MAX = 16,
    CONSENT_LIMIT_PEOPLE_PAGE_MAX = 1000,
    CONSENT_LIMIT_PROOF_SIZE_MAX = 16777216,
    CONSENT_LIMIT_PURPOSE_WORDS_MAX = 15,
    CONSENT_LIMIT_PURPOSES_PER_TOKEN_MAX = 64,
    CONSENT_LIMIT_REQUESTS_IN_FLIGHT_MAX = 1024,
    CONSENT_LIMIT_SUBJECTS_PER_CHECK_MAX = 65535
};

enum {
    CONSENT_OPCODE_HELLO = 1,
    CONSENT_OPCODE_WELCOME = 129,
    CONSENT_OPCODE_PING = 2,
    CONSENT_OPCODE_PONG = 130,
    CONSENT_OPCODE_CHECK = 16,
    CONSENT_OPCODE_CHECKED = 144,
    CONSENT_OPCODE_CHECK_PURPOSES = 17,
    CONSENT_OPCODE_CHECKED_PURPOSES = 145,
    CONSENT_OPCODE_CHECK_SUBJECTS = 18,
    CONSENT_OPCODE_CHECKED_SUBJECTS = 146,
    CONSENT_OPCODE_EXPLAIN = 19,
    CONSENT_OPCODE_EXPLAINED = 147,
    CONSENT_OPCODE_RECORD = 32,
    CONSENT_OPCODE_RECORDED = 160,
    CONSENT_OPCODE_APPLY_CATALOG = 34,
    CONSENT_OPCODE_APPLIED_CATALOG = 162,
    CONSENT_OPCODE_HISTORY = 48,
    CONSENT_OPCODE_HISTORY_PAGE = 176,
    CONSENT_OPCODE_CATALOG = 49,
    CONSENT_OPCODE_CATALOG_PURPOSES = 177,
    CONSENT_OPCODE_CATALOG_DOCUMENT = 50,
    CONSENT_OPCODE_CATALOG_TEXT = 178,
    CONSENT_OPCODE_STATISTICS = 51,
    CONSENT_OPCODE_STATISTIC_VALUES = 179,
    CONSENT_OPCODE_COUNT_GRANTED = 52,
    CONSENT_OPCODE_GRANTED_COUNT = 180,
    CONSENT_OPCODE_PEOPLE = 53,
    CONSENT_OPCODE_PEOPLE_PAGE = 181,
    CONSENT_OPCODE_STATUS = 54,
    CONSENT_OPCODE_NODE_STATUS = 182,
    CONSENT_OPCODE_ENFORCEMENT = 55,
    CONSENT_OPCODE_ENFORCED_BY = 183,
    CONSENT_OPCODE_CHECKPOINT = 56,
    CONSENT_OPCODE_CHECKPOINTED = 184,
    CONSENT_OPCODE_PROVE = 57,
    CONSENT_OPCODE_PROVED = 185,
    CONSENT_OPCODE_ACCESS_LOG = 58,
    CONSENT_OPCODE_ACCESS_PAGE = 186,
    CONSENT_OPCODE_READ_AS = 59,
    CONSENT_OPCODE_GOING_AWAY = 224,
    CONSENT_OPCODE_CATALOG_CHANGED = 225,
    CONSENT_OPCODE_ERROR = 255,
    CONSENT_OPCODE_ERASE = 35,
    CONSENT_OPCODE_ERASED = 163,
    CONSENT_OPCODE_SUBSCRIBE = 64,
    CONSENT_OPCODE_SUBSCRIBED = 192,
    CONSENT_OPCODE_TAKE_SNAPSHOT = 65,
    CONSENT_OPCODE_SNAPSHOT_BEGUN = 193,
    CONSENT_OPCODE_ENFORCED = 66,
    CONSENT_OPCODE_HEARTBEAT = 226,
    CONSENT_OPCODE_CATALOG_RULES = 227,
    CONSENT_OPCODE_RULES_TEXT = 228,
    CONSENT_OPCODE_SNAPSHOT_CHUNK = 229,
    CONSENT_OPCODE_DELTA = 230,
    CONSENT_OPCODE_CUT_OFF = 231,
    CONSENT_OPCODE_LINK = 36,
    CONSENT_OPCODE_LINKED = 164,
    CONSENT_OPCODE_UNLINK = 37,
    CONSENT_OPCODE_UNLINKED = 165,
    CONSENT_OPCODE_ISSUE_TOKEN = 38,
    CONSENT_OPCODE_TOKEN_ISSUED = 166,
    CONSENT_OPCODE_CONFIRM_TOKEN = 39,
    CONSENT_OPCODE_TOKEN_CONFIRMED = 167
};

enum {
    CONSENT_BASIS_CONSENT = 0,
    CONSENT_BASIS_CONTRACT = 1,
    CONSENT_BASIS_LEGAL_OBLIGATION = 2,
    CONSENT_BASIS_VITAL_INTEREST = 3,
    CONSENT_BASIS_PUBLIC_TASK = 4,
    CONSENT_BASIS_LEGITIMATE_INTEREST = 5
};

static inline int consent_is_basis(int code) {
    switch (code) {
    case CONSENT_BASIS_CONSENT:
    case CONSENT_BASIS_CONTRACT:
    case CONSENT_BASIS_LEGAL_OBLIGATION:
    case CONSENT_BASIS_VITAL_INTEREST:
    case CONSENT_BASIS_PUBLIC_TASK:
    case CONSENT_BASIS_LEGITIMATE_INTEREST:
        return 1;
    default: return 0;
    }
}

enum {
    CONSENT_EVENT_REQUESTED = 1,
    CONSENT_EVENT_DEFERRED = 2,
    CONSENT_EVENT_REFUSED = 3,
    CONSENT_EVENT_GIVEN = 4,
    CONSENT_EVENT_RENEWED = 5,
    CONSENT_EVENT_WITHDRAWN = 6,
    CONSENT_EVENT_REVOKED = 7,
    CONSENT_EVENT_EXPIRED = 8,
    CONSENT_EVENT_INVALIDATED = 9,
    CONSENT_EVENT_OBJECTED = 11,
    CONSENT_EVENT_ERASED = 13,
    CONSENT_EVENT_CONFIRMED = 14,
    CONSENT_EVENT_OBJECTION_LIFTED = 15
};

static inline int consent_is_event(int code) {
    switch (code) {
    case CONSENT_EVENT_REQUESTED:
    case CONSENT_EVENT_DEFERRED:
    case CONSENT_EVENT_REFUSED:
    case CONSENT_EVENT_GIVEN:
    case CONSENT_EVENT_RENEWED:
    case CONSENT_EVENT_WITHDRAWN:
    case CONSENT_EVENT_REVOKED:
    case CONSENT_EVENT_EXPIRED:
    case CONSENT_EVENT_INVALIDATED:
    case CONSENT_EVENT_OBJECTED:
    case CONSENT_EVENT_ERASED:
    case CONSENT_EVENT_CONFIRMED:
    case CONSENT_EVENT_OBJECTION_LIFTED:
        return 1;
    default: return 0;
    }
}

enum {
    CONSENT_METHOD_NONE = 0,
    CONSENT_METHOD_TICKED_BOX = 1,
    CONSENT_METHOD_BUTTON = 2,
    CONSENT_METHOD_SIGNATURE = 3,
    CONSENT_METHOD_SPOKEN = 4,
    CONSENT_METHOD_DOUBLE_OPT_IN = 5,
    CONSENT_METHOD_PAPER = 6,
    CONSENT_METHOD_ELECTRONIC_ID = 7,
    CONSENT_METHOD_PRETICKED = 64,
    CONSENT_METHOD_SILENCE = 65,
    CONSENT_METHOD_IMPLIED = 66,
    CONSENT_METHOD_BUNDLED = 67
};

static inline int consent_is_method(int code) {
    switch (code) {
    case CONSENT_METHOD_NONE:
    case CONSENT_METHOD_TICKED_BOX:
    case CONSENT_METHOD_BUTTON:
    case CONSENT_METHOD_SIGNATURE:
    case CONSENT_METHOD_SPOKEN:
    case CONSENT_METHOD_DOUBLE_OPT_IN:
    case CONSENT_METHOD_PAPER:
    case CONSENT_METHOD_ELECTRONIC_ID:
    case CONSENT_METHOD_PRETICKED:
    case CONSENT_METHOD_SILENCE:
    case CONSENT_METHOD_IMPLIED:
    case CONSENT_METHOD_BUNDLED:
        return 1;
    default: return 0;
    }
}

enum {
    CONSENT_PARTY_SUBJECT = 0,
    CONSENT_PARTY_GUARDIAN = 1,
    CONSENT_PARTY_CONTROLLER = 2,
    CONSENT_PARTY_AUTHORITY = 3,
    CONSENT_PARTY_SYSTEM = 4
};

static inline int consent_is_party(int code) {
    switch (code) {
    case CONSENT_PARTY_SUBJECT:
    case CONSENT_PARTY_GUARDIAN:
    case CONSENT_PARTY_CONTROLLER:
    case CONSENT_PARTY_AUTHORITY:
    case CONSENT_PARTY_SYSTEM:
        return 1;
    default: return 0;
    }
}

enum {
    CONSENT_STATE_UNKNOWN = 0,
    CONSENT_STATE_REQUESTED = 1,
    CONSENT_STATE_DEFERRED = 2,
    CONSENT_STATE_REFUSED = 3,
    CONSENT_STATE_GIVEN = 4,
    CONSENT_STATE_RENEWED = 5,
    CONSENT_STATE_WITHDRAWN = 6,
    CONSENT_STATE_REVOKED = 7,
    CONSENT_STATE_EXPIRED = 8,
    CONSENT_STATE_INVALIDATED = 9,
    CONSENT_STATE_OUTDATED_REVISION = 10,
    CONSENT_STATE_OBJECTED = 11,
    CONSENT_STATE_BASIS_HOLDS = 12,
    CONSENT_STATE_ERASED = 13
};

static inline int consent_is_state(int code) {
    switch (code) {
    case CONSENT_STATE_UNKNOWN:
    case CONSENT_STATE_REQUESTED:
    case CONSENT_STATE_DEFERRED:
    case CONSENT_STATE_REFUSED:
    case CONSENT_STATE_GIVEN:
    case CONSENT_STATE_RENEWED:
    case CONSENT_STATE_WITHDRAWN:
    case CONSENT_STATE_REVOKED:
    case CONSENT_STATE_EXPIRED:
    case CONSENT_STATE_INVALIDATED:
    case CONSENT_STATE_OUTDATED_REVISION:
    case CONSENT_STATE_OBJECTED:
    case CONSENT_STATE_BASIS_HOLDS:
    case CONSENT_STATE_ERASED:
        return 1;
    default: return 0;
    }
}

enum {
    CONSENT_PEOPLE_AUDIENCE = 1,
    CONSENT_PEOPLE_ASK_AGAIN = 2,
    CONSENT_PEOPLE_ENDING = 3,
    CONSENT_PEOPLE_ACTIVE = 4,
    CONSENT_PEOPLE_OUTDATED_BY = 5,
    CONSENT_PEOPLE_COMING_OF_AGE = 6
};

static inline int consent_is_people(int code) {
    switch (code) {
    case CONSENT_PEOPLE_AUDIENCE:
    case CONSENT_PEOPLE_ASK_AGAIN:
    case CONSENT_PEOPLE_ENDING:
    case CONSENT_PEOPLE_ACTIVE:
    case CONSENT_PEOPLE_OUTDATED_BY:
    case CONSENT_PEOPLE_COMING_OF_AGE:
        return 1;
    default: return 0;
    }
}

enum {
    CONSENT_GUARDIAN_PARENT = 1,
    CONSENT_GUARDIAN_LEGAL_GUARDIAN = 2,
    CONSENT_GUARDIAN_INSTITUTION = 3
};

static inline int consent_is_guardian(int code) {
    switch (code) {
    case CONSENT_GUARDIAN_PARENT:
    case CONSENT_GUARDIAN_LEGAL_GUARDIAN:
    case CONSENT_GUARDIAN_INSTITUTION:
        return 1;
    default: return 0;
    }
}

// What a server answers instead, see the table of errors in Protocol/protocol.md.
enum {
    CONSENT_ERROR_MALFORMED = 1,
    CONSENT_ERROR_FRAME_TOO_LARGE = 2,
    CONSENT_ERROR_FRAME_TOO_SMALL = 3,
    CONSENT_ERROR_OPCODE_UNKNOWN = 4,
    CONSENT_ERROR_RESERVED_BIT_SET = 5,
    CONSENT_ERROR_HELLO_EXPECTED = 6,
    CONSENT_ERROR_MAGIC_WRONG = 7,
    CONSENT_ERROR_VERSION_UNSUPPORTED = 8,
    CONSENT_ERROR_DEPLOYMENT_MISMATCH = 9,
    CONSENT_ERROR_CREDENTIALS_REFUSED = 10,
    CONSENT_ERROR_BUSY = 11,
    CONSENT_ERROR_TOO_MANY_IN_FLIGHT = 12,
    CONSENT_ERROR_SHUTTING_DOWN = 13,
    CONSENT_ERROR_INTERNAL_FAILURE = 14,
    CONSENT_ERROR_IDLE_TOO_LONG = 15,
    CONSENT_ERROR_HELLO_TOO_LATE = 16,
    CONSENT_ERROR_TOO_MANY_CONNECTIONS = 17,
    CONSENT_ERROR_PURPOSE_UNKNOWN = 18,
    CONSENT_ERROR_IDENTIFIER_INVALID = 19,
    CONSENT_ERROR_CATALOG_REJECTED = 20,
    CONSENT_ERROR_CATALOG_CONFLICT = 21,
    CONSENT_ERROR_LEDGER_UNAVAILABLE = 22,
    CONSENT_ERROR_LEDGER_DAMAGED = 23,
    CONSENT_ERROR_NOT_HERE = 32,
    CONSENT_ERROR_UPSTREAM_UNREACHABLE = 33,
    CONSENT_ERROR_IDENTITY_UNKNOWN = 35,
    CONSENT_ERROR_NODE_CHANGED = 36,
    CONSENT_ERROR_QUESTION_INVALID = 41,
    CONSENT_ERROR_IDENTIFIER_MISSING = 64,
    CONSENT_ERROR_IDENTIFIER_REFUSED = 65,
    CONSENT_ERROR_IDENTIFIERS_TOO_MANY = 66,
    CONSENT_ERROR_ADMISSION_PURPOSE_UNKNOWN = 67,
    CONSENT_ERROR_PURPOSE_INACTIVE = 68,
    CONSENT_ERROR_BASIS_NEEDS_NO_CONSENT = 69,
    CONSENT_ERROR_BASIS_CANNOT_BE_WITHDRAWN = 70,
    CONSENT_ERROR_OBJECTION_IS_ABSOLUTE = 71,
    CONSENT_ERROR_STATE_IS_INTERNAL = 72,
    CONSENT_ERROR_DECLARATION_MISSING = 73,
    CONSENT_ERROR_DECLARATION_UNKNOWN = 74,
    CONSENT_ERROR_REVISION_UNKNOWN = 75,
    CONSENT_ERROR_REVISION_NOT_CURRENT = 76,
    CONSENT_ERROR_REVISION_LACKS_PURPOSE = 77,
    CONSENT_ERROR_LANGUAGE_UNKNOWN = 78,
    CONSENT_ERROR_METHOD_MISSING = 79,
    CONSENT_ERROR_METHOD_IS_NOT_CONSENT = 80,
    CONSENT_ERROR_CAPTURED_IN_FUTURE = 81,
    CONSENT_ERROR_ENDS_BEFORE_CAPTURE = 82,
    CONSENT_ERROR_TEXT_TOO_LONG = 83,
    CONSENT_ERROR_NOTHING_TO_CONFIRM = 84,
    CONSENT_ERROR_KEY_REUSED = 85,
    CONSENT_ERROR_IDENTIFIER_CONFLICT = 86,
    CONSENT_ERROR_AGE_IMPLAUSIBLE = 87,
    CONSENT_ERROR_PARTY_CANNOT_CONSENT = 88,
    CONSENT_ERROR_CAPTURED_TOO_EARLY = 89,
    CONSENT_ERROR_IDENTIFIER_EMPTY = 100,
    CONSENT_ERROR_IDENTIFIER_TOO_LONG = 101,
    CONSENT_ERROR_IDENTIFIER_MALFORMED = 102,
    CONSENT_ERROR_NATIONAL_ID_IS_HASH = 103,
    CONSENT_ERROR_PERSON_UNKNOWN = 48,
    CONSENT_ERROR_EVENT_UNKNOWN = 42,
    CONSENT_ERROR_RECEIPT_IMPOSSIBLE = 43,
    CONSENT_ERROR_READER_REFUSED = 44,
    CONSENT_ERROR_READ_EXPECTED = 45,
    CONSENT_ERROR_PERSON_ERASED = 90,
    CONSENT_ERROR_TEXT_NAMES_PERSON = 91,
    CONSENT_ERROR_DAMAGED = 24,
    CONSENT_ERROR_FEED_NOT_READY = 25,
    CONSENT_ERROR_TOO_MANY_EDGES = 26,
    CONSENT_ERROR_SUBSCRIBE_TOO_LATE = 27,
    CONSENT_ERROR_SUBSCRIBE_EXPECTED = 28,
    CONSENT_ERROR_ONLY_FOLLOWING = 29,
    CONSENT_ERROR_TOKEN_UNKNOWN = 92,
    CONSENT_ERROR_TOKEN_USED = 93,
    CONSENT_ERROR_TOKEN_LAPSED = 94,
    CONSENT_ERROR_IDENTIFIER_UNLINKED = 95,
    CONSENT_ERROR_IDENTIFIER_IS_ONLY_ONE = 96,
    CONSENT_ERROR_GUARDIAN_MISSING = 97
};

// What a client should do about an error.
enum { CONSENT_DO_NOT_RETRY = 0, CONSENT_RETRY_LATER = 1, CONSENT_RECONNECT = 2 };

// A code that is not known is not tried again.
static inline int consent_error_advice(int code) {
    switch (code) {
    case CONSENT_ERROR_BUSY: return CONSENT_RETRY_LATER;
    case CONSENT_ERROR_TOO_MANY_IN_FLIGHT: return CONSENT_RETRY_LATER;
    case CONSENT_ERROR_SHUTTING_DOWN: return CONSENT_RECONNECT;
    case CONSENT_ERROR_INTERNAL_FAILURE: return CONSENT_RETRY_LATER;
    case CONSENT_ERROR_IDLE_TOO_LONG: return CONSENT_RECONNECT;
    case CONSENT_ERROR_HELLO_TOO_LATE: return CONSENT_RECONNECT;
    case CONSENT_ERROR_TOO_MANY_CONNECTIONS: return CONSENT_RETRY_LATER;
    case CONSENT_ERROR_LEDGER_UNAVAILABLE: return CONSENT_RETRY_LATER;
    case CONSENT_ERROR_UPSTREAM_UNREACHABLE: return CONSENT_RETRY_LATER;
    case CONSENT_ERROR_IDENTITY_UNKNOWN: return CONSENT_RETRY_LATER;
    case CONSENT_ERROR_NODE_CHANGED: return CONSENT_RECONNECT;
    case CONSENT_ERROR_DAMAGED: return CONSENT_RECONNECT;
    case CONSENT_ERROR_FEED_NOT_READY: return CONSENT_RETRY_LATER;
    case CONSENT_ERROR_TOO_MANY_EDGES: return CONSENT_RETRY_LATER;
    default: return CONSENT_DO_NOT_RETRY;
    }
}

static inline const char *consent_error_meaning(int code) {
    switch (code) {
    case CONSENT_ERROR_MALFORMED: return "The payload does not have the layout of its opcode; nothing of the frame took effect.";
    case CONSENT_ERROR_FRAME_TOO_LARGE: return "The length field says more than frameSizeMax, or of the first frame more than helloSizeMax.";
    case CONSENT_ERROR_FRAME_TOO_SMALL: return "The length field says less than the rest of the header.";
    case CONSENT_ERROR_OPCODE_UNKNOWN: return "No request has this opcode in the version spoken.";
    case CONSENT_ERROR_RESERVED_BIT_SET: return "A bit that must be zero is one.";
    case CONSENT_ERROR_HELLO_EXPECTED: return "The first frame was not hello, or hello came twice.";
    case CONSENT_ERROR_MAGIC_WRONG: return "hello does not carry the magic: another protocol is spoken here.";
    case CONSENT_ERROR_VERSION_UNSUPPORTED: return "No version is spoken by both. Detail: u16 oldest, u16 newest that the server speaks.";
    case CONSENT_ERROR_DEPLOYMENT_MISMATCH: return "The client is meant for another deployment.";
    case CONSENT_ERROR_CREDENTIALS_REFUSED: return "The token is missing or wrong.";
    case CONSENT_ERROR_BUSY: return "The queue of changes or of reads is full; nothing was stored.";
    case CONSENT_ERROR_TOO_MANY_IN_FLIGHT: return "The connection has requestsInFlightMax requests unanswered; nothing of this one was done.";
    case CONSENT_ERROR_SHUTTING_DOWN: return "The server drains and takes no new change.";
    case CONSENT_ERROR_INTERNAL_FAILURE: return "The server failed; its log says why. Nothing is known to be stored: retry with the same key.";
    case CONSENT_ERROR_IDLE_TOO_LONG: return "Nothing was received within the idle limit.";
    case CONSENT_ERROR_HELLO_TOO_LATE: return "hello did not arrive within the handshake limit.";
    case CONSENT_ERROR_TOO_MANY_CONNECTIONS: return "The server has as many connections as it may.";
    case CONSENT_ERROR_PURPOSE_UNKNOWN: return "The applied catalog has no purpose with this bit. Detail: the bit.";
    case CONSENT_ERROR_IDENTIFIER_INVALID: return "The identifier is empty, too long, not UTF-8, holds control characters, or its type is unknown.";
    case CONSENT_ERROR_CATALOG_REJECTED: return "The catalog breaks rules; the message names line and rule of each. Nothing was applied.";
    case CONSENT_ERROR_CATALOG_CONFLICT: return "The catalog contradicts what is applied, such as a reused purpose bit. Nothing was applied.";
    case CONSENT_ERROR_LEDGER_UNAVAILABLE: return "The ledger could not be used, such as on a full disk. Nothing was stored.";
    case CONSENT_ERROR_LEDGER_DAMAGED: return "What the ledger holds contradicts itself; the message says where. Nothing was stored.";
    case CONSENT_ERROR_NOT_HERE: return "This edge has no ledger: changes, histories and lists of people are asked of the server that the message names. Nothing was stored.";
    case CONSENT_ERROR_UPSTREAM_UNREACHABLE: return "This edge forwards such requests and has no answer to this one. Whether a change was stored is not known: retry with the same key.";
    case CONSENT_ERROR_IDENTITY_UNKNOWN: return "This edge has never reached its upstream and cannot say yet whether it is of the client's deployment.";
    case CONSENT_ERROR_NODE_CHANGED: return "This edge is not of the history any more that it named in its welcome.";
    case CONSENT_ERROR_QUESTION_INVALID: return "The question cannot be answered as it was asked, such as for a purpose that no catalog has; the message says why.";
    case CONSENT_ERROR_IDENTIFIER_MISSING: return "Rule at the door: no identifier. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_IDENTIFIER_REFUSED: return "Rule at the door: an identifier's type is not known, or its value has no normal form. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_IDENTIFIERS_TOO_MANY: return "Rule at the door: more identifiers than one event may name, or than one person may have. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_ADMISSION_PURPOSE_UNKNOWN: return "Rule at the door: the purpose is not in the catalog. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_PURPOSE_INACTIVE: return "Rule at the door: the purpose is retired. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_BASIS_NEEDS_NO_CONSENT: return "Rule at the door: the purpose does not rest on consent. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_BASIS_CANNOT_BE_WITHDRAWN: return "Rule at the door: the purpose's basis leaves no room for withdrawal or objection; the message names it. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_OBJECTION_IS_ABSOLUTE: return "Rule at the door: only the person may lift an objection to direct marketing or profiling. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_STATE_IS_INTERNAL: return "Rule at the door: only the node records this state. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_DECLARATION_MISSING: return "Rule at the door: a grant without declaration and revision. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_DECLARATION_UNKNOWN: return "Rule at the door: no such declaration. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_REVISION_UNKNOWN: return "Rule at the door: no such revision. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_REVISION_NOT_CURRENT: return "Rule at the door: the revision was not current at capture; the message names the one that was. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_REVISION_LACKS_PURPOSE: return "Rule at the door: the revision does not cover the purpose. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_LANGUAGE_UNKNOWN: return "Rule at the door: the revision has no text in the language. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_METHOD_MISSING: return "Rule at the door: a grant without evidence method. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_METHOD_IS_NOT_CONSENT: return "Rule at the door: preticked, silence, implied and bundled are not consent. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_CAPTURED_IN_FUTURE: return "Rule at the door: capture time ahead of the node's clock: by more than five minutes, or without an idempotency key. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_ENDS_BEFORE_CAPTURE: return "Rule at the door: the consent would end before it began. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_TEXT_TOO_LONG: return "Rule at the door: a text is over its limit. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_NOTHING_TO_CONFIRM: return "Rule at the door: no grant waits to be confirmed. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_KEY_REUSED: return "Rule at the door: the idempotency key belongs to another event. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_IDENTIFIER_CONFLICT: return "Rule at the door, and to link: the identifiers name two people. Nothing of it was stored.";
    case CONSENT_ERROR_AGE_IMPLAUSIBLE: return "Rule at the door: no person has this age. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_PARTY_CANNOT_CONSENT: return "Rule at the door: consent by another party than the person or a guardian. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_CAPTURED_TOO_EARLY: return "Rule at the door: capture time before 1970, or its first moment. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_IDENTIFIER_EMPTY: return "Rule at the door: an identifier is empty, or nothing is left of it when it is written the one way that counts. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_IDENTIFIER_TOO_LONG: return "Rule at the door: an identifier is over its limit. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_IDENTIFIER_MALFORMED: return "Rule at the door: an identifier holds control characters or is not UTF-8. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_NATIONAL_ID_IS_HASH: return "Rule at the door: a national id is the hash that a history shows in its place. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_PERSON_UNKNOWN: return "The ledger knows nobody by the identifier. Nothing was stored.";
    case CONSENT_ERROR_EVENT_UNKNOWN: return "There is no event with this sequence.";
    case CONSENT_ERROR_RECEIPT_IMPOSSIBLE: return "There can be no receipt of the event: it is no act of a person, no consent, or the person was erased.";
    case CONSENT_ERROR_READER_REFUSED: return "Who reads looks like an identifier, and the access log keeps it for ever. Nothing was given.";
    case CONSENT_ERROR_READ_EXPECTED: return "Only a request that reads personal data can stand in readAs.";
    case CONSENT_ERROR_PERSON_ERASED: return "Rule at the door, and to link: the person was erased; only what the person does anew, captured after that, is taken. Nothing of it was stored.";
    case CONSENT_ERROR_TEXT_NAMES_PERSON: return "Rule at the door: actor, system, channel or form holds an identifier of the person, and could never be erased. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_DAMAGED: return "A payload does not match its checksum.";
    case CONSENT_ERROR_FEED_NOT_READY: return "This node has nothing to follow yet.";
    case CONSENT_ERROR_TOO_MANY_EDGES: return "As many edges follow this node as may.";
    case CONSENT_ERROR_SUBSCRIBE_TOO_LATE: return "The connection has requests that are not answered; subscribe on one of its own.";
    case CONSENT_ERROR_SUBSCRIBE_EXPECTED: return "Only an edge that has subscribed can say this.";
    case CONSENT_ERROR_ONLY_FOLLOWING: return "A connection that has subscribed takes nothing but takeSnapshot and enforced.";
    case CONSENT_ERROR_TOKEN_UNKNOWN: return "Nobody was given this token, or what it was for has been erased. Nothing was stored.";
    case CONSENT_ERROR_TOKEN_USED: return "The token was used before; it counts once. Nothing was stored.";
    case CONSENT_ERROR_TOKEN_LAPSED: return "The time of the token is over; the person is to be asked again. Nothing was stored.";
    case CONSENT_ERROR_IDENTIFIER_UNLINKED: return "Rule at the door: the identifier was taken off a person after this was captured; only a no is taken for it then. Only in outcomes of record; nothing of the event was stored.";
    case CONSENT_ERROR_IDENTIFIER_IS_ONLY_ONE: return "The person is known by this identifier alone. Nothing was stored.";
    case CONSENT_ERROR_GUARDIAN_MISSING: return "Rule at the door: a consent by a guardian does not say who the guardian is; or one is named where another party acts, or is the person. In outcomes of record, and to confirmToken; nothing of the event was stored.";
    default: return "an error that this version does not know";
    }
}

#endif
