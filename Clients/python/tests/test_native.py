"""The C reader from Python: the same answers as the reader in Python, over rows, ages and widths of every kind."""

from __future__ import annotations

import random
import tempfile
import threading
import time
import unittest

from consentd import IdentifierType, IndexUnavailable, InvalidArgument, MappedReader, Subject, UnknownPurpose
from consentd.native import NativeReader, build

from .index_file import NEVER, IndexFile
from .support import ROOT


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

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.library = f"{folder.name}/libconsent_reader.so"
        build(ROOT / "Clients" / "c" / "consent_reader.c", cls.library)

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
                with MappedReader(folder) as reader, NativeReader(folder, self.library) as native:
                    for age in (0, 3_000, 20_000, 40_000):
                        index.vouch(millis_ago=age)
                        for person in chance.choices(people, k=400):
                            purpose = f"p{chance.randrange(last)}"
                            self.assertEqual(native.check(person, purpose), reader.check(person, purpose))
                        many = native.check_subjects(people, "p3")
                        self.assertEqual(many.decisions, reader.check_subjects(people, "p3").decisions)
                        several = native.check_purposes(people[0], ["p1", "p2"])
                        self.assertEqual(several, reader.check_purposes(people[0], ["p1", "p2"]))

    def test_it_refuses_what_the_reader_in_python_refuses(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaises(IndexUnavailable):
                NativeReader(folder, self.library)
            with self.assertRaises(IndexUnavailable):
                NativeReader(folder, f"{folder}/nothing.so")
            IndexFile(folder).publish({"news": 3})
            with NativeReader(folder, self.library) as native:
                with self.assertRaises(UnknownPurpose):
                    native.check(Subject.customer("a"), "nothing")
                with self.assertRaises(InvalidArgument):
                    native.check(Subject.phone("(-)"), "news")

    def test_threads_share_it(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            index, kari = IndexFile(folder), Subject.customer("kari")
            index.put(kari, permitted=1 << 3)
            index.publish({"news": 3})
            granted: list[bool] = []
            with NativeReader(folder, self.library) as native:

                def ask() -> None:
                    granted.extend(native.check(kari, "news").is_granted for _ in range(500))

                threads = [threading.Thread(target=ask) for _ in range(4)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            self.assertEqual(granted, [True] * 2000)


if __name__ == "__main__":
    unittest.main()
