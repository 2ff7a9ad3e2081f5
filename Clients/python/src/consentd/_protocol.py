# Generated from Protocol/protocol.json by ProtocolGenerator. Change the definition, then run `./dev generate`.
from enum import Enum, IntEnum
from typing import Final

VERSION_MIN: Final = 1
VERSION_MAX: Final = 1
MAGIC: Final = 0x44534E43

ACCESS_PAGE_MAX: Final = 500
EVENTS_PER_RECORD_MAX: Final = 4096
EVIDENCE_SIZE_MAX: Final = 4096
FRAME_SIZE_MAX: Final = 1048576
HEADER_SIZE: Final = 16
HELLO_SIZE_MAX: Final = 66089
HISTORY_PAGE_EVENTS_MAX: Final = 200
IDENTIFIER_SIZE_MAX: Final = 255
IDENTIFIERS_PER_EVENT_MAX: Final = 16
PEOPLE_PAGE_MAX: Final = 1000
PROOF_SIZE_MAX: Final = 16777216
PURPOSE_WORDS_MAX: Final = 15
PURPOSES_PER_TOKEN_MAX: Final = 64
REQUESTS_IN_FLIGHT_MAX: Final = 1024
SUBJECTS_PER_CHECK_MAX: Final = 65535


class Opcode(IntEnum):
    HELLO = 1
    WELCOME = 129
    PING = 2
    PONG = 130
    CHECK = 16
    CHECKED = 144
    CHECK_PURPOSES = 17
    CHECKED_PURPOSES = 145
    CHECK_SUBJECTS = 18
    CHECKED_SUBJECTS = 146
    EXPLAIN = 19
    EXPLAINED = 147
    RECORD = 32
    RECORDED = 160
    APPLY_CATALOG = 34
    APPLIED_CATALOG = 162
    HISTORY = 48
    HISTORY_PAGE = 176
    CATALOG = 49
    CATALOG_PURPOSES = 177
    CATALOG_DOCUMENT = 50
    CATALOG_TEXT = 178
    STATISTICS = 51
    STATISTIC_VALUES = 179
    COUNT_GRANTED = 52
    GRANTED_COUNT = 180
    PEOPLE = 53
    PEOPLE_PAGE = 181
    STATUS = 54
    NODE_STATUS = 182
    ENFORCEMENT = 55
    ENFORCED_BY = 183
    CHECKPOINT = 56
    CHECKPOINTED = 184
    PROVE = 57
    PROVED = 185
    ACCESS_LOG = 58
    ACCESS_PAGE = 186
    READ_AS = 59
    GOING_AWAY = 224
    CATALOG_CHANGED = 225
    ERROR = 255
    ERASE = 35
    ERASED = 163
    SUBSCRIBE = 64
    SUBSCRIBED = 192
    TAKE_SNAPSHOT = 65
    SNAPSHOT_BEGUN = 193
    ENFORCED = 66
    HEARTBEAT = 226
    CATALOG_RULES = 227
    RULES_TEXT = 228
    SNAPSHOT_CHUNK = 229
    DELTA = 230
    CUT_OFF = 231
    LINK = 36
    LINKED = 164
    UNLINK = 37
    UNLINKED = 165
    ISSUE_TOKEN = 38
    TOKEN_ISSUED = 166
    CONFIRM_TOKEN = 39
    TOKEN_CONFIRMED = 167


class Advice(Enum):
    DO_NOT_RETRY = "do_not_retry"
    RETRY_LATER = "retry_later"
    RECONNECT = "reconnect"


