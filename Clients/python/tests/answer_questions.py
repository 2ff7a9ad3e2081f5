"""Answers questions from its input, a JSON object a line, as another program's tests put them: where the server is,
about whom and what. Each is asked on a connection of its own, in all shapes of a check; the answer is a line of
decisions."""

from __future__ import annotations

import asyncio
import json
import sys

from consentd import AsyncClient, Client, Subject


def ask(endpoint: str, subject: Subject, purpose: str) -> list[str]:
    with Client(endpoint) as client:
        decisions = [
            client.check(subject, purpose).decision,
            client.check_purposes(subject, [purpose]).decisions[purpose],
            client.check_subjects([subject], purpose).decisions[0],
        ]
    return [decision.name.lower() for decision in decisions]


async def ask_by_task(endpoint: str, subject: Subject, purpose: str) -> list[str]:
    async with await AsyncClient.connect(endpoint) as client:
        return [(await client.check(subject, purpose)).decision.name.lower()]


def main() -> None:
    for line in sys.stdin:
        question = json.loads(line)
        arguments = question["endpoint"], Subject.parse(question["subject"]), question["purpose"]
        answers = asyncio.run(ask_by_task(*arguments)) if question["isAsync"] else ask(*arguments)
        print(json.dumps(answers), flush=True)


if __name__ == "__main__":
    main()
