"""An index as a node writes it: format 2, written here from its description, so that the reader is tested against that
and not against itself. It hashes by the reader's hash, which the node's own indexes test."""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path

from consentd import Subject
from consentd._hash import HashKey
from consentd._normal import normal_form

KEY = bytes(range(16))
HEADER = 8192
NEVER = 0xFFFF_FFFF
SUPERSEDED = 0xFFFF_FFFF_FFFF_FFFF


def boottime_millis() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class IndexFile:
    """The one writer of a generation."""

    def __init__(self, folder: str, generation: int = 1, words: int = 1, slots: int = 1024) -> None:
        index = Path(folder) / "index"
        index.mkdir(exist_ok=True)
        (Path(folder) / "index.key").write_bytes(KEY)
        self._index = index
        self._words, self._slots = words, slots
        self._row_size = 16 * (words + 1)
        self._name = f"generation-{generation}.cidx"
        with open(index / self._name, "wb+") as file:
            file.truncate(HEADER + slots * self._row_size)
            self.bytes = mmap.mmap(file.fileno(), 0)
        low, high = HashKey(KEY).hash(0xFFFF_FFFF_FFFF_FFFF, b"")
        self.bytes[0:8] = b"CNSDIDX1"
        self.word(8, 2)
        self.bytes[16:32] = bytes(range(16))
        self.word(32, low ^ high)
        self.word(40, words)
        self.word(48, slots)
        self.word(56, generation)
        self.seal()
        self.word(136, 77)
        self.bytes[184:220] = Path("/proc/sys/kernel/random/boot_id").read_bytes()[:36]
        self.word(584, 5000)
        self.vouch()

    def word(self, offset: int, value: int) -> None:
        self.bytes[offset : offset + 8] = struct.pack("<Q", value)

    def seal(self) -> None:
        """The checksum over what identifies the file."""
        total = 0x9E37_79B9_7F4A_7C15
        for (word,) in struct.iter_unpack("<Q", self.bytes[0:64]):
            product = (total ^ 0xA076_1D64_78BD_642F) * (word ^ 0xE703_7ED1_A0B4_28DB)
            total = (product >> 64) ^ (product & 0xFFFF_FFFF_FFFF_FFFF)
        self.word(64, total)

    def vouch(self, millis_ago: int = 0) -> None:
        self.word(576, boottime_millis() - millis_ago)

    def defaults(self, granted: int = 0, denied: int = 0) -> None:
        (version,) = struct.unpack("<Q", self.bytes[512:520])
        self.word(512, version | 1)
        self.bytes[256:376] = granted.to_bytes(120, "little")
        self.bytes[376:496] = denied.to_bytes(120, "little")
        self.word(512, (version | 1) + 1)

    def staleness(self, bit: int, seconds: int) -> None:
        self.bytes[4096 + 4 * bit : 4100 + 4 * bit] = struct.pack("<I", seconds)

    def put(self, subject: Subject, permitted: int = 0, denied: int = 0, ends_at: int = NEVER) -> None:
        low, high = HashKey(KEY).hash(subject.type, normal_form(subject))
        tag = max(high >> 8, 2 + (high >> 8) if high >> 8 <= 1 else 0) << 8
        per_line = max(1, 64 // self._row_size)
        slot = ((low >> 32) * (self._slots // per_line) >> 32) * per_line
        while True:
            start = HEADER + slot * self._row_size
            (found,) = struct.unpack_from("<Q", self.bytes, start)
            if found in (0, tag):
                break
            slot = (slot + 1) % self._slots
        sets = permitted.to_bytes(8 * self._words, "little") + denied.to_bytes(8 * self._words, "little")
        self.bytes[start : start + self._row_size] = struct.pack("<QQ", tag, ends_at << 32 | 5) + sets

    def publish(self, names: dict[str, int]) -> None:
        """The list of purposes, then the file, each replaced at once."""
        text = "consentd-purposes 1\n" + "".join(f"{bit}\t{name}\n" for name, bit in names.items())
        (self._index / "purposes.new").write_text(text)
        os.replace(self._index / "purposes.new", self._index / "purposes")
        (self._index / "current.new").unlink(missing_ok=True)
        (self._index / "current.new").symlink_to(self._name)
        os.replace(self._index / "current.new", self._index / "current")

    def supersede(self) -> None:
        self.word(512, SUPERSEDED)
