"""Bytes to frames, frames to answers, requests to bytes. Knows no socket and no clock.

Whatever breaks the protocol raises ``Violation``: nothing is ever read as granted for want of a reason against it.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from typing import NamedTuple, TypeVar

from . import _protocol as protocol
from ._protocol import (
    AccessQuestion,
    Decision,
    ErasureReason,
    EventState,
    EvidenceMethod,
    Freshness,
    GuardianRelation,
    IdentifierType,
    LawfulBasis,
    LinkAction,
    Opcode,
    Party,
    PeopleSelection,
    ProofKind,
    State,
)
from .errors import UnknownPurpose
from .values import PurposeInfo, Subject

_HEADER = struct.Struct("<IBBHII")
_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_I64 = struct.Struct("<q")
_EVENT_HEAD = struct.Struct("<16sHBBBBBBqq")

_PURPOSE_BITS = 64 * protocol.PURPOSE_WORDS_MAX

DECISIONS: Mapping[State, Decision] = {
    State.UNKNOWN: Decision.UNKNOWN,
    State.REQUESTED: Decision.UNKNOWN,
    State.DEFERRED: Decision.UNKNOWN,
    State.REFUSED: Decision.DENIED,
    State.GIVEN: Decision.GRANTED,
    State.RENEWED: Decision.GRANTED,
    State.WITHDRAWN: Decision.DENIED,
    State.REVOKED: Decision.DENIED,
    State.EXPIRED: Decision.UNKNOWN,
    State.INVALIDATED: Decision.DENIED,
    State.OUTDATED_REVISION: Decision.UNKNOWN,
    State.OBJECTED: Decision.DENIED,
    State.BASIS_HOLDS: Decision.GRANTED,
    State.ERASED: Decision.UNKNOWN,
}
"""The one decision that goes with each reason."""


class Violation(Exception):
    """What the server did that the protocol does not allow."""


class Frame(NamedTuple):
    opcode: int
    flags: int
    argument: int
    request: int
    word: int
    payload: bytes


def scan_frame(buffer: bytearray, start: int) -> tuple[Frame, int] | None:
    """The frame at ``start`` and where the next one begins; None where not all of it is there yet."""
    if len(buffer) - start < 4:
        return None
    (length,) = _U32.unpack_from(buffer, start)
    if not protocol.HEADER_SIZE - 4 <= length <= protocol.FRAME_SIZE_MAX - 4:
        raise Violation(f"a frame has the impossible length {length}")
    end = start + 4 + length
    if len(buffer) < end:
        return None
    _, opcode, flags, argument, request, word = _HEADER.unpack_from(buffer, start)
    return Frame(opcode, flags, argument, request, word, bytes(buffer[start + protocol.HEADER_SIZE : end])), end


def frame(
    opcode: Opcode, request: int, payload: bytes = b"", *, flags: int = 0, argument: int = 0, word: int = 0
) -> bytes:
    return _HEADER.pack(protocol.HEADER_SIZE - 4 + len(payload), opcode, flags, argument, request, word) + payload


def _text8(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return bytes((len(data),)) + data


def _text16(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return _U16.pack(len(data)) + data


_Code = TypeVar("_Code", bound=IntEnum)


def _code(kind: type[_Code], number: int) -> _Code:
    try:
        return kind(number)
    except ValueError:
        raise Violation(f"{number} is no {kind.__name__}") from None


class _Reader:
    """A payload, read from its beginning to its end."""

    def __init__(self, payload: bytes) -> None:
        self._bytes = payload
        self._position = 0

    def take(self, size: int) -> bytes:
        end = self._position + size
        if end > len(self._bytes):
            raise Violation("a field reaches past the end of its frame")
        taken = self._bytes[self._position : end]
        self._position = end
        return taken

    def u8(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return int(_U16.unpack(self.take(2))[0])

    def u32(self) -> int:
        return int(_U32.unpack(self.take(4))[0])

    def u64(self) -> int:
        return int(_U64.unpack(self.take(8))[0])

    def time(self) -> int:
        return int(_I64.unpack(self.take(8))[0])

    def bits(self, words: int) -> int:
        return int.from_bytes(self.take(8 * words), "little")

    def text8(self) -> str:
        return self._text(self.u8())

    def text16(self) -> str:
        return self._text(self.u16())

    def rest(self) -> str:
        return self._text(len(self._bytes) - self._position)

    def _text(self, size: int) -> str:
        try:
            return self.take(size).decode()
        except UnicodeDecodeError:
            raise Violation("a text is not UTF-8") from None

    @property
    def left(self) -> int:
        return len(self._bytes) - self._position

    def end(self) -> None:
        if self.left:
            raise Violation("bytes are left over at the end of a frame")


def _require_header(frame: Frame, *, flags: int = 0, argument: bool = False, word: bool = False) -> None:
    """- flags: those that have a meaning; argument, word: whether they have one."""
    if frame.flags & ~flags or (frame.argument and not argument) or (frame.word and not word):
        raise Violation("a reserved bit is set")


# Answers


@dataclass(frozen=True, slots=True)
class Welcome:
    version: int
    version_min: int
    version_max: int
    catalog_version: int
    sequence: int
    deployment: bytes
    history: bytes
    frame_size_max: int
    requests_in_flight_max: int
    subjects_per_check_max: int
    events_per_record_max: int
    server_name: str
    server_version: str

    @classmethod
    def read(cls, frame: Frame) -> Welcome:
        _require_header(frame, argument=True)
        reader = _Reader(frame.payload)
        welcome = cls(
            frame.argument,
            *(reader.u16(), reader.u16(), reader.u32(), reader.u64(), reader.take(16), reader.take(16)),
            *(reader.u32(), reader.u32(), reader.u32(), reader.u32(), reader.text8(), reader.text8()),
        )
        reader.end()
        return welcome

    @property
    def has_usable_limits(self) -> bool:
        """Whether the smallest requests fit, and no limit is past what the protocol's fields can say."""
        smallest = 2 * protocol.HEADER_SIZE + protocol.IDENTIFIER_SIZE_MAX
        return (
            smallest <= self.frame_size_max <= protocol.FRAME_SIZE_MAX
            and self.requests_in_flight_max >= 1
            and 1 <= self.subjects_per_check_max <= protocol.SUBJECTS_PER_CHECK_MAX
            and 1 <= self.events_per_record_max <= protocol.EVENTS_PER_RECORD_MAX
        )


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    code: int
    detail: int
    message: str

    @classmethod
    def read(cls, frame: Frame) -> ErrorAnswer:
        _require_header(frame, argument=True, word=True)
        reader = _Reader(frame.payload)
        message = reader.text16()
        reader.end()
        if frame.argument == 0:
            raise Violation("an error has no code")
        return cls(frame.argument, frame.word, message)


