"""Define the state that the steps of a rehearsal share: the account, the host, and the findings."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from annexd.account.session import translate_aws_errors
from test.live.account import Account, Keys, Say
from test.live.facts import FACTS, Answer
from test.live.host import Host
from test.live.pace import Durations
from test.live.recorder import Recorder
from test.live.roles import Roles

T = TypeVar("T")


class RehearsalFailed(Exception):
    """The rehearsal cannot continue; its resources are ended."""


@dataclass
class Stage:
    account: Account
    pace: Durations
    recorder: Recorder
    host: Host
    roles: Roles
    run: str
    image: str
    instance_type: str
    say: Say
    answers: list[Answer] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)  # of the stack
    setup_keys: Keys | None = None  # None: the user's own
    begun_s: float = field(default_factory=time.monotonic)

    @contextmanager
    def looking_at(self, key: str) -> Iterator[Any]:
        """Run the block while calls are recorded under this fact; yields a recorded EC2 client."""
        before, self.recorder.because = self.recorder.because, key
        try:
            with translate_aws_errors(FACTS[key].question):
                yield self.account.watched("ec2")
        finally:
            self.recorder.because = before

    def found(self, key: str, holds: bool | None, said: str) -> None:
        self.answers.append(Answer(FACTS[key].key, holds, said, round(time.monotonic() - self.begun_s, 1)))
        word = {True: "as assumed", False: "OTHERWISE", None: "not determined"}[holds]
        self.say(f"{key}: {word}: {said}")

    def wait(self, look: Callable[[], T], timeout_s: float) -> T:
        """Return the first true value of `look`, or its last one at the timeout."""
        deadline_s = time.monotonic() + timeout_s
        while not (value := look()) and time.monotonic() < deadline_s:
            time.sleep(self.pace.poll_s)
        return value

    def seconds(self) -> str:
        return f"{time.monotonic() - self.begun_s:.0f} s"


def pretty(value: Any) -> str:
    return json.dumps(value, default=str, sort_keys=True)
