"""make demo: the whole story of one annex, on a real HTCondor and an AWS that acts, in a minute.

The commands shown are run as they are shown, and what they print is what is printed.  Time is real, but for the
lease's clock: its five minutes pass in five seconds here.
"""

import contextlib
import json
import os
import re
import shlex
import signal
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

from test.cloud import Cloud
from test.cloud.cloud import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from test.pool import ANNEXD_CONFIG, NoHTCondorError, Pool, PoolError

TOP = Path(__file__).resolve().parents[1]
TOOL = Path(sysconfig.get_path("scripts")) / "condor_annex"
CLOCK_SPEED = 60  # the rule's five minutes pass in five seconds
LEASE_S = 20
TERMINATION_S = 2  # how long the emulated instances take to shut down
END_WITHIN_S = 60
BOLD, DIM, GREEN, PLAIN = ("\033[1m", "\033[2m", "\033[32m", "\033[0m") if sys.stdout.isatty() else ("", "", "", "")


class DemoFailed(Exception):
    """What the demo promises did not happen; the text shows what did."""


class Story:
    """Prints what is done, with the seconds since the start."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()

    def say(self, text: str) -> None:
        print(f"{DIM}{time.monotonic() - self._began_s:5.1f} s{PLAIN}  {BOLD}{text}{PLAIN}", flush=True)

    def show(self, text: str) -> None:
        for line in text.rstrip().splitlines():
            print(f"         {line}", flush=True)

    def run(self, pool: Pool, *command: str) -> str:
        """Run a command as a user would, and show it with all that it prints; its standard output."""
        self.show(f"$ {shlex.join(Path(command[0]).name if word is command[0] else word for word in command)}")
        done = pool.run(*command)
        self.show(f"{DIM}{done.stderr}{PLAIN}" if done.stderr.strip() else "")
        self.show(done.stdout)
        if done.returncode != 0:
            raise DemoFailed(f"{Path(command[0]).name} ended with status {done.returncode}; annexd's log:\n"
                             f"{pool.log('ANNEXD')[-3000:]}")
        return done.stdout.strip()


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # as on Ctrl-C: everything is taken down
    story = Story()
    try:
        tell(story)
    except (DemoFailed, PoolError, NoHTCondorError) as error:
        sys.exit(f"\nThe demo failed: {error}")
    except KeyboardInterrupt:
        sys.exit("\nStopped; nothing is left running.")


def tell(story: Story) -> None:
    story.say("Starting an AWS that acts (emulated: fleets launch, functions run, rules fire)")
    with Cloud(speed=CLOCK_SPEED, termination_s=TERMINATION_S) as cloud:
        arn = cloud.deploy_template(TOP / "templates" / "template-3.json")
        story.say("CloudFormation deployed templates/template-3.json: the lease function")
        story.show(arn)
        story.say("Starting a real HTCondor pool, with config.d/80annexd dropped in")
        pool = Pool(configuration(cloud, arn), daemons=("MASTER", "COLLECTOR", "SHARED_PORT", "SCHEDD", "ANNEXD"))
        with pool:
            request_id = lease(story, pool, cloud)
            story.say("kill -9 of annexd and of its condor_master: nobody is left who could end it. Only the cloud")
            kill(pool)
        watch_the_lease_end(story, cloud, request_id)
        prove_that_nothing_is_left(story, cloud)
    story.say(f"{GREEN}That is all of it. Nothing is running, here or there.{PLAIN}")


def kill(pool: Pool) -> None:
    """condor_master first, so that it does not start another annexd."""
    logs = [pool.log(daemon) for daemon in ("MASTER", "ANNEXD")]
    for log in logs:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(re.findall(r"\*\* PID = (\d+)", log)[-1]), signal.SIGKILL)


def configuration(cloud: Cloud, arn: str) -> str:
    return f"""{ANNEXD_CONFIG}
