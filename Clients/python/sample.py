"""Asks a server that runs with the template catalog: ``python3 sample.py ENDPOINT [TOKEN-FILE]``."""

import random
import sys
from pathlib import Path

from consentd import Act, Client, EvidenceMethod, Options, Subject


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("usage: sample.py HOST:PORT|unix:PATH [TOKEN-FILE]")
    token = Path(sys.argv[2]).read_bytes().strip() if len(sys.argv) > 2 else b""

    # One client for the whole process; any number of threads may share it.
    with Client(sys.argv[1], Options(token=token, name="sample.py")) as client:
        print(f"connected to {client.server.name} {client.server.version}")

        # A person that the server has never seen.
        kari = Subject.customer(f"sample-{random.getrandbits(32)}")

        # One person, one purpose. Only `is_granted` permits anything.
        check = client.check(kari, "sms-offers")
        print(f"before: {check.decision.name}, because {check.reason.name}, as of {check.sequence}")

        # The person ticked a box under revision 1.2 of the club's declaration.
        grant = Act.grant(
            kari,
            "sms-offers",
            declaration="club-membership-marketing",
            revision="1.2",
            language="nb",
            method=EvidenceMethod.TICKED_BOX,
        )
        for outcome in client.record([grant]):
            print(f"recorded as {outcome.sequence}" if outcome.is_recorded else f"refused: {outcome.message}")
        print(f"granted: {client.check(kari, 'sms-offers').is_granted}")

        # One person, several purposes.
        purposes = client.check_purposes(kari, ["sms-offers", "profiling"])
        for purpose, decision in purposes.decisions.items():
            print(f"{purpose}: {decision.name}")

        # Several people, one purpose.
        others = [Subject.customer(f"sample-nobody-{number}") for number in range(3)]
        audience = client.check_subjects([kari, *others], "sms-offers")
        print(f"{audience.granted_count} of {len(audience)} may be sent offers")

        # Ending it is as easy as giving it, and counts from the moment in which this returns.
        (outcome,) = client.record([Act.withdrawal(kari, "sms-offers")])
        print(f"withdrawn: {outcome.is_recorded}")
        print(f"after: {client.check(kari, 'sms-offers').decision.name}")


if __name__ == "__main__":
    main()
