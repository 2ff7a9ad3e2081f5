"""Writes Protocol/vectors as lines for test_client.c: what is broken, what answers mean, how requests look."""

import json
import pathlib
import sys

root = pathlib.Path(sys.argv[1])
definition = json.loads((root / "protocol.json").read_text())
opcodes = {opcode["name"]: opcode["code"] for opcode in definition["opcodes"]}
errors = {error["name"]: error["code"] for error in definition["errors"]}
enums = definition["enums"]
answers = ["welcome", "pong", "checked", "checkedPurposes", "checkedSubjects", "catalogPurposes", "error"]
pushes = ["goingAway", "catalogChanged"]


def expand(value):
    """`{"repeat": x, "count": n}` as what it stands for."""
    if isinstance(value, dict) and "repeat" in value:
        unit = value["repeat"]
        return unit * value["count"] if isinstance(unit, str) else [unit] * value["count"]
    return value


def words(fields, name):
    return ",".join(expand(fields[name]))


def meaning(opcode, fields):
    """As test_client.c writes what it has decoded."""
    if opcode == "welcome":
        return f"{fields['frameSizeMax']}/{fields['subjectsPerCheckMax']}"
    if opcode == "checked":
        codes = [
            enums["decision"][fields["decision"]], enums["state"][fields["reason"]],
            enums["freshness"][fields["freshness"]]]
        return "/".join(map(str, codes + [fields["sequence"]]))
    if opcode in ("checkedPurposes", "checkedSubjects"):
        freshness = enums["freshness"][fields["freshness"]]
        granted, denied = words(fields, "granted"), words(fields, "denied")
        if freshness == enums["freshness"]["unavailable"]:
            granted = denied = ",".join(["0" * 16] * len(expand(fields["granted"])))
        return f"{freshness}/{fields['sequence']}/{granted}/{denied}"
    if opcode == "catalogPurposes":
        purposes = expand(fields["purposes"])
        return ",".join(f"{purpose['bit']}:{expand(purpose['id']).encode().hex()}" for purpose in purposes) or "-"
    if opcode == "error":
        code = fields["code"]
        return str(errors[code] if isinstance(code, str) else code)
    return "-"


def arguments(opcode, fields):
    """What test_client.c calls the client with, to get the same bytes."""
    kind = enums["identifierType"].get(fields.get("type"), fields.get("type", 0))
    if opcode in ("check", "checkPurposes"):
        value = expand(fields["identifier"]).encode().hex()
        asked = words(fields, "purposes") if opcode == "checkPurposes" else "-"
        return f"{kind} {fields.get('purpose', 0)} {value} {asked}"
    if opcode == "checkSubjects":
        values = [expand(value) for value in expand(fields["identifiers"])]
        return f"{kind} {fields['purpose']} {','.join(value.encode().hex() for value in values)} -"
    return "0 0 - -"


count = 0
for path in sorted((root / "vectors").glob("*.json")):
    for vector in json.loads(path.read_text()):
        tail = vector.get("tail", {"hex": "", "count": 0})
        code = bytes.fromhex(vector["hex"] + tail["hex"] * tail["count"])
        opcode = vector.get("opcode")
        name = f"{path.stem}:{vector['name']}".replace(" ", "_")
        request = int.from_bytes(code[8:12], "little")
        if vector.get("state") == "client" and len(code) > 4:
            known = {opcodes[kind] for kind in answers + pushes}
            if path.stem == "answer.broken" or code[4] in known:
                print(vector["kind"], name, code.hex(), "-")
                count += 1
        elif "from" in vector or len(code) > 100_000:
            continue
        elif opcode in pushes or (opcode in answers and request != 0):
            print("answer", name, code.hex(), meaning(opcode, vector["fields"]))
            count += 1
        elif opcode in ("check", "checkPurposes", "checkSubjects", "catalog") and request != 0:
            # Purposes that no catalog can have are refused before they are sent.
            if vector["fields"].get("purpose", 0) < 64 * definition["limits"]["purposeWordsMax"]:
                print(opcode, name, code.hex(), arguments(opcode, vector["fields"]))
                count += 1
assert count > 800, count