ANNEX_DEFAULT_EC2_URL = {cloud.url}
ANNEX_DEFAULT_CWE_URL = {cloud.url}
ANNEX_DEFAULT_LAMBDA_URL = {cloud.url}
ANNEX_DEFAULT_LEASE_FUNCTION_ARN = {arn}
"""


def lease(story: Story, pool: Pool, cloud: Cloud) -> str:
    """Order an annex and look at it; the Spot Fleet request ID."""
    story.say("The pool is up: annexd runs under condor_master and is seen in condor_status")
    story.run(pool, str(pool.htcondor.executable("condor_status")), "-subsystem", "annexd",
              "-af:h", "Name", "MyType", "AnnexRequests", "AnnexUnfinished")
    story.say(f"A user leases what templates/config.json describes, for {LEASE_S} seconds")
    keys = key_files(pool.directory)
    request_id = story.run(pool, str(TOOL), *keys, "-lease-duration", str(LEASE_S), str(TOP / "templates/config.json"))
    story.say("The instances run, and the lease that will end them was armed before they were ordered")
    story.show("\n".join(what_runs(cloud)))
    story.say("annexd's ad counts the request")
    wait_until(lambda: "1" in pool.run(str(pool.htcondor.executable("condor_status")), "-generic", "-af",
                                       "AnnexSuccesses").stdout, "annexd's ad to count one success", 20)
    story.run(pool, str(pool.htcondor.executable("condor_status")), "-generic", "-af:h", "Name", "MyType",
              "AnnexRequests", "AnnexSuccesses", "AnnexUnfinished")
    return request_id


def key_files(directory: Path) -> list[str]:
    """The options that name the user's AWS keys: files that nobody else may read."""
    files = {"-public-key-file": ("access_key", ACCESS_KEY_ID), "-secret-key-file": ("secret_key", SECRET_ACCESS_KEY)}
    options = []
    for option, (name, content) in files.items():
        path = directory / name
        path.touch(mode=0o600)
        path.write_text(content)
        options += [option, str(path)]
    return options


def what_runs(cloud: Cloud) -> list[str]:
    instances = cloud.running_instances()
    rules = cloud.client("events").list_rules()["Rules"]
    return [f"{fleet['id']}  {fleet['state']}" for fleet in cloud.fleets()] + [
        f"{sum(each['fleet'] == fleet['id'] for each in instances)} instances of {fleet['id']}"
        for fleet in cloud.fleets()] + [f"rule {rule['Name']}  {rule['ScheduleExpression']}" for rule in rules]


def watch_the_lease_end(story: Story, cloud: Cloud, request_id: str) -> None:
    story.say(f"Waiting for the lease of {request_id} to end (the rule fires every five minutes: here, seconds)")
    wait_until(lambda: not cloud.running_instances() and not cloud.client("events").list_rules()["Rules"],
               "the instances and the rule to be gone", LEASE_S + END_WITHIN_S)
    story.say("The lease is over: a run of lambda/lease.py ended the fleet, saw its instances gone, and left")


def prove_that_nothing_is_left(story: Story, cloud: Cloud) -> None:
    fleets = [fleet["state"] for fleet in cloud.fleets()]
    rules = cloud.client("events").list_rules()["Rules"]
    meter = cloud.meter()
    story.say("Proof, asked of the cloud")
    story.show(f"fleets:     {', '.join(fleets)}")
    story.show(f"instances:  {len(cloud.running_instances())} running")
    story.show(f"rules:      {len(rules)}")
    for annex_id, line in meter["annexes"].items():
        story.show(f"meter:      {annex_id} ran at most {line['latest']:.1f} s past its lease "
                   f"(one tick of the clock is {300 / CLOCK_SPEED:.0f} s, termination takes {TERMINATION_S} s)")
    if any(not state.startswith("cancelled") for state in fleets) or meter["unleased"]["instance_seconds"]:
        raise DemoFailed(f"something is left: {json.dumps(cloud.fleets(), default=str)[:2000]}")


def wait_until(condition: Callable[[], object], what: str, timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise DemoFailed(f"waited {timeout_s} s for {what}")
        time.sleep(0.2)


if __name__ == "__main__":
    main()
