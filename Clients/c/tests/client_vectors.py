"""Writes Protocol/vectors as lines for test_client.c: what is broken, what answers mean, how requests look."""

import json
import pathlib
import sys

root = pathlib.Path(sys.argv[1])
definition = json.loads((root / "protocol.json").read_text())
opcodes = {opcode["name"]: opcode["code"] for opcode in definition["opcodes"]}
errors = {error["name"]: error["code"] for error in definition["errors"]}
enums = definition["enums"]
answers = ["welcome", "pong", "checked", "checkedPurposes", "checkedSubjects", "catalogPurposes", "error", "explained",
           "recorded", "historyPage", "statisticValues", "grantedCount", "peoplePage", "appliedCatalog"]
pushes = ["goingAway", "catalogChanged"]
REASONS = ["unknown", "requested", "expired", "outdated", "dormant"]


def expand(value):
    """`{"repeat": x, "count": n}` as what it stands for."""
    if isinstance(value, dict) and "repeat" in value:
        unit = value["repeat"]
        return unit * value["count"] if isinstance(unit, str) else [unit] * value["count"]
    return value


def words(fields, name):
    return ",".join(expand(fields[name]))


def text(fields, name):
    return expand(fields.get(name, "")).encode().hex()


def event(fields):
    """As test_client.c writes an event."""
    codes = [fields["purpose"], enums["eventState"][fields["state"]], enums["method"][fields["method"]],
             enums["party"][fields["party"]], int(fields["express"]), fields["age"], fields["capturedAt"],
             fields["expiresAt"]]
    texts = [text(fields, name) for name in ("declaration", "revision", "language", "system", "channel", "form", "actor",
                                             "evidence")]
    return "/".join([fields["key"], *map(str, codes), *texts, named(fields), guardian(fields)])


def guardian(fields):
    one = fields["guardian"]
    return f"{enums['guardianRelation'][one['relation']]}{named({'identifiers': [one]})}" if one else "0"


def named(fields):
    return "+".join(f"{enums['identifierType'][one['type']]}={text(one, 'value')}" for one in expand(fields["identifiers"]))


def people(found):
    """As test_client.c writes people; identifiers stand in the first entry of each."""
    written, before = [], {}
    for one in expand(found):
        if one["subject"] == before.get("subject") and not expand(one["identifiers"]):
            one = {**one, "identifiers": before["identifiers"]}
        codes = [one["subject"], str(enums["state"][one["state"]]), one["since"], one["until"]]
        written.append("/".join([*codes, *(text(one, name) for name in ("purpose", "declaration", "revision")), named(one)]))
        before = one
    return ",".join(written)


def meaning(opcode, fields):
    """As test_client.c writes what it has decoded."""
    if opcode == "explained":
        state = fields["decidingState"]
        codes = [enums["decision"][fields["decision"]], enums["state"][fields["reason"]],
                 enums["freshness"][fields["freshness"]], enums["basis"][fields["basis"]],
                 enums["eventState"][state] if state else 0]
        numbers = [fields[name] for name in ("sequence", "expiresAt", "grantedUntil", "decidingSequence",
                                             "decidingCapturedAt")]
        texts = [text(fields, name) for name in ("declaration", "consentedRevision", "currentRevision")]
        return "/".join([*map(str, codes), *numbers, *texts, guardian(fields)])
    if opcode == "recorded":
        outcomes = []
        for one in expand(fields["outcomes"]):
            code = one["code"]
            number = errors[code] if isinstance(code, str) else code or 0
            outcomes.append(f"{number}:{int(one['repeated'])}:{one['sequence']}:{text(one, 'message')}")
        return ",".join(outcomes)
    if opcode == "historyPage":
        events = [f"{one['sequence']}/{one['recordedAt']}/{one['refersTo']}/{one['hash']}/{event(one['event'])}"
                  for one in expand(fields["events"])]
        return f"{int(fields['more'])}/{fields['head']}|{','.join(events)}"
    if opcode == "statisticValues":
        return ",".join(f"{text(one, 'name')}:{one['value']}" for one in expand(fields["values"])) or "-"
    if opcode == "grantedCount":
        return f"{fields['sequence']}/{fields['granted']}/{fields['known']}"
    if opcode == "peoplePage":
        return f"{int(fields['more'])}/{fields['head']}/{fields['next']}|{people(fields['people'])}"
    if opcode == "appliedCatalog":
        changes = ",".join(expand(change).encode().hex() for change in expand(fields["changes"]))
        return f"{fields['version']}/{fields['sequence']}|{changes}"
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
    if opcode in ("explain", "history"):
        return f"{kind} {fields.get('purpose', fields.get('limit', 0))} {text(fields, 'identifier')} {fields.get('after', 0)}"
    if opcode == "countGranted":
        return f"0 0 {text(fields, 'purpose') or '-'} {text(fields, 'except') or '-'}"
    if opcode == "people":
        reasons = sum(1 << REASONS.index(reason) for reason in expand(fields["reasons"]))
        numbers = ",".join(str(number) for number in (reasons, *(fields[name] for name in ("after", "from", "until", "asOf"))))
        texts = [text(fields, name) for name in ("purpose", "except", "declaration", "revision", "recipient", "document")]
        return f"{enums['peopleSelection'][fields['selection']]} {fields['peopleMax']} {numbers} {','.join(texts)}"
    if opcode == "applyCatalog":
        return f"{int(fields['dryRun'])} 0 {text(fields, 'document') or '-'} -"
    if opcode in ("check", "checkPurposes"):
        value = expand(fields["identifier"]).encode().hex()
        asked = words(fields, "purposes") if opcode == "checkPurposes" else "-"
        return f"{kind} {fields.get('purpose', 0)} {value} {asked}"
    if opcode == "checkSubjects":
        values = [expand(value) for value in expand(fields["identifiers"])]
        return f"{kind} {fields['purpose']} {','.join(value.encode().hex() for value in values)} -"
    return "0 0 - -"


requests = ["check", "checkPurposes", "checkSubjects", "catalog", "explain", "record", "history", "statistics",
            "countGranted", "people", "applyCatalog"]
count = 0
for path in sorted((root / "vectors").glob("*.json")):
    for vector in json.loads(path.read_text()):
        tail = vector.get("tail", {"hex": "", "count": 0})
        code = bytes.fromhex(vector["hex"] + tail["hex"] * tail["count"])
        opcode = vector.get("opcode")
        if vector.get("fields", {}).get("links"):
            # The C client does not ask what linked identifiers.
            continue
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
        elif opcode in requests and request != 0 and not (opcode == "record" and vector["fields"].get("events") == []):
            # Purposes that no catalog can have are refused before they are sent.
            purpose = vector["fields"].get("purpose", 0)
            if isinstance(purpose, str) or purpose < 64 * definition["limits"]["purposeWordsMax"]:
                print(opcode, name, code.hex(), arguments(opcode, vector["fields"]))
                count += 1
assert count > 2000, count
