#!/usr/bin/env python3
"""The normal form of identifiers: which spellings are one identifier, and which values are none.

This is the form's reference. It writes identifiers.json, the vectors that every implementation runs, and the tables of
characters in Swift and C; with --check it says whether they are fresh. protocol.md, "Identifiers", says it in words.

The characters of an e-mail address are those of Unicode 3.2 in some blocks. Their decompositions, classes and lower
case can never change again, so every version of Python writes the same tables.
"""

import json
import pathlib
import random
import re
import sys
import unicodedata

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
SIZE_MAX = 255

# Latin, Greek and Cyrillic with the marks that combine with them.
BLOCKS = [(0x00A1, 0x024F), (0x0250, 0x02AF), (0x02B0, 0x036F), (0x0370, 0x03FF), (0x0400, 0x052F), (0x1E00, 0x1FFF)]
# The soft hyphen is not to be seen; the last four would make a value longer or are not letters of their own.
NO_LETTERS = {0x00AD, 0x0340, 0x0341, 0x0343, 0x0344}
# Assigned after 3.2, and the other case of a letter that was there: the capital of ß, the small palochka.
LATER_LETTERS = {0x1E9E: (0x00DF,), 0x04CF: (0x04CF,)}

BLANKS = [(0x0020, 0x0020), (0x00A0, 0x00A0), (0x1680, 0x1680), (0x2000, 0x200F), (0x2028, 0x202F), (0x205F, 0x2060),
          (0x2066, 0x2069), (0x3000, 0x3000), (0xFEFF, 0xFEFF)]
HYPHENS = [(0x002D, 0x002D), (0x00AD, 0x00AD), (0x2010, 0x2015), (0x2212, 0x2212)]
UUID = re.compile("[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}")


class Fault(Exception):
    """Why a value has no normal form; the name is that of the vectors."""


def holds(ranges, scalar):
    return any(first <= scalar <= last for first, last in ranges)


def is_blank(character):
    return holds(BLANKS, ord(character))


def is_hyphen(character):
    return holds(HYPHENS, ord(character))


def trimmed(text):
    while text and is_blank(text[0]):
        text = text[1:]
    while text and is_blank(text[-1]):
        text = text[:-1]
    return text


def is_letter(scalar):
    """Whether an e-mail address beyond ASCII may hold it."""
    if scalar in LATER_LETTERS:
        return True
    is_assigned = unicodedata.ucd_3_2_0.category(chr(scalar)) != "Cn"
    return holds(BLOCKS, scalar) and scalar not in NO_LETTERS and is_assigned


def lower(scalar):
    """The simple lower case of a character that has no canonical decomposition. A final sigma is a sigma."""
    text = chr(scalar).lower()
    return 0x03C3 if scalar == 0x03C2 else ord(text) if len(text) == 1 else scalar


def fold(scalar):
    """The canonical decomposition of a letter, in lower case."""
    if scalar in LATER_LETTERS:
        return LATER_LETTERS[scalar]
    return tuple(lower(ord(one)) for one in unicodedata.normalize("NFD", chr(scalar)))


def normal_email(text):
    text = trimmed(text)
    if not text.isascii() and not all(one.isascii() or is_letter(ord(one)) for one in text):
        raise Fault("characters")
    folded = "".join(chr(part) for one in text for part in fold(ord(one)))
    # Marks into their order, which folding a decomposition has kept within a character but not across several.
    folded = unicodedata.normalize("NFD", folded)
    # The dot that the capital of the Turkish i has, and a lower-cased one may have kept.
    kept, starter = [], ""
    for one in folded:
        if unicodedata.combining(one) == 0:
            starter = one
        if not (one == "\u0307" and starter == "i"):
            kept.append(one)
    return unicodedata.normalize("NFC", "".join(kept))


def normal_phone(text):
    kept, position = "", 0
    while position < len(text):
        if kept and text.startswith("(0)", position):
            # Not dialled after the country.
            position += 3
            continue
        one = text[position]
        if not (is_blank(one) or is_hyphen(one) or one in "./()"):
            kept += one
        position += 1
    if not kept:
        raise Fault("empty")
    if kept.startswith("00"):
        kept = "+" + kept[2:]
    if re.fullmatch("[0-9]+", kept):
        raise Fault("phone_without_country")
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}", kept):
        raise Fault("phone")
    return kept


