"""Test that a machine follows its lease: it reads a moved end from the annex's object and trusts nothing else."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from test.cloud import Cloud
from test.instance.account import (
    BUCKET,
    CONFIG,
    EVERY_ANNEX,
    MAX_LEASE_S,
    MOVED_TOKEN,
    TOKEN,
    Account,
    config_bundle,
    manifest,
    member,
    object_arn,
    policy,
    tarball,
)
from test.instance.machine import Machine, Outcome
from test.instance.script import script
from test.whole import WHOLE

Make = Callable[[str], Machine]
LEASE_S, GRACE_S = 3600, 600
KEY = "annex/annex-one.tar.gz"
UNIT = "condor-annex-ec2-lease-{}-by-aws"


class Booted:
    """A machine of an annex, an hour before the end of its lease."""

    def __init__(self, account: Account, make: Make, **files: str) -> None:
        self.account = account
        self.ordered_end_s = account.annex(lease_s=LEASE_S, files=files)
        self.machine = make(account.instance(account.profile(policy(EVERY_ANNEX))))
        outcome = self.machine.boot()
        assert outcome.status == 0, outcome.log

    def moved(self, seconds: int, **more: Any) -> int:
        """Move the end of the lease by `seconds`, as annexd does, and return the new end."""
        end_s = self.ordered_end_s + seconds
        self.account.move(self.ordered_end_s, end_s, **more)
        return end_s

    def knows(self) -> tuple[Any, ...]:
        """Return everything that the machine follows: its files, its timers and its known end."""
        return self.machine.files(), self.machine.standing(), self.machine.state()["lease_end_s"]


@pytest.fixture
def booted(account: Account, machine: Make) -> Booted:
    return Booted(account, machine)


def assert_goes_by(booted: Booted, end_s: int) -> None:
    files, standing, known_s = booted.knows()
    assert (standing, known_s) == ({UNIT.format(end_s)}, end_s)
    assert files["50-condor-annex.conf"] == f"LeaseEnd = {end_s}\n"
    assert files["annex.token"] == f"{MOVED_TOKEN}\n"


def assert_went_on(outcome: Outcome) -> None:
    assert outcome.status == 0, outcome.log
    assert not outcome.was_shut_down


@pytest.mark.parametrize("seconds", [86400, 60, -60, -3000], ids=["long", "a minute", "less", "nearly over"])
def test_a_moved_end_is_followed_by_timer_configuration_and_token(booted: Booted, seconds: int) -> None:
    end_s = booted.moved(seconds)
    outcome = booted.machine.refresh(f"--grace={GRACE_S}")
    assert_went_on(outcome)
    assert_goes_by(booted, end_s)
    [after_s] = outcome.timers().values()
    assert abs(end_s + GRACE_S - time.time() - after_s) < 30


def test_the_new_timer_stands_before_the_old_one_goes(booted: Booted) -> None:
    end_s = booted.moved(3600)
    outcome = booted.machine.refresh()
    did = [each["arguments"] for each in outcome.calls]
    armed = next(i for i, said in enumerate(did) if f"--unit={UNIT.format(end_s)}" in said)
    stopped = did.index(["stop", f"{UNIT.format(booted.ordered_end_s)}.timer"])
    assert armed < stopped


def test_an_end_can_be_moved_again_and_again_and_back(booted: Booted) -> None:
    for seconds in (3600, 7200, 1800, 0):
        end_s = booted.moved(seconds)
        assert_went_on(booted.machine.refresh())
        assert_goes_by(booted, end_s)


def test_a_cancelled_annex_drains_and_its_timer_counts_the_grace_from_now(booted: Booted) -> None:
    now_s = int(time.time())
    booted.account.move(booted.ordered_end_s, now_s, cancelled_s=now_s)
    outcome = booted.machine.refresh(f"--grace={GRACE_S}")
    assert_went_on(outcome)
    assert_goes_by(booted, now_s)
    [after_s] = outcome.timers().values()
    assert GRACE_S - 30 < after_s <= GRACE_S + 1


def test_an_annex_that_was_cancelled_without_its_machine_hearing_of_it_ends_at_once(booted: Booted) -> None:
    long_ago_s = int(time.time()) - GRACE_S - 60
    changed = manifest("annex-one", long_ago_s, booted.ordered_end_s, long_ago_s)
    changed["Tags"]["htcondor:annex-cancelled"] = "yes"  # the tag counts whatever its value is
    booted.account.put(KEY, config_bundle("annex-one", long_ago_s, changed))
    before = len(booted.machine.calls())
    booted.machine.refresh(f"--grace={GRACE_S}")
    wait_for(lambda: any(each["tool"] == "shutdown" for each in booted.machine.calls()[before:]), "the machine's end")


@pytest.mark.parametrize("kind", ["denied", "internal", "reset", "throttle", "expired-token"])
def test_a_get_that_fails_keeps_the_known_end(booted: Booted, cloud: Cloud, kind: str) -> None:
    before, end_s = booted.knows(), booted.moved(3600)
    cloud.fault("GetObject", kind, times=1000)
    outcome = booted.machine.refresh()
    assert (outcome.was_shut_down, booted.knows()) == (False, before)
    assert "the known end of the lease stays" in outcome.log
    cloud.clear_faults()
    booted.machine.refresh()
    assert_goes_by(booted, end_s)


def test_a_passing_trouble_of_s3_costs_no_refresh(booted: Booted, cloud: Cloud) -> None:
    end_s = booted.moved(3600)
    cloud.fault("GetObject", "internal", times=2)
    booted.machine.refresh()
    assert_goes_by(booted, end_s)


def test_an_object_that_is_deleted_keeps_the_known_end(booted: Booted, cloud: Cloud) -> None:
    before = booted.knows()
    cloud.client("s3").delete_object(Bucket=BUCKET, Key=KEY)
    assert_went_on(booted.machine.refresh())
    assert booted.knows() == before


def test_without_a_network_the_known_end_stays(booted: Booted) -> None:
    before = booted.knows()
    booted.machine.environment["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1"
    assert_went_on(booted.machine.refresh())
    assert booted.knows() == before


def changed(**changes: Any) -> bytes:
    """Return an object that would extend the lease, except for these members of annex.json."""
    end_s = int(time.time()) + 9 * LEASE_S
    return config_bundle("annex-one", end_s, manifest("annex-one", end_s) | changes)


def with_member(info: tarfile.TarInfo, content: bytes = b"A = 1\n") -> bytes:
    end_s = int(time.time()) + 9 * LEASE_S
    own = json.dumps(manifest("annex-one", end_s)).encode()
    return tarball([(member("annex.json"), own), (member("50-condor-annex.conf"), b"B = 1\n"), (info, content)])


HOSTILE: dict[str, Callable[[], bytes]] = {
    "another annex": lambda: config_bundle("annex-two", time.time() + 9 * LEASE_S),
    "another fleet's token": lambda: changed(ClientToken="annex-one_3999999999_0123456789abcdef"),
    "a token of no fleet": lambda: changed(ClientToken="annex-one"),
    "a token that is none": lambda: changed(ClientToken=["annex-one"]),
    "two annexes in one": lambda: changed(AnnexID="annex-two"),
    "an annex that is none": lambda: changed(AnnexID=7),
    "an end in words": lambda: changed(LeaseEnd="4000000000"),
    "an end that is true": lambda: changed(LeaseEnd=True),
    "an end with a point": lambda: changed(LeaseEnd=1e300),
    "an end that is nothing": lambda: changed(LeaseEnd=None),
    "an end in milliseconds": lambda: changed(LeaseEnd=1_900_000_000_000),
    "tags that are a list": lambda: changed(Tags=["htcondor:annex-lease-end"]),
    "a tag that is no text": lambda: changed(Tags={"htcondor:annex-lease-end": 4_000_000_000}),
    "no limit": lambda: changed(MaxLease=None),
    "a limit in words": lambda: changed(MaxLease="10"),
    "a limit below nothing": lambda: changed(MaxLease=-1),
    "annex.json is no JSON": lambda: tarball([(member("annex.json"), b"{")]),
    "annex.json is too deep": lambda: tarball([(member("annex.json"), b"[" * 100_000)]),
    "no annex.json": lambda: tarball([(member("50-condor-annex.conf"), b"B = 1\n")]),
    "no tarball": CONFIG.encode,
    "nothing": lambda: b"",
    "larger than any": lambda: b"\x1f\x8b" + bytes(5 << 20),
    "unpacks to gigabytes": lambda: gzip.compress(bytes(64 << 20), 1),
    "cut short": lambda: changed()[:-20],
    "a link": lambda: with_member(member("60-mine", type=tarfile.SYMTYPE, linkname="/etc/passwd"), b""),
    "a device": lambda: with_member(member("60-mine", type=tarfile.CHRTYPE), b""),
    "a way out": lambda: with_member(member("../../60-mine")),
    "a file twice": lambda: with_member(member("50-condor-annex.conf")),
    "a size that is a lie": lambda: gzip.compress(member("annex.json", size=1 << 40).tobuf() + b"{}"),
    "a token for the pool that is none": lambda: with_member(member("annex.token"), b"no token"),
}


@pytest.fixture(scope="module")
def one_booted(one_cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    """Provide one machine for all inputs that must not change it."""
    one_cloud.reset()
    made: list[Machine] = []

    def make(instance_id: str) -> Machine:
        made.append(Machine(tmp_path_factory.mktemp("machine"), one_cloud, instance_id))
        return made[-1]

    yield Booted(Account(one_cloud), make)
    for each in made:
        each.stop()


@pytest.mark.parametrize("what", HOSTILE)
def test_an_object_that_is_not_a_sound_one_of_this_annex_changes_nothing(one_booted: Booted, what: str) -> None:
    before = one_booted.knows()
    one_booted.account.put(KEY, HOSTILE[what]())
    outcome = one_booted.machine.refresh()
    assert (outcome.was_shut_down, one_booted.knows()) == (False, before), outcome.log
    assert "the known end of the lease stays" in outcome.log


def test_an_end_beyond_what_max_lease_allows_is_followed_no_further_than_that(booted: Booted) -> None:
    booted.moved(3 * MAX_LEASE_S)
    booted.machine.refresh()
    known_s = booted.machine.state()["lease_end_s"]
    assert MAX_LEASE_S - 60 < known_s - time.time() <= MAX_LEASE_S
    assert booted.machine.standing() == {UNIT.format(known_s)}


def test_an_unreadable_end_falls_back_to_the_ordered_one(booted: Booted) -> None:
    end_s = booted.moved(7200)
    booted.machine.refresh()
    changed = manifest("annex-one", end_s, booted.ordered_end_s)
    changed["Tags"] = {"htcondor:annex-lease-end": "forever"}
    booted.account.put(KEY, config_bundle("annex-one", end_s, changed))
    booted.machine.refresh()
    assert booted.machine.state()["lease_end_s"] == booted.ordered_end_s


def test_an_unchanged_object_is_not_sent_again_and_ec2_is_never_asked(booted: Booted, cloud: Cloud) -> None:
    before, written = booted.knows(), (booted.machine.config / "50-condor-annex.conf").stat().st_mtime_ns
    cloud.clear_audit()
    outcome = booted.machine.refresh()
    assert_went_on(outcome)
    calls = [each for each in cloud.audit() if each["kind"] == "call"]
    assert [(each["service"], each["operation"], each["status"]) for each in calls] == [("s3", "GetObject", 304)]
    assert (booted.knows(), outcome.log, outcome.timers()) == (before, "", {})
    assert (booted.machine.config / "50-condor-annex.conf").stat().st_mtime_ns == written


def test_the_users_own_files_stay_as_the_machine_booted_with_them(account: Account, machine: Make) -> None:
    booted = Booted(account, machine, **{"99-mine": "EXECUTE = /mnt\n"})
    booted.moved(3600, **{"99-mine": "EXECUTE = /elsewhere\n", "98-new": "A = 1\n"})
    booted.machine.refresh()
    files = booted.machine.files()
    assert (files["99-mine"], "98-new" in files) == ("EXECUTE = /mnt\n", False)


def test_the_token_stays_roots_alone_and_in_no_log(booted: Booted) -> None:
    booted.moved(3600)
    outcome = booted.machine.refresh()
    assert (booted.machine.tokens / "annex.token").stat().st_mode & 0o777 == 0o600
    assert (booted.machine.config / "50-condor-annex.conf").stat().st_mode & 0o777 == 0o644
    for secret in (TOKEN, MOVED_TOKEN):
        assert secret not in outcome.log + json.dumps(booted.machine.state()) + booted.machine.log.read_text()


# HTCondor

MASTER = """
import signal, sys, time
signal.signal(signal.SIGHUP, lambda *_: open(sys.argv[1], "a").write("read again\\n"))
print("ready", flush=True)
while True:
    time.sleep(100)
