"""The blocks of README and docs/operations.md, pasted in an empty account and an empty pool up to the first job.

The tests share one pool and follow the order of the pages: each begins where the previous one ended.  README's quick
start has a pool and an account of its own.
"""

import os
import re
import shutil
import socket
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from test.cloud import Cloud
from test.cloud.clock import Clock
from test.pool import Pool
from test.system.annexes import POOL, image
from test.system.site import TOP
from test.texts import README, block

OPERATIONS = TOP / "docs" / "operations.md"
JOINING = TOP / "docs" / "joining.md"
QUICKSTART = TOP / "docs" / "quickstart-aws.md"
PROGRAMS = Path(sysconfig.get_path("scripts"))
DAEMONS = ("MASTER", "COLLECTOR", "SHARED_PORT", "SCHEDD", "NEGOTIATOR")
SPEED = 60  # the rule's five minutes pass in five seconds
PASTED_S = 240.0
COMMANDS = 6
CLONE = ("bin", "config.d", "docs", "ganglia.d", "templates")
CRON = "* * * * * nobody "


class FirstHour:
    """A pool before annexd is installed, an empty account, and a clone of this repository."""

    def __init__(self, pool: Pool, cloud: Cloud) -> None:
        self.pool, self.cloud = pool, cloud
        self.clone, self.home = pool.directory / "clone", pool.directory / "home"
        self.config_d = pool.directory / "config.d"
        for folder in (self.clone, self.home, self.config_d):
            folder.mkdir()
        for name in CLONE:
            (self.clone / name).symlink_to(TOP / name)
        # Instead of linking the programs into HTCondor's folders with `ln -s`.
        (self.config_d / "90annexd-program").write_text(f"ANNEXD = {PROGRAMS}/condor_annexd\n")

    def paste(self, page: Path, beginning: str, instead: Mapping[str, str] = {}, **environment: str) -> str:
        """Run the block of a page that starts with `beginning`, with the changes of `instead`; return its output."""
        commands = block(page, beginning)
        for written, here in instead.items():
            assert written in commands
            commands = commands.replace(written, here)
        return self.run(commands, **environment)

    def run(self, commands: str, **environment: str) -> str:
        path = f"{PROGRAMS}:{self.pool.htcondor.bin}:{self.pool.htcondor.sbin}:{os.environ['PATH']}"
        env = {**self.cloud.environment(), "HOME": str(self.home), "PATH": path, **environment}
        script = f"set -euo pipefail\ncd {self.clone}\n{commands}\n"
        done = self.pool.run("bash", "-c", script, env=env, timeout_s=PASTED_S)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{self.pool.log('ANNEXD')[-3000:]}"
        return done.stdout + done.stderr

    def annexds(self) -> list[str]:
        said = self.pool.tool("condor_status", "-subsystem", "Annexd", "-af", "Name").stdout
        return sorted(name.partition("@")[0] for name in said.split())

    def starts(self, *logs: str) -> dict[str, int]:
        """Return how often each annexd has started, by the name of its log."""
        folder = self.pool.directory / "log"
        return {log: (folder / log).read_text().count("STARTING UP") for log in logs}

    def wait_for_other_starts(self, before: Mapping[str, int], *names: str) -> None:
        """Wait until each has started again since `before`, because one that is ending may still be in the pool."""
        self.pool.wait_for(
            lambda: all(count > before[log] for log, count in self.starts(*before).items()),
            f"{names} to start again",
            60.0,
        )
        self.wait_for_annexds(*names)

    def wait_for_annexds(self, *names: str) -> None:
        self.pool.wait_for(lambda: self.annexds() == list(names), f"{names} in the pool", 60.0)

    def status(self, *options: str) -> str:
        return self.pool.run(str(PROGRAMS / "condor_annex"), "-status", *options).stdout

    def order(self, name: str, *options: str) -> None:
        """Order an annex of one machine with the user's key files."""
        keys = (
            "-public-key-file",
            str(self.home / ".annex/access"),
            "-secret-key-file",
            str(self.home / ".annex/secret"),
        )
        more = (
            "-lease-duration",
            "1h",
            "-count",
            "1",
            "-annex-name",
            name,
            str(self.clone / "templates" / "config.json"),
        )
        ordered = self.pool.run(str(PROGRAMS / "condor_annex"), *keys, *options, *more)
        assert ordered.returncode == 0, ordered.stderr


