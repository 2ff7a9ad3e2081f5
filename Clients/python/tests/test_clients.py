"""Both clients against servers that do what a script says: time, breaks and repetition."""

from __future__ import annotations

import asyncio
import gc
import inspect
import struct
import threading
import time
import unittest
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from consentd import (
    Act,
    Advice,
    AsyncClient,
    Client,
    Closed,
    ConnectFailed,
    Decision,
    Disconnected,
    ErrorCode,
    HandshakeRefused,
    IdentifierType,
    InvalidArgument,
    Options,
    PeopleQuestion,
    PeopleSelection,
    ProtocolViolation,
    ServerError,
    State,
    Subject,
    TimedOut,
    UnknownPurpose,
    VersionUnsupported,
)
from consentd._channel import Channel
from consentd._protocol import Opcode
from consentd._wire import frame

from .support import Peer, ScriptedServer, catalog_frame, checked_frame, error_frame, text8, welcome_frame

KARI = Subject.customer("kari")
NAMES = {"news": 3}
QUICK = Options(request_timeout=20.0, backoff_min=0.01, backoff_max=0.05)


class Both:
    """One client or the other, called in the same way."""

    def __init__(self, is_async: bool, endpoint: str, options: Options = QUICK) -> None:
        self._loop = asyncio.new_event_loop() if is_async else None
        self.inner: Any = None
        try:
            connect: Callable[..., Any] = AsyncClient.connect if is_async else Client
            self.inner = self._wait(connect(endpoint, options))
        except BaseException:
            self._end_loop()
            raise

    def _wait(self, call: Any) -> Any:
        return self._loop.run_until_complete(call) if self._loop and inspect.isawaitable(call) else call

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *values, **named: self._wait(getattr(self.inner, name)(*values, **named))

    def _end_loop(self) -> None:
        if self._loop is not None:
            self._loop.close()

    def __enter__(self) -> Both:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._end_loop()


def answering(count: int, decision: int = 2, reason: int = 4) -> Callable[[Peer], None]:
    """Greets, answers so many checks, then closes."""

    def script(peer: Peer) -> None:
        peer.greet(NAMES)
        for _ in range(count):
            asked = peer.frame()
            if asked is None:
                return
            peer.send(checked_frame(asked.request, decision, reason))

    return script