def normal_national_id(text):
    kept = "".join(one for one in text if not (is_blank(one) or is_hyphen(one) or one in "./"))
    if not kept:
        raise Fault("empty")
    if re.fullmatch("#[0-9a-fA-F]{32}", kept):
        raise Fault("national_id_hash")
    before, plus, after = kept.partition("+")
    # After a date without its century the sign says which; after a whole date it says nothing.
    if plus and (len(before) not in (6, 8) or not after):
        raise Fault("national_id")
    if len(before) == 8:
        kept = before + after
    if not re.fullmatch("[0-9A-Za-z]+", before + after):
        raise Fault("national_id")
    return kept.upper()


def normal_opaque(text):
    text = trimmed(text)
    if UUID.fullmatch(text):
        text = text.lower()
        if set(text) == {"0", "-"}:
            raise Fault("nobody")
    return text


def normal(kind, value):
    """The normal form of the bytes of an identifier of that type, or a Fault."""
    if len(value) > SIZE_MAX:
        raise Fault("too_long")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise Fault("not_text") from None
    if any(one < " " or one == "\x7f" for one in text):
        raise Fault("not_text")
    forms = {"email": normal_email, "phone": normal_phone, "national_id": normal_national_id}
    form = forms.get(kind, normal_opaque)(text).encode()
    if not form:
        raise Fault("empty")
    if len(form) > len(value):
        raise Fault("characters")
    return form


# Vectors

OPAQUE = ["customer", "device", "cookie", "advertising", "loyalty_card", "other"]