@dataclass(frozen=True, slots=True)
class Checked:
    decision: Decision
    reason: State
    freshness: Freshness
    sequence: int


@dataclass(frozen=True, slots=True)
class CheckedSet:
    """Bitsets as whole numbers: bit n is purpose n, or subject n of those asked about."""

    freshness: Freshness
    sequence: int
    granted: int
    denied: int
    bits: tuple[int, ...] = ()
    """Of the purposes that were asked about, in their order, by the catalog of the connection that answered."""

    def decision(self, bit: int) -> Decision:
        if self.granted >> bit & 1:
            return Decision.GRANTED
        return Decision.DENIED if self.denied >> bit & 1 else Decision.UNKNOWN


NamedGuardian = tuple[GuardianRelation, IdentifierType, str]


def _guardian(guardian: NamedGuardian | None) -> bytes:
    return b"" if guardian is None else bytes(guardian[:2]) + _text8(guardian[2])


def _read_guardian(reader: _Reader) -> NamedGuardian:
    return _code(GuardianRelation, reader.u8()), _code(IdentifierType, reader.u8()), reader.text8()


@dataclass(frozen=True, slots=True)
class Explained:
    decision: Decision
    reason: State
    freshness: Freshness
    basis: LawfulBasis
    deciding_state: EventState | None
    sequence: int
    expires_at: int
    granted_until: int
    deciding_sequence: int
    deciding_captured_at: int
    declaration: str
    consented_revision: str
    current_revision: str
    guardian: NamedGuardian | None = None


@dataclass(frozen=True, slots=True)
class OutcomeMessage:
    code: int
    is_duplicate: bool
    sequence: int
    message: str


@dataclass(frozen=True, slots=True)
class Recorded:
    head: int
    outcomes: tuple[OutcomeMessage, ...]


@dataclass(frozen=True, slots=True)
class AppliedCatalog:
    is_dry_run: bool
    version: int
    sequence: int
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EventMessage:
    """An event as it is on the wire, with times in milliseconds; its purpose is a bit, or the name of one yet to be
    found."""

    purpose: int | str
    state: EventState
    key: bytes = bytes(16)
    method: EvidenceMethod = EvidenceMethod.NONE
    party: Party = Party.SUBJECT
    is_explicit: bool = False
    age: int = 255
    captured_at: int = 0
    expires_at: int = 0
    declaration: str = ""
    revision: str = ""
    language: str = ""
    system: str = ""
    channel: str = ""
    form: str = ""
    actor: str = ""
    evidence: str = ""
    identifiers: tuple[tuple[IdentifierType, str], ...] = ()
    guardian: NamedGuardian | None = None

    @property
    def short_texts(self) -> tuple[str, ...]:
        texts = (self.declaration, self.revision, self.language, self.system, self.channel, self.form, self.actor)
        return texts

    def encode(self, bit: int) -> bytes:
        flags = self.is_explicit | (self.guardian is not None) << 1
        body = b"".join(
            (
                _EVENT_HEAD.pack(
                    *(self.key, bit, self.state, self.method, self.party, flags, self.age),
                    *(len(self.identifiers), self.captured_at, self.expires_at),
                ),
                *(_text8(text) for text in self.short_texts),
                _text16(self.evidence),
                *(bytes((kind,)) + _text8(value) for kind, value in self.identifiers),
                _guardian(self.guardian),
            )
        )
        return _U32.pack(len(body)) + body

    @classmethod
    def read(cls, reader: _Reader) -> EventMessage:
        own = _Reader(reader.take(reader.u32()))
        key, bit, state, method, party, flags, age, count, captured, expires = _EVENT_HEAD.unpack(
            own.take(_EVENT_HEAD.size)
        )
        if flags & ~3:
            raise Violation("a reserved bit of an event is set")
        event = cls(
            bit,
            _code(EventState, state),
            key,
            _code(EvidenceMethod, method),
            _code(Party, party),
            bool(flags & 1),
            age,
            captured,
            expires,
            # Read in this order.
            declaration=own.text8(),
            revision=own.text8(),
            language=own.text8(),
            system=own.text8(),
            channel=own.text8(),
            form=own.text8(),
            actor=own.text8(),
            evidence=own.text16(),
            identifiers=tuple((_code(IdentifierType, own.u8()), own.text8()) for _ in range(count)),
            guardian=_read_guardian(own) if flags & 2 else None,
        )
        own.end()
        return event


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    sequence: int
    recorded_at: int
    refers_to: int
    hash: bytes
    event: EventMessage


