"""The client for threads."""

from __future__ import annotations

import random
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from datetime import datetime
from types import TracebackType

from ._channel import Channel, Ticket
from ._core import Batch, Core, Plan, Result
from ._protocol import Advice, ErasureReason, ProofKind
from ._tls import context_for, name_for
from ._wire import (
    AccessEntry,
    AccessLogRequest,
    Answer,
    ConfirmationToken,
    ConfirmedConsent,
    Enforcement,
    Erased,
    FoundPerson,
    GrantedCount,
    Hello,
    LinkOutcome,
    NodeStatus,
    PeopleQuestion,
    RecordedLink,
    Request,
)
from .errors import Closed, ConnectFailed, ConsentError, HandshakeRefused, TimedOut
from .values import (
    Act,
    CatalogOutcome,
    CatalogText,
    Check,
    Endpoint,
    Explanation,
    Guardian,
    HistoryEntry,
    Options,
    Outcome,
    PurposeChecks,
    PurposeInfo,
    Subject,
    SubjectChecks,
    millis_of,
)

_RECEIVE_SIZE = 1 << 16
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_Outcome = Future[Answer | ConsentError]


class _Link:
    """One connection, and the thread that listens on it."""

    def __init__(self, endpoint: Endpoint, hello: Hello, options: Options, deadline: float) -> None:
        self.channel = Channel(hello, time.monotonic(), options.ping_interval, options.ping_timeout, options.actor)
        # Taken again by its own thread where that is the one that collects a forgotten client.
        self._lock = threading.RLock()
        self._is_closed = False
        self._socket = _connected(endpoint, options, deadline)
        self._wake_in, self._wake_out = socket.socketpair()
        for end in (self._socket, self._wake_in, self._wake_out):
            end.setblocking(False)
        try:
            while not self.channel.is_open:
                if self.channel.failure is not None:
                    raise self.channel.failure
                if time.monotonic() >= deadline:
                    raise ConnectFailed("the server did not finish the handshake in time")
                self._turn(deadline)
        except BaseException:
            self._close_sockets()
            raise
        threading.Thread(target=self._listen, name="consentd", daemon=True).start()

    @property
    def is_usable(self) -> bool:
        return self.channel.failure is None and not self.channel.is_draining

    def submit(self, requests: Sequence[Request]) -> list[tuple[Ticket, _Outcome]]:
        """All leave in one write."""
        submitted = []
        with self._lock:
            for request in requests:
                outcome: _Outcome = Future()
                submitted.append((self.channel.submit(request, outcome.set_result), outcome))
            self._send()
            if self.channel.output:
                self._wake()
        return submitted

    def abandon(self, ticket: Ticket) -> None:
        with self._lock:
            self.channel.abandon(ticket)

    def retire(self) -> None:
        """What is in flight finishes; then the connection is closed."""
        with self._lock:
            self.channel.is_draining = True
            self._wake()

    def close(self) -> None:
        with self._lock:
            self.channel.end("the client was closed")
            self._wake()

    def _wake(self) -> None:
        if not self._is_closed:
            try:
                self._wake_out.send(b"\0")
            except BlockingIOError:
                # It is awake already.
                return

    def _listen(self) -> None:
        try:
            while self.channel.failure is None and not (self.channel.is_draining and self.channel.is_idle):
                self._turn(None)
        finally:
            # Whatever ended it: nobody may wait for a thread that is gone.
            with self._lock:
                self.channel.end("the connection was closed")
                self._close_sockets()

    def _close_sockets(self) -> None:
        self._is_closed = True
        for end in (self._socket, self._wake_in, self._wake_out):
            end.close()

    def _turn(self, deadline: float | None) -> None:
        """Waits for something to do, and does it."""
        due = self.channel.due if deadline is None else min(deadline, self.channel.due)
        poll = select.poll()
        poll.register(self._wake_in, select.POLLIN)
        poll.register(self._socket, select.POLLIN | (select.POLLOUT if self.channel.output else 0))
        events = poll.poll(max(0.0, due - time.monotonic()) * 1000 + 1)
        with self._lock:
            for descriptor, event in events:
                if descriptor == self._wake_in.fileno():
                    self._wake_in.recv(_RECEIVE_SIZE)
                elif event & ~select.POLLOUT:
                    self._receive()
            self.channel.tick(time.monotonic())
            self._send()

    def _receive(self) -> None:
        try:
            data = self._socket.recv(_RECEIVE_SIZE)
            # Of what TLS has opened already, the socket would not tell.
            while isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
                data += self._socket.recv(_RECEIVE_SIZE)
        except _WOULD_BLOCK:
            return
        except OSError as error:
            self.channel.end(str(error))
            return
        if data:
            self.channel.receive(data, time.monotonic())
        else:
            self.channel.end("the server closed the connection")

    def _send(self) -> None:
        output = self.channel.output
        try:
            while output and self.channel.failure is None:
                del output[: self._socket.send(output)]
        except _WOULD_BLOCK:
            return
        except OSError as error:
            self.channel.end(str(error))