class ErrorCode(IntEnum):
    MALFORMED = 1
    FRAME_TOO_LARGE = 2
    FRAME_TOO_SMALL = 3
    OPCODE_UNKNOWN = 4
    RESERVED_BIT_SET = 5
    HELLO_EXPECTED = 6
    MAGIC_WRONG = 7
    VERSION_UNSUPPORTED = 8
    DEPLOYMENT_MISMATCH = 9
    CREDENTIALS_REFUSED = 10
    BUSY = 11
    TOO_MANY_IN_FLIGHT = 12
    SHUTTING_DOWN = 13
    INTERNAL_FAILURE = 14
    IDLE_TOO_LONG = 15
    HELLO_TOO_LATE = 16
    TOO_MANY_CONNECTIONS = 17
    PURPOSE_UNKNOWN = 18
    IDENTIFIER_INVALID = 19
    CATALOG_REJECTED = 20
    CATALOG_CONFLICT = 21
    LEDGER_UNAVAILABLE = 22
    LEDGER_DAMAGED = 23
    NOT_HERE = 32
    UPSTREAM_UNREACHABLE = 33
    IDENTITY_UNKNOWN = 35
    NODE_CHANGED = 36
    QUESTION_INVALID = 41
    IDENTIFIER_MISSING = 64
    IDENTIFIER_REFUSED = 65
    IDENTIFIERS_TOO_MANY = 66
    ADMISSION_PURPOSE_UNKNOWN = 67
    PURPOSE_INACTIVE = 68
    BASIS_NEEDS_NO_CONSENT = 69
    BASIS_CANNOT_BE_WITHDRAWN = 70
    OBJECTION_IS_ABSOLUTE = 71
    STATE_IS_INTERNAL = 72
    DECLARATION_MISSING = 73
    DECLARATION_UNKNOWN = 74
    REVISION_UNKNOWN = 75
    REVISION_NOT_CURRENT = 76
    REVISION_LACKS_PURPOSE = 77
    LANGUAGE_UNKNOWN = 78
    METHOD_MISSING = 79
    METHOD_IS_NOT_CONSENT = 80
    CAPTURED_IN_FUTURE = 81
    ENDS_BEFORE_CAPTURE = 82
    TEXT_TOO_LONG = 83
    NOTHING_TO_CONFIRM = 84
    KEY_REUSED = 85
    IDENTIFIER_CONFLICT = 86
    AGE_IMPLAUSIBLE = 87
    PARTY_CANNOT_CONSENT = 88
    CAPTURED_TOO_EARLY = 89
    IDENTIFIER_EMPTY = 100
    IDENTIFIER_TOO_LONG = 101
    IDENTIFIER_MALFORMED = 102
    NATIONAL_ID_IS_HASH = 103
    PERSON_UNKNOWN = 48
    EVENT_UNKNOWN = 42
    RECEIPT_IMPOSSIBLE = 43
    READER_REFUSED = 44
    READ_EXPECTED = 45
    PERSON_ERASED = 90
    TEXT_NAMES_PERSON = 91
    DAMAGED = 24
    FEED_NOT_READY = 25
    TOO_MANY_EDGES = 26
    SUBSCRIBE_TOO_LATE = 27
    SUBSCRIBE_EXPECTED = 28
    ONLY_FOLLOWING = 29
    TOKEN_UNKNOWN = 92
    TOKEN_USED = 93
    TOKEN_LAPSED = 94
    IDENTIFIER_UNLINKED = 95
    IDENTIFIER_IS_ONLY_ONE = 96
    GUARDIAN_MISSING = 97