@contextmanager
def first_hour() -> Iterator[FirstHour]:
    settings = "\n".join(line for line in POOL.splitlines() if not line.startswith("include"))
    pool = Pool(f"{settings}\nLOCAL_CONFIG_DIR = $(LOCAL_DIR)/packaged,$(LOCAL_DIR)/config.d\n", daemons=DAEMONS)
    with (
        Cloud(speed=SPEED, termination_s=0.5, enforce_iam=True, boot=image(pool, 3)) as cloud,
        pool,
    ):
        yield FirstHour(pool, cloud)


@pytest.fixture(scope="module")
def hour() -> Iterator[FirstHour]:
    with first_hour() as hour:
        yield hour


@pytest.fixture
def enabled() -> Iterator[FirstHour]:
    """Run a pool in which annexd is enabled as README shows administrators, with an empty account."""
    with first_hour() as hour:
        config_d = hour.config_d
        for name in ("80annexd", "80annex-machines"):
            shutil.copy(TOP / "config.d" / name, config_d)
        hour.pool.configure("")
        hour.wait_for_annexds("annexd")
        yield hour


def profile(hour: FirstHour) -> dict[str, str]:
    """Return the environment of a user with a profile `physics` and no other keys."""
    keys = {name: hour.cloud.environment()[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    files = {"AWS_SHARED_CREDENTIALS_FILE": hour.home / "credentials", "AWS_CONFIG_FILE": hour.home / "config"}
    for file in files.values():
        file.touch(mode=0o600)
    lines = [f"{name.lower()} = {value}\n" for name, value in keys.items()]
    files["AWS_SHARED_CREDENTIALS_FILE"].write_text("".join(["[physics]\n", *lines]))
    return {**dict.fromkeys(keys, ""), **{name: str(file) for name, file in files.items()}}


def test_six_commands_lead_from_an_empty_account_to_a_jobs_output(enabled: FirstHour) -> None:
    quick_start = block(README, "condor_annex -setup -profile")
    assert len(quick_start.replace("\\\n", " ").splitlines()) == COMMANDS
    said = enabled.paste(README, "condor_annex -setup -profile", {}, **profile(enabled))
    output = (enabled.clone / "first.out").read_text()
    assert output.strip() == socket.gethostname()
    assert f"All jobs done.\n{output}" in said
    history = ("condor_history", "-limit", "1", "-af", "LastRemoteHost")  # written after the job's log shows its end
    enabled.pool.wait_for(lambda: re.search("@i-[0-9a-f]+", enabled.pool.tool(*history).stdout), "a machine's job")


def test_an_administrator_makes_an_empty_account_ready(hour: FirstHour) -> None:
    said = hour.paste(README, "cp config.d/80annexd ")
    assert not re.search(r"\b(FAULT|unknown)\b", said), said
    hour.wait_for_annexds("annexd")


def test_a_user_runs_the_first_job_and_ends_the_annex(hour: FirstHour) -> None:
    said = hour.paste(README, "install -m 700 -d ~/.annex")
    assert (hour.clone / "first.out").read_text().strip()
    assert re.search(r"^fleet-[0-9a-f-]{36}$", said, re.MULTILINE), said
    assert "is cancelled" in said


def test_the_logs_and_ads_that_operators_read_exist(hour: FirstHour) -> None:
    starts = hour.starts("AnnexdLog")
    said = hour.paste(OPERATIONS, "condor_status -subsystem Annexd")
    for message in ("AnnexdLog", "STARTING UP", "ADMINISTRATOR"):
        assert message in said
    hour.wait_for_other_starts(starts, "annexd")


def test_set_up_again_by_the_quick_start_the_account_is_as_it_was(hour: FirstHour) -> None:
    said = hour.paste(QUICKSTART, "condor_annex -setup -region us-east-1\n")
    assert "up to date" in said
    assert not re.search(r"\b(FAULT|unknown)\b", said), said


def test_metrics_are_where_ganglia_and_prometheus_read_them(hour: FirstHour) -> None:
    ganglia, prometheus = hour.pool.directory / "ganglia.d", hour.pool.directory / "prometheus"
    for folder in (ganglia, prometheus):
        folder.mkdir()
    hour.paste(
        OPERATIONS, "cp /usr/share/", {"/usr/share/annexd/": ""}, _CONDOR_GANGLIAD_METRICS_CONFIG_DIR=str(ganglia)
    )
    assert (ganglia / "50_annexd_metrics").read_bytes() == (TOP / "ganglia.d" / "50_annexd_metrics").read_bytes()
    hour.paste(OPERATIONS, "DIR=/var/lib/prometheus", {"/var/lib/prometheus/node-exporter": str(prometheus), CRON: ""})
    assert "annexd_orders_accepted_total" in (prometheus / "annexd.prom").read_text()
    assert [path.name for path in prometheus.iterdir()] == ["annexd.prom"]


def test_the_journal_is_copied_while_annexd_is_off_and_annexd_knows_its_annexes_afterwards(hour: FirstHour) -> None:
    copy, starts = hour.pool.directory / "copy", hour.starts("AnnexdLog")
    hour.paste(OPERATIONS, "journal=$(", BACKUP=str(copy))
    assert (copy / "annexd_command_state").stat().st_size
    hour.wait_for_other_starts(starts, "annexd")
    assert "first" in hour.status()


def test_after_both_kinds_of_keys_were_rotated_an_order_is_carried_out_and_its_machine_joins(hour: FirstHour) -> None:
    key, secret = hour.cloud.environment()["AWS_ACCESS_KEY_ID"], hour.cloud.environment()["AWS_SECRET_ACCESS_KEY"]
    hour.paste(OPERATIONS, "(umask 077;", NEW_ACCESS_KEY_ID=key, NEW_SECRET_ACCESS_KEY=secret)
    hour.paste(OPERATIONS, "openssl rand")
    hour.order("rotated")
    machines = lambda: "rotated" in hour.pool.tool("condor_status", "-af", "AnnexName").stdout  # noqa: E731
    hour.pool.wait_for(machines, "a machine with a token of the new key", 90.0)


def test_machines_of_an_annex_are_found_and_turned_off_by_its_name(hour: FirstHour) -> None:
    def machines(*kind: str) -> bool:
        return "physics" in hour.pool.tool("condor_status", *kind, "-af", "AnnexName").stdout

    hour.order("physics")
    hour.pool.wait_for(lambda: machines() and machines("-master"), "its machine", 90.0)
    assert "Unclaimed" in hour.paste(JOINING, "condor_status -annex-name physics")
    hour.pool.wait_for(lambda: not machines(), "its machine to leave the pool", 90.0)


@pytest.fixture
def _second_regions_clock(hour: FirstHour) -> Iterator[None]:
    """Run the clock of a second region; the emulated AWS itself fires only the rules of its first."""
    clock = Clock(hour.cloud.url, "eu-west-1", SPEED, lambda _what, **_: None)
    clock.start()
    yield
    clock.stop()


@pytest.mark.usefixtures("_second_regions_clock")
def test_a_second_region_has_its_annexd_by_one_line_and_both_outlive_preen_and_a_restart(hour: FirstHour) -> None:
    hour.paste(OPERATIONS, "condor_annex -setup -region us-east-1 -region eu-west-1")
    hour.wait_for_annexds("annexd", "annexd-eu-west-1")
    assert "first" not in hour.paste(OPERATIONS, "condor_annex -name")
    second = "-name", f"annexd-eu-west-1@{hour.pool.param('FULL_HOSTNAME')}"
    hour.order("abroad", *second)
    spool = hour.pool.directory / "spool"
    (spool / "rubbish").touch()
    hour.pool.tool("condor_preen", "-r")
    assert not (spool / "rubbish").exists(), "condor_preen removed nothing"
    starts = hour.starts("AnnexdLog", "AnnexdLog.eu-west-1")
    hour.pool.tool("condor_restart")
    hour.wait_for_other_starts(starts, "annexd", "annexd-eu-west-1")
    assert ["rotated" in hour.status(), "abroad" in hour.status()] == [True, False]
    assert ["rotated" in hour.status(*second), "abroad" in hour.status(*second)] == [False, True]
    logs = [hour.pool.directory / "log" / name for name in ("AnnexdLog", "AnnexdLog.eu-west-1")]
    assert not [log for log in logs if "did you mean" in log.read_text()]


def test_before_annexd_is_uninstalled_its_annexes_are_seen_and_cancelled(hour: FirstHour) -> None:
    status, cancel, _teardown = block(OPERATIONS, "condor_annex -status").splitlines()  # test/account runs the third
    keys = f"-public-key-file {hour.home}/.annex/access -secret-key-file {hour.home}/.annex/secret"
    seen = hour.run(status)
    assert "rotated" in seen
    assert "is cancelled" in hour.run(f"{cancel.replace('ANNEX', 'rotated')} {keys}")
