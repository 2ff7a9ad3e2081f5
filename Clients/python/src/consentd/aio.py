"""The client for asyncio."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from types import TracebackType
from typing import cast

from ._channel import Channel, Ticket
from ._core import Batch, Core, Plan, Result
from ._protocol import Advice, ErasureReason, ProofKind
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
from ._tls import context_for, name_for
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


class _Link(asyncio.Protocol):
    """One connection."""

    def __init__(self, hello: Hello, options: Options) -> None:
        self._loop = asyncio.get_running_loop()
        self.channel = Channel(hello, time.monotonic(), options.ping_interval, options.ping_timeout, options.actor)
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    async def connect(cls, endpoint: Endpoint, hello: Hello, options: Options, timeout: float) -> _Link:
        loop = asyncio.get_running_loop()
        link = cls(hello, options)
        try:
            async with asyncio.timeout(timeout):
                if endpoint.path is None:
                    context = context_for(endpoint, options)
                    name = name_for(endpoint, options) if context else None
                    await loop.create_connection(
                        lambda: link, endpoint.host, endpoint.port, ssl=context, server_hostname=name
                    )
                else:
                    await loop.create_unix_connection(lambda: link, endpoint.path)
                await link.opened
        except TimeoutError:
            link._give_up()
            raise ConnectFailed(f"no connection to {endpoint} in time") from None
        except OSError as error:
            link._give_up()
            raise ConnectFailed(f"no connection to {endpoint}: {error}") from error
        except BaseException:
            link._give_up()
            raise
        return link

    def _give_up(self) -> None:
        # Nobody waits for it any more.
        self.opened.cancel()
        self.close()

    @property
    def is_usable(self) -> bool:
        return self.channel.failure is None and not self.channel.is_draining

    def submit(self, requests: Sequence[Request]) -> list[tuple[Ticket, asyncio.Future[Answer | ConsentError]]]:
        """All leave in one write."""
        submitted = []
        for request in requests:
            outcome: asyncio.Future[Answer | ConsentError] = self._loop.create_future()
            submitted.append((self.channel.submit(request, outcome.set_result), outcome))
        self._flush()
        return submitted

    def abandon(self, ticket: Ticket) -> None:
        self.channel.abandon(ticket)

    def retire(self) -> None:
        """What is in flight finishes; then the connection is closed."""
        self.channel.is_draining = True
        self._flush()

    def close(self) -> None:
        self.channel.end("the client was closed")
        self._flush()

    def _flush(self) -> None:
        channel = self.channel
        if self._transport is not None and channel.output:
            self._transport.write(bytes(channel.output))
            channel.output.clear()
        if channel.failure is not None or (channel.is_draining and channel.is_idle):
            if self._transport is not None:
                self._transport.close()
            if self._timer is not None:
                self._timer.cancel()
        if not self.opened.done():
            if channel.failure is not None:
                self.opened.set_exception(channel.failure)
            elif channel.is_open:
                self.opened.set_result(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._flush()
        self._tick()

    def data_received(self, data: bytes) -> None:
        self.channel.receive(data, time.monotonic())
        self._flush()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.channel.end(str(error) if error else "the server closed the connection")
        self._flush()

    def _tick(self) -> None:
        self.channel.tick(time.monotonic())
        self._flush()
        if self.channel.failure is None:
            self._timer = self._loop.call_later(max(0.0, self.channel.due - time.monotonic()) + 0.001, self._tick)


class AsyncClient(Core):
    """As ``consentd.Client``, for the tasks of one event loop. Made by ``await AsyncClient.connect(…)``."""

    def __init__(self, endpoint: Endpoint, options: Options) -> None:
        super().__init__(options)
        self._endpoint = endpoint
        self._connecting = asyncio.Lock()
        self._is_closed = False
        self._refusal: tuple[HandshakeRefused, float] | None = None
        self._link: _Link | None = None

    @classmethod
    async def connect(cls, endpoint: str | Endpoint, options: Options | None = None) -> AsyncClient:
        """Raises after the first attempt that fails; nothing goes on in the background then."""
        client = cls(Endpoint.parse(endpoint) if isinstance(endpoint, str) else endpoint, options or Options())
        await client._connect(client._options.connect_timeout)
        return client

    async def close(self) -> None:
        """Closes the connection. Whatever waits fails."""
        self._is_closed = True
        if self._link is not None:
            self._link.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def check(self, subject: Subject, purpose: str) -> Check:
        """May this person's data be used for this purpose, now?"""
        return await self._run(self._check(subject, purpose))

    async def check_each(self, pairs: Iterable[tuple[Subject, str]]) -> list[Check]:
        """Many checks without waiting in between, answered in their order."""
        return await self._run(self._check_each(pairs))

    async def check_purposes(self, subject: Subject, purposes: Iterable[str]) -> PurposeChecks:
        """What does this person permit of several purposes? One frame, and so one state of the ledger."""
        return await self._run(self._check_purposes(subject, purposes))

    async def check_subjects(self, subjects: Iterable[Subject], purpose: str) -> SubjectChecks:
        """Which of these people permit this purpose? They are named by one type of identifier."""
        return await self._run(self._check_subjects(subjects, purpose))

    async def explain(self, subject: Subject, purpose: str) -> Explanation:
        """The decision with what led to it, read from the ledger; for people, not for programs."""
        return await self._run(self._explain(subject, purpose))

    async def record(self, acts: Iterable[Act]) -> list[Outcome]:
        """As ``Client.record``."""
        return await self._run(self._record(acts))

    async def apply_catalog(self, text: str, *, dry_run: bool = False) -> CatalogOutcome:
        """As ``Client.apply_catalog``."""
        return await self._run(self._apply_catalog(text, dry_run))

    async def erase(self, subject: Subject, reason: ErasureReason, by: str = "") -> Erased:
        """Erases a person, by any of the identifiers: names and evidence of everything recorded.

        What was agreed to does not count any more, a "no" stands as an objection, and only a new act of the person brings
        the person back. ``by`` stays in the ledger, so it must not name the person.
        """
        return await self._run(self._erase(subject, reason, by))

    async def link(self, subject: Subject, person: Subject, by: str = "") -> LinkOutcome:
        """Links an identifier, such as a cookie, with a person who turns out to be behind it.

        What was recorded for it becomes the person's; a "no" of either side is a "no" of the person. ``by`` stays in the
        ledger, so it must not name the person.
        """
        return await self._run(self._link_identifier(subject, person, by))

    async def unlink(self, subject: Subject, by: str = "") -> LinkOutcome:
        """Takes an identifier off its person: it is unknown from then on, but each "no" that stood stands for it on. Never
        repeated on its own once it may have been sent."""
        return await self._run(self._unlink_identifier(subject, by))

    async def issue_token(self, subject: Subject, purposes: Sequence[str]) -> ConfirmationToken:
        """Issues a token that confirms what a person has requested (double opt-in), each purpose with a grant that waits.

        Send it to the person, and give it to ``confirm_token`` when it comes back. Issued anew, the one before counts, too.
        """
        return await self._run(self._issue_token(subject, purposes))

    async def confirm_token(
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
        return await self._run(self._confirm_token(token, guardian, system, channel, form, actor))

    async def history(self, subject: Subject, after: int = 0) -> list[HistoryEntry]:
        """Everything that is recorded about a person, oldest first; empty for one that the ledger does not know."""
        return await self._run(self._history(subject, after))

    async def access_log(
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
        return await self._run(self._access_log(AccessLogRequest(subject, actor, start, end)))

    async def links(self, subject: Subject, after: int = 0) -> list[RecordedLink]:
        """What linked and unlinked identifiers of a person, oldest first."""
        return await self._run(self._links(subject, after))

    async def checkpoint(self) -> str:
        """Signs where the ledger's chain is now: one line of JSON, to be kept elsewhere and given back to
        ``consentd verify --checkpoint``."""
        return await self._run(self._checkpoint())

    async def document(self, kind: ProofKind, sequence: int) -> str:
        """A proof or a receipt of one event, signed, as JSON. It holds personal data."""
        return await self._run(self._document(kind, sequence))

    async def count_granted(self, purpose: str, but_not: str = "") -> GrantedCount:
        """How many identifiers are granted a purpose, and not another; counted in the index."""
        return await self._run(self._count_granted(purpose, but_not))

    async def people(self, question: PeopleQuestion, as_of: int = 0) -> list[FoundPerson]:
        """Everybody whom a question is about, in the order in which the ledger met them.

        Pages are each of their own moment; only the selection `active` holds to the sequence ``as_of``.
        """
        return await self._run(self._people(question, as_of))

    async def purposes(self) -> tuple[PurposeInfo, ...]:
        """The purposes of the catalog as it is now."""
        return await self._run(self._purposes())

    async def catalog_document(self) -> CatalogText:
        """The catalog's text as it was applied."""
        return await self._run(self._catalog_document())

    async def statistics(self) -> dict[str, int]:
        """Counters and sizes of the node. Names come and go with its version."""
        return await self._run(self._statistics())

    async def status(self) -> NodeStatus:
        """Who the node is, by which sequence it answers, and who follows it."""
        return await self._run(self._status())

    async def enforcement(self, sequence: int) -> Enforcement:
        """Since when each edge that follows the node answers by a sequence, such as a withdrawal's."""
        return await self._run(self._enforcement(sequence))

    async def ping(self) -> float:
        """The seconds of a round trip."""
        start = time.perf_counter()
        await self._run(self._ping())
        return time.perf_counter() - start

    async def _run(self, plan: Plan[Result]) -> Result:
        answers: Sequence[Answer] | None = None
        while True:
            try:
                requests = plan.send(answers) if answers is not None else next(plan)
            except StopIteration as end:
                result: Result = end.value
                return result
            answers = await self._perform(requests)

    async def _perform(self, requests: Sequence[Request]) -> Sequence[Answer]:
        deadline = time.monotonic() + self._options.request_timeout
        batch = Batch(requests, self._options, deadline)
        while not batch.is_done:
            await self._round(batch, deadline)
            if batch.wait:
                await asyncio.sleep(batch.wait)
        return batch.answers()

    async def _round(self, batch: Batch, deadline: float) -> None:
        requests = batch.round()
        try:
            link = await self._usable_link(deadline)
        except ConsentError as error:
            batch.not_connected(error, time.monotonic())
            return
        submitted = link.submit([request for _, request in requests])
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                for (number, _), (_, outcome) in zip(requests, submitted, strict=True):
                    result = await asyncio.shield(outcome)
                    batch.settle(number, Closed() if self._is_closed else result, time.monotonic())
        except TimeoutError as error:
            # A request that was refused may have raised one of ours.
            raise error if isinstance(error, ConsentError) else batch.late from None
        finally:
            for ticket, outcome in submitted:
                if not outcome.done():
                    link.abandon(ticket)
            self._table = link.channel.purposes

    async def _usable_link(self, deadline: float) -> _Link:
        if self._is_closed:
            raise Closed
        if self._link is not None and self._link.is_usable:
            return self._link
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())), self._connecting:
                if self._link is None or not self._link.is_usable:
                    await self._connect_again(deadline)
                return cast(_Link, self._link)
        except TimeoutError:
            raise TimedOut from None

    async def _connect_again(self, deadline: float) -> None:
        if self._refusal is not None and time.monotonic() < self._refusal[1]:
            raise self._refusal[0]
        if self._link is not None:
            was_draining = self._link.channel.is_draining and self._link.channel.failure is None
            self._link.retire()
            if was_draining:
                # At a time of its own, so that not everybody comes at once.
                await asyncio.sleep(random.random())
        await self._connect(min(self._options.connect_timeout, deadline - time.monotonic()))

    async def _connect(self, timeout: float) -> None:
        try:
            self._link = await _Link.connect(self._endpoint, self._hello, self._options, timeout)
        except HandshakeRefused as error:
            if error.advice is Advice.DO_NOT_RETRY:
                self._refusal = (error, time.monotonic() + self._options.backoff_max)
            raise
        self._refusal = None
        self._adopt(self._link.channel)
        if self._is_closed:
            self._link.close()
            raise Closed
