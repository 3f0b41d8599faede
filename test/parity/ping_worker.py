"""Ping daemons with HTCondor's bindings, with a different configuration for each client.

    python ping_worker.py < lines of JSON, one per client: {"settings": {"SEC_...": "..."}, "addresses": [...],
                                                            "levels": [...]}

Prints one line of JSON per client: for each address and level, the ad of htcondor2.ping or its error message.  Each
client is a fork of this process, which never connects to a daemon itself, so no client inherits a session, token or
certificate from another.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

import htcondor2

NO_ANSWER_S = 4.5  # clients time out after 5 s (daemon_pair.py)
NO_ANSWER = "no answer in time"
LIMIT_S = 60  # for all questions of one client; a response takes some ms


def ask(address: str, level: str) -> dict[str, Any] | str:
    started_s = time.monotonic()
    try:
        return {name: str(value) for name, value in htcondor2.ping(address, level).items()}
    except htcondor2.HTCondorException as error:
        return str(error) if time.monotonic() - started_s < NO_ANSWER_S else NO_ANSWER


def run_client(settings: dict[str, str], addresses: Sequence[str], levels: Sequence[str], answer: int) -> None:
    signal.alarm(LIMIT_S)
    os.environ |= {f"_CONDOR_{name}": value for name, value in settings.items()}
    htcondor2.reload_config()
    answers = [[ask(address, level) for level in levels] for address in addresses]
    with os.fdopen(answer, "w") as pipe:
        json.dump(answers, pipe)
    os._exit(0)


def answer_of_client(**question: Any) -> str:
    """Return the responses to a client as JSON; null if the client died."""
    reading, writing = os.pipe()
    if (client := os.fork()) == 0:
        os.close(reading)
        run_client(**question, answer=writing)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answers = pipe.read()
    os.waitpid(client, 0)
    return answers or "null"


def main() -> None:
    htcondor2.set_subsystem("TOOL", htcondor2.SubsystemType.Tool)
    for line in sys.stdin:
        print(answer_of_client(**json.loads(line)), flush=True)


if __name__ == "__main__":
    main()
