"""The mapped reader in C: ``Clients/c/consent_reader.c`` as a shared library, called by ctypes; and whichever reader is
the fastest here."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from ._protocol import Decision, Freshness, State
from .errors import IndexUnavailable, InvalidArgument, UnknownPurpose
from .reader import MappedReader
from .values import Check, PurposeChecks, Subject, SubjectChecks

if TYPE_CHECKING:
    from .extension import ExtensionReader

_IDENTIFIER_INVALID = 1
_DECISIONS = tuple(Decision)
_FRESHNESS = tuple(Freshness)
_STATES = {int(state): state for state in State}


class _Answer(ctypes.Structure):
    _fields_ = (
        ("decision", ctypes.c_uint8),
        ("reason", ctypes.c_uint8),
        ("freshness", ctypes.c_uint8),
        ("zero", ctypes.c_uint8),
        ("error", ctypes.c_int32),
        ("sequence", ctypes.c_uint64),
    )


class _Identifier(ctypes.Structure):
    _fields_ = (("value", ctypes.c_char_p), ("size", ctypes.c_size_t), ("type", ctypes.c_uint8))


def build(source: str | os.PathLike[str], library: str | os.PathLike[str], compiler: str = "cc") -> None:
    """Makes the library from ``consent_reader.c``. Raises ``subprocess.CalledProcessError`` where that fails."""
    options = ["-O2", "-std=c11", "-shared", "-fPIC", "-o", os.fspath(library)]
    subprocess.run([compiler, *options, os.fspath(source)], check=True, capture_output=True)


def open_reader(
    folder: str | os.PathLike[str], library: str | os.PathLike[str] | None = None
) -> ExtensionReader | NativeReader | MappedReader:
    """The fastest reader that there is here, all with the same answers: the extension if it was built when the package
    was installed, else the C reader in ``library`` (see ``build``), else the reader in Python. Raises
    ``IndexUnavailable`` where the folder's index cannot be read."""
    try:
        from .extension import ExtensionReader
    except ImportError:
        return MappedReader(folder) if library is None else NativeReader(folder, library)
    return ExtensionReader(folder)


class NativeReader:
    """As ``MappedReader``, through the C reader, with a handle for each thread. It keeps a purpose's bit as long as it
    is open."""

    def __init__(self, folder: str | os.PathLike[str], library: str | os.PathLike[str]) -> None:
        self._folder = os.fsencode(Path(folder))
        try:
            self._library = ctypes.CDLL(os.fspath(library))
        except OSError as error:
            raise IndexUnavailable(f"the C reader cannot be loaded: {error}") from error
        self._declare()
        self._local = threading.local()
        self._lock = threading.Lock()
        self._handles: list[ctypes.c_void_p] = []
        # What cannot be opened is told at once.
        self._handle()

    def _declare(self) -> None:
        library, pointer, size, u8 = self._library, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint8
        library.consent_reader_open.argtypes = [ctypes.c_char_p, ctypes.POINTER(pointer)]
        library.consent_reader_close.argtypes = [pointer]
        library.consent_reader_close.restype = None
        library.consent_reader_purpose.argtypes = [pointer, ctypes.c_char_p, ctypes.POINTER(ctypes.c_uint32)]
        library.consent_reader_check.argtypes = [pointer, u8, ctypes.c_char_p, size, ctypes.c_uint32, pointer]
        library.consent_reader_check_many.argtypes = [pointer, pointer, size, ctypes.c_uint32, pointer]
        library.consent_reader_error_text.restype = ctypes.c_char_p

    def close(self) -> None:
        """To be called when no thread checks any more."""
        with self._lock:
            for handle in self._handles:
                self._library.consent_reader_close(handle)
            self._handles.clear()
            self._local = threading.local()

    def __enter__(self) -> NativeReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def check(self, subject: Subject, purpose: str) -> Check:
        """May this person's data be used for this purpose, now?"""
        handle, bits = self._handle()
        bit = bits[purpose] if purpose in bits else self._bit(handle, bits, purpose)
        value, answer = subject.value.encode(), _Answer()
        self._library.consent_reader_check(handle, subject.type, value, len(value), bit, ctypes.addressof(answer))
        return _check(answer)

    def check_purposes(self, subject: Subject, purposes: Iterable[str]) -> PurposeChecks:
        """What does this person permit of several purposes?"""
        checks = {purpose: self.check(subject, purpose) for purpose in purposes}
        freshness = max((check.freshness for check in checks.values()), default=Freshness.UNAVAILABLE)
        sequence = min((check.sequence for check in checks.values()), default=0)
        return PurposeChecks({name: check.decision for name, check in checks.items()}, freshness, sequence)

    def check_subjects(self, subjects: Iterable[Subject], purpose: str) -> SubjectChecks:
        """Which of these people permit this purpose? One call for all of them."""
        handle, bits = self._handle()
        bit = self._bit(handle, bits, purpose)
        values = [(subject.value.encode(), subject.type) for subject in subjects]
        count = len(values)
        identifiers = (_Identifier * count)(*[_Identifier(value, len(value), kind) for value, kind in values])
        answers = (_Answer * count)()
        self._library.consent_reader_check_many(
            handle, ctypes.addressof(identifiers), count, bit, ctypes.addressof(answers)
        )
        checks = [_check(answer) for answer in answers]
        freshness = max((check.freshness for check in checks), default=Freshness.UNAVAILABLE)
        sequence = min((check.sequence for check in checks), default=0)
        return SubjectChecks(tuple(check.decision for check in checks), freshness, sequence)

    def _handle(self) -> tuple[ctypes.c_void_p, dict[str, int]]:
        """This thread's own, and the bits that it knows."""
        found: tuple[ctypes.c_void_p, dict[str, int]] | None = getattr(self._local, "handle", None)
        if found is None:
            handle = ctypes.c_void_p()
            error = self._library.consent_reader_open(self._folder, ctypes.byref(handle))
            if error:
                text = self._library.consent_reader_error_text(error).decode()
                raise IndexUnavailable(text)
            with self._lock:
                self._handles.append(handle)
            found = self._local.handle = (handle, {})
        return found

    def _bit(self, handle: ctypes.c_void_p, bits: dict[str, int], purpose: str) -> int:
        if purpose not in bits:
            bit = ctypes.c_uint32()
            if self._library.consent_reader_purpose(handle, purpose.encode(), ctypes.byref(bit)):
                raise UnknownPurpose(purpose)
            bits[purpose] = bit.value
        return bits[purpose]


def _check(answer: _Answer) -> Check:
    if answer.error == _IDENTIFIER_INVALID:
        raise InvalidArgument("an identifier has no normal form")
    return Check(_DECISIONS[answer.decision], _STATES[answer.reason], _FRESHNESS[answer.freshness], answer.sequence)
