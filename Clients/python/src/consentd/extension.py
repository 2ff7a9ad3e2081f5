"""The mapped reader in C as an extension of the interpreter, where one was built when the package was installed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from types import TracebackType

from ._c_reader import Reader
from ._protocol import Decision, Freshness, State
from .errors import IndexUnavailable, InvalidArgument, UnknownPurpose
from .values import Check, PurposeChecks, Subject, SubjectChecks

_DECISIONS = tuple(Decision)
_FRESHNESS = tuple(Freshness)
_STATES = tuple(State)


class ExtensionReader(Reader):
    """As ``MappedReader``, in well under a microsecond a check, for the threads of one process. It keeps a purpose's
    bit as long as it is open. ``check`` is C from its first step; ``close`` it when no more is asked."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        super().__init__(
            folder, Check, _DECISIONS, _STATES, _FRESHNESS, UnknownPurpose, InvalidArgument, IndexUnavailable
        )

    def __enter__(self) -> ExtensionReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def check_purposes(self, subject: Subject, purposes: Iterable[str]) -> PurposeChecks:
        """What does this person permit of several purposes?"""
        checks = {purpose: self.check(subject, purpose) for purpose in purposes}
        freshness = max((check.freshness for check in checks.values()), default=Freshness.UNAVAILABLE)
        sequence = min((check.sequence for check in checks.values()), default=0)
        return PurposeChecks({name: check.decision for name, check in checks.items()}, freshness, sequence)

    def check_subjects(self, subjects: Iterable[Subject], purpose: str) -> SubjectChecks:
        """Which of these people permit this purpose? One call for all of them."""
        decisions, freshness, sequence = self._check_many(list(subjects), purpose)
        return SubjectChecks(tuple(map(_DECISIONS.__getitem__, decisions)), _FRESHNESS[freshness], sequence)