def _connected(endpoint: Endpoint, options: Options, deadline: float) -> socket.socket:
    context = context_for(endpoint, options)
    left = deadline - time.monotonic()
    if left <= 0:
        raise ConnectFailed(f"no connection to {endpoint} in time")
    try:
        if endpoint.path is None:
            connected = socket.create_connection((endpoint.host, endpoint.port), timeout=left)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is None:
                return connected
            try:
                connected.settimeout(max(0.001, deadline - time.monotonic()))
                return context.wrap_socket(connected, server_hostname=name_for(endpoint, options))
            except BaseException:
                connected.close()
                raise
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connected.settimeout(left)
            connected.connect(endpoint.path)
        except BaseException:
            connected.close()
            raise
        return connected
    except OSError as error:
        raise ConnectFailed(f"no connection to {endpoint}: {error}") from error


class Client(Core):
    """A connection to a consent server, shared by any number of threads.

    Ask immediately before each use of a person's data, and never keep an answer: a withdrawal counts from the moment it
    is recorded. Whatever a call raises means that nothing was granted.

    Requests of all threads travel on one connection without waiting for each other. Each has a deadline
    (``Options.request_timeout``), within which it is repeated where that is harmless: checks and other reads once on
    another connection, acts as often as needed and always with the same key, a catalog never.

    Making one connects, and raises after the first attempt that fails. A process that forks makes its own.
    """

    def __init__(self, endpoint: str | Endpoint, options: Options | None = None) -> None:
        super().__init__(options or Options())
        self._endpoint = Endpoint.parse(endpoint) if isinstance(endpoint, str) else endpoint
        self._connecting = threading.Lock()
        self._closing = threading.Event()
        self._refusal: tuple[HandshakeRefused, float] | None = None
        self._not_before = 0.0
        self._link: _Link = self._connect(time.monotonic() + self._options.connect_timeout)

    def close(self) -> None:
        """Closes the connection. Whatever waits fails."""
        self._closing.set()
        self._link.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # A client whose first connection failed has none.
        link = getattr(self, "_link", None)
        if link is not None:
            link.close()

    def check(self, subject: Subject, purpose: str) -> Check:
        """May this person's data be used for this purpose, now?"""
        return self._run(self._check(subject, purpose))

    def check_each(self, pairs: Iterable[tuple[Subject, str]]) -> list[Check]:
        """Many checks without waiting in between, answered in their order."""
        return self._run(self._check_each(pairs))

    def check_purposes(self, subject: Subject, purposes: Iterable[str]) -> PurposeChecks:
        """What does this person permit of several purposes? One frame, and so one state of the ledger."""
        return self._run(self._check_purposes(subject, purposes))

    def check_subjects(self, subjects: Iterable[Subject], purpose: str) -> SubjectChecks:
        """Which of these people permit this purpose? They are named by one type of identifier."""
        return self._run(self._check_subjects(subjects, purpose))

    def explain(self, subject: Subject, purpose: str) -> Explanation:
        """The decision with what led to it, read from the ledger; for people, not for programs."""
        return self._run(self._explain(subject, purpose))

    def record(self, acts: Iterable[Act]) -> list[Outcome]:
        """Records acts. When it returns, those that were not refused are durable, and checks see them.

        An act without a key gets one, once, so that what this call repeats is recorded once. An act that breaks a rule
        is refused on its own. If this raises, it is not known which acts were recorded: to repeat them, give them keys
        of your own beforehand.
        """
        return self._run(self._record(acts))

    def apply_catalog(self, text: str, *, dry_run: bool = False) -> CatalogOutcome:
        """Checks a catalog and, unless this is a dry run, applies it: wholly or not at all. Never repeated on its own
        once it may have been sent."""
        return self._run(self._apply_catalog(text, dry_run))

    def erase(self, subject: Subject, reason: ErasureReason, by: str = "") -> Erased:
        """Erases a person, by any of the identifiers: names and evidence of everything recorded.

        What was agreed to does not count any more, a "no" stands as an objection, and only a new act of the person brings
        the person back. ``by`` stays in the ledger, so it must not name the person.
        """
        return self._run(self._erase(subject, reason, by))

    def link(self, subject: Subject, person: Subject, by: str = "") -> LinkOutcome:
        """Links an identifier, such as a cookie, with a person who turns out to be behind it.

        What was recorded for it becomes the person's; a "no" of either side is a "no" of the person. ``by`` stays in the
        ledger, so it must not name the person.
        """
        return self._run(self._link_identifier(subject, person, by))

    def unlink(self, subject: Subject, by: str = "") -> LinkOutcome:
        """Takes an identifier off its person: it is unknown from then on, but each "no" that stood stands for it on. Never
        repeated on its own once it may have been sent."""
        return self._run(self._unlink_identifier(subject, by))

    def issue_token(self, subject: Subject, purposes: Sequence[str]) -> ConfirmationToken:
        """Issues a token that confirms what a person has requested (double opt-in), each purpose with a grant that waits.

        Send it to the person, and give it to ``confirm_token`` when it comes back. Issued anew, the one before counts, too.
        """
        return self._run(self._issue_token(subject, purposes))

    def confirm_token(
        self,
        token: str,
        *,
        guardian: Guardian | None = None,
        system: str = "",
        channel: str = "",
        form: str = "",
        actor: str = "",
    ) -> list[ConfirmedConsent]:
        """Confirms exactly what a token was issued for. It counts once, so this is never repeated on its own once it may
        have been sent. ``guardian`` is who confirms for the person, if the person does not."""
        return self._run(self._confirm_token(token, guardian, system, channel, form, actor))

    def history(self, subject: Subject, after: int = 0) -> list[HistoryEntry]:
        """Everything that is recorded about a person, oldest first; empty for one that the ledger does not know."""
        return self._run(self._history(subject, after))

    def access_log(
        self,
        subject: Subject | None = None,
        actor: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[AccessEntry]:
        """Who read personal data, what, and when, oldest first.

        ``subject``: only reads that were about this person alone. ``actor``: only what this account or role read.
        """
        start, end = millis_of(since) if since else 0, millis_of(until) if until else 0
        return self._run(self._access_log(AccessLogRequest(subject, actor, start, end)))

    def links(self, subject: Subject, after: int = 0) -> list[RecordedLink]:
        """What linked and unlinked identifiers of a person, oldest first."""
        return self._run(self._links(subject, after))

    def checkpoint(self) -> str:
        """Signs where the ledger's chain is now: one line of JSON, to be kept elsewhere and given back to
        ``consentd verify --checkpoint``."""
        return self._run(self._checkpoint())

    def document(self, kind: ProofKind, sequence: int) -> str:
        """A proof or a receipt of one event, signed, as JSON. It holds personal data."""
        return self._run(self._document(kind, sequence))

    def count_granted(self, purpose: str, but_not: str = "") -> GrantedCount:
        """How many identifiers are granted a purpose, and not another; counted in the index."""
        return self._run(self._count_granted(purpose, but_not))

    def people(self, question: PeopleQuestion, as_of: int = 0) -> list[FoundPerson]:
        """Everybody whom a question is about, in the order in which the ledger met them.

        Pages are each of their own moment; only the selection `active` holds to the sequence ``as_of``.
        """
        return self._run(self._people(question, as_of))

    def purposes(self) -> tuple[PurposeInfo, ...]:
        """The purposes of the catalog as it is now."""
        return self._run(self._purposes())

    def catalog_document(self) -> CatalogText:
        """The catalog's text as it was applied."""
        return self._run(self._catalog_document())

    def statistics(self) -> dict[str, int]:
        """Counters and sizes of the node. Names come and go with its version."""
        return self._run(self._statistics())

    def status(self) -> NodeStatus:
        """Who the node is, by which sequence it answers, and who follows it."""
        return self._run(self._status())

    def enforcement(self, sequence: int) -> Enforcement:
        """Since when each edge that follows the node answers by a sequence, such as a withdrawal's."""
        return self._run(self._enforcement(sequence))

    def ping(self) -> float:
        """The seconds of a round trip."""
        start = time.perf_counter()
        self._run(self._ping())
        return time.perf_counter() - start

    def _run(self, plan: Plan[Result]) -> Result:
        answers: Sequence[Answer] | None = None
        while True:
            try:
                requests = plan.send(answers) if answers is not None else next(plan)
            except StopIteration as end:
                result: Result = end.value
                return result
            answers = self._perform(requests)

    def _perform(self, requests: Sequence[Request]) -> Sequence[Answer]:
        deadline = time.monotonic() + self._options.request_timeout
        batch = Batch(requests, self._options, deadline)
        while not batch.is_done:
            self._round(batch, deadline)
            if batch.wait and self._closing.wait(batch.wait):
                raise Closed
        return batch.answers()

    def _round(self, batch: Batch, deadline: float) -> None:
        requests = batch.round()
        try:
            link = self._usable_link(deadline)
        except ConsentError as error:
            batch.not_connected(error, time.monotonic())
            return
        submitted = link.submit([request for _, request in requests])
        try:
            for (number, _), (_, outcome) in zip(requests, submitted, strict=True):
                result = outcome.result(max(0.0, deadline - time.monotonic()))
                batch.settle(number, Closed() if self._closing.is_set() else result, time.monotonic())
        except FutureTimeout:
            raise batch.late from None
        finally:
            for ticket, outcome in submitted:
                if not outcome.done():
                    link.abandon(ticket)
            self._table = link.channel.purposes

    def _usable_link(self, deadline: float) -> _Link:
        if self._closing.is_set():
            raise Closed
        if self._link.is_usable:
            return self._link
        if not self._connecting.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise TimedOut
        try:
            if not self._link.is_usable:
                if self._link.channel.is_draining:
                    # At a time of its own, so that not everybody comes at once.
                    self._not_before = max(self._not_before, time.monotonic() + random.random())
                self._link.retire()
                self._link = self._connect_again(deadline)
            return self._link
        finally:
            self._connecting.release()

    def _connect_again(self, deadline: float) -> _Link:
        if self._refusal is not None and time.monotonic() < self._refusal[1]:
            raise self._refusal[0]
        wait = min(self._not_before, deadline) - time.monotonic()
        if wait > 0 and self._closing.wait(wait):
            raise Closed
        self._not_before = 0.0
        return self._connect(min(deadline, time.monotonic() + self._options.connect_timeout))

    def _connect(self, deadline: float) -> _Link:
        try:
            link = _Link(self._endpoint, self._hello, self._options, deadline)
        except HandshakeRefused as error:
            if error.advice is Advice.DO_NOT_RETRY:
                self._refusal = (error, time.monotonic() + self._options.backoff_max)
            raise
        self._refusal = None
        if self._closing.is_set():
            link.close()
            raise Closed
        self._adopt(link.channel)
        return link
