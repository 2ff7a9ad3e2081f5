"""Why a request has no answer. Whatever it is: nothing was granted."""

from __future__ import annotations

from ._protocol import ADVICE, ERROR_NAMES, Advice, ErrorCode


class ConsentError(Exception):
    """The parent of everything that a call raises."""

    advice: Advice = Advice.DO_NOT_RETRY
    """What the protocol tells a client to do. The client has done it already, as long as the deadline allowed."""


class ConnectFailed(ConsentError):
    """No connection could be made, or it ended within the handshake."""

    advice = Advice.RETRY_LATER


class VersionUnsupported(ConsentError):
    """Client and server speak no common version of the protocol."""

    def __init__(self, server_min: int, server_max: int) -> None:
        super().__init__(f"the server speaks versions {server_min} to {server_max} of the protocol, this client others")
        self.server_min = server_min
        self.server_max = server_max


class CodedError(ConsentError):
    """An error of the protocol."""

    def __init__(self, code: int, message: str, detail: int = 0) -> None:
        self.code: ErrorCode | int
        """A code that this client does not know stays a number."""
        try:
            self.code = ErrorCode(code)
            self.name = ERROR_NAMES[self.code]
            self.advice = ADVICE[self.code]
        except ValueError:
            self.code = code
            self.name = f"code {code}"
        self.message = message
        self.detail = detail
        super().__init__(f"{message} ({self.name})")


class HandshakeRefused(CodedError):
    """The server does not want this client: deployment or credentials are wrong, or it has too many connections."""


class ServerError(CodedError):
    """The server refused the request; nothing of it took effect. Where the code is ``INTERNAL_FAILURE``, that is not
    known."""


class TimedOut(ConsentError, TimeoutError):
    """No answer in time. A change may have been done nevertheless: repeat it with the same keys."""

    advice = Advice.RETRY_LATER

    def __init__(self) -> None:
        super().__init__("the server did not answer in time")


class Disconnected(ConsentError):
    """The connection ended before the answer."""

    advice = Advice.RECONNECT

    def __init__(self, may_have_been_executed: bool, reason: str = "") -> None:
        text = (
            "the connection ended before the answer; the request may have been executed"
            if may_have_been_executed
            else "there is no connection; the request was not sent"
        )
        super().__init__(f"{text} ({reason})" if reason else text)
        self.may_have_been_executed = may_have_been_executed


class ProtocolViolation(ConsentError):
    """The server sent what the protocol does not allow. The connection was closed and everything in flight failed."""


class UnknownPurpose(ConsentError):
    """The catalog has no purpose of this name."""

    def __init__(self, purpose: str) -> None:
        super().__init__(f"the catalog has no purpose '{purpose}'")
        self.purpose = purpose


class InvalidArgument(ConsentError, ValueError):
    """What the caller gave cannot be sent."""


class Closed(ConsentError):
    """The client was closed."""

    def __init__(self) -> None:
        super().__init__("the client is closed")


class IndexUnavailable(ConsentError):
    """The index of a node cannot be mapped."""

    advice = Advice.RETRY_LATER
