"""What is asked and what is answered."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from ._protocol import (
    IDENTIFIER_SIZE_MAX,
    Decision,
    ErrorCode,
    EventState,
    EvidenceMethod,
    Freshness,
    GuardianRelation,
    IdentifierType,
    LawfulBasis,
    Party,
    State,
)
from .errors import InvalidArgument

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LAST = datetime.max.replace(tzinfo=timezone.utc)
_FIRST = datetime.min.replace(tzinfo=timezone.utc)


def millis_of(moment: datetime) -> int:
    """Milliseconds since 1970, rounded down."""
    if moment.tzinfo is None:
        raise InvalidArgument("a time without a time zone could mean any of several moments")
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def moment_of(millis: int) -> datetime:
    """What lies outside the calendar of ``datetime`` becomes its first or last moment."""
    try:
        return _EPOCH + timedelta(milliseconds=millis)
    except OverflowError:
        return _LAST if millis > 0 else _FIRST


def optional_moment(millis: int) -> datetime | None:
    """Zero says "none"."""
    return None if millis == 0 else moment_of(millis)


@dataclass(frozen=True, slots=True)
class Subject:
    """A person, by one of the names that they are known by, as the caller has it. The server makes the normal form."""

    type: IdentifierType
    value: str

    def __post_init__(self) -> None:
        try:
            size = len(self.value.encode())
        except UnicodeEncodeError:
            raise InvalidArgument("an identifier is not UTF-8") from None
        if not 1 <= size <= IDENTIFIER_SIZE_MAX:
            raise InvalidArgument(f"an identifier has 1 to {IDENTIFIER_SIZE_MAX} bytes, this one {size}")
        if any(character < " " or character == "\x7f" for character in self.value):
            raise InvalidArgument("an identifier holds a control character")

    @classmethod
    def parse(cls, text: str) -> Subject:
        """Reads ``email:kari@example.no``."""
        name, colon, value = text.partition(":")
        if not colon or name.upper() not in IdentifierType.__members__:
            raise InvalidArgument(f"'{text}' is not type:value, with a type of the protocol")
        return cls(IdentifierType[name.upper()], value)

    @classmethod
    def customer(cls, value: str) -> Subject:
        return cls(IdentifierType.CUSTOMER, value)

    @classmethod
    def email(cls, value: str) -> Subject:
        return cls(IdentifierType.EMAIL, value)

    @classmethod
    def phone(cls, value: str) -> Subject:
        return cls(IdentifierType.PHONE, value)

    @classmethod
    def device(cls, value: str) -> Subject:
        return cls(IdentifierType.DEVICE, value)

    @classmethod
    def cookie(cls, value: str) -> Subject:
        return cls(IdentifierType.COOKIE, value)

    @classmethod
    def advertising(cls, value: str) -> Subject:
        return cls(IdentifierType.ADVERTISING, value)

    @classmethod
    def loyalty_card(cls, value: str) -> Subject:
        return cls(IdentifierType.LOYALTY_CARD, value)

    @classmethod
    def national_id(cls, value: str) -> Subject:
        return cls(IdentifierType.NATIONAL_ID, value)

    @classmethod
    def other(cls, value: str) -> Subject:
        return cls(IdentifierType.OTHER, value)


@dataclass(frozen=True, slots=True)
class Guardian:
    """Who consents for a person, and by what right (GDPR art. 8)."""

    relation: GuardianRelation
    identifier: Subject
    """By which the guardian is found: an identifier, or as ``other`` a reference, such as a case number."""


@dataclass(frozen=True, slots=True)
class Check:
    """The answer about one person and one purpose. Only ``is_granted`` permits anything."""

    decision: Decision
    reason: State
    """Stands for a class of states; ``explain`` gives the exact one."""
    freshness: Freshness
    sequence: int
    """Of the index that answered."""

    @property
    def is_granted(self) -> bool:
        return self.decision is Decision.GRANTED

    def __bool__(self) -> bool:
        raise TypeError("a check is not a Boolean: ask for is_granted, as both yes and no are answers")


@dataclass(frozen=True, slots=True)
class PurposeChecks:
    """The answers about one person and several purposes, from one state of the ledger."""

    decisions: Mapping[str, Decision]
    freshness: Freshness
    sequence: int

    def is_granted(self, purpose: str) -> bool:
        """A purpose that was not asked about is not granted."""
        return self.decisions.get(purpose) is Decision.GRANTED


@dataclass(frozen=True, slots=True)
class SubjectChecks:
    """The answers about several people and one purpose, in the order in which they were asked about."""

    decisions: tuple[Decision, ...]
    freshness: Freshness
    """The least fresh, where the question took several frames."""
    sequence: int
    """The oldest, where the question took several frames."""

    def is_granted(self, position: int) -> bool:
        return self.decisions[position] is Decision.GRANTED

    @property
    def granted_count(self) -> int:
        return self.decisions.count(Decision.GRANTED)

    def __len__(self) -> int:
        return len(self.decisions)

    def __iter__(self) -> Iterator[Decision]:
        return iter(self.decisions)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with what led to it."""

    decision: Decision
    reason: State
    """Exact."""
    freshness: Freshness
    basis: LawfulBasis
    sequence: int
    deciding_state: EventState | None
    deciding_sequence: int | None
    deciding_captured_at: datetime | None
    expires_at: datetime | None
    granted_until: datetime | None
    """The first moment at which the answer may stop being granted, though nobody acts."""
    declaration: str | None
    consented_revision: str | None
    current_revision: str | None
    guardian: Guardian | None = None
    """Who acted for the person, or confirmed what the person did."""


