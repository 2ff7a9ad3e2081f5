"""What both clients share beyond one connection: what is asked for each call, and what is repeated when.

A call is a *plan*: a generator that yields requests, is sent their answers, and returns the result. The clients differ
only in how they wait.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import TypeVar, cast

from ._channel import Channel
from ._protocol import (
    EVIDENCE_SIZE_MAX,
    HEADER_SIZE,
    IDENTIFIERS_PER_EVENT_MAX,
    PURPOSES_PER_TOKEN_MAX,
    Advice,
    ErasureReason,
    ErrorCode,
    EventState,
    Freshness,
    IdentifierType,
    ProofKind,
)
from ._wire import (
    AccessEntry,
    AccessLogRequest,
    AccessPage,
    Answer,
    AppliedCatalog,
    ApplyCatalogRequest,
    CatalogDocument,
    CatalogDocumentRequest,
    CatalogPurposes,
    CatalogRequest,
    Checked,
    CheckedSet,
    CheckpointRequest,
    CheckPurposesRequest,
    CheckRequest,
    CheckSubjectsRequest,
    ConfirmationToken,
    ConfirmedConsent,
    ConfirmTokenRequest,
    CountGrantedRequest,
    Enforcement,
    EnforcementRequest,
    Erased,
    EraseRequest,
    EventMessage,
    Explained,
    ExplainRequest,
    FoundPerson,
    GrantedCount,
    Hello,
    HistoryPage,
    HistoryRequest,
    IssueTokenRequest,
    LinkOutcome,
    LinkRequest,
    NamedGuardian,
    NodeStatus,
    PeoplePage,
    PeopleQuestion,
    PeopleRequest,
    PingRequest,
    ProveRequest,
    PurposeTable,
    Recorded,
    RecordedEvent,
    RecordedLink,
    RecordRequest,
    Repetition,
    Request,
    StatisticsRequest,
    StatusRequest,
    TokenConfirmed,
    UnlinkRequest,
    Welcome,
    frames_of,
)
from .errors import (
    ConnectFailed,
    ConsentError,
    Disconnected,
    HandshakeRefused,
    InvalidArgument,
    ProtocolViolation,
    ServerError,
    TimedOut,
    UnknownPurpose,
)
from .values import (
    Act,
    CatalogOutcome,
    CatalogText,
    Check,
    Explanation,
    Guardian,
    HistoryEntry,
    Options,
    Outcome,
    PurposeChecks,
    PurposeInfo,
    ServerInfo,
    Subject,
    SubjectChecks,
    millis_of,
    moment_of,
    new_key,
    optional_moment,
)

Result = TypeVar("Result")
Plan = Generator[Sequence[Request], Sequence[Answer], Result]

_TEXT_SIZE_MAX = 255
_NOES = frozenset(
    {EventState.REFUSED, EventState.WITHDRAWN, EventState.REVOKED, EventState.INVALIDATED, EventState.OBJECTED}
)


def hello_of(options: Options) -> Hello:
    try:
        own_version = version("consentd")
    except PackageNotFoundError:
        # Run from its sources.
        own_version = "0"
    return Hello(options.deployment or bytes(16), options.name, own_version, options.token)


class Backoff:
    """Random waits up to a limit that doubles."""

    def __init__(self, options: Options) -> None:
        self._min, self._max = options.backoff_min, options.backoff_max
        self._attempts = 0

    def next(self) -> float:
        limit = min(self._max, self._min * 2.0 ** min(self._attempts, 30))
        self._attempts += 1
        return random.uniform(0, limit)


class Batch:
    """Requests on their way to answers: which are to be sent next, and how long to wait before."""

    def __init__(self, requests: Sequence[Request], options: Options, deadline: float) -> None:
        self._requests = requests
        self._answers: list[Answer | None] = [None] * len(requests)
        self._pending = set(range(len(requests)))
        self._deadline = deadline
        self._backoff = Backoff(options)
        self._broken = [0] * len(requests)
        self._was_told_to_reconnect = False
        self._catalog_was_read = False
        self._wants_catalog = False
        self.wait = 0.0
        """Seconds before the next round."""
        self.late: ConsentError = TimedOut()
        """What to raise at the deadline: why the server had one come again, where it did."""

    @property
    def is_done(self) -> bool:
        return not self._pending

    def round(self) -> list[tuple[int, Request]]:
        """What to send now; the catalog alone, under the number -1, where a purpose is not known."""
        self.wait = 0.0
        if self._wants_catalog:
            return [(-1, CatalogRequest())]
        return [(number, self._requests[number]) for number in sorted(self._pending)]

    def answers(self) -> list[Answer]:
        return [cast(Answer, answer) for answer in self._answers]

    def settle(self, number: int, result: Answer | ConsentError, now: float) -> None:
        """Raises what no repetition can mend."""
        if isinstance(result, ConsentError):
            self._judge(number, result, now)
        elif number < 0:
            self._wants_catalog = False
            self._catalog_was_read = True
        else:
            self._answers[number] = result
            self._pending.discard(number)

    def not_connected(self, error: ConsentError, now: float) -> None:
        """No request was sent, as there is no connection."""
        is_passing = isinstance(error, ConnectFailed | Disconnected) or (
            isinstance(error, HandshakeRefused) and error.advice is not Advice.DO_NOT_RETRY
        )
        if not is_passing:
            raise error
        self._again(error, now)

    def _judge(self, number: int, error: ConsentError, now: float) -> None:
        request = CatalogRequest() if number < 0 else self._requests[number]
        match error:
            case UnknownPurpose() if not self._catalog_was_read:
                self._wants_catalog = True
            case Disconnected(may_have_been_executed=False):
                self._again(error, now)
            case Disconnected():
                self._broken[number] += 1
                if request.repetition is Repetition.NEVER or (
                    request.repetition is Repetition.ONCE and self._broken[number] > 1
                ):
                    raise error
                self._again(error, now)
            case ServerError(code=ErrorCode.INTERNAL_FAILURE) if request.repetition is Repetition.NEVER:
                raise error
            case ServerError(advice=Advice.RETRY_LATER):
                self.late = error
                self._again(error, now)
            case ServerError(advice=Advice.RECONNECT):
                if self._was_told_to_reconnect:
                    self._again(error, now)
                self._was_told_to_reconnect = True
            case _:
                raise error

    def _again(self, error: ConsentError, now: float) -> None:
        if self.wait == 0:
            self.wait = self._backoff.next()
        if now + self.wait >= self._deadline:
            raise error


class Core:
    """The calls, as plans."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._hello = hello_of(options)
        self._welcome: Welcome | None = None
        self._table = PurposeTable()

    @property
    def server(self) -> ServerInfo:
        """The server, as it introduced itself on the newest connection."""
        welcome = self._known
        return ServerInfo(
            welcome.server_name,
            welcome.server_version,
            welcome.deployment,
            welcome.history,
            welcome.version,
            welcome.catalog_version,
            welcome.sequence,
        )

    @property
    def _known(self) -> Welcome:
        if self._welcome is None:
            raise ConnectFailed("the client was never connected")
        return self._welcome

    def _adopt(self, channel: Channel) -> None:
        """Takes over what the newest connection says of its server."""
        self._welcome = channel.welcome
        self._table = channel.purposes

    # Checks

    def _check(self, subject: Subject, purpose: str) -> Plan[Check]:
        (answer,) = yield [CheckRequest(subject, purpose)]
        return _check(cast(Checked, answer))

    def _check_each(self, pairs: Iterable[tuple[Subject, str]]) -> Plan[list[Check]]:
        answers = yield [CheckRequest(subject, purpose) for subject, purpose in pairs]
        return [_check(cast(Checked, answer)) for answer in answers]

    def _check_purposes(self, subject: Subject, purposes: Iterable[str]) -> Plan[PurposeChecks]:
        names = tuple(purposes)
        (answer,) = yield [CheckPurposesRequest(subject, names)]
        answer = cast(CheckedSet, answer)
        decisions = {name: answer.decision(bit) for name, bit in zip(names, answer.bits, strict=True)}
        return PurposeChecks(decisions, answer.freshness, answer.sequence)

    def _check_subjects(self, subjects: Iterable[Subject], purpose: str) -> Plan[SubjectChecks]:
        asked = tuple(subjects)
        if not asked:
            raise InvalidArgument("nobody is asked about")
        kind = asked[0].type
        if any(subject.type is not kind for subject in asked):
            raise InvalidArgument("all subjects of one check are of one identifier type")
        values = [subject.value.encode() for subject in asked]
        limits = self._known
        frames = frames_of(values, lambda value: 1 + len(value), limits.frame_size_max, limits.subjects_per_check_max)
        answers = yield [CheckSubjectsRequest(kind, tuple(values), purpose) for values in frames]
        sets = [cast(CheckedSet, answer) for answer in answers]
        decisions = tuple(
            answer.decision(position)
            for answer, values in zip(sets, frames, strict=True)
            for position in range(len(values))
        )
        freshness = max(Freshness(answer.freshness) for answer in sets)
        return SubjectChecks(decisions, freshness, min(answer.sequence for answer in sets))

    def _explain(self, subject: Subject, purpose: str) -> Plan[Explanation]:
        (answer,) = yield [ExplainRequest(subject, purpose)]
        told = cast(Explained, answer)
        return Explanation(
            told.decision,
            told.reason,
            told.freshness,
            told.basis,
            told.sequence,
            told.deciding_state,
            told.deciding_sequence or None,
            optional_moment(told.deciding_captured_at),
            optional_moment(told.expires_at),
            optional_moment(told.granted_until),
            told.declaration or None,
            told.consented_revision or None,
            told.current_revision or None,
            _known_guardian(told.guardian),
        )

    # Changes

    def _record(self, acts: Iterable[Act]) -> Plan[list[Outcome]]:
        events = [event_of(act) for act in acts]
        outcomes = [_unsendable(act, event) for act, event in events]
        sendable = [event for (_, event), outcome in zip(events, outcomes, strict=True) if outcome is None]
        if any(event.purpose not in self._table for event in sendable):
            (catalog,) = yield [CatalogRequest()]
            self._table = PurposeTable(cast(CatalogPurposes, catalog))
        for position, (_, event) in enumerate(events):
            if outcomes[position] is None and event.purpose not in self._table:
                text = f"the catalog has no purpose '{event.purpose}'"
                outcomes[position] = _refused(ErrorCode.ADMISSION_PURPOSE_UNKNOWN, text, event.key)
        positions = [position for position, outcome in enumerate(outcomes) if outcome is None]
        limits = self._known
        frames = frames_of(
            positions,
            lambda position: len(events[position][1].encode(0)),
            limits.frame_size_max,
            limits.events_per_record_max,
        )
        # One after the other, so that a frame which is sent again cannot come behind a later one.
        for frame in frames:
            (answer,) = yield [RecordRequest(tuple(events[position][1] for position in frame))]
            for position, outcome in zip(frame, cast(Recorded, answer).outcomes, strict=True):
                code = ErrorCode(outcome.code) if outcome.code else None
                key = events[position][1].key
                outcomes[position] = Outcome(code, outcome.message, outcome.sequence, outcome.is_duplicate, key)
        return [cast(Outcome, outcome) for outcome in outcomes]

    def _apply_catalog(self, text: str, is_dry_run: bool) -> Plan[CatalogOutcome]:
        if len(text.encode()) + HEADER_SIZE > self._known.frame_size_max:
            raise InvalidArgument(f"the catalog has more than {self._known.frame_size_max} bytes")
        (answer,) = yield [ApplyCatalogRequest(text, is_dry_run)]
        applied = cast(AppliedCatalog, answer)
        return CatalogOutcome(applied.version, applied.sequence or None, applied.changes, applied.is_dry_run)

    def _erase(self, subject: Subject, reason: ErasureReason, actor: str) -> Plan[Erased]:
        _require_names(actor)
        (answer,) = yield [EraseRequest(subject, reason, actor)]
        return cast(Erased, answer)

    def _link_identifier(self, subject: Subject, person: Subject, actor: str) -> Plan[LinkOutcome]:
        _require_names(actor, subject.value)
        (answer,) = yield [LinkRequest(subject, person, actor)]
        return cast(LinkOutcome, answer)

    def _unlink_identifier(self, subject: Subject, actor: str) -> Plan[LinkOutcome]:
        _require_names(actor)
        (answer,) = yield [UnlinkRequest(subject, actor)]
        return cast(LinkOutcome, answer)

    def _issue_token(self, subject: Subject, purposes: Sequence[str]) -> Plan[ConfirmationToken]:
        _require_names(*purposes)
        if not 1 <= len(purposes) <= PURPOSES_PER_TOKEN_MAX:
            raise InvalidArgument(f"a token is for 1 to {PURPOSES_PER_TOKEN_MAX} purposes")
        (answer,) = yield [IssueTokenRequest(subject, tuple(purposes))]
        return cast(ConfirmationToken, answer)

    def _confirm_token(
        self, token: str, guardian: Guardian | None, system: str, channel: str, form: str, actor: str
    ) -> Plan[list[ConfirmedConsent]]:
        _require_names(token, system, channel, form, actor)
        (answer,) = yield [ConfirmTokenRequest(token, _named(guardian), system, channel, form, actor)]
        return list(cast(TokenConfirmed, answer).consents)

    # Reads

    def _history(self, subject: Subject, after: int) -> Plan[list[HistoryEntry]]:
        entries: list[HistoryEntry] = []
        while True:
            catalog, answer = yield [CatalogRequest(), HistoryRequest(subject, after)]
            table, page = PurposeTable(cast(CatalogPurposes, catalog)), cast(HistoryPage, answer)
            entries += (_entry(recorded, table) for recorded in page.events)
            if not page.has_more:
                return entries
            after = _leads_on(page, after)

    def _links(self, subject: Subject, after: int) -> Plan[list[RecordedLink]]:
        links: list[RecordedLink] = []
        while True:
            (answer,) = yield [HistoryRequest(subject, after, with_links=True)]
            page = cast(HistoryPage, answer)
            links += page.links
            if not page.has_more:
                return links
            after = _leads_on(page, after)

    def _count_granted(self, purpose: str, but_not: str) -> Plan[GrantedCount]:
        _require_names(purpose, but_not)
        (answer,) = yield [CountGrantedRequest(purpose, but_not)]
        return cast(GrantedCount, answer)

    def _people(self, question: PeopleQuestion, as_of: int) -> Plan[list[FoundPerson]]:
        _require_names(
            question.purpose, question.but_not, question.declaration, question.revision, question.recipient
        )
        found: list[FoundPerson] = []
        after = 0
        while True:
            (answer,) = yield [PeopleRequest(question, after, as_of)]
            page = cast(PeoplePage, answer)
            found += page.people
            if not page.has_more:
                return found
            if page.next <= after:
                raise ProtocolViolation("a page of people says that more follow and does not lead on")
            after = page.next

    def _purposes(self) -> Plan[tuple[PurposeInfo, ...]]:
        (answer,) = yield [CatalogRequest()]
        return cast(CatalogPurposes, answer).purposes

    def _catalog_document(self) -> Plan[CatalogText]:
        (answer,) = yield [CatalogDocumentRequest()]
        catalog = cast(CatalogDocument, answer)
        return CatalogText(catalog.version, catalog.document)

    def _statistics(self) -> Plan[dict[str, int]]:
        (answer,) = yield [StatisticsRequest()]
        return dict(cast(tuple[tuple[str, int], ...], answer))

    def _status(self) -> Plan[NodeStatus]:
        (answer,) = yield [StatusRequest()]
        return cast(NodeStatus, answer)

    def _enforcement(self, sequence: int) -> Plan[Enforcement]:
        if not 0 <= sequence < 2**64:
            raise InvalidArgument("a sequence has 64 bits")
        (answer,) = yield [EnforcementRequest(sequence)]
        return cast(Enforcement, answer)

    def _access_log(self, asked: AccessLogRequest) -> Plan[list[AccessEntry]]:
        _require_names(asked.actor)
        entries: list[AccessEntry] = []
        after = 0
        while True:
            (answer,) = yield [replace(asked, after=after)]
            page = cast(AccessPage, answer)
            entries += page.entries
            if not page.has_more:
                return entries
            if page.next <= after:
                raise ProtocolViolation("a page of the access log says that more follow and does not lead on")
            after = page.next

    def _checkpoint(self) -> Plan[str]:
        (answer,) = yield [CheckpointRequest()]
        return cast(str, answer)

    def _document(self, kind: ProofKind, sequence: int) -> Plan[str]:
        if not 0 <= sequence < 2**64:
            raise InvalidArgument("a sequence has 64 bits")
        (answer,) = yield [ProveRequest(kind, sequence)]
        return cast(str, answer)

    def _ping(self) -> Plan[None]:
        yield [PingRequest(random.getrandbits(64))]


