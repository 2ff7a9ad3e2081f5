"""The keyed hash by which the index knows an identifier."""

from __future__ import annotations

import struct

_MASK = 0xFFFF_FFFF_FFFF_FFFF


class HashKey:
    """SipHash-1-3 with 128 bits of output (Aumasson and Bernstein) over eight bytes of prefix and a message."""

    def __init__(self, key: bytes) -> None:
        self._k0, self._k1 = struct.unpack("<QQ", key)

    @property
    def check(self) -> int:
        """Tells whether an index was built with this key."""
        low, high = self.hash(_MASK, b"")
        return low ^ high

    def hash(self, prefix: int, message: bytes) -> tuple[int, int]:
        """The lower and the higher 64 bits."""
        size = len(message) + 8
        tail = len(message) % 8
        last = int.from_bytes(message[len(message) - tail :], "little") | (size & 0xFF) << 56
        words = (prefix, *struct.unpack_from(f"<{len(message) // 8}Q", message), last)
        v0 = self._k0 ^ 0x736F_6D65_7073_6575
        v1 = self._k1 ^ 0x646F_7261_6E64_6F6D ^ 0xEE
        v2 = self._k0 ^ 0x6C79_6765_6E65_7261
        v3 = self._k1 ^ 0x7465_6462_7974_6573
        for word in words:
            v0, v1, v2, v3 = _rounds(v0, v1, v2, v3 ^ word, 1)
            v0 ^= word
        v0, v1, v2, v3 = _rounds(v0, v1, v2 ^ 0xEE, v3, 3)
        low = v0 ^ v1 ^ v2 ^ v3
        v0, v1, v2, v3 = _rounds(v0, v1 ^ 0xDD, v2, v3, 3)
        return low, v0 ^ v1 ^ v2 ^ v3


def _rounds(v0: int, v1: int, v2: int, v3: int, count: int) -> tuple[int, int, int, int]:
    for _ in range(count):
        v0 = (v0 + v1) & _MASK
        v2 = (v2 + v3) & _MASK
        v1 = ((v1 << 13 | v1 >> 51) & _MASK) ^ v0
        v3 = ((v3 << 16 | v3 >> 48) & _MASK) ^ v2
        v0 = (v0 << 32 | v0 >> 32) & _MASK
        v2 = (v2 + v1) & _MASK
        v0 = (v0 + v3) & _MASK
        v1 = ((v1 << 17 | v1 >> 47) & _MASK) ^ v2
        v3 = ((v3 << 21 | v3 >> 43) & _MASK) ^ v0
        v2 = (v2 << 32 | v2 >> 32) & _MASK
    return v0, v1, v2, v3
