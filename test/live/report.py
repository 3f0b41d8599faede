"""Write a rehearsal's results: report.md for people, recordings.json for tests.

Nothing in them identifies the account.
"""

import getpass
import json
import os
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import annexd
from test.live.account import Account
from test.live.facts import FACTS, Answer
from test.live.recorder import Recorder, as_json
from test.live.redaction import Redactor

WORDS: Final = {True: "as assumed", False: "**otherwise**", None: "not determined"}
HEADING: Final = """\
# A rehearsal of annexd {version} on AWS

Region {region}, {when} (UTC), {seconds:.0f} s. Steps: {steps}. {outcome}

Redacted: the account, ARNs' names, keys, addresses and identifiers are replacements, the same ones everywhere in this
folder. recordings.json contains AWS's responses for each fact. Read both before you send them in
(docs/live.md).

| fact | assumed | evidence | AWS | after s |
|---|---|---|---|---|
"""


class LeakingReport(Exception):
    """A redacted text still contains a secret: nothing is written."""


def redactor_for(account: Account) -> Redactor:
    here = [socket.gethostname(), getpass.getuser(), str(Path.home()), os.environ.get("AWS_PROFILE", "")]
    return Redactor(account.number, [*account.secrets(), *here])


def write(
    folder: Path,
    redactor: Redactor,
    region: str,
    recorder: Recorder,
    answers: Sequence[Answer],
    steps: Sequence[str],
    outcome: str,
    seconds: float,
) -> list[Path]:
    """Write both files, or raise LeakingReport and write nothing."""
    recordings = json.dumps(as_json(recorder.recordings), indent=1)
    texts = {
        "report.md": report(region, answers, steps, outcome, seconds),
        "recordings.json": recordings,
    }
    redacted = {name: redactor.text(text) for name, text in texts.items()}
    for name, text in redacted.items():
        if leaks := redactor.leaks(text):
            raise LeakingReport(f"{name} would reveal the {' and the '.join(leaks)}")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in redacted.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in redacted]


def report(region: str, answers: Sequence[Answer], steps: Sequence[str], outcome: str, seconds: float) -> str:
    heading = HEADING.format(
        version=annexd.__version__,
        region=region,
        seconds=seconds,
        steps=", ".join(steps),
        outcome=outcome,
        when=datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
    )
    return heading + "".join(_row(each) for each in answers)


def _row(answer: Answer) -> str:
    fact = FACTS[answer.key]
    cells = (
        f"`{fact.key}`: {fact.question}",
        fact.assumed,
        fact.evidence,
        f"{WORDS[answer.holds]}: {answer.said}",
        f"{answer.seconds:.0f}",
    )
    return f"| {' | '.join(each.replace('|', '/').replace(chr(10), ' ') for each in cells)} |\n"
