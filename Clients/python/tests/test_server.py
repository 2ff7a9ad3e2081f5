"""Both clients, the sample and an installed package against the real server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import unittest
import zipfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

from consentd import (
    Act,
    AsyncClient,
    Check,
    Client,
    Decision,
    ErrorCode,
    EventState,
    EvidenceMethod,
    Freshness,
    HandshakeRefused,
    LawfulBasis,
    Options,
    ProofKind,
    ServerError,
    State,
    Subject,
    UnknownPurpose,
    new_key,
)

from .support import PACKAGE, binary


class Server:
    """``consentd serve`` on a free port and on the socket in its folder, with the template catalog."""

    def __init__(self, folder: str, *init: str) -> None:
        self.data = f"{folder}/node"
        if not os.path.exists(self.data):
            self.run("init", *init)
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [binary(), "serve", "--data", self.data, "--listen", "127.0.0.1:0", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.endpoint: str = json.loads(line)["listening"][0]

    @property
    def unix(self) -> str:
        return f"unix:{self.data}/consentd.sock"

    def run(self, *arguments: str) -> str:
        command = [binary(), *arguments, "--data", self.data]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()


def grant(subject: Subject, purpose: str = "sms-offers", key: bytes | None = None) -> Act:
    return Act.grant(
        subject,
        purpose,
        declaration="club-membership-marketing",
        revision="1.2",
        language="nb",
        method=EvidenceMethod.TICKED_BOX,
        key=key,
    )


class ServerTests(unittest.TestCase):
    server: Server
    folder: tempfile.TemporaryDirectory[str]

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory()
        cls.server = Server(cls.folder.name)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.server.stop()
        cls.folder.cleanup()

    def person(self) -> Subject:
        return Subject.customer(new_key().hex())

    def test_a_consent_is_given_seen_explained_and_ended(self) -> None:
        for endpoint in (self.server.endpoint, self.server.unix):
            with self.subTest(endpoint), Client(endpoint) as client:
                kari = self.person()
                self.assertEqual(client.check(kari, "sms-offers").decision, Decision.UNKNOWN)
                (outcome,) = client.record([grant(kari)])
                self.assertTrue(outcome.is_recorded, outcome)
                check = client.check(kari, "sms-offers")
                self.assertEqual((check.is_granted, check.reason, check.freshness), (True, State.GIVEN, Freshness.LIVE))
                self.assertGreaterEqual(check.sequence, outcome.sequence)

                explanation = client.explain(kari, "sms-offers")
                self.assertEqual(explanation.deciding_sequence, outcome.sequence)
                self.assertEqual((explanation.consented_revision, explanation.basis), ("1.2", LawfulBasis.CONSENT))
                assert explanation.deciding_captured_at is not None
                age = datetime.now(timezone.utc) - explanation.deciding_captured_at
                self.assertLess(abs(age), timedelta(minutes=1))

                self.assertTrue(client.record([Act.withdrawal(kari, "sms-offers")])[0].is_recorded)
                self.assertEqual(client.check(kari, "sms-offers").decision, Decision.DENIED)
                states = [entry.act.state for entry in client.history(kari)]
                self.assertEqual(states, [EventState.GIVEN, EventState.WITHDRAWN])
                self.assertEqual(client.history(kari)[0].act.purpose, "sms-offers")

    def test_people_are_linked_confirmed_and_proved_and_whoever_looks_is_seen(self) -> None:
        cookie, kari = Subject.cookie(new_key().hex()), self.person()

        async def link_and_unlink() -> None:
            async with await AsyncClient.connect(self.server.endpoint) as client:
                self.assertEqual((await client.link(cookie, kari)).identifiers, 1)
                self.assertEqual((await client.unlink(cookie)).identifiers, 1)

        with Client(self.server.endpoint) as client:
            client.record([Act.withdrawal(cookie, "personalised-ads")])
            (outcome,) = client.record([grant(kari, "newsletter")])
            self.assertTrue(outcome.is_recorded, outcome)
            token = client.issue_token(kari, ["newsletter"])
            self.assertEqual([one.purpose for one in client.confirm_token(token.token)], ["newsletter"])
            self.assertTrue(client.check(kari, "newsletter").is_granted)
            self.assertEqual(client.link(cookie, kari).identifiers, 1)
            self.assertEqual(client.check(kari, "personalised-ads").decision, Decision.DENIED)
            self.assertEqual(client.unlink(cookie).identifiers, 1)
            self.assertEqual(client.check(cookie, "personalised-ads").decision, Decision.DENIED)
            asyncio.run(link_and_unlink())
            self.assertIn("signature", client.checkpoint())
            self.assertIn("DataIntegrityProof", client.document(ProofKind.DPV_RECEIPT, outcome.sequence))
            self.assertTrue(client.access_log(kari))

    def test_asyncio_does_the_same(self) -> None:
        async def claim() -> None:
            async with await AsyncClient.connect(self.server.unix) as client:
                people = [self.person() for _ in range(50)]
                outcomes = await client.record([grant(person) for person in people])
                self.assertTrue(all(outcome.is_recorded for outcome in outcomes))
                checks: list[Check] = list(await asyncio.gather(*(client.check(each, "sms-offers") for each in people)))
                self.assertTrue(all(check.is_granted for check in checks))
                self.assertGreater(await client.ping(), 0)
                self.assertEqual(len(await client.history(people[0])), 1)
                self.assertIn("sequence", await client.statistics())

        asyncio.run(claim())

    def test_all_shapes_of_a_check_agree(self) -> None:
        with Client(self.server.endpoint) as client:
            people = [self.person() for _ in range(200)]
            client.record([grant(person) for person in people[::3]])
            client.record([Act.withdrawal(person, "sms-offers") for person in people[1::3]])
            many = client.check_subjects(people, "sms-offers")
            self.assertEqual(
                list(many), [check.decision for check in client.check_each((p, "sms-offers") for p in people)]
            )
            self.assertEqual(many.granted_count, 67)
            for position in range(3):
                purposes = client.check_purposes(people[position], ["profiling", "sms-offers"])
                self.assertEqual(purposes.decisions["sms-offers"], many.decisions[position])
                self.assertFalse(purposes.is_granted("never-asked-about"))

    def test_a_key_that_was_seen_gives_the_first_answer_again(self) -> None:
        with Client(self.server.endpoint) as client:
            act = grant(self.person(), key=new_key())
            (first,) = client.record([act])
            (second,) = client.record([act])
            self.assertEqual((second.sequence, second.is_duplicate, second.key), (first.sequence, True, act.key))
            (other,) = client.record([grant(self.person(), key=act.key)])
            self.assertEqual(other.refusal, ErrorCode.KEY_REUSED)

    def test_an_act_that_breaks_a_rule_does_not_hold_up_the_others(self) -> None:
        with Client(self.server.endpoint) as client:
            good, bad = self.person(), self.person()
            long_text = Act((bad,), "sms-offers", EventState.WITHDRAWN, form="x" * 256)
            many = Act(tuple(self.person() for _ in range(17)), "sms-offers", EventState.WITHDRAWN)
            early = datetime(1969, 1, 1, tzinfo=timezone.utc)
            old = Act((bad,), "sms-offers", EventState.GIVEN, captured_at=early)
            incomplete = Act((bad,), "sms-offers", EventState.GIVEN)
            acts = [grant(bad, "nothing"), grant(good), long_text, many, old, incomplete]
            refusals = [outcome.refusal for outcome in client.record(acts)]
            self.assertEqual(
                refusals,
                [
                    ErrorCode.ADMISSION_PURPOSE_UNKNOWN,
                    None,
                    ErrorCode.TEXT_TOO_LONG,
                    ErrorCode.IDENTIFIERS_TOO_MANY,
                    ErrorCode.CAPTURED_TOO_EARLY,
                    ErrorCode.METHOD_MISSING,
                ],
            )
            self.assertTrue(client.check(good, "sms-offers").is_granted)
            # A "no" is never refused for its times.
            no = Act((bad,), "sms-offers", EventState.WITHDRAWN, captured_at=early)
            self.assertTrue(client.record([no])[0].is_recorded)

    def test_lists_past_the_limits_are_split(self) -> None:
        with Client(self.server.endpoint) as client:
            person = self.person()
            outcomes = client.record([Act.withdrawal(person, "sms-offers") for _ in range(4200)])
            self.assertEqual(len(outcomes), 4200)
            self.assertTrue(all(outcome.is_recorded for outcome in outcomes))
            self.assertEqual(len(client.history(person)), 4200)
            people = [person] + [self.person() for _ in range(70_000)]
            decisions = list(client.check_subjects(people, "sms-offers"))
            self.assertEqual((len(decisions), decisions[0]), (70_001, Decision.DENIED))

    def test_the_catalog_is_read_judged_and_applied(self) -> None:
        with Client(self.server.endpoint) as client:
            text = client.catalog_document().text
            self.assertEqual(client.apply_catalog(text, dry_run=True).changes, ())
            self.assertIn("sms-offers", [info.id for info in client.purposes()])
            with self.assertRaises(ServerError) as caught:
                client.apply_catalog("purposes: 7")
            self.assertEqual(caught.exception.code, ErrorCode.CATALOG_REJECTED)
            with self.assertRaises(UnknownPurpose):
                client.check(self.person(), "no-such-purpose")

    def test_another_deployment_is_refused(self) -> None:
        with Client(self.server.endpoint) as client:
            deployment = client.server.deployment
        Client(self.server.endpoint, Options(deployment=deployment)).close()
        with self.assertRaises(HandshakeRefused) as caught:
            Client(self.server.endpoint, Options(deployment=bytes(15) + b"\1"))
        self.assertEqual(caught.exception.code, ErrorCode.DEPLOYMENT_MISMATCH)

    def test_the_sample_runs(self) -> None:
        environment = os.environ | {"PYTHONPATH": str(PACKAGE / "src")}
        command = [sys.executable, str(PACKAGE / "sample.py"), self.server.endpoint]
        run = subprocess.run(command, env=environment, capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, run.stderr)
        for line in ("granted: True", "sms-offers: GRANTED", "1 of 4 may be sent offers", "after: DENIED"):
            self.assertIn(line, run.stdout)

    def test_the_code_of_the_readme_is_the_sample(self) -> None:
        readme = (PACKAGE / "README.md").read_text()
        self.assertIn(f"```python\n{(PACKAGE / 'sample.py').read_text()}```", readme)

    def test_the_package_builds_offline_and_works(self) -> None:
        cases = [
            ({}, "cp311-abi3-linux_", "ExtensionReader"),
            ({"CONSENTD_WITHOUT_EXTENSION": "1"}, "py3-none-any", "MappedReader"),
            ({"CC": "/no/such/compiler"}, "py3-none-any", "MappedReader"),
        ]
        for environment, tag, reader in cases:
            with self.subTest(environment=environment):
                self.installed_package_works(environment, tag, reader)

    def test_the_package_builds_from_a_copy_of_its_sources_alone(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            build = "import consentd_build, sys; print(consentd_build.build_sdist(sys.argv[1]))"
            command = [sys.executable, "-c", build, folder]
            subprocess.run(command, cwd=PACKAGE / "packaging", check=True, capture_output=True)
            with tarfile.open(f"{folder}/consentd-0.1.0.tar.gz") as archive:
                archive.extractall(folder, filter="data")
            self.installed_package_works({}, "cp311-abi3-linux_", "ExtensionReader", Path(folder) / "consentd-0.1.0")

    def installed_package_works(
        self, environment: dict[str, str], tag: str, reader: str, package: Path = PACKAGE
    ) -> None:
        with tempfile.TemporaryDirectory() as folder:
            target = f"{folder}/target"
            # What pip calls, and what it does with the result: so the test needs no pip.
            build = "import consentd_build, sys; print(consentd_build.build_wheel(sys.argv[1]))"
            wheel = subprocess.run(
                [sys.executable, "-c", build, folder],
                cwd=package / "packaging",
                env=os.environ | environment,
                check=True,
                capture_output=True,
                text=True,
            ).stdout.strip()
            with zipfile.ZipFile(f"{folder}/{wheel}") as archive:
                archive.extractall(target)
            self.assertIn(tag, wheel)
            self.assertTrue(os.path.exists(f"{target}/consentd/py.typed"))
            program = (
                "import consentd, sys; consentd.Client(sys.argv[1]).ping(); print(consentd.__file__);"
                "print(type(consentd.open_reader(sys.argv[2])).__name__)"
            )
            run = subprocess.run(
                [sys.executable, "-c", program, self.server.endpoint, self.server.data],
                env=os.environ | {"PYTHONPATH": target},
                cwd=folder,
                capture_output=True,
                text=True,
            )
            said = [f"{target}/consentd/__init__.py", reader]
            self.assertEqual((run.returncode, run.stdout.split()), (0, said), run.stderr)


class CredentialTests(unittest.TestCase):
    def test_a_token_is_asked_for_and_a_wrong_one_refused(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            server = Server(folder, "--token")
            try:
                token = Path(f"{server.data}/token").read_bytes().strip()
                Client(server.endpoint, Options(token=token)).close()
                for wrong in (b"", b"wrong"):
                    with self.assertRaises(HandshakeRefused) as caught:
                        Client(server.endpoint, Options(token=wrong))
                    self.assertEqual(caught.exception.code, ErrorCode.CREDENTIALS_REFUSED)
            finally:
                server.stop()


class RestartTests(unittest.TestCase):
    def test_no_answer_is_lost_or_wrong_while_the_server_is_killed_and_comes_back(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            server = Server(folder)
            kari, erik = Subject.customer("kari"), Subject.customer("erik")
            with Client(server.unix, Options(request_timeout=20, backoff_max=0.2)) as client:
                client.record([grant(kari), Act.withdrawal(erik, "sms-offers")])
                checks: list[tuple[Check, Check]] = []
                failures: list[BaseException] = []
                is_over = threading.Event()

                def ask() -> None:
                    while not is_over.is_set():
                        try:
                            checks.append((client.check(kari, "sms-offers"), client.check(erik, "sms-offers")))
                        except BaseException as failure:
                            failures.append(failure)

                thread = threading.Thread(target=ask)
                thread.start()
                for end in (server.kill, server.stop, server.kill):
                    end()
                    server.start()
                    seen = len(checks)
                    client.record([Act.withdrawal(Subject.customer("other"), "sms-offers")])
                    while len(checks) < seen + 10:
                        client.ping()
                is_over.set()
                thread.join()
            server.stop()
            self.assertEqual(failures, [])
            self.assertEqual(
                {(first.decision, second.decision) for first, second in checks}, {(Decision.GRANTED, Decision.DENIED)}
            )


if __name__ == "__main__":
    unittest.main()
