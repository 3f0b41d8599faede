"""make demo shows the whole story and leaves nothing behind, even when interrupted."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from test.demo.story import Story
from test.system.site import TOP
from test.whole import IS_WHOLE

HURRY = () if IS_WHOLE else ("--hurried",)
LONGEST_S = 480.0


def demo() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "test.demo", *HURRY],
        cwd=TOP,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "DEMO_MARK": mark()},
    )


def mark() -> str:
    return f"demo-of-test-{os.getpid()}"


def descendants() -> list[str]:
    """Return the commands of processes with the demo's mark in their environment."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                environment = (process / "environ").read_bytes()
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if f"DEMO_MARK={mark()}".encode() in environment and command:
                found.append(command)
    return found


@pytest.mark.timeout(600)  # in full, -teardown alone waits for almost three minutes
def test_the_demo_shows_the_whole_story_and_leaves_nothing_behind() -> None:
    process = demo()
    try:
        output, errors = process.communicate(timeout=LONGEST_S)
    finally:
        process.send_signal(signal.SIGINT)  # ends a demo that takes too long, before the next test
    assert process.returncode == 0, output + errors
    request_id, mistake, mixed = re.findall(r"^ +((?:sfr|fleet)-[0-9a-f-]+)$", output, re.MULTILINE)
    assert f"10 instances of {request_id}" in output
    for words in (
        "condor_annex -setup",
        "the rule calls the lease function",
        "condor_status -subsystem annexd",
        '"tick": true',
        "AuthenticatedIdentity",
        "This is job 1.0, and I ran on slot1_1@i-",
        "condor_annex -extend 2h mistake",
        "Its ordered end was",
        f"({mistake}) is cancelled",
        "instances:  0 running",
        "tokens:     0 in S3",
        "2 spot instances",
        "2 on-demand instances",
        f"({mixed}) is cancelled",
        "fleets:     cancelled, deleted, deleted\n",
        "by the cloud's meter, at most $",
        "ordered by: physicist\n",
        "condor_annex -teardown",
        "Nothing is running",
    ):
        assert words in output, output
    assert_the_last_act_is_there(output)
    assert descendants() == []


def assert_the_last_act_is_there(output: str) -> None:
    """Check that an idle job is observed, then served within a budget by a machine that turns itself off."""
    words = (
        "condor_annex -demand-config",
        r"\b1 machine of offer small$",
        "ANNEX_DEMAND is observe: nothing is ordered",
        r"\$ condor_annex -why 2\.0\n +1 job like it: Ordering, 1 machine of offer small \(observed only",
        r"s/observe/enforce/",
        r"^ +jobs +\$5\.00 day +\$0\.00 +\$0\.0\d+ +\$4\.9\d+ ",
        r"^ +slot1@i-\S+ +\w+ +offer-small small$",
        r"This is job 2\.0, and I ran on slot1_1@i-",
        "leaves the pool and turns itself off",
        r"^ +jobs +\$5\.00 day +\$0\.00\d+ +\$0\.00 +\$4\.99\d+ ",
    )
    at = 0
    for each in words:
        found = re.compile(each, re.MULTILINE).search(output, at)
        assert found, f"{each} is not in, or not in its place:\n{output}"
        at = found.end()


def test_the_demo_interrupted_leaves_nothing_behind() -> None:
    process = demo()
    assert process.stdout is not None
    for line in process.stdout:
        if "The instances run" in line:
            break
    process.send_signal(signal.SIGINT)
    _output, errors = process.communicate(timeout=240)
    assert process.returncode == 1, errors
    assert "Stopped; nothing is left running." in errors
    assert descendants() == []


class Finalized:
    """An object whose finalizer runs at the moment of a Ctrl-C."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the exception is lost there
def test_an_interrupt_that_python_loses_stops_the_demo_at_its_next_line() -> None:
    story = Story(())
    before = signal.signal(signal.SIGINT, story.interrupt)
    try:
        Finalized()
        with pytest.raises(KeyboardInterrupt):
            story.say("The instances run")
    finally:
        signal.signal(signal.SIGINT, before)
