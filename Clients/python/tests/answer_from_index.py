"""Answers questions from its input, a JSON object a line, out of an index that a node's own writer has written: about
whom and what, and at which second. The answer is a line of decisions."""

from __future__ import annotations

import json
import struct
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

from consentd import MappedReader, Subject

from .index_file import HEADER, IndexFile


def vouched_copy(source: Path, folder: str, names: dict[str, int]) -> None:
    """The rows and defaults as they are, under a header that says that they are fresh: the writer alone vouches for
    nothing. Rows begin where the file's own size says."""
    data = (source / "index" / "current").read_bytes()
    words, slots = struct.unpack_from("<QQ", data, 40)
    rows = data[len(data) - slots * 16 * (words + 1) :]
    copy = IndexFile(folder, words=words, slots=slots)
    # The writer's own version, defaults and check of the key.
    for start, end in ((32, 40), (136, 144), (256, 520)):
        copy.bytes[start:end] = data[start:end]
    copy.seal()
    copy.bytes[HEADER:] = rows
    copy.publish(names)
    (Path(folder) / "index.key").write_bytes((source / "index.key").read_bytes())


def main() -> None:
    for line in sys.stdin:
        question = json.loads(line)
        subjects = [Subject.parse(subject) for subject in question["subjects"]]
        purpose, now = question["purpose"], float(question["now"])
        with tempfile.TemporaryDirectory() as folder:
            vouched_copy(Path(question["folder"]), folder, {purpose: question["bit"]})
            with patch("time.time", lambda now=now: now), MappedReader(folder) as reader:
                decisions = list(reader.check_subjects(subjects, purpose))
                decisions.append(reader.check_purposes(subjects[0], [purpose]).decisions[purpose])
        print(json.dumps([decision.name.lower() for decision in decisions]), flush=True)


if __name__ == "__main__":
    main()
