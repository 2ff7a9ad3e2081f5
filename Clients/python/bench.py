"""How long a mapped check takes from Python: ``bench.py [IDENTIFIERS]`` (100,000) makes an index of so many rows, and asks
each of the readers. Prints nanoseconds a check, the best of three rounds."""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "src"), str(HERE), str(HERE / "packaging")]

import consentd  # noqa: E402
from consentd.native import NativeReader, build  # noqa: E402
from consentd_build import build_extension  # noqa: E402
from tests.index_file import IndexFile  # noqa: E402


def person(number: int) -> consentd.Subject:
    return consentd.Subject.customer(f"C{number:011}")


def nanos(reader: object, count: int, checks: int) -> float:
    check = reader.check  # type: ignore[attr-defined]
    best = float("inf")
    for _ in range(3):
        # Made for this round, as by a program that has just been asked: what is measured is the check, not the memory
        # of old objects.
        chosen = [person(random.randrange(count)) for _ in range(checks)]
        granted = 0
        started = time.perf_counter_ns()
        for subject in chosen:
            granted += check(subject, "news").is_granted
        best = min(best, (time.perf_counter_ns() - started) / checks)
        assert 0 < granted < checks
    return best


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        index = IndexFile(folder, slots=(count * 4 // 3 + 1024) // 2 * 2)
        for number in range(count):
            index.put(person(number), permitted=1 << 3 if number % 3 == 0 else 0)
        index.word(584, 1 << 40)
        index.publish({"news": 3})
        build(HERE.parent / "c" / "consent_reader.c", f"{folder}/libconsent_reader.so")
        readers = [("pure Python", consentd.MappedReader(folder), 20_000)]
        readers.append(("C by ctypes", NativeReader(folder, f"{folder}/libconsent_reader.so"), 100_000))
        if build_extension(folder):
            consentd.__path__.append(folder)
            from consentd.extension import ExtensionReader

            readers.append(("C as an extension", ExtensionReader(folder), 1_000_000))
        for name, reader, checks in readers:
            print(f"{name:<20} {nanos(reader, count, checks):8.0f} ns a check")
            reader.close()


if __name__ == "__main__":
    main()
