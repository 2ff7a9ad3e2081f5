"""The normal form of identifiers, as the server makes it: which spellings are one identifier, and which values are none.

``Protocol/protocol.md`` says it in words; ``Protocol/identifiers.json`` has the vectors.
"""

from __future__ import annotations

import re
import unicodedata

from ._letters import LETTERS
from ._protocol import IDENTIFIER_SIZE_MAX, IdentifierType
from .errors import InvalidArgument
from .values import Subject

_BLANKS = (
    " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b\u200c\u200d\u200e\u200f"
    "\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u202f\u205f\u2060\u2066\u2067\u2068\u2069\u3000\ufeff"
)
"""Also what nobody sees: zero-width characters, and marks of direction that come along when a number is copied."""
_SEPARATORS = _BLANKS + "-\u00ad\u2010\u2011\u2012\u2013\u2014\u2015\u2212./"
_WITHOUT_SEPARATORS = str.maketrans("", "", _SEPARATORS)
_WITHOUT_BRACKETS = str.maketrans("", "", _SEPARATORS + "()")
_LETTER = frozenset(chr(scalar) for first, last in LETTERS for scalar in range(first, last + 1))
_SIGMA = str.maketrans("\u03c2", "\u03c3")

_FIRST_OF_PHONE = re.compile("[^" + re.escape(_SEPARATORS) + "()]")
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_NATIONAL_ID = re.compile(r"([0-9A-Za-z]{6}\+)?[0-9A-Za-z]+")
_NATIONAL_ID_WITH_CENTURY = re.compile(r"([0-9A-Za-z]{8})\+([0-9A-Za-z]+)")
_NATIONAL_ID_HASH = re.compile("#[0-9A-Fa-f]{32}")
_UUID = re.compile("[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}")
_DIGITS = re.compile("[0-9]+")


def normal_form(subject: Subject) -> bytes:
    """What the server makes of an identifier. Raises ``InvalidArgument`` where there is none: such a value is nobody's."""
    match subject.type:
        case IdentifierType.EMAIL:
            form = _normal_email(subject.value)
        case IdentifierType.PHONE:
            form = _normal_phone(subject.value)
        case IdentifierType.NATIONAL_ID:
            form = _normal_national_id(subject.value)
        case _:
            form = _normal_opaque(subject.value)
    if not form:
        raise InvalidArgument("nothing is left of an identifier in its normal form")
    return form.encode()


def _normal_email(value: str) -> str:
    text = value.strip(_BLANKS)
    if text.isascii():
        return text.lower()
    if not all(character.isascii() or character in _LETTER for character in text):
        raise InvalidArgument("an e-mail address has characters other than Latin, Greek and Cyrillic letters")
    small = "".join(_small(character) for character in unicodedata.normalize("NFD", text)).translate(_SIGMA)
    form = unicodedata.normalize("NFC", _without_dot_on_i(unicodedata.normalize("NFD", small)))
    if len(form.encode()) > len(value.encode()):
        raise InvalidArgument("the marks on a letter of an e-mail address cannot be put in order")
    return form


def _small(character: str) -> str:
    """One letter stays one letter."""
    small = character.lower()
    return small if len(small) == 1 else character


def _without_dot_on_i(text: str) -> str:
    """The dot that the capital of the Turkish i has falls away."""
    kept, is_on_i = [], False
    for character in text:
        if unicodedata.combining(character) == 0:
            is_on_i = character == "i"
        if not (is_on_i and character == "\u0307"):
            kept.append(character)
    return "".join(kept)


def _normal_phone(value: str) -> str:
    if first := _FIRST_OF_PHONE.search(value):
        # A zero in brackets is not dialled after the country.
        value = value[: first.end()] + value[first.end() :].replace("(0)", "")
    digits = value.translate(_WITHOUT_BRACKETS)
    if digits.startswith("00"):
        digits = "+" + digits[2:]
    if _DIGITS.fullmatch(digits):
        raise InvalidArgument("a phone number has no country: write + and the country in front, as in +4790000000")
    if digits and not _PHONE.fullmatch(digits):
        raise InvalidArgument("a phone number is + and 7 to 15 digits, the first of them not 0, and no extension")
    return digits


def _normal_national_id(value: str) -> str:
    text = value.translate(_WITHOUT_SEPARATORS)
    if _NATIONAL_ID_HASH.fullmatch(text):
        raise InvalidArgument("a national id is the hash that a history shows in its place")
    # After a date without its century the sign says which; after a whole date it says nothing.
    if whole := _NATIONAL_ID_WITH_CENTURY.fullmatch(text):
        text = whole[1] + whole[2]
    if text and not _NATIONAL_ID.fullmatch(text):
        raise InvalidArgument("a national id has characters other than letters from A to Z and digits")
    return text.upper()


def _normal_opaque(value: str) -> str:
    text = value.strip(_BLANKS)
    if _UUID.fullmatch(text):
        text = text.lower()
        if set(text) == {"0", "-"}:
            raise InvalidArgument("the UUID of zeros stands for everyone who does not want to be told apart")
    return text