"""


@pytest.fixture
def master(booted: Booted) -> Iterator[Path]:
    """Run the process of the machine's condor.service; yields the file that shows that it reread its configuration."""
    changed = booted.machine.folder / "reloads"
    command = [sys.executable, "-c", MASTER, str(changed)]
    process = subprocess.Popen(command, env=booted.machine.environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    (booted.machine.folder / "command.pid").write_text(str(process.pid))
    yield changed
    process.kill()
    process.communicate()


def wait_for(true: Callable[[], bool], what: str, timeout_s: float = 30) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline_s, f"no sign of {what}"
        time.sleep(0.05)


def test_htcondor_reads_its_configuration_again_when_it_is_written(booted: Booted, master: Path) -> None:
    booted.machine.refresh()
    assert not master.exists()
    booted.moved(3600)
    booted.machine.refresh()
    wait_for(master.exists, "a condor_master that reads its configuration again")
    booted.machine.refresh()
    assert master.read_text() == "read again\n"


def test_the_next_refresh_informs_an_htcondor_that_missed_the_last_one(booted: Booted, master: Path) -> None:
    tool = booted.machine.folder / "bin" / "systemctl"
    real = tool.read_text()
    tool.write_text(
        real.replace(
            "def htcondor(action: str) -> int:",
            'def htcondor(action: str) -> int:\n    if action == "reload":\n        return 1\n',
        )
    )
    booted.moved(3600)
    outcome = booted.machine.refresh()
    assert (outcome.status, master.exists()) == (1, False)
    assert "HTCondor does not know the new end yet" in outcome.log
    tool.write_text(real)
    assert booted.machine.refresh().status == 0
    wait_for(master.exists, "a condor_master that reads its configuration again")


# Killed refreshes

KILLER = """#!{python} -IS
import os, signal, subprocess, sys
from pathlib import Path
here = Path(sys.argv[0]).resolve()
machine, left = here.parents[1], here.parents[1] / "calls-left"
number = int(left.read_text()) - 1
left.write_text(str(number))
if number == 0 and "{when}" == "before":
    os.kill(os.getppid(), signal.SIGKILL)
    sys.exit(1)
status = subprocess.call([str(machine / "real" / here.name), *sys.argv[1:]])
if number == 0:
    os.kill(os.getppid(), signal.SIGKILL)
sys.exit(status)
"""


def plant_killer(machine: Machine, when: str) -> Path:
    """Make each tool of the machine kill the refresh that calls it once the count in the returned file reaches zero."""
    real = machine.folder / "real"
    (machine.folder / "bin").rename(real)
    (machine.folder / "bin").mkdir()
    for each in real.iterdir():
        killer = machine.folder / "bin" / each.name
        killer.write_text(KILLER.format(python=sys.executable, when=when))
        killer.chmod(0o755)
    return machine.folder / "calls-left"


@pytest.mark.parametrize(
    ("longer", "when"),
    [
        pytest.param(True, "before", id="extended-before", marks=WHOLE),
        pytest.param(True, "after", id="extended-after"),
        pytest.param(False, "before", id="cut short-before"),
        pytest.param(False, "after", id="cut short-after", marks=WHOLE),
    ],
)
def test_a_refresh_that_is_killed_at_any_call_leaves_a_timer_and_is_done_by_the_next(
    booted: Booted, when: str, longer: bool
) -> None:
    calls_left, killed = plant_killer(booted.machine, when), 0
    while True:
        end_s = booted.moved(60 * (killed + 1) if longer else -60 * (killed + 1))
        known_s = booted.machine.state()["lease_end_s"]
        calls_left.write_text(str(killed + 1))
        outcome = booted.machine.refresh()
        if outcome.status != -signal.SIGKILL:
            break
        killed += 1
        standing = booted.machine.standing()
        assert standing, f"no timer after the death at call {killed}"
        assert standing <= {UNIT.format(known_s), UNIT.format(end_s)}
        calls_left.write_text("1000")
        assert_went_on(booted.machine.refresh())
        assert_goes_by(booted, end_s)
    assert killed > 6, outcome.log
    assert_goes_by(booted, end_s)


def test_a_timer_that_cannot_be_armed_leaves_the_old_one_until_it_can(booted: Booted) -> None:
    end_s = booted.moved(3600)
    tool = booted.machine.folder / "bin" / "systemd-run"
    real = tool.read_text()
    tool.write_text(f"#!{sys.executable}\nraise SystemExit('no bus')\n")
    outcome = booted.machine.refresh()
    assert outcome.status == 1
    assert not outcome.arguments("shutdown"), "the one scheduled shutdown is for a machine without another timer"
    assert booted.machine.standing() == {UNIT.format(booted.ordered_end_s)}
    tool.write_text(real)
    assert_went_on(booted.machine.refresh())
    assert_goes_by(booted, end_s)


def test_a_timer_that_somebody_stopped_is_armed_again(booted: Booted) -> None:
    booted.machine.stop()
    for each in booted.machine.folder.glob("timer-*"):
        each.unlink()
    booted.machine.refresh()
    assert booted.machine.standing() == {UNIT.format(booted.ordered_end_s)}


def test_a_fault_of_the_refresh_itself_ends_no_machine(booted: Booted) -> None:
    before = booted.machine.standing()
    state = booted.machine.folder / "state" / "state.json"
    state.write_text('{"configured": true, "source": {}, "lease_end_s": "x"}')
    outcome = booted.machine.refresh()
    assert (outcome.status, outcome.was_shut_down, booted.machine.standing()) == (1, False, before)
    assert "because of an internal error" in outcome.log


def test_a_machine_that_is_not_configured_refreshes_nothing(account: Account, machine: Make) -> None:
    outcome = machine(account.instance(account.profile(policy(EVERY_ANNEX)))).refresh()
    assert (outcome.status, outcome.calls) == (0, [])


def test_a_machine_without_an_annexs_object_has_nothing_to_refresh(account: Account, machine: Make) -> None:
    account.put("config-mine", CONFIG.encode())
    one = machine(account.instance(account.profile(policy(object_arn("config-mine")))))
    assert one.boot().repeated() == []
    outcome = one.refresh()
    assert (outcome.status, len(one.standing())) == (0, 1)


# Clocks, reboots, and the timer of the refresh


@pytest.mark.parametrize("ahead_s", [7200, -7200])
def test_a_machine_whose_clock_jumps_keeps_its_timer_and_follows_by_awss_clock(
    booted: Booted, cloud: Cloud, ahead_s: int
) -> None:
    cloud.set_clock_ahead(ahead_s)  # as if the machine's own clock had jumped the other way
    before = booted.machine.standing()
    assert booted.machine.refresh().timers() == {}
    assert booted.machine.standing() == before
    cloud.set_clock_ahead(0)  # for annexd, whose clock is right
    end_s = booted.moved(ahead_s + 1800)
    cloud.set_clock_ahead(ahead_s)
    [after_s] = booted.machine.refresh(f"--grace={GRACE_S}").timers().values()
    assert abs(end_s + GRACE_S - (time.time() + ahead_s) - after_s) < 30


def test_after_a_reboot_the_moved_end_counts_even_if_the_object_is_gone(booted: Booted, cloud: Cloud) -> None:
    end_s = booted.moved(7200)
    booted.machine.refresh()
    cloud.client("s3").delete_object(Bucket=BUCKET, Key=KEY)
    assert_went_on(booted.machine.reboot())
    assert_goes_by(booted, end_s)


def test_an_end_that_was_moved_during_a_reboot_is_learned_before_a_lease_is_called_over(
    booted: Booted, cloud: Cloud
) -> None:
    end_s = booted.moved(7200)
    cloud.set_clock_ahead(LEASE_S + 60)  # the end that the machine knows has passed
    assert_went_on(booted.machine.reboot())
    assert_goes_by(booted, end_s)


def test_a_lease_that_ended_during_a_reboot_is_over(booted: Booted) -> None:
    now_s = int(time.time())
    booted.account.move(booted.ordered_end_s, now_s, cancelled_s=now_s)
    outcome = booted.machine.reboot()
    assert (outcome.status, outcome.was_shut_down) == (1, True)
    assert "the lease ended" in outcome.log


def test_every_boot_and_reboot_arms_the_refresh_within_five_minutes(booted: Booted) -> None:
    [options] = booted.machine.reboot("--grace=300").repeated()
    first_s, again_s = (float(options[each].removesuffix("s")) for each in ("--on-active", "--on-unit-active"))
    command = next(
        each["arguments"]
        for each in reversed(booted.machine.calls())
        if each["tool"] == "systemd-run" and "--unit=condor-annex-ec2-refresh" in each["arguments"]
    )
    [jitter] = [each.rpartition("=")[2] for each in command if "RandomizedDelaySec" in each]
    jitter_s = float(jitter.removesuffix("s"))
    assert (first_s, jitter_s >= 60) == (again_s, True)
    assert again_s + jitter_s + script.REFRESH_PATIENCE_S + 10 < 300, "with the patience of a refresh, and its work"
    assert command[command.index("--refresh") - 1].endswith("/bin/condor-annex-ec2")
    assert "--grace=300" in command


def test_the_timer_of_the_boot_follows_the_lease_by_itself(account: Account, machine: Make) -> None:
    ordered_end_s = account.annex(lease_s=LEASE_S)
    one = machine(account.instance(account.profile(policy(EVERY_ANNEX))))
    assert one.boot("--every=1").status == 0
    for seconds in (3600, -600):
        end_s = ordered_end_s + seconds
        account.move(ordered_end_s, end_s)
        wait_for(lambda end_s=end_s: one.standing() == {UNIT.format(end_s)}, f"a timer for {end_s}")  # type: ignore[misc]
        wait_for(
            lambda end_s=end_s: one.files()["50-condor-annex.conf"] == f"LeaseEnd = {end_s}\n",  # type: ignore[misc]
            "the moved end in HTCondor's configuration",
        )