def _require_names(*names: str) -> None:
    if any(len(name.encode()) > 255 for name in names):
        raise InvalidArgument("a name has more than 255 bytes")


def _leads_on(page: HistoryPage, after: int) -> int:
    if page.last <= after:
        raise ProtocolViolation("a page of a history says that more follow and does not lead on")
    return page.last


def _check(answer: Checked) -> Check:
    return Check(answer.decision, answer.reason, answer.freshness, answer.sequence)


def event_of(act: Act) -> tuple[Act, EventMessage]:
    """The act with a key, and as it is sent. A text that is not UTF-8 raises ``InvalidArgument``."""
    act = act if act.key else replace(act, key=new_key())
    # 254 is what the field can say, and no person's age, so the server refuses what is past it.
    age = 255 if act.subject_age is None else act.subject_age if 0 <= act.subject_age <= 254 else 254
    event = EventMessage(
        act.purpose,
        act.state,
        cast(bytes, act.key),
        act.method,
        act.party,
        act.is_explicit,
        age,
        millis_of(act.captured_at) if act.captured_at else 0,
        millis_of(act.expires_at) if act.expires_at else 0,
        act.declaration,
        act.revision,
        act.language,
        act.system,
        act.channel,
        act.form,
        act.actor,
        act.evidence,
        tuple((subject.type, subject.value) for subject in act.subjects),
        _named(act.guardian),
    )
    try:
        "".join((*event.short_texts, event.evidence)).encode()
    except UnicodeEncodeError:
        raise InvalidArgument("a text of an act is not UTF-8") from None
    return act, event