SPELLINGS = [
    # About, type, as given, the normal form or the fault.
    ("as it is", "email", "kari@example.no", "kari@example.no"),
    ("capitals between blanks", "email", "  Kari.Nordmann@Example.NO ", "kari.nordmann@example.no"),
    ("a no-break space and a byte order mark around it", "email", "\ufeffkari@example.no\u00a0", "kari@example.no"),
    ("zero-width characters around it", "email", "\u200bkari@example.no\u200e", "kari@example.no"),
    ("a blank inside stays", "email", "kari nordmann@example.no", "kari nordmann@example.no"),
    ("capitals beyond ASCII", "email", "ÅSE@Example.no", "åse@example.no"),
    ("a decomposed capital", "email", "A\u030ASE@Example.no", "åse@example.no"),
    ("a decomposed small letter", "email", "a\u030Ase@example.no", "åse@example.no"),
    ("all three of the Nordic letters", "email", "ÆØÅ.ÄÖ@BLÅBÆR.NO", "æøå.äö@blåbær.no"),
    ("Sámi letters", "email", "ÁŠŊŦŽČĐ@example.no", "ášŋŧžčđ@example.no"),
    ("Icelandic letters", "email", "ÞÓRÐUR@example.is", "þórður@example.is"),
    ("Polish letters", "email", "ŁĄĘŚŹ@example.pl", "łąęśź@example.pl"),
    ("Vietnamese letters with two marks", "email", "NGUYỄN@example.vn", "nguyễn@example.vn"),
    ("Vietnamese letters, decomposed in another order", "email", "e\u0323\u0302@example.vn", "ệ@example.vn"),
    ("marks out of their order", "email", "e\u0302\u0323@example.vn", "ệ@example.vn"),
    ("Greek", "email", "ΝΊΚΟΣ@ΠΑΡΆΔΕΙΓΜΑ.GR", "νίκοσ@παράδειγμα.gr"),
    ("a final sigma", "email", "νίκος@example.gr", "νίκοσ@example.gr"),
    ("Greek with three marks", "email", "ᾋ@example.gr", "ᾃ@example.gr"),
    ("Cyrillic", "email", "Ёлка.Й@ПОЧТА.РФ", "ёлка.й@почта.рф"),
    ("Cyrillic, decomposed", "email", "е\u0308@почта.рф", "ё@почта.рф"),
    ("the Turkish capital I with a dot", "email", "İZMİR@example.tr", "izmir@example.tr"),
    ("the same, decomposed", "email", "I\u0307zmir@example.tr", "izmir@example.tr"),
    ("the same, as a program lower-cases it", "email", "i\u0307zmir@example.tr", "izmir@example.tr"),
    ("the Turkish i without a dot stays", "email", "ızmır@example.tr", "ızmır@example.tr"),
    ("a palochka", "email", "\u04c0@example.ru", "\u04cf@example.ru"),
    ("the German capital sharp s", "email", "GROẞ@example.de", "groß@example.de"),
    ("digraphs in title case", "email", "ǅǈǋ@example.hr", "ǆǉǌ@example.hr"),
    ("a mark that no letter composes with", "email", "x\u030a@example.no", "x\u030a@example.no"),
    ("a mark in front", "email", "\u030aa@example.no", "\u030aa@example.no"),
    ("a domain in Punycode stays", "email", "a@XN--BLBR-ROAH.no", "a@xn--blbr-roah.no"),
    ("the Kelvin sign, which is no letter", "email", "\u212aari@example.no", "characters"),
    ("Chinese", "email", "用户@example.cn", "characters"),
    ("Korean", "email", "한@example.kr", "characters"),
    ("an emoji", "email", "😀@example.no", "characters"),
    ("a no-break space inside", "email", "kari\u00a0nordmann@example.no", "characters"),
    ("a soft hyphen inside", "email", "kari\u00adnordmann@example.no", "characters"),
    ("a zero-width space inside", "email", "kari\u200bnordmann@example.no", "characters"),
    ("an unassigned character", "email", "\u0378@example.no", "characters"),
    ("a letter of a later Unicode", "email", "\u0241@example.no", "characters"),
    ("a C1 control", "email", "\u0085@example.no", "characters"),
    ("marks that would make it longer", "email", "ȯ\u0323@example.no", "characters"),
    ("the same in a spelling that leaves room", "email", "o\u0307\u0323@example.no", "ọ\u0307@example.no"),
    ("blanks only", "email", "   ", "empty"),
    ("blanks beyond ASCII only", "email", "\u00a0\u2009", "empty"),

    ("as it is", "phone", "+4722334455", "+4722334455"),
    ("blanks, dashes, dots, slashes and brackets", "phone", "(+47) 22-33.44/55", "+4722334455"),
    ("no-break and thin spaces", "phone", "+47\u00a022\u200933\u202f44\u200955", "+4722334455"),
    ("dashes of a text program", "phone", "+47\u201122\u201333\u221244\u201055", "+4722334455"),
    ("direction marks around a copied number", "phone", "\u202a+4722334455\u202c", "+4722334455"),
    ("00 in front", "phone", "0047 22 33 44 55", "+4722334455"),
    ("00 in front only once the brackets are gone", "phone", "(0)0 46-8-123 45", "+46812345"),
    ("a zero in brackets after the country", "phone", "+46 (0)70-123 45 67", "+46701234567"),
    ("a zero in brackets after 00 and the country", "phone", "0046(0)701234567", "+46701234567"),
    ("seven digits", "phone", "+2901234", "+2901234"),
    ("fifteen digits", "phone", "+123456789012345", "+123456789012345"),
    ("six digits", "phone", "+290123", "phone"),
    ("sixteen digits", "phone", "+1234567890123456", "phone"),
    ("a zero after the plus", "phone", "+0722334455", "phone"),
    ("00 and 00", "phone", "00004722334455", "phone"),
    ("a Norwegian number without its country", "phone", "22 33 44 55", "phone_without_country"),
    ("a Swedish number without its country", "phone", "070-123 45 67", "phone_without_country"),
    ("a country without a plus", "phone", "4722334455", "phone_without_country"),
    ("00 and no more", "phone", "00", "phone"),
    ("000", "phone", "000", "phone"),
    ("0", "phone", "0", "phone_without_country"),
    ("letters", "phone", "+1800FLOWERS", "phone"),
    ("an extension", "phone", "+4722334455 ext. 12", "phone"),
    ("an extension by a comma", "phone", "+4722334455,12", "phone"),
    ("two numbers", "phone", "+4722334455+4722334456", "phone"),
    ("a plus inside", "phone", "47+22334455", "phone"),
    ("a plus only", "phone", "+", "phone"),
    ("Arabic digits", "phone", "+٤٧٢٢٣٣٤٤٥٥", "phone"),
    ("separators only", "phone", "( ) - .", "empty"),

    ("as it is", "national_id", "01019012345", "01019012345"),
    ("a blank", "national_id", "010190 12345", "01019012345"),
    ("a no-break space", "national_id", "010190\u00a012345", "01019012345"),
    ("a thin space and outer blanks", "national_id", " 010190\u200912345\u00a0", "01019012345"),
    ("a Swedish one of twelve digits", "national_id", "199001011234", "199001011234"),
    ("the same with a hyphen", "national_id", "19900101-1234", "199001011234"),
    ("the same with another hyphen", "national_id", "19900101\u20111234", "199001011234"),
    ("the same with the sign of a centenarian", "national_id", "18900101+1234", "189001011234"),
    ("a Swedish one of ten digits", "national_id", "900101-1234", "9001011234"),
    ("the same of a centenarian is another", "national_id", "900101+1234", "900101+1234"),
    ("blanks around that sign", "national_id", "900101 + 1234", "900101+1234"),
    ("a Danish one", "national_id", "010190-1234", "0101901234"),
    ("a Finnish one of the last century", "national_id", "131052-308T", "131052308T"),
    ("a Finnish one of this century", "national_id", "131052a308t", "131052A308T"),
    ("a Belgian one", "national_id", "85.07.30-033.28", "85073003328"),
    ("a Czech one", "national_id", "735028/5163", "7350285163"),
    ("a Spanish one in small letters", "national_id", "12345678z", "12345678Z"),
    ("check digits are not judged", "national_id", "00000000000", "00000000000"),
    ("a plus elsewhere", "national_id", "9001+011234", "national_id"),
    ("a plus in front", "national_id", "+9001011234", "national_id"),
    ("two pluses", "national_id", "900101+12+34", "national_id"),
    ("a plus and nothing behind it", "national_id", "900101+", "national_id"),
    ("a letter beyond ASCII", "national_id", "ÅÄ123", "national_id"),
    ("a number sign", "national_id", "#123", "national_id"),
    ("digits of full width", "national_id", "０１", "national_id"),
    ("the hash of a history", "national_id", "#" + "0f" * 16, "national_id_hash"),
    ("the same in capitals", "national_id", "#" + "0F" * 16, "national_id_hash"),
    ("separators only", "national_id", " - .", "empty"),
]

