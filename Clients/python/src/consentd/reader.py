"""Checks without a server: the index of a node on this machine, mapped into memory and read.

The layout is that of the node's ``IndexTable.swift``, format 2. A reader never locks and never writes. It reads the
file's version around everything else, and starts over where the writer has changed something meanwhile. What it cannot
prove is unknown.
"""

from __future__ import annotations

import mmap
import os
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ._hash import HashKey
from ._normal import normal_form
from ._protocol import Decision, Freshness, State
from .errors import IndexUnavailable, UnknownPurpose
from .values import Check, PurposeChecks, Subject, SubjectChecks

_MAGIC = int.from_bytes(b"CNSDIDX1", "little")
_FORMAT_VERSION = 2
_HEADER_SIZE = 8192
_PURPOSES_MAX = 960
_SUPERSEDED = 0xFFFF_FFFF_FFFF_FFFF
_MASK = 0xFFFF_FFFF_FFFF_FFFF
_TAG_MASK = _MASK ^ 0xFF

# Words of the header, by their offset / 8.
_KEY_CHECK, _WORDS, _SLOTS, _CHECKSUM = 4, 5, 6, 8
_APPLIED_SEQUENCE, _BOOT_ID = 17, 23
_GRANTED_DEFAULTS, _DENIED_DEFAULTS = 32, 47
_VERSION, _VOUCHED_AT, _LIVE_MILLIS = 64, 72, 73
_MAX_STALENESS = 512

_ROUNDS_MAX = 4096
"""A change of the defaults takes less than one round, unless its writer was interrupted, or died."""
_LOOK_AGAIN_SECONDS = 0.1
"""How long what is known of the files beside the mapping is trusted."""

_UNKNOWN = (Decision.UNKNOWN, State.UNKNOWN)
_EXPIRED = (Decision.UNKNOWN, State.EXPIRED)
_GIVEN = (Decision.GRANTED, State.GIVEN)
_BASIS_HOLDS = (Decision.GRANTED, State.BASIS_HOLDS)
_WITHDRAWN = (Decision.DENIED, State.WITHDRAWN)
_OBJECTED = (Decision.DENIED, State.OBJECTED)
_INVALIDATED = (Decision.DENIED, State.INVALIDATED)

_VERDICTS = (
    *(_UNKNOWN, _GIVEN, _WITHDRAWN, _GIVEN, _UNKNOWN, _EXPIRED, _WITHDRAWN, _EXPIRED),
    *(_BASIS_HOLDS, _GIVEN, _OBJECTED, _GIVEN, _BASIS_HOLDS, _EXPIRED, _OBJECTED, _EXPIRED),
)
"""By permitted + 2 · denied + 4 · ended + 8 · granted by default."""


class _Disturbed(Exception):
    """The writer changed what was being read."""


@dataclass(frozen=True, slots=True)
class _Purposes:
    """Of ``index/purposes``."""

    stamp: tuple[int, int, int]
    bits: dict[str, int]