def _refused(code: ErrorCode, message: str, key: bytes) -> Outcome:
    return Outcome(code, message, 0, False, key)


def _unsendable(act: Act, event: EventMessage) -> Outcome | None:
    """What the server would say to an event that cannot be put into bytes; None for all others: it judges those."""
    if len(event.identifiers) > IDENTIFIERS_PER_EVENT_MAX:
        text = f"more than {IDENTIFIERS_PER_EVENT_MAX} identifiers"
        return _refused(ErrorCode.IDENTIFIERS_TOO_MANY, text, event.key)
    if any(len(text.encode()) > _TEXT_SIZE_MAX for text in event.short_texts):
        return _refused(ErrorCode.TEXT_TOO_LONG, f"a text has more than {_TEXT_SIZE_MAX} bytes", event.key)
    if len(event.evidence.encode()) > EVIDENCE_SIZE_MAX:
        return _refused(ErrorCode.TEXT_TOO_LONG, f"the evidence has more than {EVIDENCE_SIZE_MAX} bytes", event.key)
    if act.state in _NOES:
        # Never refused for its times: the server lets it count from when it is recorded.
        return None
    text = "a time of 1970-01-01T00:00:00Z or before cannot be right"
    if act.captured_at is not None and event.captured_at <= 0:
        return _refused(ErrorCode.CAPTURED_TOO_EARLY, text, event.key)
    if act.expires_at is not None and event.expires_at <= 0:
        return _refused(ErrorCode.ENDS_BEFORE_CAPTURE, text, event.key)
    return None


