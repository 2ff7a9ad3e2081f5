"""The golden vectors, and servers that do what a script says."""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import consentd
from consentd import (
    ErasureReason,
    EventState,
    IdentifierType,
    LawfulBasis,
    PeopleQuestion,
    PeopleSelection,
    ProofKind,
    PurposeInfo,
    Subject,
)
from consentd._channel import Channel
from consentd._protocol import ErrorCode, Opcode
from consentd._wire import (
    AccessLogRequest,
    ApplyCatalogRequest,
    CatalogDocumentRequest,
    CatalogPurposes,
    CatalogRequest,
    CheckpointRequest,
    CheckPurposesRequest,
    CheckRequest,
    CheckSubjectsRequest,
    ConfirmTokenRequest,
    CountGrantedRequest,
    EnforcementRequest,
    EraseRequest,
    EventMessage,
    ExplainRequest,
    Frame,
    Hello,
    HistoryRequest,
    IssueTokenRequest,
    LinkRequest,
    PeopleRequest,
    PingRequest,
    ProveRequest,
    PurposeTable,
    RecordRequest,
    Request,
    StatisticsRequest,
    StatusRequest,
    UnlinkRequest,
    frame,
    scan_frame,
)

PACKAGE = Path(__file__).resolve().parent.parent
ROOT = PACKAGE.parent.parent


def build_extension(folder: str) -> None:
    """Makes the C reader an extension in that folder, and the package find it there."""
    packaging = str(PACKAGE / "packaging")
    if packaging not in sys.path:
        sys.path.append(packaging)
    import consentd_build

    assert consentd_build.build_extension(folder), "no C compiler, or no headers of Python"
    sys.modules.pop("consentd.extension", None)
    consentd.__path__.append(folder)


def binary() -> str:
    """The server to test against: ``CONSENTD_BINARY``, or what ``./dev build`` made."""
    named = os.environ.get("CONSENTD_BINARY")
    return named or str(ROOT / ".build-dev" / "release" / "consentd")


class Vector:
    def __init__(self, file: str, values: dict[str, Any]) -> None:
        self.file = file
        self.name: str = values["name"]
        self.kind: str = values["kind"]
        self.state: str | None = values.get("state")
        self.is_of_session = "from" in values
        self.bytes = bytes.fromhex(values["hex"])
        if tail := values.get("tail"):
            self.bytes += bytes.fromhex(tail["hex"]) * tail["count"]
        name = values.get("opcode", "")
        self.opcode = Opcode[constant(name)] if name else None
        self.fields: dict[str, Any] = expand(values.get("fields", {}))

    def __str__(self) -> str:
        return f"{self.file}: {self.name}"


def expand(value: Any) -> Any:
    """Writes out ``{"repeat": x, "count": n}``."""
    if not isinstance(value, dict):
        return value
    if "repeat" in value:
        unit, count = value["repeat"], value["count"]
        return unit * count if isinstance(unit, str) and len(unit) == 1 else [unit] * count
    return {key: expand(inner) for key, inner in value.items()}


def constant(name: str) -> str:
    """``checkPurposes`` → ``CHECK_PURPOSES``."""
    return "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in name)


def vectors() -> list[Vector]:
    files = sorted((ROOT / "Protocol" / "vectors").glob("*.json"))
    return [Vector(file.name, values) for file in files for values in json.loads(file.read_text())]


def purpose(bit: int, name: str) -> PurposeInfo:
    return PurposeInfo(bit, name, "c", LawfulBasis.CONSENT, True, False, False, False, False, False)


CATALOG = CatalogPurposes(7, bytes(32), tuple(purpose(bit, f"p{bit}") for bit in range(960)))
"""A purpose for every bit that a bitset can hold, named p0 to p959."""
TABLE = PurposeTable(CATALOG)
SOMEBODY = Subject.customer("C-1")
SOME_EVENT = EventMessage("p3", EventState.WITHDRAWN)


def text8(text: str) -> bytes:
    return bytes((len(text.encode()),)) + text.encode()


def welcome_frame(request: int = 1, version: int = 1, in_flight: int = 1024) -> bytes:
    payload = struct.pack("<HHIQ16s16sIIII", 1, 1, 7, 1, bytes(16), bytes(16), 1 << 20, in_flight, 65535, 4096)
    return frame(Opcode.WELCOME, request, payload + text8("test") + text8("1"), argument=version)


def catalog_frame(request: int, names: dict[str, int] | None = None) -> bytes:
    purposes = names if names is not None else {info.id: info.bit for info in CATALOG.purposes}
    body = b"".join(struct.pack("<HBB", bit, 0, 1) + text8(name) + text8("c") for name, bit in purposes.items())
    return frame(Opcode.CATALOG_PURPOSES, request, bytes(32) + body, argument=len(purposes), word=7)


def checked_frame(request: int, decision: int = 0, reason: int = 0) -> bytes:
    return frame(Opcode.CHECKED, request, struct.pack("<Q", 1), argument=decision | reason << 8)


def error_frame(request: int, code: ErrorCode, message: str = "so it is") -> bytes:
    return frame(Opcode.ERROR, request, struct.pack("<H", len(message)) + message.encode(), argument=code)