class _Table:
    """One generation of the file, mapped."""

    def __init__(self, path: Path, key: HashKey) -> None:
        try:
            with open(path, "rb") as file:
                status = os.fstat(file.fileno())
                if status.st_size < _HEADER_SIZE:
                    raise IndexUnavailable(f"{path} is not an index")
                self._mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise IndexUnavailable(f"{path} cannot be mapped: {error}") from error
        self.stamp = (status.st_dev, status.st_ino)
        self._view = memoryview(self._mapping)
        self.words = self._view.cast("Q")
        try:
            self._judge(path, key)
        except BaseException:
            self.close()
            raise

    def _judge(self, path: Path, key: HashKey) -> None:
        words = self.words
        if words[0] != _MAGIC:
            raise IndexUnavailable(f"{path} is not an index")
        if words[1] != _FORMAT_VERSION:
            raise IndexUnavailable(f"{path} has format version {words[1]}; this program reads {_FORMAT_VERSION}")
        if words[_CHECKSUM] != _checksum(words[:_CHECKSUM]):
            raise IndexUnavailable(f"the header of {path} does not match its checksum")
        if words[_KEY_CHECK] != key.check:
            raise IndexUnavailable(f"{path} was built with another hash key")
        self.bitset_words = words[_WORDS]
        self.slots = words[_SLOTS]
        self._row_words = 2 * (self.bitset_words + 1)
        self._slots_per_line = max(1, 8 // self._row_words)
        self._lines = self.slots // self._slots_per_line
        if self.bitset_words not in (1, 3, 7, 15) or 8 * len(words) != _HEADER_SIZE + 8 * self.slots * self._row_words:
            raise IndexUnavailable(f"{path} has another size than its header says")

    def close(self) -> None:
        self.words.release()
        self._view.release()
        self._mapping.close()

    @property
    def version(self) -> int:
        return self.words[_VERSION]

    @property
    def boot_id(self) -> bytes:
        return bytes(self._view[8 * _BOOT_ID : 8 * _BOOT_ID + 36])

    def max_staleness_seconds(self, bit: int) -> int:
        word = self.words[_MAX_STALENESS + bit // 2]
        return word >> 32 if bit & 1 else word & 0xFFFF_FFFF

    def row(self, low: int, high: int) -> int | None:
        """Where the row of a hash begins, in words; None if it has none."""
        tag = high & _TAG_MASK
        if tag <= 1 << 8:
            tag += 2 << 8
        words, row_words = self.words, self._row_words
        first = _HEADER_SIZE // 8
        slot = ((low >> 32) * self._lines >> 32) * self._slots_per_line
        for _ in range(self.slots):
            row = first + slot * row_words
            found = words[row]
            if found & _TAG_MASK == tag:
                return row
            if found == 0:
                return None
            slot = slot + 1 if slot + 1 < self.slots else 0
        return None

    def verdict(self, row: int | None, bit: int, now: int) -> tuple[Decision, State]:
        """- now: seconds since 1970."""
        word, place = bit >> 6, bit & 63
        if word >= self.bitset_words:
            return _UNKNOWN
        words = self.words
        ends_at = permitted = denied = 0
        if row is not None:
            sequence_and_end = words[row + 1]
            permitted = words[row + 2 + word] >> place & 1
            denied = words[row + 2 + self.bitset_words + word] >> place & 1
            # Or else one row's end could be taken for another row's consents.
            if words[row + 1] != sequence_and_end:
                raise _Disturbed
            ends_at = sequence_and_end >> 32
        if words[_DENIED_DEFAULTS + word] >> place & 1:
            return _INVALIDATED
        by_default = words[_GRANTED_DEFAULTS + word] >> place & 1
        return _VERDICTS[permitted | denied << 1 | (ends_at <= now) << 2 | by_default << 3]


def _checksum(words: Iterable[int]) -> int:
    checksum = 0x9E37_79B9_7F4A_7C15
    for word in words:
        product = (checksum ^ 0xA076_1D64_78BD_642F) * (word ^ 0xE703_7ED1_A0B4_28DB)
        checksum = product >> 64 ^ product & _MASK
    return checksum


@dataclass(frozen=True, slots=True)
class _Opened:
    """A file and the names of its bits, which belong together."""

    table: _Table
    purposes: _Purposes

    def bit(self, purpose: str) -> int:
        bit = self.purposes.bits.get(purpose)
        if bit is None:
            raise UnknownPurpose(purpose)
        return bit


class MappedReader:
    """The index of the node in ``folder``, for the threads of one process.

    Its answers are those of the node's server, with the same promise: unknown where anything is in doubt. An answer
    older than the purpose allows is ``UNAVAILABLE``, whatever the clock on the wall says. A check raises
    ``UnknownPurpose`` for a name that the node's catalog does not have, ``InvalidArgument`` for an identifier that is
    none, and nothing else.

    The reader may read while its account may read ``index.key`` and ``index/``. It relies on processors that keep loads
    in order, so it opens on x86-64 only; elsewhere ask the server.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        if platform.machine() not in ("x86_64", "AMD64") or sys.byteorder != "little":
            raise IndexUnavailable(f"the mapped reader does not run on {platform.machine()}")
        self._index = Path(folder) / "index"
        try:
            self._boot_id = Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()
            self._key = HashKey((Path(folder) / "index.key").read_bytes())
        except (OSError, ValueError) as error:
            raise IndexUnavailable(f"{folder} is no node that can be read: {error}") from error
        self._looked_at = 0.0
        self._opened = self._open()

    def _open(self) -> _Opened:
        # The names of a file stand there before it does, and those of a later one only once it says that it is
        # superseded.
        table = _Table(self._index / "current", self._key)
        return _Opened(table, self._read_purposes())

    def close(self) -> None:
        """To be called when no thread checks any more."""
        self._opened.table.close()

    def __enter__(self) -> MappedReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def check(self, subject: Subject, purpose: str) -> Check:
        """May this person's data be used for this purpose, now?"""
        ((check,),) = self._checks([subject], [purpose])
        return check

    def check_purposes(self, subject: Subject, purposes: Iterable[str]) -> PurposeChecks:
        """What does this person permit of several purposes?"""
        names = list(purposes)
        (checks,) = self._checks([subject], names)
        decisions = {name: check.decision for name, check in zip(names, checks, strict=True)}
        freshness = max((check.freshness for check in checks), default=Freshness.UNAVAILABLE)
        return PurposeChecks(decisions, freshness, min((check.sequence for check in checks), default=0))

    def check_subjects(self, subjects: Iterable[Subject], purpose: str) -> SubjectChecks:
        """Which of these people permit this purpose?"""
        checks = [check for (check,) in self._checks(list(subjects), [purpose])]
        freshness = max((check.freshness for check in checks), default=Freshness.UNAVAILABLE)
        sequence = min((check.sequence for check in checks), default=0)
        return SubjectChecks(tuple(check.decision for check in checks), freshness, sequence)

    def _checks(self, subjects: Sequence[Subject], purposes: Sequence[str]) -> list[list[Check]]:
        if time.monotonic() - self._looked_at >= _LOOK_AGAIN_SECONDS:
            self._look_again()
        if any(purpose not in self._opened.purposes.bits for purpose in purposes):
            self._look_at_purposes()
        hashes = [self._key.hash(subject.type, normal_form(subject)) for subject in subjects]
        return [self._answers(hashed, purposes) for hashed in hashes]

    def _answers(self, hashed: tuple[int, int], purposes: Sequence[str]) -> list[Check]:
        for _ in range(_ROUNDS_MAX):
            # The bits of this file's own purposes: in a newer one they may be those of others.
            opened = self._opened
            table, bits = opened.table, [opened.bit(purpose) for purpose in purposes]
            version = table.version
            if version & 1:
                if version != _SUPERSEDED or not self._reopen():
                    # A change is under way, or no newer file is there yet.
                    time.sleep(0)
                continue
            try:
                answers = self._read(table, hashed, bits)
            except _Disturbed:
                continue
            if table.version == version:
                return answers
        return [Check(Decision.UNKNOWN, State.UNKNOWN, Freshness.UNAVAILABLE, 0) for _ in purposes]

    def _read(self, table: _Table, hashed: tuple[int, int], bits: Sequence[int]) -> list[Check]:
        words = table.words
        # In front of what was vouched for, which the writer of another boot takes back before it names its own.
        is_of_this_boot = table.boot_id == self._boot_id
        # Before the rows that they vouch for, and the clock behind these: no answer is made younger than it is.
        vouched_at, sequence = words[_VOUCHED_AT], words[_APPLIED_SEQUENCE]
        live_millis = words[_LIVE_MILLIS]
        now = int(time.time())
        row = table.row(*hashed)
        verdicts = [table.verdict(row, bit, now) for bit in bits]
        age = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000 - vouched_at
        answers = []
        for bit, verdict in zip(bits, verdicts, strict=True):
            if not is_of_this_boot or vouched_at == 0 or age < 0:
                freshness = Freshness.UNAVAILABLE
            elif age <= live_millis:
                freshness = Freshness.LIVE
            elif age <= 1000 * table.max_staleness_seconds(bit):
                freshness = Freshness.STALE
            else:
                freshness = Freshness.UNAVAILABLE
            answers.append(Check(*(_UNKNOWN if freshness is Freshness.UNAVAILABLE else verdict), freshness, sequence))
        return answers

    def _look_again(self) -> None:
        """Whether the files are still those that were opened: a node whose index was removed and made anew does not say
        so in the old file."""
        self._looked_at = time.monotonic()
        try:
            is_current = self._is_current(self._opened.table)
        except OSError:
            # Moved away. The mapping stays, and its answers go stale.
            return
        if is_current:
            self._look_at_purposes()
        else:
            self._reopen()

    def _is_current(self, table: _Table) -> bool:
        status = os.stat(self._index / "current")
        return (status.st_dev, status.st_ino) == table.stamp

    def _reopen(self) -> bool:
        try:
            # The old one is unmapped when the last thread has let go of it.
            self._opened = self._open()
        except IndexUnavailable:
            return False
        return True

    def _look_at_purposes(self) -> None:
        """Reads the names anew where their file has changed."""
        opened = self._opened
        try:
            purposes = self._read_purposes(opened.purposes)
            # Or else they may be the names of another file's bits.
            is_current = self._is_current(opened.table)
        except OSError:
            return
        if is_current:
            self._opened = _Opened(opened.table, purposes)

    def _read_purposes(self, known: _Purposes | None = None) -> _Purposes:
        """Without a readable file there are none."""
        path = self._index / "purposes"
        try:
            status = os.stat(path)
            stamp = (status.st_dev, status.st_ino, status.st_mtime_ns)
            if known is not None and stamp == known.stamp:
                return known
            return _Purposes(stamp, _purposes_of(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return _Purposes((0, 0, 0), {})


def _purposes_of(text: str) -> dict[str, int]:
    first, *lines = text.splitlines()
    if first != "consentd-purposes 1":
        raise ValueError("not a list of purposes")
    bits = {}
    for line in lines:
        bit, name = line.split("\t")
        if not 0 <= int(bit) < _PURPOSES_MAX:
            raise ValueError("a purpose that no bitset has room for")
        bits[name] = int(bit)
    return bits