ADVICE: Final[dict[ErrorCode, Advice]] = {
    ErrorCode.MALFORMED: Advice.DO_NOT_RETRY,
    ErrorCode.FRAME_TOO_LARGE: Advice.DO_NOT_RETRY,
    ErrorCode.FRAME_TOO_SMALL: Advice.DO_NOT_RETRY,
    ErrorCode.OPCODE_UNKNOWN: Advice.DO_NOT_RETRY,
    ErrorCode.RESERVED_BIT_SET: Advice.DO_NOT_RETRY,
    ErrorCode.HELLO_EXPECTED: Advice.DO_NOT_RETRY,
    ErrorCode.MAGIC_WRONG: Advice.DO_NOT_RETRY,
    ErrorCode.VERSION_UNSUPPORTED: Advice.DO_NOT_RETRY,
    ErrorCode.DEPLOYMENT_MISMATCH: Advice.DO_NOT_RETRY,
    ErrorCode.CREDENTIALS_REFUSED: Advice.DO_NOT_RETRY,
    ErrorCode.BUSY: Advice.RETRY_LATER,
    ErrorCode.TOO_MANY_IN_FLIGHT: Advice.RETRY_LATER,
    ErrorCode.SHUTTING_DOWN: Advice.RECONNECT,
    ErrorCode.INTERNAL_FAILURE: Advice.RETRY_LATER,
    ErrorCode.IDLE_TOO_LONG: Advice.RECONNECT,
    ErrorCode.HELLO_TOO_LATE: Advice.RECONNECT,
    ErrorCode.TOO_MANY_CONNECTIONS: Advice.RETRY_LATER,
    ErrorCode.PURPOSE_UNKNOWN: Advice.DO_NOT_RETRY,
    ErrorCode.IDENTIFIER_INVALID: Advice.DO_NOT_RETRY,
    ErrorCode.CATALOG_REJECTED: Advice.DO_NOT_RETRY,
    ErrorCode.CATALOG_CONFLICT: Advice.DO_NOT_RETRY,
    ErrorCode.LEDGER_UNAVAILABLE: Advice.RETRY_LATER,
    ErrorCode.LEDGER_DAMAGED: Advice.DO_NOT_RETRY,
    ErrorCode.NOT_HERE: Advice.DO_NOT_RETRY,
    ErrorCode.UPSTREAM_UNREACHABLE: Advice.RETRY_LATER,
    ErrorCode.IDENTITY_UNKNOWN: Advice.RETRY_LATER,
    ErrorCode.NODE_CHANGED: Advice.RECONNECT,
    ErrorCode.QUESTION_INVALID: Advice.DO_NOT_RETRY,
    ErrorCode.IDENTIFIER_MISSING: Advice.DO_NOT_RETRY,
    ErrorCode.IDENTIFIER_REFUSED: Advice.DO_NOT_RETRY,
    ErrorCode.IDENTIFIERS_TOO_MANY: Advice.DO_NOT_RETRY,
    ErrorCode.ADMISSION_PURPOSE_UNKNOWN: Advice.DO_NOT_RETRY,
    ErrorCode.PURPOSE_INACTIVE: Advice.DO_NOT_RETRY,
    ErrorCode.BASIS_NEEDS_NO_CONSENT: Advice.DO_NOT_RETRY,
    ErrorCode.BASIS_CANNOT_BE_WITHDRAWN: Advice.DO_NOT_RETRY,
    ErrorCode.OBJECTION_IS_ABSOLUTE: Advice.DO_NOT_RETRY,
    ErrorCode.STATE_IS_INTERNAL: Advice.DO_NOT_RETRY,
    ErrorCode.DECLARATION_MISSING: Advice.DO_NOT_RETRY,
    ErrorCode.DECLARATION_UNKNOWN: Advice.DO_NOT_RETRY,
    ErrorCode.REVISION_UNKNOWN: Advice.DO_NOT_RETRY,
    ErrorCode.REVISION_NOT_CURRENT: Advice.DO_NOT_RETRY,
    ErrorCode.REVISION_LACKS_PURPOSE: Advice.DO_NOT_RETRY,
    ErrorCode.LANGUAGE_UNKNOWN: Advice.DO_NOT_RETRY,
    ErrorCode.METHOD_MISSING: Advice.DO_NOT_RETRY,
    ErrorCode.METHOD_IS_NOT_CONSENT: Advice.DO_NOT_RETRY,
    ErrorCode.CAPTURED_IN_FUTURE: Advice.DO_NOT_RETRY,
    ErrorCode.ENDS_BEFORE_CAPTURE: Advice.DO_NOT_RETRY,
    ErrorCode.TEXT_TOO_LONG: Advice.DO_NOT_RETRY,
    ErrorCode.NOTHING_TO_CONFIRM: Advice.DO_NOT_RETRY,
    ErrorCode.KEY_REUSED: Advice.DO_NOT_RETRY,
    ErrorCode.IDENTIFIER_CONFLICT: Advice.DO_NOT_RETRY,
    ErrorCode.AGE_IMPLAUSIBLE: Advice.DO_NOT_RETRY,
    ErrorCode.PARTY_CANNOT_CONSENT: Advice.DO_NOT_RETRY,
    ErrorCode.CAPTURED_TOO_EARLY: Advice.DO_NOT_RETRY,
    ErrorCode.IDENTIFIER_EMPTY: Advice.DO_NOT_RETRY,
    ErrorCode.IDENTIFIER_TOO_LONG: Advice.DO_NOT_RETRY,
    ErrorCode.IDENTIFIER_MALFORMED: Advice.DO_NOT_RETRY,
    ErrorCode.NATIONAL_ID_IS_HASH: Advice.DO_NOT_RETRY,
    ErrorCode.PERSON_UNKNOWN: Advice.DO_NOT_RETRY,
    ErrorCode.EVENT_UNKNOWN: Advice.DO_NOT_RETRY,
    ErrorCode.RECEIPT_IMPOSSIBLE: Advice.DO_NOT_RETRY,
    ErrorCode.READER_REFUSED: Advice.DO_NOT_RETRY,
    ErrorCode.READ_EXPECTED: Advice.DO_NOT_RETRY,
    ErrorCode.PERSON_ERASED: Advice.DO_NOT_RETRY,
    ErrorCode.TEXT_NAMES_PERSON: Advice.DO_NOT_RETRY,
    ErrorCode.DAMAGED: Advice.RECONNECT,
    ErrorCode.FEED_NOT_READY: Advice.RETRY_LATER,
    ErrorCode.TOO_MANY_EDGES: Advice.RETRY_LATER,
    ErrorCode.SUBSCRIBE_TOO_LATE: Advice.DO_NOT_RETRY,
    ErrorCode.SUBSCRIBE_EXPECTED: Advice.DO_NOT_RETRY,
    ErrorCode.ONLY_FOLLOWING: Advice.DO_NOT_RETRY,
    ErrorCode.TOKEN_UNKNOWN: Advice.DO_NOT_RETRY,
    ErrorCode.TOKEN_USED: Advice.DO_NOT_RETRY,
    ErrorCode.TOKEN_LAPSED: Advice.DO_NOT_RETRY,
    ErrorCode.IDENTIFIER_UNLINKED: Advice.DO_NOT_RETRY,
    ErrorCode.IDENTIFIER_IS_ONLY_ONE: Advice.DO_NOT_RETRY,
    ErrorCode.GUARDIAN_MISSING: Advice.DO_NOT_RETRY,
}