def open_channel() -> Channel:
    """A channel after its handshake and its look at the catalog."""
    channel = Channel(Hello(), now=0.0)
    channel.receive(welcome_frame(1), 0.0)
    channel.receive(catalog_frame(2, {}), 0.0)
    assert channel.is_open
    channel.purposes = TABLE
    channel.output.clear()
    return channel


def request_answered_by(data: bytes) -> Request:
    """The request to which a frame with this header can be the answer."""
    if len(data) < 16:
        return CheckRequest(SOMEBODY, "p3")
    _, opcode, flags, argument, _, word = struct.unpack_from("<IBBHII", data)
    match opcode:
        case Opcode.PONG:
            return PingRequest(int.from_bytes(data[16:24], "little"))
        case Opcode.CHECKED_PURPOSES:
            words = min(max(word >> 8 & 0xFF, 1), 15)
            return CheckPurposesRequest(SOMEBODY, tuple(f"p{bit}" for bit in range(64 * words)))
        case Opcode.CHECKED_SUBJECTS:
            return CheckSubjectsRequest(IdentifierType.CUSTOMER, (b"C",) * max(word >> 16, 1), "p3")
        case Opcode.EXPLAINED:
            return ExplainRequest(SOMEBODY, "p3")
        case Opcode.RECORDED:
            return RecordRequest((SOME_EVENT,) * min(max(argument, 1), 4096))
        case Opcode.APPLIED_CATALOG:
            return ApplyCatalogRequest("", bool(flags & 1))
        case Opcode.HISTORY_PAGE:
            return HistoryRequest(SOMEBODY, 0)
        case Opcode.ERASED:
            return EraseRequest(SOMEBODY, ErasureReason.UNLAWFUL)
        case Opcode.LINKED:
            return LinkRequest(SOMEBODY, SOMEBODY)
        case Opcode.UNLINKED:
            return UnlinkRequest(SOMEBODY)
        case Opcode.TOKEN_ISSUED:
            return IssueTokenRequest(SOMEBODY, ("p3",))
        case Opcode.TOKEN_CONFIRMED:
            return ConfirmTokenRequest("")
        case Opcode.GRANTED_COUNT:
            return CountGrantedRequest("p3")
        case Opcode.PEOPLE_PAGE:
            return PeopleRequest(PeopleQuestion(PeopleSelection.AUDIENCE, purpose="p3"), after=0, as_of=0)
        case Opcode.CATALOG_PURPOSES:
            return CatalogRequest()
        case Opcode.CATALOG_TEXT:
            return CatalogDocumentRequest()
        case Opcode.NODE_STATUS:
            return StatusRequest()
        case Opcode.ENFORCED_BY:
            return EnforcementRequest(int.from_bytes(data[16:24], "little"))
        case Opcode.ACCESS_PAGE:
            return AccessLogRequest()
        case Opcode.CHECKPOINTED:
            return CheckpointRequest()
        case Opcode.PROVED:
            return ProveRequest(ProofKind.EVENT, 1)
        case Opcode.STATISTIC_VALUES:
            return StatisticsRequest()
        case _:
            return CheckRequest(SOMEBODY, "p3")


class Peer:
    """The server's end of one connection, for a script."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._received = bytearray()

    def frame(self) -> Frame | None:
        """The next frame; None at the end of the stream."""
        while (scanned := scan_frame(self._received, 0)) is None:
            data = self._socket.recv(1 << 16)
            if not data:
                return None
            self._received += data
        found, end = scanned
        del self._received[:end]
        return found

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def greet(self, names: dict[str, int] | None = None, in_flight: int = 1024) -> None:
        """The handshake, and the client's first look at the catalog."""
        hello = self.frame()
        assert hello is not None and hello.opcode == Opcode.HELLO
        self.send(welcome_frame(hello.request, in_flight=in_flight))
        catalog = self.frame()
        assert catalog is not None and catalog.opcode == Opcode.CATALOG
        self.send(catalog_frame(catalog.request, names))

    def close(self) -> None:
        self._socket.close()


class ScriptedServer:
    """A server on a free port; each connection is handed to the next script, and none is taken past the last."""

    def __init__(self, *scripts: Callable[[Peer], None]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        self.failures: list[BaseException] = []
        self._thread = threading.Thread(target=self._serve, args=(scripts,), daemon=True)
        self._thread.start()

    def _serve(self, scripts: tuple[Callable[[Peer], None], ...]) -> None:
        threads = []
        for script in scripts:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                break
            self.connections += 1
            thread = threading.Thread(target=self._run, args=(script, connection), daemon=True)
            thread.start()
            threads.append(thread)
        self._listener.close()
        for thread in threads:
            thread.join(60)

    def _run(self, script: Callable[[Peer], None], connection: socket.socket) -> None:
        connection.settimeout(60)
        with connection:
            try:
                script(Peer(connection))
            except (ConnectionError, TimeoutError):
                return
            except BaseException as failure:
                self.failures.append(failure)

    def close(self) -> None:
        self._listener.close()

    def __enter__(self) -> ScriptedServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        assert not self.failures, self.failures