@dataclass(frozen=True, slots=True)
class RecordedLink:
    """What linked or unlinked identifiers of a person. ``recorded_at`` is in milliseconds since 1970; ``other`` is the
    other side's number in the ledger, zero if there is none; of a national id there is only its hash."""

    sequence: int
    recorded_at: int
    other: int
    hash: bytes
    action: LinkAction
    actor: str
    identifiers: tuple[tuple[IdentifierType, str], ...]


@dataclass(frozen=True, slots=True)
class LinkOutcome:
    """What linking or unlinking did. ``sequence`` is zero if the identifier was the person's already; ``identifiers`` is
    how many changed hands; ``denied`` are the purposes for which a "no" stands because of it."""

    sequence: int
    recorded_at: int
    hash: bytes
    identifiers: int
    denied: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HistoryPage:
    has_more: bool
    head: int
    events: tuple[RecordedEvent, ...]
    links: tuple[RecordedLink, ...] = ()

    @property
    def last(self) -> int:
        """The sequence that the page ends with; zero for an empty one."""
        return max((entry.sequence for entry in (*self.events[-1:], *self.links[-1:])), default=0)


@dataclass(frozen=True, slots=True)
class AccessEntry:
    """That somebody read personal data. Times are milliseconds since 1970; zero stands for none."""

    sequence: int
    recorded_at: int
    question: AccessQuestion
    rows: int
    """Events or people that were given."""
    subject: int
    """Number of the person that it was about; zero for lists, and for somebody who is not known."""
    identifier_hash: bytes
    after: int
    about: int
    start: int
    until: int
    actor: str
    client: str
    purpose: str
    but_not: str
    declaration: str
    revision: str
    recipient: str


@dataclass(frozen=True, slots=True)
class AccessPage:
    has_more: bool
    head: int
    next: int
    entries: tuple[AccessEntry, ...]


@dataclass(frozen=True, slots=True)
class GrantedCount:
    """Identifiers that are granted, of all that are known, at a sequence or later."""

    sequence: int
    granted: int
    known: int


@dataclass(frozen=True, slots=True)
class PeopleQuestion:
    """Whom to list: the protocol's `people` says what each selection needs. Times are milliseconds since 1970; what a
    selection does not name stays empty."""

    selection: PeopleSelection
    reasons: int = 0
    start: int = 0
    until: int = 0
    purpose: str = ""
    but_not: str = ""
    declaration: str = ""
    revision: str = ""
    recipient: str = ""
    document: str = ""


@dataclass(frozen=True, slots=True)
class FoundPerson:
    """A person and a purpose; one of whom several purposes were found has several. Times are milliseconds since 1970,
    zero for none."""

    subject: int
    state: State
    since: int
    until: int
    purpose: str
    declaration: str
    revision: str
    identifiers: tuple[tuple[IdentifierType, str], ...]


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure did. Times are milliseconds since 1970; ``suppressed`` holds what is kept so that the person does
    not come back by an import: for each identifier its type and keyed hash."""

    is_repeated: bool
    is_pending: bool
    emptied_events: int
    sequence: int
    erased_at: int
    hash: bytes
    reason: ErasureReason
    actor: str
    objections: tuple[str, ...]
    suppressed: tuple[tuple[IdentifierType, bytes], ...]


@dataclass(frozen=True, slots=True)
class ConfirmationToken:
    """A token that confirms what a person has requested, as it is handed out, once: do not log it. ``ends_at`` is in
    milliseconds since 1970; ``events`` are the sequences of the grants that it confirms."""

    token: str
    ends_at: int
    events: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ConfirmedConsent:
    """A consent that a token has confirmed; ``refers_to`` is the sequence of the grant."""

    sequence: int
    refers_to: int
    purpose: str
    declaration: str
    revision: str


@dataclass(frozen=True, slots=True)
class TokenConfirmed:
    consents: tuple[ConfirmedConsent, ...]


@dataclass(frozen=True, slots=True)
class PeoplePage:
    has_more: bool
    head: int
    next: int
    people: tuple[FoundPerson, ...]


@dataclass(frozen=True, slots=True)
class FollowingEdge:
    """One that follows a node. Times are milliseconds; ``None`` where they are not known."""

    name: str
    enforced: int
    behind_millis: int | None
    heard_millis: int | None
    is_connected: bool
    takes_snapshot: bool
    gone: str


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What a node says of itself. The age is in milliseconds, ``None`` where nobody knows it; texts for people are empty
    where there is nothing to say."""

    is_ready: bool
    is_edge: bool
    catalog_version: int
    sequence: int
    head: int
    digest: int
    age_millis: int | None
    deployment: str
    history: str
    server_version: str
    upstream: str
    not_ready: str
    trouble: str
    edges: tuple[FollowingEdge, ...]


@dataclass(frozen=True, slots=True)
class EnforcingEdge:
    """Since when an edge answers by a sequence: milliseconds since 1970 by its clock, ``None`` where it does not yet or it
    is not known any more."""

    name: str
    enforced: int
    since: int | None
    is_connected: bool
    answers_by_it: bool
    is_at_the_latest: bool


@dataclass(frozen=True, slots=True)
class Enforcement:
    """Since when the edges of a node answer by a sequence; the head is that of the node itself."""

    sequence: int
    head: int
    edges: tuple[EnforcingEdge, ...]


@dataclass(frozen=True, slots=True)
class CatalogPurposes:
    version: int
    digest: bytes
    purposes: tuple[PurposeInfo, ...]


@dataclass(frozen=True, slots=True)
class CatalogDocument:
    version: int
    document: str