ERROR_NAMES: Final[dict[ErrorCode, str]] = {
    ErrorCode.MALFORMED: "malformed",
    ErrorCode.FRAME_TOO_LARGE: "frameTooLarge",
    ErrorCode.FRAME_TOO_SMALL: "frameTooSmall",
    ErrorCode.OPCODE_UNKNOWN: "opcodeUnknown",
    ErrorCode.RESERVED_BIT_SET: "reservedBitSet",
    ErrorCode.HELLO_EXPECTED: "helloExpected",
    ErrorCode.MAGIC_WRONG: "magicWrong",
    ErrorCode.VERSION_UNSUPPORTED: "versionUnsupported",
    ErrorCode.DEPLOYMENT_MISMATCH: "deploymentMismatch",
    ErrorCode.CREDENTIALS_REFUSED: "credentialsRefused",
    ErrorCode.BUSY: "busy",
    ErrorCode.TOO_MANY_IN_FLIGHT: "tooManyInFlight",
    ErrorCode.SHUTTING_DOWN: "shuttingDown",
    ErrorCode.INTERNAL_FAILURE: "internalFailure",
    ErrorCode.IDLE_TOO_LONG: "idleTooLong",
    ErrorCode.HELLO_TOO_LATE: "helloTooLate",
    ErrorCode.TOO_MANY_CONNECTIONS: "tooManyConnections",
    ErrorCode.PURPOSE_UNKNOWN: "purposeUnknown",
    ErrorCode.IDENTIFIER_INVALID: "identifierInvalid",
    ErrorCode.CATALOG_REJECTED: "catalogRejected",
    ErrorCode.CATALOG_CONFLICT: "catalogConflict",
    ErrorCode.LEDGER_UNAVAILABLE: "ledgerUnavailable",
    ErrorCode.LEDGER_DAMAGED: "ledgerDamaged",
    ErrorCode.NOT_HERE: "notHere",
    ErrorCode.UPSTREAM_UNREACHABLE: "upstreamUnreachable",
    ErrorCode.IDENTITY_UNKNOWN: "identityUnknown",
    ErrorCode.NODE_CHANGED: "nodeChanged",
    ErrorCode.QUESTION_INVALID: "questionInvalid",
    ErrorCode.IDENTIFIER_MISSING: "identifierMissing",
    ErrorCode.IDENTIFIER_REFUSED: "identifierRefused",
    ErrorCode.IDENTIFIERS_TOO_MANY: "identifiersTooMany",
    ErrorCode.ADMISSION_PURPOSE_UNKNOWN: "admissionPurposeUnknown",
    ErrorCode.PURPOSE_INACTIVE: "purposeInactive",
    ErrorCode.BASIS_NEEDS_NO_CONSENT: "basisNeedsNoConsent",
    ErrorCode.BASIS_CANNOT_BE_WITHDRAWN: "basisCannotBeWithdrawn",
    ErrorCode.OBJECTION_IS_ABSOLUTE: "objectionIsAbsolute",
    ErrorCode.STATE_IS_INTERNAL: "stateIsInternal",
    ErrorCode.DECLARATION_MISSING: "declarationMissing",
    ErrorCode.DECLARATION_UNKNOWN: "declarationUnknown",
    ErrorCode.REVISION_UNKNOWN: "revisionUnknown",
    ErrorCode.REVISION_NOT_CURRENT: "revisionNotCurrent",
    ErrorCode.REVISION_LACKS_PURPOSE: "revisionLacksPurpose",
    ErrorCode.LANGUAGE_UNKNOWN: "languageUnknown",
    ErrorCode.METHOD_MISSING: "methodMissing",
    ErrorCode.METHOD_IS_NOT_CONSENT: "methodIsNotConsent",
    ErrorCode.CAPTURED_IN_FUTURE: "capturedInFuture",
    ErrorCode.ENDS_BEFORE_CAPTURE: "endsBeforeCapture",
    ErrorCode.TEXT_TOO_LONG: "textTooLong",
    ErrorCode.NOTHING_TO_CONFIRM: "nothingToConfirm",
    ErrorCode.KEY_REUSED: "keyReused",
    ErrorCode.IDENTIFIER_CONFLICT: "identifierConflict",
    ErrorCode.AGE_IMPLAUSIBLE: "ageImplausible",
    ErrorCode.PARTY_CANNOT_CONSENT: "partyCannotConsent",
    ErrorCode.CAPTURED_TOO_EARLY: "capturedTooEarly",
    ErrorCode.IDENTIFIER_EMPTY: "identifierEmpty",
    ErrorCode.IDENTIFIER_TOO_LONG: "identifierTooLong",
    ErrorCode.IDENTIFIER_MALFORMED: "identifierMalformed",
    ErrorCode.NATIONAL_ID_IS_HASH: "nationalIdIsHash",
    ErrorCode.PERSON_UNKNOWN: "personUnknown",
    ErrorCode.EVENT_UNKNOWN: "eventUnknown",
    ErrorCode.RECEIPT_IMPOSSIBLE: "receiptImpossible",
    ErrorCode.READER_REFUSED: "readerRefused",
    ErrorCode.READ_EXPECTED: "readExpected",
    ErrorCode.PERSON_ERASED: "personErased",
    ErrorCode.TEXT_NAMES_PERSON: "textNamesPerson",
    ErrorCode.DAMAGED: "damaged",
    ErrorCode.FEED_NOT_READY: "feedNotReady",
    ErrorCode.TOO_MANY_EDGES: "tooManyEdges",
    ErrorCode.SUBSCRIBE_TOO_LATE: "subscribeTooLate",
    ErrorCode.SUBSCRIBE_EXPECTED: "subscribeExpected",
    ErrorCode.ONLY_FOLLOWING: "onlyFollowing",
    ErrorCode.TOKEN_UNKNOWN: "tokenUnknown",
    ErrorCode.TOKEN_USED: "tokenUsed",
    ErrorCode.TOKEN_LAPSED: "tokenLapsed",
    ErrorCode.IDENTIFIER_UNLINKED: "identifierUnlinked",
    ErrorCode.IDENTIFIER_IS_ONLY_ONE: "identifierIsOnlyOne",
    ErrorCode.GUARDIAN_MISSING: "guardianMissing",
}


