"""The C reader from Python, by ctypes and as an extension: the same answers as the reader in Python, over rows, ages and
widths of every kind."""

from __future__ import annotations

import random
import sys
import tempfile
import threading
import time
import unittest
import unittest.mock
from collections.abc import Callable
from typing import Any

import consentd
from consentd import (
    Check,
    Decision,
    Freshness,
    IdentifierType,
    IndexUnavailable,
    InvalidArgument,
    MappedReader,
    Subject,
    UnknownPurpose,
    open_reader,
)
from consentd.native import NativeReader, build

from .index_file import NEVER, IndexFile
from .support import ROOT, build_extension


def spelling(chance: random.Random, kind: IdentifierType, number: int) -> str:
    """One that has a normal form, and mostly is not in it."""
    match kind:
        case IdentifierType.PHONE:
            return chance.choice(["+", "00", " (+)"]) + f"47-9{number:07} "
        case IdentifierType.NATIONAL_ID:
            return chance.choice(["", " "]) + f"{number:06}" + chance.choice(["-", "+", "\u2009"]) + "123a"
        case _:
            return chance.choice(["", "00", "\u00a0"]) + f"{number}A-Å\u0323ΣẸ "


class NativeReaderTests(unittest.TestCase):
    library: str
    openers: list[Callable[[str], Any]]

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.library = f"{folder.name}/libconsent_reader.so"
        build(ROOT / "Clients" / "c" / "consent_reader.c", cls.library)
        build_extension(folder.name)
        from consentd.extension import ExtensionReader

        cls.openers = [lambda path: NativeReader(path, cls.library), ExtensionReader]

    def test_it_answers_as_the_reader_in_python(self) -> None:
        chance = random.Random(7)
        for words in (1, 3, 7, 15):
            with self.subTest(words=words), tempfile.TemporaryDirectory() as folder:
                index, last = IndexFile(folder, words=words, slots=2048), 64 * words
                denied = chance.getrandbits(last) & chance.getrandbits(last) & chance.getrandbits(last)
                index.defaults(granted=chance.getrandbits(last) & chance.getrandbits(last), denied=denied)
                for bit in range(last):
                    index.staleness(bit, chance.choice([0, 0, 30, 600]))
                index.publish({f"p{bit}": bit for bit in range(last)})
                people = [
                    Subject(kind, spelling(chance, kind, number))
                    for number in range(1000)
                    for kind in [chance.choice(list(IdentifierType))]
                ]
                now = int(time.time())
                for person in people[::5] + people[1::5] + people[2::5]:
                    ends_at = chance.choice([NEVER, now - 5, now + 500])
                    index.put(person, chance.getrandbits(last), chance.getrandbits(last), ends_at)
                with MappedReader(folder) as reader:
                    for native in [opener(folder) for opener in self.openers]:
                        for age in (0, 3_000, 20_000, 40_000):
                            index.vouch(millis_ago=age)
                            for person in chance.choices(people, k=400):
                                purpose = f"p{chance.randrange(last)}"
                                self.assertEqual(native.check(person, purpose), reader.check(person, purpose))
                            many = native.check_subjects(people, "p3")
                            self.assertEqual(many, reader.check_subjects(people, "p3"))
                            several = native.check_purposes(people[0], ["p1", "p2"])
                            self.assertEqual(several, reader.check_purposes(people[0], ["p1", "p2"]))
                        native.close()

    def test_it_refuses_what_the_reader_in_python_refuses(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for opener in self.openers:
                with self.assertRaises(IndexUnavailable):
                    opener(folder)
            with self.assertRaises(IndexUnavailable):
                NativeReader(folder, f"{folder}/nothing.so")
            IndexFile(folder).publish({"news": 3})
            for opener in self.openers:
                with opener(folder) as native:
                    for purpose in ("nothing", "ne\0ws", "", "nöws"):
                        with self.assertRaises(UnknownPurpose):
                            native.check(Subject.customer("a"), purpose)
                    for subject in (Subject.phone("(-)"), Subject.phone("22334455"), Subject.email("用户@example.cn")):
                        with self.assertRaises(InvalidArgument):
                            native.check(subject, "news")
                        with self.assertRaises(InvalidArgument):
                            native.check_subjects([Subject.customer("a"), subject], "news")
                    self.assertEqual(native.check_subjects([], "news").decisions, ())

    def test_the_extension_takes_nothing_but_subjects_and_purposes(self) -> None:
        from consentd.extension import ExtensionReader

        with tempfile.TemporaryDirectory() as folder:
            IndexFile(folder).publish({"news": 3})
            reader = ExtensionReader(folder)
            kari = Subject.customer("kari")
            calls: list[Callable[[], object]] = [
                lambda: reader.check(None, "news"),  # type: ignore[arg-type]
                lambda: reader.check(kari, None),  # type: ignore[arg-type]
                lambda: reader.check(kari),  # type: ignore[call-arg]
                lambda: reader.check(kari, "news", 1),  # type: ignore[call-arg]
                lambda: reader.check_subjects([kari, None], "news"),  # type: ignore[list-item]
                lambda: reader._check_many((kari,), "news"),  # type: ignore[arg-type]
                lambda: ExtensionReader(folder, 1),  # type: ignore[call-arg]
                lambda: reader.__init__(folder),  # type: ignore[misc]
            ]
            for call in calls:
                with self.assertRaises((TypeError, AttributeError)):
                    call()
            self.assertEqual(reader.check(kari, "news").decision, Decision.UNKNOWN)
            reader.close()
            reader.close()
            for call in (lambda: reader.check(kari, "news"), lambda: reader.check_subjects([kari], "news")):
                with self.assertRaises(IndexUnavailable):
                    call()

    def test_an_answer_is_one_of_its_class_and_never_an_older_one(self) -> None:
        from consentd.extension import ExtensionReader

        with tempfile.TemporaryDirectory() as folder:
            index, kari = IndexFile(folder), Subject.customer("kari")
            index.publish({"news": 3})
            with ExtensionReader(folder) as reader:
                for sequence in (0, 1, 1, 2**40 - 1):
                    index.word(136, sequence)
                    index.put(kari, permitted=1 << 3)
                    given = reader.check(kari, "news")
                    self.assertEqual(given, Check(Decision.GRANTED, consentd.State.GIVEN, Freshness.LIVE, sequence))
                    self.assertIs(type(given), Check)
                    self.assertEqual(hash(given), hash(reader.check(kari, "news")))
                    with self.assertRaises(AttributeError):
                        given.sequence = 7  # type: ignore[misc]
                    index.put(kari, denied=1 << 3)
                    self.assertFalse(reader.check(kari, "news").is_granted)
                    self.assertTrue(given.is_granted)

    def test_answers_are_let_go_of(self) -> None:
        from consentd.extension import ExtensionReader

        with tempfile.TemporaryDirectory() as folder:
            index, kari = IndexFile(folder), Subject.customer("kari")
            index.publish({"news": 3})
            with ExtensionReader(folder) as reader:
                first = reader.check(kari, "news")
                references = sys.getrefcount(first), sys.getrefcount(kari), sys.getrefcount(Decision.UNKNOWN)
                for _ in range(1000):
                    reader.check(kari, "news")
                    reader.check_subjects([kari], "news")
                now = sys.getrefcount(first), sys.getrefcount(kari), sys.getrefcount(Decision.UNKNOWN)
                self.assertEqual(now, references)
                index.word(136, 9)
                reader.check(kari, "news")
                self.assertEqual(sys.getrefcount(first), references[0] - 1)

    def test_the_fastest_reader_that_is_there_is_opened(self) -> None:
        from consentd.extension import ExtensionReader

        with tempfile.TemporaryDirectory() as folder:
            IndexFile(folder).publish({"news": 3})
            with open_reader(folder) as reader:
                self.assertIs(type(reader), ExtensionReader)
            with unittest.mock.patch.dict(sys.modules, {"consentd.extension": None}):
                for library, kind in ((None, MappedReader), (self.library, NativeReader)):
                    with open_reader(folder, library) as reader:
                        self.assertIs(type(reader), kind)

    def test_threads_share_it(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            index, kari = IndexFile(folder), Subject.customer("kari")
            index.put(kari, permitted=1 << 3)
            index.publish({"news": 3})
            granted: list[bool] = []
            for opener in self.openers:
                with opener(folder) as native:

                    def ask(native: Any = native) -> None:
                        granted.extend(native.check(kari, "news").is_granted for _ in range(500))

                    threads = [threading.Thread(target=ask) for _ in range(4)]
                    for thread in threads:
                        thread.start()
                    for thread in threads:
                        thread.join()
            self.assertEqual(granted, [True] * 4000)


if __name__ == "__main__":
    unittest.main()
