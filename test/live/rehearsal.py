"""Run one rehearsal, from the check of the account to the proof that nothing is left, and its report."""

import secrets
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annexd.account import service_roles
from annexd.account.errors import AccountError
from annexd.account.session import translate_aws_errors
from annexd.aws.errors import AWS_ERRORS, describe
from test.live import own, report
from test.live.account import CLEAN_UP, Account, Say, refuse_short_lived, refuse_unless_free
from test.live.clean_up import clean_up
from test.live.host import Host
from test.live.pace import Durations
from test.live.recorder import Recorder
from test.live.roles import Roles
from test.live.stage import RehearsalFailed, Stage
from test.live.steps import STEPS
from test.live.stopping import Stopped, Stopping
from test.pool import NoHTCondorError, PoolError

DONE, FAILED, LEFT = 0, 1, 3
ARCHITECTURES = {"t3.nano": "x86_64", "t4g.nano": "arm64"}
IMAGE = "al2023-ami-minimal-2023.*"  # Amazon's own, small, free
FAILURES = (AccountError, RehearsalFailed, PoolError, NoHTCondorError, subprocess.TimeoutExpired, *AWS_ERRORS)


@dataclass(frozen=True)
class Wanted:
    """The options of a rehearsal; `image` None means Amazon's newest."""

    region: str
    profile: str | None
    steps: Sequence[str]
    instance_type: str
    image: str | None
    folder: Path


def check(account: Account) -> None:
    """Raise AccountError for any reason not to begin; nothing is created."""
    refuse_short_lived(account)
    refuse_unless_free(account)
    if left := own.left(account):
        raise AccountError(
            f"a rehearsal left something in {account.region}: {left[0]}", CLEAN_UP.format(account.region)
        )


class Rehearsal:
    """A rehearsal; `run` it once, after the user's confirmation."""

    def __init__(self, wanted: Wanted, account: Account, recorder: Recorder, pace: Durations, say: Say) -> None:
        self._wanted, self._account, self._recorder, self._pace, self._say = wanted, account, recorder, pace, say
        self._redactor = report.redactor_for(account)  # while the credentials are valid
        self._stage: Stage | None = None
        self._host: Host | None = None
        self._owns_service_roles = False

    def run(self, stopping: Stopping) -> int:
        begun_s, status, outcome = time.monotonic(), DONE, "All steps were done."
        stopping.arm()
        try:
            try:
                self._steps(stopping)
            finally:
                stopping.shield()  # further signals stop nothing
        except Stopped:
            pass
        except FAILURES as error:
            status, outcome = FAILED, f"It was not finished: {_words(error)}."
        except Exception as error:  # noqa: BLE001  the edge: after any error nothing may be left in AWS
            status, outcome = FAILED, f"It was not finished, by an internal error: {error!r}."
        if (stopped := stopping.stopped) is not None:  # even if a step failed after the signal
            status, outcome = stopped.status, f"It was not finished: {stopped}."
        left = self._end()
        outcome += " Nothing is left." if not left else f" LEFT: {'; '.join(left)}."
        self._say(outcome)
        self._report(outcome, time.monotonic() - begun_s)
        return LEFT if left else status

    def _steps(self, stopping: Stopping) -> None:
        def say(line: str) -> None:
            stopping.check()
            self._say(line)

        stage = self._stage = self._made(say)
        for name in self._wanted.steps:
            say(f"step {name}")
            STEPS[name](stage)

    def _made(self, say: Say) -> Stage:
        missing = list(service_roles.missing(self._account.client("iam")))
        self._owns_service_roles = len(missing) == len(service_roles.NAMES)
        image = self._wanted.image or newest_image(self._account.client("ec2"), self._wanted.instance_type)
        self._host, run = Host(self._pace), secrets.token_hex(4)
        roles = Roles(self._account, self._pace, run)
        return Stage(
            self._account,
            self._pace,
            self._recorder,
            self._host,
            roles,
            run,
            image,
            self._wanted.instance_type,
            say,
        )

    def _end(self) -> list[str]:
        """Stop annexd first, since it could order, and then end everything in AWS."""
        self._say("ending all that was created")
        if self._host is not None:
            try:
                self._host.stop()
            except Exception as error:  # noqa: BLE001  the edge: AWS must be cleaned up in any case
                self._say(f"the pool could not be stopped: {error}")
        return clean_up(self._account, self._pace, self._say, made_service_roles=self._owns_service_roles)

    def _report(self, outcome: str, seconds: float) -> None:
        answers = self._stage.answers if self._stage else []
        try:
            written = report.write(
                self._wanted.folder,
                self._redactor,
                self._wanted.region,
                self._recorder,
                answers,
                self._wanted.steps,
                outcome,
                seconds,
            )
        except (report.LeakingReport, OSError) as error:
            self._say(f"no report: {error}")
            return
        for each in written:
            self._say(f"wrote {each}")


def _words(error: Exception) -> str:
    return describe(error, "AWS") if isinstance(error, AWS_ERRORS) else str(error)


def newest_image(ec2: Any, instance_type: str) -> str:
    """Return Amazon's newest small image for a type of instance; raises RehearsalFailed."""
    filters = {"name": IMAGE, "architecture": ARCHITECTURES[instance_type], "state": "available"}
    with translate_aws_errors("DescribeImages"):
        response = ec2.describe_images(
            Owners=["amazon"], Filters=[{"Name": name, "Values": [value]} for name, value in filters.items()]
        )
    if not response["Images"]:
        raise RehearsalFailed(f"AWS shows no image {IMAGE}: name one with --image")
    return str(max(response["Images"], key=lambda image: image["CreationDate"])["ImageId"])
