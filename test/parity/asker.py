"""Asks daemons with HTCondor's own bindings, with another configuration each time.

    python asker.py < a line of JSON a client: {"settings": {"SEC_...": "..."}, "addresses": [...], "levels": [...]}

A line of JSON answers: for each address, for each level, the ad of htcondor2.ping or the words of its failure.  Each
client is a fork of this process, which itself never speaks to anyone: so no session, token or certificate that one
client found is there for the next.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

import htcondor2

NO_ANSWER_S = 4.5  # ground.py has clients give up after 5 s
LIMIT_S = 60  # of one client with all its questions; an honest answer takes some ms


def ask(address: str, level: str) -> dict[str, Any] | str:
    started_s = time.monotonic()
    try:
        return {name: str(value) for name, value in htcondor2.ping(address, level).items()}
    except htcondor2.HTCondorException as error:
        return str(error) if time.monotonic() - started_s < NO_ANSWER_S else "no answer in time"


def be_client(settings: dict[str, str], addresses: Sequence[str], levels: Sequence[str], answer: int) -> None:
    signal.alarm(LIMIT_S)
    os.environ |= {f"_CONDOR_{name}": value for name, value in settings.items()}
    htcondor2.reload_config()
    answers = [[ask(address, level) for level in levels] for address in addresses]
    with os.fdopen(answer, "w") as pipe:
        json.dump(answers, pipe)
    os._exit(0)


def answer_of_client(**question: Any) -> str:
    """JSON; null when the client did not live to tell."""
    reading, writing = os.pipe()
    if (client := os.fork()) == 0:
        os.close(reading)
        be_client(**question, answer=writing)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(client, 0)
    return said or "null"


def main() -> None:
    htcondor2.set_subsystem("TOOL", htcondor2.SubsystemType.Tool)
    for line in sys.stdin:
        print(answer_of_client(**json.loads(line)), flush=True)


if __name__ == "__main__":
    main()