def new_key() -> bytes:
    """An idempotency key: sixteen random bytes, chosen once per act and repeated whenever it is sent again."""
    return os.urandom(16)


@dataclass(frozen=True, slots=True)
class Act:
    """What a person did, to be recorded. A grant names declaration, revision, language and method; a "no" needs a
    subject and a purpose and nothing else. Consent to several purposes in one act is several of these."""

    subjects: tuple[Subject, ...]
    """The names by which the person is known; the first that the ledger knows decides who it is."""
    purpose: str
    state: EventState
    key: bytes | None = None
    """Makes a repetition harmless. None is filled in when the act is sent; give ``new_key()`` yourself, and keep it,
    where the act must survive an error of the request."""
    party: Party = Party.SUBJECT
    captured_at: datetime | None = None
    """When the person acted; None is when the server records it. The newest by this time decides."""
    expires_at: datetime | None = None
    """The end that the act itself names; None leaves it to the purpose."""
    declaration: str = ""
    revision: str = ""
    language: str = ""
    method: EvidenceMethod = EvidenceMethod.NONE
    is_explicit: bool = False
    """Whether the act was an express statement."""
    subject_age: int | None = None
    system: str = ""
    channel: str = ""
    form: str = ""
    actor: str = ""
    evidence: str = ""
    """A note or a reference, at most 4096 bytes."""
    guardian: Guardian | None = None
    """Who the guardian is, where ``party`` is one: a consent by a guardian is refused without. Erased with the person."""

    def __post_init__(self) -> None:
        if self.key is not None and (len(self.key) != 16 or not any(self.key)):
            raise InvalidArgument("an idempotency key has sixteen bytes, not all of them zero")
        for moment in (self.captured_at, self.expires_at):
            if moment is not None:
                millis_of(moment)

    @classmethod
    def grant(
        cls,
        subject: Subject,
        purpose: str,
        *,
        declaration: str,
        revision: str,
        language: str,
        method: EvidenceMethod,
        key: bytes | None = None,
        captured_at: datetime | None = None,
    ) -> Act:
        """A consent that was given."""
        return cls(
            (subject,),
            purpose,
            EventState.GIVEN,
            key=key,
            captured_at=captured_at,
            declaration=declaration,
            revision=revision,
            language=language,
            method=method,
        )

    @classmethod
    def withdrawal(cls, subject: Subject, purpose: str) -> Act:
        """A consent that the person ends."""
        return cls((subject,), purpose, EventState.WITHDRAWN)

    @classmethod
    def objection(cls, subject: Subject, purpose: str) -> Act:
        """An objection to a purpose that does not rest on consent."""
        return cls((subject,), purpose, EventState.OBJECTED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one act."""

    refusal: ErrorCode | int | None
    """None: the act is recorded, durable, and seen by checks."""
    message: str
    sequence: int
    """Its place in the ledger; zero where it was refused."""
    is_duplicate: bool
    """The ledger had it already; this is its first answer again."""
    key: bytes | None
    """The key that it was sent with."""

    @property
    def is_recorded(self) -> bool:
        return self.refusal is None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """An event of the ledger."""

    sequence: int
    recorded_at: datetime
    act: Act
    refers_to: int | None
    """The grant that a confirmed or expired event names."""
    hash: bytes
    """SHA-256 of the chain at this event."""


@dataclass(frozen=True, slots=True)
class PurposeInfo:
    """A purpose of the catalog."""

    bit: int
    id: str
    controller: str
    basis: LawfulBasis
    is_active: bool
    is_explicit: bool
    is_double_opt_in: bool
    is_profiling: bool
    is_direct_marketing: bool
    is_sharing: bool


@dataclass(frozen=True, slots=True)
class CatalogText:
    version: int
    text: str


@dataclass(frozen=True, slots=True)
class CatalogOutcome:
    """What applying a catalog did, or would do."""

    version: int
    sequence: int | None
    changes: tuple[str, ...]
    is_dry_run: bool


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """The server, as it introduced itself on the newest connection."""

    name: str
    version: str
    deployment: bytes
    history: bytes
    """Sequences of different histories must not be compared."""
    protocol_version: int
    catalog_version: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Options:
    """How a client behaves. Times are in seconds."""

    token: bytes = field(default=b"", repr=False)
    """The credential; empty where the server asks for none."""
    deployment: bytes | None = None
    """Sixteen bytes: the deployment that the client is meant for; a server of another one refuses it."""
    tls_authorities: str | None = None
    """File with the certificates (PEM) of whom a ``tls:`` server may be vouched for by; None: those the machine trusts."""
    tls_name: str | None = None
    """What the certificate of a ``tls:`` server must be for, where that is not the endpoint's host."""
    name: str = ""
    """For the server's log."""
    actor: str = ""
    """Who reads personal data through this client, an account or a role: the access log keeps it for ever."""
    connect_timeout: float = 5.0
    """A connection, handshake and first look at the catalog included."""
    request_timeout: float = 10.0
    """One request, retries included."""
    backoff_min: float = 0.1
    """The limit of the first random wait; it doubles."""
    backoff_max: float = 5.0
    """The limit of every random wait."""
    ping_interval: float = 10.0
    """How long a connection may be silent before it is pinged."""
    ping_timeout: float = 2.0
    """How long such a ping may be unanswered."""

    def __post_init__(self) -> None:
        if self.deployment is not None and len(self.deployment) != 16:
            raise InvalidArgument("a deployment id has sixteen bytes")
        if len(self.token) > 0xFFFF or len(self.name.encode()) > 0xFF or len(self.actor.encode()) > 0xFF:
            raise InvalidArgument("the token, the name or the actor is too long")
        times = (self.connect_timeout, self.request_timeout, self.backoff_min, self.backoff_max)
        if min(*times, self.ping_interval, self.ping_timeout) <= 0:
            raise InvalidArgument("every time of the options is above zero")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens: ``host:port``, ``[::1]:7411``, either with ``tls:`` before it, or ``unix:/path``."""

    host: str
    port: int
    path: str | None = None
    is_tls: bool = False

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        if text.startswith("unix:") and len(text) > 5:
            return cls("", 0, text[5:])
        is_tls = text.startswith("tls:")
        host, _, port = text.removeprefix("tls:").rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            host = ""
        if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise InvalidArgument(f"'{text}' is neither host:port, with tls: before it or without, nor unix:/path")
        return cls(host, int(port), is_tls=is_tls)

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls:' if self.is_tls else ''}{host}:{self.port}"