class ClientTests(unittest.TestCase):
    def both(self, claim: Callable[[bool], None]) -> None:
        for is_async in (False, True):
            with self.subTest(client="AsyncClient" if is_async else "Client"):
                claim(is_async)

    def test_a_check_is_answered(self) -> None:
        def claim(is_async: bool) -> None:
            with ScriptedServer(answering(1)) as server, Both(is_async, server.endpoint) as client:
                check = client.check(KARI, "news")
                self.assertTrue(check.is_granted)
                self.assertEqual(check.sequence, 1)
                with self.assertRaises(TypeError):
                    bool(check)

        self.both(claim)

    def test_many_checks_travel_without_waiting_for_each_other(self) -> None:
        def script(peer: Peer) -> None:
            peer.greet(NAMES)
            asked = [peer.frame() for _ in range(500)]
            # Nothing is answered before all are there.
            for each in asked:
                assert each is not None
                peer.send(checked_frame(each.request))

        def claim(is_async: bool) -> None:
            with ScriptedServer(script) as server, Both(is_async, server.endpoint) as client:
                checks = client.check_each([(KARI, "news")] * 500)
                self.assertEqual({check.decision for check in checks}, {Decision.UNKNOWN})

        self.both(claim)

    def test_a_check_is_asked_once_more_on_another_connection(self) -> None:
        def dying(peer: Peer) -> None:
            peer.greet(NAMES)
            peer.frame()

        def claim(is_async: bool) -> None:
            with ScriptedServer(dying, answering(1)) as server, Both(is_async, server.endpoint) as client:
                self.assertTrue(client.check(KARI, "news").is_granted)
                self.assertEqual(server.connections, 2)
            with ScriptedServer(dying, dying, answering(1)) as server, Both(is_async, server.endpoint) as client:
                with self.assertRaises(Disconnected):
                    client.check(KARI, "news")

        self.both(claim)

    def test_names_become_bits_by_the_catalog_of_the_connection_that_is_asked(self) -> None:
        bits: list[int] = []

        def script(names: dict[str, int], answers: bool) -> Callable[[Peer], None]:
            def run(peer: Peer) -> None:
                peer.greet(names)
                asked = peer.frame()
                assert asked is not None
                bits.append(asked.argument)
                if answers:
                    peer.send(checked_frame(asked.request))

            return run

        def claim(is_async: bool) -> None:
            bits.clear()
            scripts = script({"news": 3}, False), script({"news": 5}, True)
            with ScriptedServer(*scripts) as server, Both(is_async, server.endpoint) as client:
                client.check(KARI, "news")
            self.assertEqual(bits, [3, 5])

        self.both(claim)

    def test_acts_are_sent_again_with_the_same_key_until_they_are_answered(self) -> None:
        keys: list[bytes] = []

        def script(answers: bool) -> Callable[[Peer], None]:
            def run(peer: Peer) -> None:
                peer.greet(NAMES)
                asked = peer.frame()
                assert asked is not None and asked.opcode == Opcode.RECORD
                keys.append(asked.payload[4:20])
                if answers:
                    payload = (9).to_bytes(8, "little") + bytes(4) + (9).to_bytes(8, "little") + bytes(2)
                    peer.send(frame(Opcode.RECORDED, asked.request, payload, argument=1))

            return run

        def claim(is_async: bool) -> None:
            keys.clear()
            scripts = [script(False), script(False), script(False), script(True)]
            with ScriptedServer(*scripts) as server, Both(is_async, server.endpoint) as client:
                (outcome,) = client.record([Act.withdrawal(KARI, "news")])
            self.assertEqual((outcome.is_recorded, outcome.sequence), (True, 9))
            self.assertEqual(keys, [outcome.key] * 4)
            self.assertTrue(any(outcome.key))

        self.both(claim)

    def test_a_catalog_is_never_applied_twice_by_itself(self) -> None:
        def dying(peer: Peer) -> None:
            peer.greet(NAMES)
            peer.frame()

        def claim(is_async: bool) -> None:
            with ScriptedServer(dying, answering(0)) as server, Both(is_async, server.endpoint) as client:
                with self.assertRaises(Disconnected) as caught:
                    client.apply_catalog("a: b")
                self.assertTrue(caught.exception.may_have_been_executed)

        self.both(claim)

    def test_a_busy_server_is_asked_again(self) -> None:
        def script(peer: Peer) -> None:
            peer.greet(NAMES)
            for _ in range(3):
                asked = peer.frame()
                assert asked is not None
                peer.send(error_frame(asked.request, ErrorCode.BUSY))
            asked = peer.frame()
            assert asked is not None
            peer.send(checked_frame(asked.request))

        def claim(is_async: bool) -> None:
            with ScriptedServer(script) as server, Both(is_async, server.endpoint) as client:
                self.assertEqual(client.check(KARI, "news").decision, Decision.UNKNOWN)

        self.both(claim)

    def test_a_server_that_stays_busy_is_not_asked_for_ever(self) -> None:
        def script(peer: Peer) -> None:
            peer.greet(NAMES)
            while (asked := peer.frame()) is not None:
                peer.send(error_frame(asked.request, ErrorCode.BUSY))

        def claim(is_async: bool) -> None:
            options = Options(request_timeout=3.0, backoff_min=0.01, backoff_max=0.05)
            with ScriptedServer(script) as server, Both(is_async, server.endpoint, options) as client:
                with self.assertRaises(ServerError) as caught:
                    client.check(KARI, "news")
                self.assertEqual((caught.exception.code, caught.exception.advice), (ErrorCode.BUSY, Advice.RETRY_LATER))

        self.both(claim)

    def test_a_server_that_was_busy_and_then_silent_is_said_to_have_been_busy(self) -> None:
        def script(peer: Peer) -> None:
            peer.greet(NAMES)
            asked = peer.frame()
            assert asked is not None
            peer.send(error_frame(asked.request, ErrorCode.BUSY))
            while peer.frame() is not None:
                continue

        def claim(is_async: bool) -> None:
            options = Options(request_timeout=3.0, backoff_min=0.01, backoff_max=0.02)
            with ScriptedServer(script) as server, Both(is_async, server.endpoint, options) as client:
                with self.assertRaises(ServerError) as caught:
                    client.check(KARI, "news")
                self.assertEqual(caught.exception.code, ErrorCode.BUSY)

        self.both(claim)

    def test_what_is_not_to_be_retried_is_not(self) -> None:
        def script(peer: Peer) -> None:
            peer.greet(NAMES)
            asked = peer.frame()
            assert asked is not None
            peer.send(error_frame(asked.request, ErrorCode.IDENTIFIER_INVALID))
            self.assertIsNone(peer.frame())

        def claim(is_async: bool) -> None:
            with ScriptedServer(script) as server, Both(is_async, server.endpoint) as client:
                with self.assertRaises(ServerError) as caught:
                    client.check(KARI, "news")
                self.assertEqual(caught.exception.advice, Advice.DO_NOT_RETRY)

        self.both(claim)

    def test_a_drained_server_is_left_and_what_is_in_flight_finishes(self) -> None:
        is_asked = threading.Event()

        def draining(peer: Peer) -> None:
            peer.greet(NAMES)
            asked = peer.frame()
            assert asked is not None
            peer.send(frame(Opcode.GOING_AWAY, 0, word=5000))
            peer.send(checked_frame(asked.request, 2, 4))
            is_asked.set()
            # The client closes, and asks nothing more here.
            self.assertIsNone(peer.frame())

        def claim(is_async: bool) -> None:
            with ScriptedServer(draining, answering(1, 1, 6)) as server, Both(is_async, server.endpoint) as client:
                self.assertTrue(client.check(KARI, "news").is_granted)
                self.assertEqual(client.check(KARI, "news").decision, Decision.DENIED)
                self.assertEqual(server.connections, 2)

        self.both(claim)

    def test_a_protocol_failure_fails_the_check_and_ends_the_connection(self) -> None:
        def script(peer: Peer) -> None:
            peer.greet(NAMES)
            asked = peer.frame()
            assert asked is not None
            # Granted, for a reason that denies.
            peer.send(checked_frame(asked.request, 2, 6))
            self.assertIsNone(peer.frame())

        def claim(is_async: bool) -> None:
            with ScriptedServer(script, answering(1, 1, 6)) as server, Both(is_async, server.endpoint) as client:
                with self.assertRaises(ProtocolViolation):
                    client.check(KARI, "news")
                # The next one is asked elsewhere.
                self.assertEqual(client.check(KARI, "news").decision, Decision.DENIED)

        self.both(claim)

    def test_an_answer_that_does_not_come_is_a_timeout_and_a_late_one_is_dropped(self) -> None:
        def script(peer: Peer) -> None:
            peer.greet(NAMES)
            first, second = peer.frame(), peer.frame()
            assert first is not None and second is not None
            peer.send(checked_frame(first.request, 2, 4) + checked_frame(second.request, 1, 6))
            peer.frame()

        def claim(is_async: bool) -> None:
            options = Options(request_timeout=3.0)
            with ScriptedServer(script) as server, Both(is_async, server.endpoint, options) as client:
                with self.assertRaises(TimedOut) as caught:
                    client.check(KARI, "news")
                self.assertIsInstance(caught.exception, TimeoutError)
                self.assertEqual(client.check(KARI, "news").decision, Decision.DENIED)

        self.both(claim)

    def test_a_silent_connection_is_pinged_and_a_dead_one_given_up(self) -> None:
        def dead(peer: Peer) -> None:
            peer.greet(NAMES)
            while (asked := peer.frame()) is not None:
                assert asked.opcode in (Opcode.CHECK, Opcode.PING)

        def claim(is_async: bool) -> None:
            options = Options(request_timeout=60.0, ping_interval=2.0, ping_timeout=2.0)
            with ScriptedServer(dead, answering(1)) as server, Both(is_async, server.endpoint, options) as client:
                start = time.monotonic()
                self.assertTrue(client.check(KARI, "news").is_granted)
                self.assertLess(time.monotonic() - start, 30.0)

        self.both(claim)

    def test_requests_past_the_servers_limit_wait(self) -> None:
        def script(peer: Peer) -> None:
            peer.greet(NAMES, in_flight=1)
            for _ in range(3):
                asked = peer.frame()
                assert asked is not None and asked.opcode == Opcode.CATALOG
                peer.send(catalog_frame(asked.request, NAMES))

        def claim(is_async: bool) -> None:
            with ScriptedServer(script) as server, Both(is_async, server.endpoint) as client:
                for _ in range(3):
                    self.assertEqual([info.id for info in client.purposes()], ["news"])

        self.both(claim)

    def test_an_unknown_purpose_is_looked_up_once_more(self) -> None:
        def script(peer: Peer) -> None:
            peer.greet(NAMES)
            asked = peer.frame()
            assert asked is not None and asked.opcode == Opcode.CATALOG
            peer.send(catalog_frame(asked.request, NAMES | {"sms": 4}))
            asked = peer.frame()
            assert asked is not None and asked.argument == 4
            peer.send(checked_frame(asked.request))
            asked = peer.frame()
            assert asked is not None and asked.opcode == Opcode.CATALOG
            peer.send(catalog_frame(asked.request, NAMES))
            # It stays, so that the client has somebody to ask.
            self.assertIsNone(peer.frame())

        def claim(is_async: bool) -> None:
            with ScriptedServer(script) as server, Both(is_async, server.endpoint) as client:
                self.assertEqual(client.check(KARI, "sms").decision, Decision.UNKNOWN)
                with self.assertRaises(UnknownPurpose):
                    client.check(KARI, "nothing")

        self.both(claim)

    def test_people_are_listed_page_by_page_and_counted(self) -> None:
        def page(request: int, subject: int, more: bool) -> bytes:
            texts = text8("news") + text8("club") + text8("1.2") + b"\x01" + text8(f"C{subject}")
            person = struct.pack("<QBBqq", subject, State.GIVEN, 1, 5, 0) + texts
            payload = struct.pack("<QQ", 9, subject) + person
            return frame(Opcode.PEOPLE_PAGE, request, payload, flags=int(more), argument=1)

        def script(peer: Peer) -> None:
            peer.greet(NAMES)
            for subject, after in ((7, 0), (8, 7)):
                asked = peer.frame()
                assert asked is not None and asked.opcode == Opcode.PEOPLE
                assert struct.unpack_from("<Q", asked.payload)[0] == after
                peer.send(page(asked.request, subject, more=subject == 7))
            asked = peer.frame()
            assert asked is not None and asked.opcode == Opcode.COUNT_GRANTED
            peer.send(frame(Opcode.GRANTED_COUNT, asked.request, struct.pack("<QQQ", 9, 2, 3)))
            asked = peer.frame()
            assert asked is not None and asked.opcode == Opcode.PEOPLE
            # Says that more follow, and stays where it is.
            peer.send(frame(Opcode.PEOPLE_PAGE, asked.request, struct.pack("<QQ", 9, 0), flags=1))
            peer.frame()

        def claim(is_async: bool) -> None:
            audience = PeopleQuestion(PeopleSelection.AUDIENCE, purpose="news")
            with ScriptedServer(script) as server, Both(is_async, server.endpoint) as client:
                found = client.people(audience)
                self.assertEqual([person.subject for person in found], [7, 8])
                self.assertEqual(found[0].identifiers, ((IdentifierType.CUSTOMER, "C7"),))
                self.assertEqual(client.count_granted("news").granted, 2)
                with self.assertRaises(ProtocolViolation):
                    client.people(audience)
                with self.assertRaises(InvalidArgument):
                    client.count_granted("n" * 256)

        self.both(claim)

    def test_a_refusal_in_the_handshake_is_told_at_once(self) -> None:
        def refusing(code: ErrorCode, detail: int = 0) -> Callable[[Peer], None]:
            def script(peer: Peer) -> None:
                hello = peer.frame()
                assert hello is not None
                data = bytearray(error_frame(hello.request, code))
                data[12:16] = detail.to_bytes(4, "little")
                peer.send(bytes(data))

            return script

        def claim(is_async: bool) -> None:
            with ScriptedServer(refusing(ErrorCode.CREDENTIALS_REFUSED)) as server:
                with self.assertRaises(HandshakeRefused) as caught:
                    Both(is_async, server.endpoint)
                self.assertEqual(caught.exception.code, ErrorCode.CREDENTIALS_REFUSED)
            with ScriptedServer(refusing(ErrorCode.VERSION_UNSUPPORTED, 2 | 3 << 16)) as server:
                with self.assertRaises(VersionUnsupported) as window:
                    Both(is_async, server.endpoint)
                self.assertEqual((window.exception.server_min, window.exception.server_max), (2, 3))

        self.both(claim)

    def test_a_refused_client_does_not_loop(self) -> None:
        def refusing(peer: Peer) -> None:
            hello = peer.frame()
            assert hello is not None
            peer.send(error_frame(hello.request, ErrorCode.DEPLOYMENT_MISMATCH))

        def claim(is_async: bool) -> None:
            options = Options(request_timeout=20.0, backoff_min=0.01, backoff_max=5.0)
            with ScriptedServer(answering(1), refusing, refusing) as server:
                with Both(is_async, server.endpoint, options) as client:
                    client.check(KARI, "news")
                    for _ in range(3):
                        with self.assertRaises(HandshakeRefused):
                            client.check(KARI, "news")
                    self.assertEqual(server.connections, 2)

        self.both(claim)

    def test_a_version_that_was_not_offered_is_a_protocol_failure(self) -> None:
        def script(peer: Peer) -> None:
            hello = peer.frame()
            assert hello is not None
            peer.send(welcome_frame(hello.request, version=2))

        def claim(is_async: bool) -> None:
            with ScriptedServer(script) as server, self.assertRaises(ProtocolViolation):
                Both(is_async, server.endpoint)

        self.both(claim)

    def test_nobody_listening_is_told_at_once(self) -> None:
        def claim(is_async: bool) -> None:
            with ScriptedServer() as server:
                endpoint = server.endpoint
            for nowhere in (endpoint, "unix:/nonexistent/socket"):
                with self.assertRaises(ConnectFailed):
                    Both(is_async, nowhere)

        self.both(claim)

    def test_a_server_that_does_not_greet_is_given_up(self) -> None:
        def silent(peer: Peer) -> None:
            peer.frame()
            self.assertIsNone(peer.frame())

        def claim(is_async: bool) -> None:
            with ScriptedServer(silent) as server, self.assertRaises(ConnectFailed):
                Both(is_async, server.endpoint, Options(connect_timeout=0.2))

        self.both(claim)

    def test_a_closed_client_asks_nothing(self) -> None:
        def claim(is_async: bool) -> None:
            with ScriptedServer(answering(1)) as server, Both(is_async, server.endpoint) as client:
                client.close()
                with self.assertRaises(Closed):
                    client.check(KARI, "news")

        self.both(claim)

    def test_threads_share_a_client(self) -> None:
        with ScriptedServer(answering(800)) as server, Client(server.endpoint, QUICK) as client:
            granted: list[bool] = []

            def ask() -> None:
                for _ in range(100):
                    granted.append(client.check(KARI, "news").is_granted)

            threads = [threading.Thread(target=ask) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(granted, [True] * 800)
            self.assertEqual(server.connections, 1)

    def test_a_cancelled_task_stops_waiting(self) -> None:
        def silent(peer: Peer) -> None:
            peer.greet(NAMES)
            while peer.frame() is not None:
                continue

        async def claim(endpoint: str) -> None:
            async with await AsyncClient.connect(endpoint, QUICK) as client:
                with self.assertRaises(TimeoutError):
                    await asyncio.wait_for(client.check(KARI, "news"), 0.1)

        with ScriptedServer(silent) as server:
            asyncio.run(claim(server.endpoint))

    def test_the_answer_to_a_cancelled_task_is_nobodys(self) -> None:
        def late(peer: Peer) -> None:
            peer.greet(NAMES)
            first, second = peer.frame(), peer.frame()
            assert first is not None and second is not None
            peer.send(checked_frame(first.request, 2, 4) + checked_frame(second.request, 1, 6))
            peer.frame()

        async def claim(endpoint: str) -> None:
            async with await AsyncClient.connect(endpoint, QUICK) as client:
                first = asyncio.create_task(client.check(KARI, "news"))
                await asyncio.sleep(0.05)
                first.cancel()
                second = await client.check(Subject.customer("ola"), "news")
                self.assertEqual((second.decision, first.cancelled()), (Decision.DENIED, True))

        with ScriptedServer(late) as server:
            asyncio.run(claim(server.endpoint))

    def test_a_client_that_is_collected_by_its_own_thread_holds_nobody_up(self) -> None:
        """Finalizers run wherever memory is asked for, also where that thread has its own lock."""
        is_let_go = threading.Event()

        def pushing(peer: Peer) -> None:
            peer.greet(NAMES)
            is_let_go.wait(5)
            peer.send(frame(Opcode.CATALOG_CHANGED, 0, b""))
            while peer.frame() is not None:
                continue

        def receive(channel: Channel, data: bytes, now: float) -> None:
            gc.collect()
            take(channel, data, now)

        gc.disable()
        self.addCleanup(gc.enable)
        with ScriptedServer(pushing) as server:
            before = set(threading.enumerate())
            client: Any = Client(server.endpoint, QUICK)
            (listening,) = [t for t in threading.enumerate() if t.name == "consentd" and t not in before]
            client.itself = client
            take = Channel.receive
            with patch.object(Channel, "receive", receive):
                del client
                is_let_go.set()
                listening.join(5)
            self.assertFalse(listening.is_alive())

    def test_what_cannot_be_sent_is_refused_here(self) -> None:
        for value in ("", "a\tb", "x" * 256, "\x7f", "\ud800"):
            with self.assertRaises(InvalidArgument):
                Subject.customer(value)
        self.assertEqual(Subject.parse("email:kari@example.no"), Subject.email("kari@example.no"))
        for text in ("kari", "nobody:x", "email:"):
            with self.assertRaises(InvalidArgument):
                Subject.parse(text)
        for endpoint in ("host", "host:", "host:0", ":1", "::1:7411", "unix:"):
            with self.assertRaises(InvalidArgument):
                Both(False, endpoint)


if __name__ == "__main__":
    unittest.main()
