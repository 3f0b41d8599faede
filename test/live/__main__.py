"""Rehearse annexd on a real AWS account, for less than a dollar, and leave nothing there.

make live ARGS="--region us-east-1 --profile NAME"          see docs/live.md
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from annexd.account.errors import AccountError
from test.live import names, prices
from test.live.account import Account, Say
from test.live.clean_up import clean_up
from test.live.pace import AWS, EMULATED, HURRIED, Durations
from test.live.recorder import Recorder
from test.live.rehearsal import LEFT, Rehearsal, Wanted, check
from test.live.steps import ALWAYS, STEPS
from test.live.stopping import LONGEST_S, Stopping
from test.pool import NoHTCondorError
from test.pool.htcondor import find

USAGE: Final = 2
HERE: Final = "http://127.0.0.1:"


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make live", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--region", required=True, help="a region without annexes, such as us-east-1")
    parser.add_argument("--profile", help="profile of your AWS configuration (default: the environment)")
    parser.add_argument("--only", action="append", choices=[*STEPS], default=[], help="only this step; repeatable")
    parser.add_argument("--instance-type", choices=[*prices.INSTANCE_HOUR], default="t3.nano")
    parser.add_argument("--image", help="image of the machines (Amazon Linux 2023, minimal)")
    parser.add_argument("--budget", type=float, default=prices.MOST, help="maximum cost in dollars (1.00)")
    parser.add_argument("--output", type=Path, help="folder of the report (live-report-DATE in this one)")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--clean-up", action="store_true", help="only end what a killed rehearsal left")
    parser.add_argument("--emulated", action="store_true", help=argparse.SUPPRESS)  # on python -m test.cloud
    parser.add_argument("--hurried", action="store_true", help=argparse.SUPPRESS)  # on one without other users
    return parser.parse_args(arguments)


def main() -> int:
    asked = options()
    pace = AWS if not asked.emulated else HURRIED if asked.hurried else EMULATED
    if asked.emulated and not os.environ.get("AWS_ENDPOINT_URL", "").startswith(HERE):
        return _refuse("--emulated is for python -m test.cloud: AWS_ENDPOINT_URL does not name one")
    teller = Teller()
    recorder = Recorder()
    try:
        account = Account(asked.region, asked.profile, recorder)
        if not account.session.is_region(asked.region):
            return _refuse(f"unknown region: {asked.region}")
        if asked.clean_up:
            return _only_clean_up(account, pace, teller.say)
        steps = [name for name in STEPS if not asked.only or name == ALWAYS or name in asked.only]
        return _rehearse(asked, account, recorder, pace, steps, teller)
    except (AccountError, NoHTCondorError) as error:
        return _refuse(*getattr(error, "lines", (str(error),)))


def _rehearse(
    asked: argparse.Namespace,
    account: Account,
    recorder: Recorder,
    pace: Durations,
    steps: Sequence[str],
    teller: "Teller",
) -> int:
    parts = prices.lines(asked.instance_type, prices.lifetimes_s(pace, steps), LONGEST_S + pace.clean_up_s)
    cost = prices.at_most(parts)
    folder = asked.output or Path(f"live-report-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    print(plan(account, steps, parts, cost, folder), flush=True)
    if cost > asked.budget:
        return _refuse(f"the cost exceeds the budget of ${asked.budget:.2f}: nothing was done")
    find()  # HTCondor, before anything is created
    check(account)
    if not asked.yes and not _says_yes():
        return _refuse("nothing was done")
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        return _refuse(f"the report's folder cannot be created: {error}", "use --output FOLDER")
    wanted = Wanted(asked.region, asked.profile, steps, asked.instance_type, asked.image, folder)
    return Rehearsal(wanted, account, recorder, pace, teller.say).run(Stopping(teller.say))


def plan(account: Account, steps: Sequence[str], parts: Sequence[prices.Line], cost: float, folder: Path) -> str:
    """Describe the rehearsal before it begins."""
    where = os.environ.get("AWS_ENDPOINT_URL")
    costs = "\n".join(f"    ${each.dollars:.3f}  {each.what}" for each in parts)
    return f"""\
This rehearses annexd in account {account.number}, region {account.region}{f" at {where}" if where else ""}:
{", ".join(steps)}.
It creates the stack {names.STACK} (lease function, rule, log group, bucket, roles), seven roles
{names.role(account.region, "*")}, a launch template, a few rules that never fire, up to four Spot Fleet requests of
one machine each, and where they are missing EC2's service-linked roles for Spot.  All have these names or
the tag {names.TAG}.  At the end, after an error and after Ctrl-C all of it is ended, and AWS is queried until
nothing is left.  It takes most of an hour.
It costs a few cents; at most, if everything takes as long as possible:
{costs}
    ${cost:.2f}  in total, with a margin factor of {prices.MARGIN:.0f} for other regions and newer prices
The report goes to {folder}; it does not identify the account."""


def _only_clean_up(account: Account, pace: Durations, say: Say) -> int:
    """Run only the clean-up, and return its exit status.  After an interruption the next run continues."""
    left = clean_up(account, pace, say, made_service_roles=False)
    say("nothing is left" if not left else f"LEFT: {'; '.join(left)}")
    return LEFT if left else 0


def _says_yes() -> bool:
    if not sys.stdin.isatty():
        print("There is no terminal for a confirmation: use --yes", file=sys.stderr)
        return False
    return input("Begin?  yes or no: ").strip().lower() == "yes"


def _refuse(*lines: str) -> int:
    for line in lines:
        print(f"make live: {line}", file=sys.stderr)
    return USAGE


class Teller:
    """Prints progress with the seconds since the start."""

    def __init__(self) -> None:
        self._begun_s = time.monotonic()

    def say(self, line: str) -> None:
        print(f"{time.monotonic() - self._begun_s:6.0f} s  {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