class AccessQuestion(IntEnum):
    EXPLAIN = 1
    HISTORY = 2
    AUDIENCE = 3
    ASK_AGAIN = 4
    ENDING = 5
    ACTIVE = 6
    OUTDATED_BY = 7
    PROOF = 8
    RECEIPT = 9
    ACCESS_LOG = 10
    COMING_OF_AGE = 11


class LawfulBasis(IntEnum):
    CONSENT = 0
    CONTRACT = 1
    LEGAL_OBLIGATION = 2
    VITAL_INTEREST = 3
    PUBLIC_TASK = 4
    LEGITIMATE_INTEREST = 5


class cutOffReason(IntEnum):
    TOO_SLOW = 1
    SILENT = 2
    DRAINING = 3
    OUTDATED = 4
    HISTORY_CHANGED = 5


class Decision(IntEnum):
    UNKNOWN = 0
    DENIED = 1
    GRANTED = 2


class ErasureReason(IntEnum):
    NO_LONGER_NEEDED = 1
    CONSENT_WITHDRAWN = 2
    OBJECTION = 3
    UNLAWFUL = 4
    LEGAL_OBLIGATION = 5
    CHILD_SERVICE = 6


class EventState(IntEnum):
    REQUESTED = 1
    DEFERRED = 2
    REFUSED = 3
    GIVEN = 4
    RENEWED = 5
    WITHDRAWN = 6
    REVOKED = 7
    EXPIRED = 8
    INVALIDATED = 9
    OBJECTED = 11
    ERASED = 13
    CONFIRMED = 14
    OBJECTION_LIFTED = 15