Answer = (
    int
    | Checked
    | CheckedSet
    | Explained
    | Recorded
    | AppliedCatalog
    | HistoryPage
    | GrantedCount
    | AccessPage
    | Erased
    | LinkOutcome
    | ConfirmationToken
    | TokenConfirmed
    | PeoplePage
    | NodeStatus
    | Enforcement
    | str
    | CatalogPurposes
    | CatalogDocument
    | tuple[tuple[str, int], ...]
)


def read_pong(frame: Frame) -> int:
    _require_header(frame)
    reader = _Reader(frame.payload)
    echo = reader.u64()
    reader.end()
    return echo


def _verdict(frame: Frame, freshness: int) -> tuple[Decision, State, Freshness]:
    decision, reason = _code(Decision, frame.argument & 0xFF), _code(State, frame.argument >> 8)
    if DECISIONS[reason] is not decision:
        raise Violation(f"the decision '{decision.name}' is not that of its reason '{reason.name}'")
    fresh = _code(Freshness, freshness)
    if fresh is Freshness.UNAVAILABLE and decision is not Decision.UNKNOWN:
        raise Violation("an answer is unavailable and yet decided")
    return decision, reason, fresh


def read_checked(frame: Frame) -> Checked:
    if frame.flags or frame.word >> 8:
        raise Violation("a reserved bit is set")
    reader = _Reader(frame.payload)
    checked = Checked(*_verdict(frame, frame.word & 0xFF), reader.u64())
    reader.end()
    return checked


def _read_sets(frame: Frame, words: int, mask: int) -> CheckedSet:
    _require_header(frame, word=True)
    reader = _Reader(frame.payload)
    answer = CheckedSet(_code(Freshness, frame.word & 0xFF), reader.u64(), reader.bits(words), reader.bits(words))
    reader.end()
    if answer.granted & answer.denied:
        raise Violation("something is both granted and denied")
    if (answer.granted | answer.denied) & ~mask:
        raise Violation("an answer speaks of what was not asked")
    return answer


def read_checked_purposes(frame: Frame, words: int, mask: int) -> CheckedSet:
    if frame.word >> 16 or frame.word >> 8 != words:
        raise Violation("another number of words than was asked for")
    return _read_sets(frame, words, mask)


