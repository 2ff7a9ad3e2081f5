"""Answers questions from its input, a JSON object a line, out of an index as its writer left it, by the reader in Python
and by the one in C. The answer is a line of pairs, decision and freshness, of both readers one after the other."""

from __future__ import annotations

import json
import sys
import tempfile

from consentd import MappedReader, Subject
from consentd.native import NativeReader, build

from .support import ROOT


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        library = f"{folder}/libconsent_reader.so"
        build(ROOT / "Clients" / "c" / "consent_reader.c", library)
        for line in sys.stdin:
            question = json.loads(line)
            subject, answers = Subject.parse(question["subject"]), []
            with MappedReader(question["folder"]) as reader, NativeReader(question["folder"], library) as native:
                for purpose in question["purposes"]:
                    checks = [one.check(subject, purpose) for one in (reader, native)]
                    answers += [[check.decision.name.lower(), check.freshness.name.lower()] for check in checks]
            print(json.dumps(answers), flush=True)


if __name__ == "__main__":
    main()