SPELLINGS += [row for kind in OPAQUE for row in [
    ("one byte", kind, "7", "7"),
    ("capitals stay", kind, "C-00000000Abc", "C-00000000Abc"),
    ("blanks inside stay, those around fall away", kind, " 9578 0012 3456\u00a0", "9578 0012 3456"),
    ("characters beyond ASCII stay as they are", kind, "BLÅBÆR-A\u030a-Ω-語-😀", "BLÅBÆR-A\u030a-Ω-語-😀"),
    ("a C1 control is no control character here", kind, "a\u0085b", "a\u0085b"),
    ("a UUID", kind, "38400000-8cf0-11bd-b23e-10b96e40000d", "38400000-8cf0-11bd-b23e-10b96e40000d"),
    ("a UUID in capitals", kind, " 38400000-8CF0-11BD-B23E-10B96E40000D", "38400000-8cf0-11bd-b23e-10b96e40000d"),
    ("thirty-two digits are no UUID", kind, "384000008CF011BDB23E10B96E40000D", "384000008CF011BDB23E10B96E40000D"),
    ("a UUID with something behind it", kind, "38400000-8CF0-11BD-B23E-10B96E40000D1",
     "38400000-8CF0-11BD-B23E-10B96E40000D1"),
    ("a UUID with a letter that is no digit", kind, "38400000-8CF0-11BD-B23E-10B96E40000G",
     "38400000-8CF0-11BD-B23E-10B96E40000G"),
    ("the UUID of zeros is everybody's", kind, "00000000-0000-0000-0000-000000000000", "nobody"),
    ("blanks only", kind, "  \u3000", "empty"),
    ("255 bytes", kind, "x" * 255, "x" * 255),
    ("255 bytes of three-byte characters", kind, "語" * 85, "語" * 85),
    ("256 bytes", kind, "x" * 256, "too_long"),
]]