def _entry(recorded: RecordedEvent, purposes: PurposeTable) -> HistoryEntry:
    event = recorded.event
    act = Act(
        tuple(_known_subject(kind, value) for kind, value in event.identifiers),
        purposes.name(cast(int, event.purpose)),
        event.state,
        event.key if any(event.key) else None,
        event.party,
        optional_moment(event.captured_at),
        optional_moment(event.expires_at),
        event.declaration,
        event.revision,
        event.language,
        event.method,
        event.is_explicit,
        None if event.age == 255 else event.age,
        event.system,
        event.channel,
        event.form,
        event.actor,
        event.evidence,
        _known_guardian(event.guardian),
    )
    return HistoryEntry(
        recorded.sequence, moment_of(recorded.recorded_at), act, recorded.refers_to or None, recorded.hash
    )


def _named(guardian: Guardian | None) -> NamedGuardian | None:
    return None if guardian is None else (guardian.relation, guardian.identifier.type, guardian.identifier.value)


def _known_guardian(named: NamedGuardian | None) -> Guardian | None:
    return None if named is None else Guardian(named[0], _known_subject(*named[1:]))


def _known_subject(kind: IdentifierType, value: str) -> Subject:
    try:
        return Subject(kind, value)
    except InvalidArgument as error:
        raise ProtocolViolation(f"the server broke the protocol: {error}") from None
