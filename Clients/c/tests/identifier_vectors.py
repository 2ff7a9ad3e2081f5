"""identifier_vectors.py PROTOCOL: the vectors of identifiers as lines that test_reader reads: type, value and normal form."""

import json
import pathlib
import sys

folder = pathlib.Path(sys.argv[1])
types = json.loads((folder / "protocol.json").read_text())["enums"]["identifierType"]
for vector in json.loads((folder / "identifiers.json").read_text(encoding="utf-8")):
    form = vector["normal"].encode().hex() if "normal" in vector else "-"
    print(types[vector["type"]], vector["hex"] or "-", form)