NOT_TEXT = [
    ("a tab at the edge", "email", b"\tkari@example.no"), ("a line end", "phone", b"+4722334455\n"),
    ("a NUL", "customer", b"a\x00b"), ("a DEL", "national_id", b"0101\x7f"),
    ("a lone continuation byte", "email", b"a\x80"), ("an overlong slash", "customer", b"\xc1\xaf"),
    ("a surrogate", "email", b"\xed\xa0\x80"), ("past U+10FFFF", "other", b"\xf4\x90\x80\x80"),
    ("two of three bytes", "email", b"a\xe2\x82"),
]


def letters():
    return [scalar for first, last in BLOCKS for scalar in range(first, last + 1) if is_letter(scalar)]


def entry(about, kind, given, form):
    result = {"about": about, "type": kind, "hex": given.hex()}
    try:
        result["given"] = given.decode()
    except UnicodeDecodeError:
        pass
    return result | form


def vectors():
    rows = []
    for about, kind, given, expected in SPELLINGS:
        try:
            form = normal(kind, given.encode()).decode()
            assert form == expected, (about, kind, given, form, expected)
            again = normal(kind, form.encode()).decode()
            assert again == form, (about, kind, form, again)
            rows.append(entry(about, kind, given.encode(), {"normal": form}))
        except Fault as fault:
            assert str(fault) == expected, (about, kind, given, str(fault), expected)
            rows.append(entry(about, kind, given.encode(), {"error": str(fault)}))
    for kind in ["email", "phone", "national_id", *OPAQUE]:
        rows.append(entry("nothing", kind, b"", {"error": "empty"}))
    for about, kind, given in NOT_TEXT:
        rows.append(entry(about, kind, given, {"error": "not_text"}))
    # Each letter once, sixteen at a time, and random runs of letters and marks.
    alphabet = letters()
    for start in range(0, len(alphabet), 16):
        rows.append(form_of(f"letters from U+{alphabet[start]:04X}", "".join(map(chr, alphabet[start:start + 16]))))
    source = random.Random(1)
    marks = [scalar for scalar in alphabet if unicodedata.ucd_3_2_0.combining(chr(scalar))]
    bases = [ord(one) for one in "iIaAeEoOuUsSωΩиИ"]
    for number in range(300):
        text = "".join(chr(source.choice([source.choice(bases), source.choice(alphabet), source.choice(marks),
                                          source.choice(marks)])) for _ in range(source.randrange(1, 9)))
        rows.append(form_of(f"random letters and marks {number}", text))
    return rows


def form_of(about, text):
    given = text.encode()
    try:
        form = normal("email", given)
    except Fault as fault:
        return entry(about, "email", given, {"error": str(fault)})
    assert normal("email", form) == form, text
    return entry(about, "email", given, {"normal": form.decode()})


def vectors_text():
    rows = [json.dumps(row, ensure_ascii=True, separators=(",", ":")) for row in vectors()]
    return "[\n" + ",\n".join(rows) + "\n]\n"


# Tables

def ranges_of(scalars):
    ranges = []
    for scalar in scalars:
        if ranges and ranges[-1][1] + 1 == scalar:
            ranges[-1][1] = scalar
        else:
            ranges.append([scalar, scalar])
    return ranges


