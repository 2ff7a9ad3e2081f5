"""Every reader that there is from Python, over one folder, as another program's tests want it: `watch_readers FOLDER`.

A line of its input is a question, a line of its output the answer. `{"ask": SUBJECT, "purpose": NAME}`: what does each
reader answer? `{"watch": FILE}`: from now on each reader asks without a pause, in a thread of its own, and judges what
it is told by what stands in FILE. `{"status": true}`: what have they seen?

FILE holds three numbers of 64 bits: an epoch, even while customer `toggle` must not be granted anything; whether the
node's process is dead; the moment of its death, in milliseconds since the machine was started.
"""

from __future__ import annotations

import json
import mmap
import sys
import tempfile
import threading
import time
from typing import Any

from consentd import Freshness, MappedReader, Subject
from consentd.native import NativeReader, build

from .support import ROOT, build_extension

LIVE_MILLIS = 5000
STATIC_MILLIS = 8000
"""Of the purpose `static`; `closed` has none."""
SUBJECTS = {name: Subject.customer(name) for name in ("always", "gone", "never", "toggle")}


class Watch(threading.Thread):
    """One reader, and what it has seen."""

    def __init__(self, reader: Any, facts: memoryview) -> None:
        super().__init__(daemon=True)
        self.reader = reader
        self.facts = facts
        self.checks = 0
        self.grants = 0
        """Of customer ``toggle``: without any, nothing has been judged."""
        self.wrong: list[str] = []
        self.newest = ["", ""]

    def run(self) -> None:
        while not self.wrong:
            try:
                for place, purpose in enumerate(("closed", "static")):
                    self.look(place, purpose)
                # The others want the processor as well.
                time.sleep(0.0005)
            except Exception as error:
                self.wrong.append(f"raised {error!r}")

    def look(self, place: int, purpose: str) -> None:
        for name in ("gone", "never"):
            if self.reader.check(SUBJECTS[name], purpose).is_granted:
                self.wrong.append(f"{name} is granted {purpose}")
        epoch = self.facts[0]
        toggled = self.reader.check(SUBJECTS["toggle"], purpose)
        self.grants += toggled.is_granted
        if toggled.is_granted and epoch % 2 == 0 and self.facts[0] == epoch:
            self.wrong.append(f"toggle is granted {purpose} in epoch {epoch}: {toggled}")
        is_dead, died_at = self.facts[1], self.facts[2]
        asked_at = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
        always = self.reader.check(SUBJECTS["always"], purpose)
        limits = {Freshness.LIVE: LIVE_MILLIS, Freshness.STALE: STATIC_MILLIS if place else 0}
        limit = limits.get(always.freshness)
        if is_dead and limit is not None and asked_at > died_at + limit and self.facts[1]:
            self.wrong.append(f"{purpose} is {always.freshness.name}, {asked_at - died_at} ms after the node's death")
        if always.is_granted != (always.freshness is not Freshness.UNAVAILABLE):
            self.wrong.append(f"always: {always}")
        self.newest[place] = always.freshness.name.lower()
        self.checks += 4


def main() -> None:
    folder = sys.argv[1]
    with tempfile.TemporaryDirectory() as built:
        build(ROOT / "Clients" / "c" / "consent_reader.c", f"{built}/libconsent_reader.so")
        build_extension(built)
        from consentd.extension import ExtensionReader

        readers = [MappedReader(folder), NativeReader(folder, f"{built}/libconsent_reader.so"), ExtensionReader(folder)]
        watches: list[Watch] = []
        for line in sys.stdin:
            question = json.loads(line)
            answer: Any = "watching"
            if "ask" in question:
                subject, purpose = Subject.parse(question["ask"]), question["purpose"]
                answer = [reader.check(subject, purpose).decision.name.lower() for reader in readers]
                answer += [reader.check_subjects([subject], purpose).decisions[0].name.lower() for reader in readers]
            elif "watch" in question:
                with open(question["watch"], "rb") as file:
                    facts = memoryview(mmap.mmap(file.fileno(), 24, access=mmap.ACCESS_READ)).cast("Q")
                watches = [Watch(reader, facts) for reader in readers]
                for watch in watches:
                    watch.start()
            else:
                answer = [{"checks": one.checks, "grants": one.grants, "wrong": one.wrong, "newest": one.newest} for one in watches]
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
