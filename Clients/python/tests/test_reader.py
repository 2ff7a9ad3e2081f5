"""The mapped reader: what it answers, what it refuses, and what time does to its answers."""

from __future__ import annotations

import json
import tempfile
import threading
import time
import unittest
from unittest.mock import patch

from consentd import (
    Check,
    Decision,
    Freshness,
    IdentifierType,
    IndexUnavailable,
    InvalidArgument,
    MappedReader,
    State,
    Subject,
    UnknownPurpose,
)
from consentd._hash import HashKey
from consentd._normal import normal_form

from .index_file import IndexFile, boottime_millis
from .support import ROOT

NAMES = {"news": 3, "sms": 4, "receipts": 9, "old": 12}
KARI = Subject.email("kari@example.no")
UNAVAILABLE = (Decision.UNKNOWN, State.UNKNOWN, Freshness.UNAVAILABLE)


def told(check: Check) -> tuple[Decision, State, Freshness]:
    return check.decision, check.reason, check.freshness


class ReaderTests(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.index = IndexFile(self.folder)
        self.index.publish(NAMES)

    def open(self) -> MappedReader:
        reader = MappedReader(self.folder)
        self.addCleanup(reader.close)
        return reader

    def test_every_state_of_a_row_has_its_answer(self) -> None:
        self.index.defaults(granted=1 << 9, denied=1 << 12)
        reader = self.open()
        cases = [
            ({"permitted": 1 << 3}, "news", Decision.GRANTED, State.GIVEN),
            ({"permitted": 1 << 3, "ends_at": int(time.time()) + 60}, "news", Decision.GRANTED, State.GIVEN),
            ({"permitted": 1 << 3, "ends_at": int(time.time())}, "news", Decision.UNKNOWN, State.EXPIRED),
            ({"denied": 1 << 3}, "news", Decision.DENIED, State.WITHDRAWN),
            ({}, "news", Decision.UNKNOWN, State.UNKNOWN),
            ({}, "receipts", Decision.GRANTED, State.BASIS_HOLDS),
            ({"denied": 1 << 9}, "receipts", Decision.DENIED, State.OBJECTED),
            ({"permitted": 1 << 12}, "old", Decision.DENIED, State.INVALIDATED),
        ]
        for row, purpose, decision, reason in cases:
            with self.subTest(row=row, purpose=purpose):
                self.index.put(KARI, **row)
                self.assertEqual(told(reader.check(KARI, purpose)), (decision, reason, Freshness.LIVE))

    def test_somebody_without_a_row_has_the_defaults(self) -> None:
        self.index.defaults(granted=1 << 9)
        checks = self.open().check_purposes(Subject.customer("nobody"), ["news", "receipts"])
        self.assertEqual(checks.decisions, {"news": Decision.UNKNOWN, "receipts": Decision.GRANTED})

    def test_every_spelling_of_an_identifier_finds_its_row(self) -> None:
        self.index.put(KARI, permitted=1 << 3)
        self.index.put(Subject.phone("+4722334455"), permitted=1 << 3)
        reader = self.open()
        for spelling in (Subject.email("  Kari@Example.NO "), Subject.phone("0047 22 33 44 55")):
            self.assertTrue(reader.check(spelling, "news").is_granted)
        self.assertFalse(reader.check(Subject.customer("kari@example.no"), "news").is_granted)
        with self.assertRaises(InvalidArgument):
            reader.check(Subject.phone("(-)"), "news")

    def test_normal_forms_are_those_of_the_vectors(self) -> None:
        seen = 0
        for vector in json.loads((ROOT / "Protocol" / "identifiers.json").read_text()):
            if "given" not in vector:
                continue
            try:
                form = normal_form(Subject(IdentifierType[vector["type"].upper()], vector["given"])).decode()
            except InvalidArgument:
                form = None
            self.assertEqual(form, vector.get("normal"), vector)
            seen += 1
        self.assertGreater(seen, 500)

    def test_an_identifier_without_a_normal_form_is_an_error(self) -> None:
        self.index.defaults(granted=1 << 9)
        reader = self.open()
        for subject in (Subject.phone("22334455"), Subject.email("用户@example.cn"), Subject.national_id("Å")):
            with self.assertRaises(InvalidArgument):
                reader.check(subject, "receipts")

    def test_the_hash_tells_messages_of_every_length_apart(self) -> None:
        key = HashKey(bytes(16))
        self.assertEqual(len({key.hash(1, b"\0" * size) for size in range(256)}), 256)
        self.assertNotEqual(key.hash(1, b"a"), key.hash(2, b"a"))
        self.assertNotEqual(key.hash(1, b"a"), HashKey(b"\1" * 16).hash(1, b"a"))

    def test_the_clock_is_read_when_the_row_has_been(self) -> None:
        """Or a thread that was stopped behind the clock would take an old row for a fresh one."""
        self.index.put(KARI, permitted=1 << 3)
        reader, read_clock = self.open(), time.clock_gettime_ns

        def withdraw(clock: int) -> int:
            self.index.put(KARI, denied=1 << 3)
            return read_clock(clock)

        with patch("time.clock_gettime_ns", withdraw):
            self.assertTrue(reader.check(KARI, "news").is_granted)
        self.assertFalse(reader.check(KARI, "news").is_granted)

    def test_an_answer_ages_by_the_limit_of_its_purpose(self) -> None:
        self.index.put(KARI, permitted=1 << 3 | 1 << 4)
        self.index.staleness(3, 60)
        reader = self.open()
        for age, news, sms in (
            (0, Freshness.LIVE, Freshness.LIVE),
            (4_000, Freshness.LIVE, Freshness.LIVE),
            (6_000, Freshness.STALE, Freshness.UNAVAILABLE),
            (59_000, Freshness.STALE, Freshness.UNAVAILABLE),
            (61_000, Freshness.UNAVAILABLE, Freshness.UNAVAILABLE),
            (-60_000, Freshness.UNAVAILABLE, Freshness.UNAVAILABLE),
        ):
            with self.subTest(age=age):
                self.index.vouch(millis_ago=age)
                for purpose, freshness in (("news", news), ("sms", sms)):
                    check = reader.check(KARI, purpose)
                    self.assertEqual(check.freshness, freshness)
                    self.assertEqual(check.is_granted, freshness is not Freshness.UNAVAILABLE)

    def test_what_nobody_vouched_for_is_unavailable_whatever_its_basis(self) -> None:
        self.index.defaults(granted=1 << 9)
        self.index.staleness(9, 1 << 31)
        self.index.word(576, 0)
        self.assertEqual(told(self.open().check(KARI, "receipts")), UNAVAILABLE)

    def test_the_clock_on_the_wall_makes_nothing_fresh(self) -> None:
        self.index.put(KARI, permitted=1 << 3)
        self.index.vouch(millis_ago=10_000)
        reader = self.open()
        for wall in (0.0, time.time() - 10, time.time() + 1e6):
            with patch("time.time", lambda wall=wall: wall):
                self.assertEqual(told(reader.check(KARI, "news")), UNAVAILABLE)

    def test_a_file_of_another_boot_answers_nothing(self) -> None:
        self.index.put(KARI, permitted=1 << 3)
        self.index.bytes[184:188] = b"0000"
        self.assertEqual(told(self.open().check(KARI, "news")), UNAVAILABLE)

    def test_a_writer_that_starts_meanwhile_makes_nothing_of_what_was_vouched_for_in_another_boot(self) -> None:
        self.index.put(KARI, permitted=1 << 3)
        boot_id, read_clock = self.index.bytes[184:220], time.clock_gettime_ns
        self.index.bytes[184:188] = b"0000"
        reader = self.open()

        def start(clock: int) -> int:
            self.index.word(576, 0)
            self.index.bytes[184:220] = boot_id
            return read_clock(clock)

        with patch("time.clock_gettime_ns", start):
            self.assertEqual(told(reader.check(KARI, "news")), UNAVAILABLE)

    def test_a_file_that_is_not_whole_is_refused(self) -> None:
        changes = {"magic": 0, "version": 8, "history": 16, "key": 32, "words": 40, "slots": 48, "checksum": 64}
        for name, offset in changes.items():
            for sealed in (False, True):
                index = IndexFile(self.folder, generation=2)
                index.bytes[offset] ^= 1
                if sealed:
                    index.seal()
                index.publish(NAMES)
                with self.subTest(name, sealed=sealed):
                    # The history may be any, and sealing mends the checksum.
                    if sealed and name in ("history", "checksum"):
                        self.open()
                    else:
                        with self.assertRaises(IndexUnavailable):
                            self.open()

    def test_a_folder_that_is_no_node_is_refused(self) -> None:
        with tempfile.TemporaryDirectory() as empty, self.assertRaises(IndexUnavailable):
            MappedReader(empty)

    def test_a_change_that_never_ends_is_unavailable(self) -> None:
        self.index.put(KARI, permitted=1 << 3)
        self.index.word(512, 7)
        self.assertEqual(told(self.open().check(KARI, "news")), UNAVAILABLE)

    def test_a_superseded_file_is_left_for_the_newer_one(self) -> None:
        self.index.put(KARI, permitted=1 << 3)
        reader = self.open()
        self.assertTrue(reader.check(KARI, "news").is_granted)
        newer = IndexFile(self.folder, generation=2, slots=4096)
        newer.put(KARI, denied=1 << 3)
        newer.publish(NAMES)
        self.index.supersede()
        self.assertEqual(reader.check(KARI, "news").decision, Decision.DENIED)

    def test_a_superseded_file_without_a_newer_one_answers_nothing(self) -> None:
        self.index.put(KARI, permitted=1 << 3)
        reader = self.open()
        self.index.supersede()
        self.assertEqual(told(reader.check(KARI, "news")), UNAVAILABLE)

    def test_an_index_that_was_made_anew_is_found_though_the_old_file_does_not_say_so(self) -> None:
        self.index.put(KARI, permitted=1 << 3)
        reader = self.open()
        newer = IndexFile(self.folder, generation=2)
        newer.put(KARI, denied=1 << 5)
        newer.publish({"news": 5})
        time.sleep(0.15)
        self.assertEqual(reader.check(KARI, "news").decision, Decision.DENIED)

    def test_a_bit_is_that_of_the_file_which_is_read(self) -> None:
        """A ledger that was put back to an older state keeps its history, and gives its next bits anew."""
        self.index.put(KARI, permitted=1 << 3)
        reader, read_clock = self.open(), time.clock_gettime_ns
        self.assertTrue(reader.check(KARI, "news").is_granted)
        newer = IndexFile(self.folder, generation=2)
        newer.put(KARI, permitted=1 << 3)

        def replace(clock: int) -> int:
            if self.index.bytes[512:520] != b"\xff" * 8:
                newer.publish({"profiling": 3, "news": 4})
                self.index.supersede()
            return read_clock(clock)

        # The file is replaced when the bit was looked up and the row was read.
        with patch("time.clock_gettime_ns", replace):
            self.assertEqual(reader.check(KARI, "news").decision, Decision.UNKNOWN)
        self.assertTrue(reader.check(KARI, "profiling").is_granted)
        with self.assertRaises(UnknownPurpose):
            reader.check(KARI, "sms")

    def test_names_of_another_file_are_not_those_of_the_one_that_is_mapped(self) -> None:
        self.index.put(KARI, permitted=1 << 20)
        reader = self.open()
        reader.check(KARI, "news")
        newer = IndexFile(self.folder, generation=2)
        newer.publish(NAMES | {"new": 20})
        # Nothing says so in the old file, and it was looked for a moment ago.
        self.assertFalse(self.granted(reader, "new"))
        time.sleep(0.15)
        self.assertEqual(reader.check(KARI, "new").decision, Decision.UNKNOWN)

    def granted(self, reader: MappedReader, purpose: str) -> bool:
        try:
            return reader.check(KARI, purpose).is_granted
        except UnknownPurpose:
            return False

    def test_names_follow_the_catalog(self) -> None:
        self.index.put(KARI, permitted=1 << 20)
        reader = self.open()
        with self.assertRaises(UnknownPurpose):
            reader.check(KARI, "new")
        self.index.publish(NAMES | {"new": 20})
        self.assertTrue(reader.check(KARI, "new").is_granted)
        # A list that cannot be read names nothing.
        for text in ("", "consentd-purposes 2\n3\tnews\n", "consentd-purposes 1\n960\tnews\n"):
            self.index.publish(NAMES)
            time.sleep(0.15)
            reader.check(KARI, "news")
            with open(f"{self.folder}/index/purposes", "w") as file:
                file.write(text)
            time.sleep(0.15)
            with self.assertRaises(UnknownPurpose):
                reader.check(KARI, "news")

    def test_rows_of_every_width_are_found_among_thousands(self) -> None:
        for generation, words in enumerate((1, 3, 7, 15), start=2):
            with self.subTest(words=words):
                index = IndexFile(self.folder, generation, words, slots=2048)
                last = 64 * words - 1
                people = [Subject.customer(f"c{number}") for number in range(1600)]
                for number, person in enumerate(people):
                    index.put(
                        person, permitted=1 << last if number % 3 == 0 else 0, denied=int(number % 3 == 1) << last
                    )
                index.publish({"news": last})
                decisions = list(self.open().check_subjects(people, "news"))
                expected = (Decision.GRANTED, Decision.DENIED, Decision.UNKNOWN)
                self.assertEqual(decisions, [expected[number % 3] for number in range(1600)])

    def test_a_writer_that_grows_republishes_and_dies_never_makes_a_grant(self) -> None:
        never, always = Subject.customer("never"), Subject.customer("always")
        self.index.put(always, permitted=1 << 3)
        self.index.put(never, denied=1 << 3)
        reader = self.open()
        is_over = threading.Event()

        def write() -> None:
            index = self.index
            for generation in range(2, 60):
                newer = IndexFile(self.folder, generation, slots=1024 * (1 + generation % 3))
                newer.put(always, permitted=1 << 3)
                newer.put(never, denied=1 << 3)
                newer.publish(NAMES)
                index.supersede()
                index = newer
                for bit in range(20):
                    index.defaults(granted=1 << bit & ~(1 << 3))
                    index.vouch()
            # Dead in the middle of a change.
            index.word(512, 1)
            is_over.set()

        writer = threading.Thread(target=write)
        writer.start()
        reads = 0
        while not is_over.is_set():
            granted, denied = reader.check(always, "news"), reader.check(never, "news")
            if not is_over.is_set():
                self.assertTrue(granted.is_granted, granted)
            self.assertFalse(denied.is_granted, denied)
            reads += 1
        writer.join()
        self.assertGreater(reads, 50)
        self.assertEqual(told(reader.check(always, "news")), UNAVAILABLE)

    def test_the_answer_says_which_state_of_the_ledger_it_rests_on(self) -> None:
        self.assertEqual(self.open().check(KARI, "news").sequence, 77)
        self.assertLess(abs(boottime_millis() - time.clock_gettime(time.CLOCK_BOOTTIME) * 1000), 1000)


if __name__ == "__main__":
    unittest.main()