def tables():
    """Name, meaning and numbers of each table."""
    alphabet = sorted(set(letters()))
    folds = [(scalar, fold(scalar)) for scalar in alphabet if fold(scalar) != (scalar,)]
    assert max(len(parts) for _, parts in folds) <= 4 and max(alphabet) < 0x10000
    assert all(part < 0x80 or part in alphabet for _, parts in folds for part in parts)
    in_lower_case = {part for scalar in alphabet for part in fold(scalar)} | set(range(0x20, 0x7F))
    pairs = []
    for scalar in alphabet:
        parts = unicodedata.ucd_3_2_0.decomposition(chr(scalar)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            first, second = (int(part, 16) for part in parts)
            is_composed = unicodedata.normalize("NFC", chr(first) + chr(second)) == chr(scalar)
            if is_composed and chr(scalar).lower() == chr(scalar):
                pairs.append((first, second, scalar))
    marks = [(scalar, unicodedata.ucd_3_2_0.combining(chr(scalar))) for scalar in sorted(in_lower_case)
             if unicodedata.ucd_3_2_0.combining(chr(scalar))]
    for scalar, mark_class in marks:
        assert unicodedata.combining(chr(scalar)) == mark_class
    return [
        ("letters", "Of the letters beyond ASCII: first and last of each range.",
         [one for bounds in ranges_of(alphabet) for one in bounds], 12),
        ("folds", "Of the letters that are not their own lower case, decomposed: letter, up to four parts, zeros.",
         [one for scalar, parts in folds for one in (scalar, *parts, *[0] * (4 - len(parts)))], 15),
        ("marks", "Of the marks: mark, combining class.", [one for pair in marks for one in pair], 16),
        ("compositions", "Of the small letters that are composed: first part, second part, letter.",
         [one for row in sorted(pairs) for one in row], 12),
    ]


def lines_of(numbers, count, indent):
    rows = [", ".join(f"0x{number:X}" for number in numbers[start:start + count])
            for start in range(0, len(numbers), count)]
    return ",\n".join(indent + row for row in rows)


def swift_text():
    parts = ["// Written by Protocol/identifiers.py; do not edit.\n\n"
             "/// The characters beyond ASCII that an e-mail address may hold: Latin, Greek and Cyrillic of Unicode 3.2.\n"
             "enum Letters {"]
    for name, meaning, numbers, count in tables():
        parts.append(f"    /// {meaning}\n    static let {name}: [UInt16] = [\n{lines_of(numbers, count, '        ')},\n    ]")
    return "\n".join(parts) + "\n}\n"


BEGIN = "// Written by Protocol/identifiers.py; do not edit.\n"
END = "// End of what Protocol/identifiers.py writes.\n"


def c_text():
    parts = []
    for name, meaning, numbers, count in tables():
        parts.append(f"// {meaning}\nstatic const uint16_t {name.upper()}[] = {{\n{lines_of(numbers, count, '    ')}}};\n")
    return BEGIN + "".join(parts) + END


def python_text():
    ranges = ranges_of(sorted(set(letters())))
    rows = "".join(f"    (0x{first:04X}, 0x{last:04X}),\n" for first, last in ranges)
    return ('"""Written by Protocol/identifiers.py; do not edit."""\n\n'
            f"LETTERS = (\n{rows})\n"
            '"""The characters beyond ASCII that an e-mail address may hold: first and last of each range."""\n')


def files():
    reader = ROOT / "Clients/c/consent_reader.c"
    text = reader.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    return {
        HERE / "identifiers.json": vectors_text(),
        ROOT / "Sources/ConsentModel/Letters.swift": swift_text(),
        ROOT / "Clients/python/src/consentd/_letters.py": python_text(),
        reader: before + c_text() + rest.split(END)[1],
    }


def main():
    stale = []
    for path, text in files().items():
        is_fresh = path.exists() and path.read_text(encoding="utf-8") == text
        if sys.argv[1:] == ["--check"]:
            if not is_fresh:
                stale.append(str(path.relative_to(ROOT)))
        elif not is_fresh:
            path.write_text(text, encoding="utf-8")
    if stale:
        sys.exit(f"not what Protocol/identifiers.py writes: {', '.join(stale)}; run it without --check")


if __name__ == "__main__":
    main()
