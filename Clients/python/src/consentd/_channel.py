"""The client's side of one connection: requests and received bytes in, bytes to send and answers out. Knows no socket,
no thread and no clock; both clients drive it.

It trusts nothing that it receives. The first frame that breaks the protocol ends it: nothing behind that frame is read,
and every request fails.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from . import _protocol as protocol
from ._protocol import ErrorCode, Opcode
from ._wire import (
    Answer,
    CatalogPurposes,
    CatalogRequest,
    ErrorAnswer,
    Frame,
    Hello,
    PingRequest,
    PurposeTable,
    Request,
    Violation,
    Welcome,
    scan_frame,
    read_as,
)
from .errors import (
    ConnectFailed,
    ConsentError,
    Disconnected,
    HandshakeRefused,
    ProtocolViolation,
    ServerError,
    UnknownPurpose,
    VersionUnsupported,
)

_REQUEST_MAX = 0xFFFF_FFFF

Completion = Callable[[Answer | ConsentError], None]


class Ticket:
    """A request that was handed over."""

    __slots__ = ("begun", "begun_size", "completion", "is_abandoned", "read", "request", "wanted")

    def __init__(self, request: Request, completion: Completion) -> None:
        self.request = request
        self.completion = completion
        self.is_abandoned = False
        self.wanted: Opcode | None = None
        self.read: Callable[[Frame], Answer] | None = None
        self.begun: list[str] = []
        """Of an answer that comes in several frames, those that have come."""
        self.begun_size = 0

    def complete(self, result: Answer | ConsentError) -> None:
        if not self.is_abandoned:
            self.completion(result)


@dataclass(slots=True)
class Pulse:
    """Tells a silent connection from a dead one."""

    interval: float
    timeout: float
    heard: float
    pinged: float | None = None

    def hear(self, now: float) -> None:
        self.heard = now
        self.pinged = None

    @property
    def due(self) -> float:
        """When something is to be done about the silence."""
        return self.heard + self.interval if self.pinged is None else self.pinged + self.timeout


class Channel:
    """``output`` is to be sent, and emptied, after every call."""

    def __init__(self, hello: Hello, now: float, ping_interval: float = 10.0, ping_timeout: float = 2.0, actor: str = "") -> None:
        self._actor = actor
        self.output = bytearray()
        self.failure: ConsentError | None = None
        """Why the channel is over."""
        self.welcome: Welcome | None = None
        self.purposes = PurposeTable()
        self.is_open = False
        """Whether the handshake and the first look at the catalog are done."""
        self.is_draining = False
        self._next_request = 1
        self._in_flight: dict[int, Ticket] = {}
        self._counted = 0
        self._waiting: deque[Ticket] = deque()
        self._received = bytearray()
        self._pulse = Pulse(ping_interval, ping_timeout, now)
        self._hello_request = self._take_request()
        self.output += hello.encode(self._hello_request)

    @property
    def is_idle(self) -> bool:
        return not self._in_flight and not self._waiting

    @property
    def due(self) -> float:
        """When ``tick`` is to be called."""
        return self._pulse.due

    # Requests

    def submit(self, request: Request, completion: Completion) -> Ticket:
        """The completion is called once, with the answer or with why there is none; at once, where that is known."""
        ticket = Ticket(request, completion)
        if self.failure is not None:
            ticket.complete(Disconnected(False))
        elif request.is_counted and (self._waiting or self._counted >= self._counted_max):
            self._waiting.append(ticket)
        else:
            self._send(ticket)
        return ticket

    def abandon(self, ticket: Ticket) -> None:
        """A late answer will be dropped. Until then the id is not used again."""
        ticket.is_abandoned = True
        if ticket.wanted is None and ticket in self._waiting:
            self._waiting.remove(ticket)

    @property
    def _counted_max(self) -> int:
        return self.welcome.requests_in_flight_max if self.welcome else 1

    def _take_request(self) -> int:
        # Zero speaks of the connection as a whole.
        while self._next_request == 0 or self._next_request in self._in_flight:
            self._next_request = (self._next_request + 1) & _REQUEST_MAX
        request = self._next_request
        self._next_request = (request + 1) & _REQUEST_MAX
        return request

    def _send(self, ticket: Ticket) -> None:
        request = self._take_request()
        try:
            if self._actor and ticket.request.is_read:
                inner, ticket.wanted, ticket.read = ticket.request.encode(0, self.purposes)
                data = read_as(self._actor, inner, request)
            else:
                data, ticket.wanted, ticket.read = ticket.request.encode(request, self.purposes)
        except UnknownPurpose as error:
            ticket.complete(error)
            return
        self.output += data
        self._in_flight[request] = ticket
        self._counted += ticket.request.is_counted

    def _settle(self, request: int) -> Ticket | None:
        """Takes a request that is answered out of those in flight."""
        ticket = self._in_flight.pop(request, None)
        if ticket is not None and ticket.request.is_counted:
            self._counted -= 1
            while self._waiting and self._counted < self._counted_max:
                self._send(self._waiting.popleft())
        return ticket

    # Time and the end

    def tick(self, now: float) -> None:
        """Pings a connection that is silent, and gives up one whose ping was not answered."""
        if self.failure is not None or now < self._pulse.due:
            return
        if self._pulse.pinged is not None:
            self.end("nothing was heard for too long")
        elif self.is_open:
            self._pulse.pinged = now
            self.submit(PingRequest(self._next_request), lambda _: None)
        else:
            self._pulse.hear(now)

    def end(self, reason: str) -> None:
        """The connection ended."""
        self._fail(
            Disconnected(True, reason) if self.is_open else ConnectFailed(reason or "the connection ended"),
        )

    def _fail(self, failure: ConsentError) -> None:
        if self.failure is not None:
            return
        self.failure = failure
        sent, waiting = list(self._in_flight.values()), list(self._waiting)
        self._in_flight.clear()
        self._waiting.clear()
        self._received.clear()
        self.output.clear()
        for ticket in sent:
            ticket.complete(failure)
        for ticket in waiting:
            ticket.complete(Disconnected(False) if isinstance(failure, Disconnected) else failure)

    # Bytes

    def receive(self, data: bytes, now: float) -> None:
        if self.failure is not None:
            return
        self._pulse.hear(now)
        self._received += data
        used = 0
        try:
            while (scanned := scan_frame(self._received, used)) is not None:
                frame, used = scanned
                self._read(frame)
                if self.failure is not None:
                    return
        except Violation as violation:
            self._fail(ProtocolViolation(f"the server broke the protocol: {violation}"))
            return
        del self._received[:used]

    def _read(self, frame: Frame) -> None:
        if frame.opcode == Opcode.ERROR:
            self._read_error(frame)
        elif self.welcome is None:
            self._read_welcome(frame)
        elif frame.opcode == Opcode.GOING_AWAY:
            self._require_push(frame)
            self.is_draining = True
        elif frame.opcode == Opcode.CATALOG_CHANGED:
            self._require_push(frame)
            self._read_catalog_again()
        else:
            self._read_answer(frame)

    def _require_push(self, frame: Frame) -> None:
        if frame.request or frame.flags or frame.argument or frame.payload:
            raise Violation("a push does not have the layout of the protocol")

    def _read_welcome(self, frame: Frame) -> None:
        if frame.opcode != Opcode.WELCOME:
            raise Violation(f"opcode {frame.opcode} came before the welcome")
        welcome = Welcome.read(frame)
        if frame.request != self._hello_request:
            raise Violation("the welcome answers another request than hello")
        if not protocol.VERSION_MIN <= welcome.version <= protocol.VERSION_MAX:
            raise Violation(f"the welcome speaks version {welcome.version}, which was not offered")
        if not welcome.has_usable_limits:
            raise Violation("the welcome names limits that nothing fits in")
        self.welcome = welcome
        self._read_catalog_again()

    def _read_catalog_again(self) -> None:
        def completion(result: Answer | ConsentError) -> None:
            if isinstance(result, CatalogPurposes):
                self.is_open = True
            elif not self.is_open and self.failure is None:
                self._fail(ConnectFailed(f"the catalog could not be read: {result}"))

        self.submit(CatalogRequest(), completion)

    def _read_error(self, frame: Frame) -> None:
        error = ErrorAnswer.read(frame)
        if self.welcome is None:
            if frame.request not in (0, self._hello_request):
                raise Violation("an error answers a request that was not sent")
            self._fail(_turned_away(error))
        elif frame.request == 0:
            reason = ServerError(error.code, error.message, error.detail)
            self.end(str(reason))
        else:
            ticket = self._settle(frame.request)
            if ticket is None:
                raise Violation("an error answers a request that was not sent")
            if error.code == ErrorCode.SHUTTING_DOWN:
                self.is_draining = True
            ticket.complete(ServerError(error.code, error.message, error.detail))

    def _read_answer(self, frame: Frame) -> None:
        ticket = self._in_flight.get(frame.request)
        if ticket is None:
            raise Violation(f"opcode {frame.opcode} answers a request that was not sent")
        try:
            if frame.opcode != ticket.wanted or ticket.read is None:
                raise Violation(f"opcode {frame.opcode} is not an answer to what was asked")
            answer = ticket.read(frame)
            if frame.opcode == Opcode.PROVED:
                answer = self._join(ticket, cast(str, answer), len(frame.payload))
                if frame.flags:
                    return
        except Violation as violation:
            self._settle(frame.request)
            failure = ProtocolViolation(f"the server broke the protocol: {violation}")
            ticket.complete(failure)
            self._fail(failure)
            return
        self._settle(frame.request)
        if isinstance(answer, CatalogPurposes):
            self.purposes = PurposeTable(answer)
        ticket.complete(answer)

    @staticmethod
    def _join(ticket: Ticket, part: str, size: int) -> str:
        ticket.begun.append(part)
        ticket.begun_size += size
        if ticket.begun_size > protocol.PROOF_SIZE_MAX:
            raise Violation(f"a document has more than {protocol.PROOF_SIZE_MAX} bytes")
        return "".join(ticket.begun) if len(ticket.begun) > 1 else part


def _turned_away(error: ErrorAnswer) -> ConsentError:
    if error.code == ErrorCode.VERSION_UNSUPPORTED:
        return VersionUnsupported(error.detail & 0xFFFF, error.detail >> 16)
    return HandshakeRefused(error.code, error.message, error.detail)