class Freshness(IntEnum):
    LIVE = 0
    STALE = 1
    UNAVAILABLE = 2


class GuardianRelation(IntEnum):
    PARENT = 1
    LEGAL_GUARDIAN = 2
    INSTITUTION = 3


class IdentifierType(IntEnum):
    CUSTOMER = 1
    EMAIL = 2
    PHONE = 3
    DEVICE = 4
    COOKIE = 5
    ADVERTISING = 6
    LOYALTY_CARD = 7
    NATIONAL_ID = 8
    OTHER = 15


class LinkAction(IntEnum):
    LINKED = 1
    JOINED_TO = 2
    UNLINKED = 3
    SEPARATED = 4


class EvidenceMethod(IntEnum):
    NONE = 0
    TICKED_BOX = 1
    BUTTON = 2
    SIGNATURE = 3
    SPOKEN = 4
    DOUBLE_OPT_IN = 5
    PAPER = 6
    ELECTRONIC_ID = 7
    PRETICKED = 64
    SILENCE = 65
    IMPLIED = 66
    BUNDLED = 67


class Party(IntEnum):
    SUBJECT = 0
    GUARDIAN = 1
    CONTROLLER = 2
    AUTHORITY = 3
    SYSTEM = 4


class PeopleSelection(IntEnum):
    AUDIENCE = 1
    ASK_AGAIN = 2
    ENDING = 3
    ACTIVE = 4
    OUTDATED_BY = 5
    COMING_OF_AGE = 6


class ProofKind(IntEnum):
    EVENT = 1
    DPV_RECEIPT = 2
    KANTARA_RECEIPT = 3


class State(IntEnum):
    UNKNOWN = 0
    REQUESTED = 1
    DEFERRED = 2
    REFUSED = 3
    GIVEN = 4
    RENEWED = 5
    WITHDRAWN = 6
    REVOKED = 7
    EXPIRED = 8
    INVALIDATED = 9
    OUTDATED_REVISION = 10
    OBJECTED = 11
    BASIS_HOLDS = 12
    ERASED = 13


class syncVerdict(IntEnum):
    FOLLOW = 0
    NOTHING_THERE = 1
    TOO_FAR_BEHIND = 2
    OTHER_HISTORY = 3
    DIGEST_DIFFERS = 4
    AHEAD = 5
    FORKED = 6