def read_checked_subjects(frame: Frame, count: int) -> CheckedSet:
    if frame.word >> 8 & 0xFF or frame.word >> 16 != count:
        raise Violation("another number of subjects than was asked for")
    answer = _read_sets(frame, (count + 63) // 64, (1 << count) - 1)
    # One purpose, so one limit of staleness: past it nothing is known of anybody.
    if answer.freshness is Freshness.UNAVAILABLE and answer.granted | answer.denied:
        raise Violation("an answer is unavailable and yet decided")
    return answer


def read_explained(frame: Frame) -> Explained:
    if frame.flags & ~1 or frame.word >> 24:
        raise Violation("a reserved bit is set")
    verdict = _verdict(frame, frame.word & 0xFF)
    basis = _code(LawfulBasis, frame.word >> 8 & 0xFF)
    state = frame.word >> 16 & 0xFF
    reader = _Reader(frame.payload)
    explained = Explained(
        *verdict,
        basis,
        _code(EventState, state) if state else None,
        *(reader.u64(), reader.time(), reader.time(), reader.u64(), reader.time()),
        *(reader.text8(), reader.text8(), reader.text8()),
        _read_guardian(reader) if frame.flags & 1 else None,
    )
    reader.end()
    return explained


def read_recorded(frame: Frame, count: int) -> Recorded:
    _require_header(frame, argument=True)
    if frame.argument != count:
        raise Violation("another number of outcomes than events were sent")
    reader = _Reader(frame.payload)
    head = reader.u64()
    outcomes = tuple(_read_outcome(reader) for _ in range(count))
    reader.end()
    return Recorded(head, outcomes)


def _read_outcome(reader: _Reader) -> OutcomeMessage:
    code, flags, reserved = reader.u16(), reader.u8(), reader.u8()
    if flags & ~1 or reserved:
        raise Violation("a reserved bit of an outcome is set")
    if code:
        _code(protocol.ErrorCode, code)
    return OutcomeMessage(code, bool(flags), reader.u64(), reader.text16())


def read_applied_catalog(frame: Frame, is_dry_run: bool) -> AppliedCatalog:
    _require_header(frame, flags=1, argument=True, word=True)
    reader = _Reader(frame.payload)
    sequence = reader.u64()
    changes = tuple(reader.text16() for _ in range(frame.argument))
    reader.end()
    if bool(frame.flags) is not is_dry_run:
        raise Violation("a dry run was answered as none, or the other way round")
    return AppliedCatalog(is_dry_run, frame.word, sequence, changes)


def read_history_page(frame: Frame) -> HistoryPage:
    _require_header(frame, flags=1, argument=True, word=True)
    reader = _Reader(frame.payload)
    head = reader.u64()
    events = tuple(
        RecordedEvent(reader.u64(), reader.time(), reader.u64(), reader.take(32), EventMessage.read(reader))
        for _ in range(frame.argument)
    )
    links = tuple(_recorded_link(reader) for _ in range(frame.word))
    reader.end()
    return HistoryPage(bool(frame.flags), head, events, links)


def _recorded_link(reader: _Reader) -> RecordedLink:
    sequence, recorded_at, other, digest = reader.u64(), reader.time(), reader.u64(), reader.take(32)
    action, count = _code(LinkAction, reader.u8()), reader.u8()
    if reader.u16():
        raise Violation("a reserved field is not zero")
    actor = reader.text8()
    identifiers = tuple((_code(IdentifierType, reader.u8()), reader.text8()) for _ in range(count))
    return RecordedLink(sequence, recorded_at, other, digest, action, actor, identifiers)


def read_link_outcome(frame: Frame) -> LinkOutcome:
    _require_header(frame, argument=True, word=True)
    reader = _Reader(frame.payload)
    sequence, recorded_at, digest = reader.u64(), reader.time(), reader.take(32)
    denied = tuple(reader.text8() for _ in range(frame.argument))
    reader.end()
    return LinkOutcome(sequence, recorded_at, digest, frame.word, denied)


def read_granted_count(frame: Frame) -> GrantedCount:
    _require_header(frame)
    reader = _Reader(frame.payload)
    count = GrantedCount(reader.u64(), reader.u64(), reader.u64())
    reader.end()
    return count


def read_erased(frame: Frame) -> Erased:
    _require_header(frame, flags=3, argument=True, word=True)
    reader = _Reader(frame.payload)
    sequence, erased_at, digest = reader.u64(), reader.time(), reader.take(32)
    reason, reserved, count = _code(ErasureReason, reader.u8()), reader.u8(), reader.u16()
    if reserved:
        raise Violation("a reserved byte is not zero")
    actor = reader.text8()
    objections = tuple(reader.text8() for _ in range(frame.argument))
    suppressed = tuple((_code(IdentifierType, reader.u8()), reader.take(16)) for _ in range(count))
    reader.end()
    repeated, pending = bool(frame.flags & 1), bool(frame.flags & 2)
    return Erased(
        repeated, pending, frame.word, sequence, erased_at, digest, reason, actor, objections, suppressed
    )


def read_access_page(frame: Frame) -> AccessPage:
    _require_header(frame, flags=1, argument=True)
    reader = _Reader(frame.payload)
    head, last = reader.u64(), reader.u64()
    entries = tuple(_read_access(reader) for _ in range(frame.argument))
    reader.end()
    return AccessPage(bool(frame.flags), head, last, entries)


def _read_access(reader: _Reader) -> AccessEntry:
    sequence, recorded_at, question = reader.u64(), reader.time(), _code(AccessQuestion, reader.u8())
    rows, subject, digest = reader.u64(), reader.u64(), reader.take(16)
    after, about, start, until = reader.u64(), reader.u64(), reader.time(), reader.time()
    texts = [reader.text8() for _ in range(7)]
    return AccessEntry(sequence, recorded_at, question, rows, subject, digest, after, about, start, until, *texts)


def read_token_issued(frame: Frame) -> ConfirmationToken:
    _require_header(frame, argument=True)
    reader = _Reader(frame.payload)
    ends_at, token = reader.time(), reader.text8()
    issued = ConfirmationToken(token, ends_at, tuple(reader.u64() for _ in range(frame.argument)))
    reader.end()
    return issued


def read_token_confirmed(frame: Frame) -> TokenConfirmed:
    _require_header(frame, argument=True)
    reader = _Reader(frame.payload)
    confirmed = TokenConfirmed(
        tuple(
            ConfirmedConsent(reader.u64(), reader.u64(), reader.text8(), reader.text8(), reader.text8())
            for _ in range(frame.argument)
        )
    )
    reader.end()
    return confirmed


def read_document(frame: Frame) -> str:
    """Of one that is more than a frame holds, the part in this one: a flag says that more follows."""
    _require_header(frame, flags=int(frame.opcode == Opcode.PROVED))
    reader = _Reader(frame.payload)
    document = reader.rest()
    reader.end()
    if frame.flags and not document:
        raise Violation("a part of a document is empty")
    return document


def read_people_page(frame: Frame) -> PeoplePage:
    _require_header(frame, flags=1, argument=True)
    reader = _Reader(frame.payload)
    head, last = reader.u64(), reader.u64()
    people: list[FoundPerson] = []
    for _ in range(frame.argument):
        people.append(_read_found_person(reader, people[-1] if people else None))
    reader.end()
    return PeoplePage(bool(frame.flags), head, last, tuple(people))


def _read_found_person(reader: _Reader, before: FoundPerson | None) -> FoundPerson:
    subject, state, count = reader.u64(), _code(State, reader.u8()), reader.u8()
    since, until = reader.time(), reader.time()
    purpose, declaration, revision = reader.text8(), reader.text8(), reader.text8()
    identifiers = tuple((_code(IdentifierType, reader.u8()), reader.text8()) for _ in range(count))
    if any(not value for _, value in identifiers):
        raise Violation("an identifier is empty")
    if not count and before is not None and before.subject == subject:
        identifiers = before.identifiers
    return FoundPerson(subject, state, since, until, purpose, declaration, revision, identifiers)


def read_catalog_purposes(frame: Frame) -> CatalogPurposes:
    _require_header(frame, argument=True, word=True)
    reader = _Reader(frame.payload)
    digest = reader.take(32)
    purposes = tuple(_read_purpose(reader) for _ in range(frame.argument))
    reader.end()
    return CatalogPurposes(frame.word, digest, purposes)


def _read_purpose(reader: _Reader) -> PurposeInfo:
    bit, basis, flags = reader.u16(), _code(LawfulBasis, reader.u8()), reader.u8()
    if flags & 0xC0:
        raise Violation("a reserved bit of a purpose is set")
    return PurposeInfo(bit, reader.text8(), reader.text8(), basis, *(bool(flags >> n & 1) for n in range(6)))


def read_catalog_document(frame: Frame) -> CatalogDocument:
    _require_header(frame, word=True)
    return CatalogDocument(frame.word, _Reader(frame.payload).rest())


def read_statistics(frame: Frame) -> tuple[tuple[str, int], ...]:
    _require_header(frame, argument=True)
    reader = _Reader(frame.payload)
    values = tuple((reader.text8(), reader.u64()) for _ in range(frame.argument))
    reader.end()
    return values


def read_node_status(frame: Frame) -> NodeStatus:
    _require_header(frame, flags=3, argument=True, word=True)
    reader = _Reader(frame.payload)
    sequence, head, digest, age = reader.u64(), reader.u64(), reader.u64(), _known(reader.u64())
    deployment, history = reader.take(16).hex(), reader.take(16).hex()
    version, upstream, not_ready, trouble = reader.text8(), reader.text16(), reader.text16(), reader.text16()
    edges = tuple(_read_following_edge(reader) for _ in range(frame.argument))
    reader.end()
    is_ready, is_edge = bool(frame.flags & 1), bool(frame.flags & 2)
    return NodeStatus(
        is_ready, is_edge, frame.word, sequence, head, digest, age, deployment, history, version, upstream, not_ready,
        trouble, edges,
    )  # fmt: skip


def _known(number: int) -> int | None:
    return None if number == 2**64 - 1 else number


def _read_edge_flags(reader: _Reader, count: int) -> list[bool]:
    flags = reader.u8()
    if flags >> count:
        raise Violation("a reserved bit of an edge is set")
    return [bool(flags >> bit & 1) for bit in range(count)]


def _read_following_edge(reader: _Reader) -> FollowingEdge:
    enforced, behind, heard = reader.u64(), _known(reader.u64()), _known(reader.u64())
    is_connected, takes_snapshot = _read_edge_flags(reader, 2)
    name, gone = reader.text8(), reader.text16()
    return FollowingEdge(name, enforced, behind, heard, is_connected, takes_snapshot, gone)


def read_enforced_by(frame: Frame, asked: int) -> Enforcement:
    _require_header(frame, argument=True)
    reader = _Reader(frame.payload)
    sequence, head = reader.u64(), reader.u64()
    edges = tuple(_read_enforcing_edge(reader) for _ in range(frame.argument))
    reader.end()
    if sequence != asked:
        raise Violation("the answer is about another sequence")
    return Enforcement(sequence, head, edges)


def _read_enforcing_edge(reader: _Reader) -> EnforcingEdge:
    enforced, since = reader.u64(), reader.time() or None
    is_connected, answers_by_it, is_at_the_latest = _read_edge_flags(reader, 3)
    return EnforcingEdge(reader.text8(), enforced, since, is_connected, answers_by_it, is_at_the_latest)


# Requests


class PurposeTable:
    """Names and bits, by the catalog of one connection."""

    def __init__(self, catalog: CatalogPurposes | None = None) -> None:
        self.infos = catalog.purposes if catalog else ()
        self._bits = {info.id: info.bit for info in self.infos}
        self._names = {info.bit: info.id for info in self.infos}

    def bit(self, purpose: str) -> int:
        bit = self._bits.get(purpose)
        if bit is None or bit >= _PURPOSE_BITS:
            raise UnknownPurpose(purpose)
        return bit

    def name(self, bit: int) -> str:
        """A bit that the catalog does not have keeps its number."""
        return self._names.get(bit, f"bit {bit}")

    def __contains__(self, purpose: object) -> bool:
        return isinstance(purpose, str) and self._bits.get(purpose, _PURPOSE_BITS) < _PURPOSE_BITS


class Repetition(Enum):
    """How often a request may be sent again when a connection ended before its answer."""

    NEVER = 0
    ONCE = 1
    ALWAYS = 2


Encoded = tuple[bytes, Opcode, Callable[[Frame], Answer]]
"""The bytes, the kind of frame that answers them, and what reads that frame and judges it against what was asked."""


class Request(ABC):
    """A request as a caller means it: purposes by name. They become bits when it is sent, by the catalog of the server
    that it is sent to, so that a request which is repeated on another connection cannot ask about another purpose."""

    repetition = Repetition.ONCE
    is_counted = False
    is_read = False
    """Whether the server's access log holds it."""
    """Whether the server counts it against requestsInFlightMax."""

    @abstractmethod
    def encode(self, request: int, purposes: PurposeTable) -> Encoded:
        """Raises ``UnknownPurpose``; nothing is to be sent then."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The first frame; no ``Request``, as the catalog is not known then."""

    deployment: bytes = bytes(16)
    client_name: str = ""
    client_version: str = ""
    token: bytes = b""
    version_min: int = protocol.VERSION_MIN
    version_max: int = protocol.VERSION_MAX

    def encode(self, request: int) -> bytes:
        payload = (
            struct.pack("<HHI", self.version_min, self.version_max, 0)
            + self.deployment
            + _text8(self.client_name)
            + _text8(self.client_version)
            + _text16(self.token)
        )
        return frame(Opcode.HELLO, request, payload, word=protocol.MAGIC)


@dataclass(frozen=True, slots=True)
class PingRequest(Request):
    echo: int

    def encode(self, request: int, purposes: PurposeTable) -> Encoded:
        def read(answer: Frame) -> Answer:
            if read_pong(answer) != self.echo:
                raise Violation("a pong brings back another value than was sent")
            return self.echo

        return frame(Opcode.PING, request, _U64.pack(self.echo)), Opcode.PONG, read


@dataclass(frozen=True, slots=True)
class CheckRequest(Request):
    subject: Subject
    purpose: str

    def encode(self, request: int, purposes: PurposeTable) -> Encoded:
        bit = purposes.bit(self.purpose)
        data = frame(Opcode.CHECK, request, self.subject.value.encode(), argument=bit, word=self.subject.type)
        return data, Opcode.CHECKED, read_checked


@dataclass(frozen=True, slots=True)
class CheckPurposesRequest(Request):
    subject: Subject
    purposes: tuple[str, ...]

    def encode(self, request: int, purposes: PurposeTable) -> Encoded:
        bits = tuple(purposes.bit(purpose) for purpose in self.purposes)
        mask = 0
        for bit in bits:
            mask |= 1 << bit
        words = max(1, (mask.bit_length() + 63) // 64)
        payload = mask.to_bytes(8 * words, "little") + self.subject.value.encode()
        data = frame(Opcode.CHECK_PURPOSES, request, payload, word=self.subject.type | words << 8)

        def read(answer: Frame) -> Answer:
            return replace(read_checked_purposes(answer, words, mask), bits=bits)

        return data, Opcode.CHECKED_PURPOSES, read


@dataclass(frozen=True, slots=True)
class CheckSubjectsRequest(Request):
    """All of one type, and at least one."""

    type: IdentifierType
    values: tuple[bytes, ...]
    purpose: str

    def encode(self, request: int, purposes: PurposeTable) -> Encoded:
        count = len(self.values)
        payload = b"".join(bytes((len(value),)) + value for value in self.values)
        word = self.type | count << 16
        data = frame(Opcode.CHECK_SUBJECTS, request, payload, argument=purposes.bit(self.purpose), word=word)
        return data, Opcode.CHECKED_SUBJECTS, lambda answer: read_checked_subjects(answer, count)


@dataclass(frozen=True, slots=True)
class ExplainRequest(Request):
    is_counted = True
    is_read = True
    subject: Subject
    purpose: str

    def encode(self, request: int, purposes: PurposeTable) -> Encoded:
        bit = purposes.bit(self.purpose)
        data = frame(Opcode.EXPLAIN, request, self.subject.value.encode(), argument=bit, word=self.subject.type)
        return data, Opcode.EXPLAINED, read_explained


@dataclass(frozen=True, slots=True)
class RecordRequest(Request):
    repetition = Repetition.ALWAYS
    is_counted = True
    events: tuple[EventMessage, ...]

    def encode(self, request: int, purposes: PurposeTable) -> Encoded:
        count = len(self.events)
        payload = b"".join(
            event.encode(purposes.bit(event.purpose) if isinstance(event.purpose, str) else event.purpose)
            for event in self.events
        )
        data = frame(Opcode.RECORD, request, payload, argument=count)
        return data, Opcode.RECORDED, lambda answer: read_recorded(answer, count)


@dataclass(frozen=True, slots=True)
class ApplyCatalogRequest(Request):
    repetition = Repetition.NEVER
    is_counted = True
    document: str
    is_dry_run: bool

    def encode(self, request: int, purposes: PurposeTable) -> Encoded:
        data = frame(Opcode.APPLY_CATALOG, request, self.document.encode(), flags=int(self.is_dry_run))
        return data, Opcode.APPLIED_CATALOG, lambda answer: read_applied_catalog(answer, self.is_dry_run)


@dataclass(frozen=True, slots=True)
class EraseRequest(Request):
    is_counted = True
    subject: Subject
    reason: ErasureReason
    actor: str = ""

    def encode(self, request: int, purposes: PurposeTable) -> Encoded:
        payload = _text8(self.actor) + self.subject.value.encode()
        data = frame(Opcode.ERASE, request, payload, argument=self.reason, word=self.subject.type)
        return data, Opcode.ERASED, read_erased


@dataclass(frozen=True, slots=True)
class LinkRequest(Request):
    is_counted = True
    subject: Subject
    person: Subject
    actor: str = ""

    def encode(self, request: int, purposes: PurposeTable) -> Encoded:
        payload = _text8(self.actor) + _text8(self.subject.value) + self.person.value.encode()
        data = frame(Opcode.LINK, request, payload, word=self.subject.type | self.person.type << 8)
        return data, Opcode.LINKED, read_link_outcome


@dataclass(frozen=True, slots=True)
class UnlinkRequest(Request):
    # Taken off already, it would be somebody's alone, and refused.
    repetition = Repetition.NEVER
    is_counted = True
    subject: Subject
    actor: str = ""

    def encode(self, request: int, purposes: PurposeTable) -> Encoded:
        payload = _text8(self.actor) + self.subject.value.encode()
        data = frame(Opcode.UNLINK, request, payload, word=self.subject.type)
        return data, Opcode.UNLINKED, read_link_outcome


@dataclass(frozen=True, slots=True)
class IssueTokenRequest(Request):
    is_counted = True
    subject: Subject
    purposes: tuple[str, ...]

    def encode(self, request: int, purposes: PurposeTable) -> Encoded:
        payload = b"".join(map(_text8, self.purposes)) + self.subject.value.encode()
        data = frame(Opcode.ISSUE_TOKEN, request, payload, argument=len(self.purposes), word=self.subject.type)
        return data, Opcode.TOKEN_ISSUED, read_token_issued


@dataclass(frozen=True, slots=True)
class ConfirmTokenRequest(Request):
    # A token counts once: the second time it would be refused, whatever the first one did.
    repetition = Repetition.NEVER
    is_counted = True
    token: str
    guardian: NamedGuardian | None = None
    system: str = ""
    channel: str = ""
    form: str = ""
    actor: str = ""

    def encode(self, request: int, purposes: PurposeTable) -> Encoded:
        texts = b"".join(map(_text8, (self.token, self.system, self.channel, self.form, self.actor)))
        payload, flags = texts + _guardian(self.guardian), int(self.guardian is not None)
        data = frame(Opcode.CONFIRM_TOKEN, request, payload, flags=flags)
        return data, Opcode.TOKEN_CONFIRMED, read_token_confirmed


@dataclass(frozen=True, slots=True)
class HistoryRequest(Request):
    is_counted = True
    is_read = True
    subject: Subject
    after: int
    limit: int = 0
    with_links: bool = False

    def encode(self, request: int, purposes: PurposeTable) -> Encoded:
        payload = _U64.pack(self.after) + self.subject.value.encode()
        flags = int(self.with_links)
        data = frame(Opcode.HISTORY, request, payload, flags=flags, argument=self.limit, word=self.subject.type)
        return data, Opcode.HISTORY_PAGE, read_history_page


@dataclass(frozen=True, slots=True)
class CountGrantedRequest(Request):
    is_counted = True
    purpose: str
    but_not: str = ""

    def encode(self, request: int, purposes: PurposeTable) -> Encoded:
        payload = _text8(self.purpose) + _text8(self.but_not)
        return frame(Opcode.COUNT_GRANTED, request, payload), Opcode.GRANTED_COUNT, read_granted_count


@dataclass(frozen=True, slots=True)
class PeopleRequest(Request):
    is_counted = True
    is_read = True
    question: PeopleQuestion
    after: int
    as_of: int
    people_max: int = 0

    def encode(self, request: int, purposes: PurposeTable) -> Encoded:
        asked = self.question
        numbers = struct.pack("<QqqQ", self.after, asked.start, asked.until, self.as_of)
        names = (asked.purpose, asked.but_not, asked.declaration, asked.revision, asked.recipient)
        payload = numbers + b"".join(_text8(name) for name in names) + asked.document.encode()
        word = asked.selection | asked.reasons << 8
        data = frame(Opcode.PEOPLE, request, payload, argument=self.people_max, word=word)
        return data, Opcode.PEOPLE_PAGE, read_people_page


@dataclass(frozen=True, slots=True)
class CatalogRequest(Request):
    is_counted = True

    def encode(self, request: int, purposes: PurposeTable) -> Encoded:
        return frame(Opcode.CATALOG, request), Opcode.CATALOG_PURPOSES, read_catalog_purposes


@dataclass(frozen=True, slots=True)
class CatalogDocumentRequest(Request):
    is_counted = True

    def encode(self, request: int, purposes: PurposeTable) -> Encoded:
        return frame(Opcode.CATALOG_DOCUMENT, request), Opcode.CATALOG_TEXT, read_catalog_document


@dataclass(frozen=True, slots=True)
class StatisticsRequest(Request):
    is_counted = True

    def encode(self, request: int, purposes: PurposeTable) -> Encoded:
        return frame(Opcode.STATISTICS, request), Opcode.STATISTIC_VALUES, read_statistics


@dataclass(frozen=True, slots=True)
class StatusRequest(Request):
    is_counted = True

    def encode(self, request: int, purposes: PurposeTable) -> Encoded:
        return frame(Opcode.STATUS, request), Opcode.NODE_STATUS, read_node_status


@dataclass(frozen=True, slots=True)
class AccessLogRequest(Request):
    is_counted = True
    is_read = True
    subject: Subject | None = None
    actor: str = ""
    since: int = 0
    until: int = 0
    after: int = 0
    limit: int = 0

    def encode(self, request: int, purposes: PurposeTable) -> Encoded:
        value, kind = (self.subject.value, self.subject.type) if self.subject else ("", 0)
        payload = struct.pack("<Qqq", self.after, self.since, self.until) + _text8(self.actor) + value.encode()
        data = frame(Opcode.ACCESS_LOG, request, payload, argument=self.limit, word=kind)
        return data, Opcode.ACCESS_PAGE, read_access_page


def read_as(actor: str, inner: bytes, request: int) -> bytes:
    """A request that reads personal data, with request id zero, and who reads."""
    return frame(Opcode.READ_AS, request, _text8(actor) + _text8("") + inner)


@dataclass(frozen=True, slots=True)
class CheckpointRequest(Request):
    is_counted = True

    def encode(self, request: int, purposes: PurposeTable) -> Encoded:
        return frame(Opcode.CHECKPOINT, request), Opcode.CHECKPOINTED, read_document


@dataclass(frozen=True, slots=True)
class ProveRequest(Request):
    is_counted = True
    is_read = True
    kind: ProofKind
    sequence: int

    def encode(self, request: int, purposes: PurposeTable) -> Encoded:
        data = frame(Opcode.PROVE, request, _U64.pack(self.sequence), argument=self.kind)
        return data, Opcode.PROVED, read_document


@dataclass(frozen=True, slots=True)
class EnforcementRequest(Request):
    is_counted = True
    sequence: int

    def encode(self, request: int, purposes: PurposeTable) -> Encoded:
        data = frame(Opcode.ENFORCEMENT, request, _U64.pack(self.sequence))
        return data, Opcode.ENFORCED_BY, lambda answer: read_enforced_by(answer, self.sequence)


Sized = TypeVar("Sized")


def frames_of(
    elements: Sequence[Sized], size: Callable[[Sized], int], size_max: int, count_max: int
) -> list[Sequence[Sized]]:
    """As many elements to a frame as fit. One that fits into none has a frame of its own, which the server refuses."""
    frames: list[Sequence[Sized]] = []
    start, used = 0, protocol.HEADER_SIZE
    for position, element in enumerate(elements):
        wanted = size(element)
        if position > start and (used + wanted > size_max or position - start == count_max):
            frames.append(elements[start:position])
            start, used = position, protocol.HEADER_SIZE
        used += wanted
    if start < len(elements):
        frames.append(elements[start:])
    return frames
