import os

from .values import Check, Subject

class Reader:
    def __init__(
        self,
        folder: str | os.PathLike[str],
        answer: type[Check],
        decisions: tuple[object, ...],
        reasons: tuple[object, ...],
        freshnesses: tuple[object, ...],
        unknown_purpose: type[Exception],
        invalid_argument: type[Exception],
        unavailable: type[Exception],
        /,
    ) -> None: ...
    def check(self, subject: Subject, purpose: str, /) -> Check: ...
    def _check_many(self, subjects: list[Subject], purpose: str, /) -> tuple[bytes, int, int]: ...
    def close(self) -> None: ...
