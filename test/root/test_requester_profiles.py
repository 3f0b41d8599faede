"""Requester profiles (see test/service/test_requester_profiles) with an annexd started by root.  Needs root."""

import os
import pwd
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from annexd.annex.request.key_source import NoKeys
from annexd.service import requester_profiles
from test.service.profiles import Home, profile, shown

CONDOR = pwd.getpwnam("daemon")  # serves as HTCondor's user
NOBODY = pwd.getpwnam("nobody")
PATIENCE_S = 90.0
STATIC = "[profile p]\naws_access_key_id = AKIASTATIC\naws_secret_access_key = s3cret\n"
RESOLVE = """
import os, sys
from pathlib import Path
from test.service.profiles import Home
os.seteuid(int(sys.argv[2]))
Home(Path(sys.argv[1]), "nobody").keys()
"""


@pytest.fixture
def tmp_home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as path:  # pytest's own folders are closed to other users
        Path(path).chmod(0o711)
        yield Path(path)


@pytest.fixture
def home(tmp_home: Path) -> Home:
    return Home(tmp_home, NOBODY.pw_name).made()


@contextmanager
def as_htcondors_user() -> Iterator[None]:
    """Run while only the real user ID is root's, as annexd does after become_condor."""
    os.seteuid(CONDOR.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


def wait_for(condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    end_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end_s, f"timed out waiting for {what}"
        time.sleep(0.01)


def pids(home: Home, count: int = 1) -> list[int]:
    """Return the process IDs that a program wrote into the home, once there are `count`."""
    file = home.path / "pids"
    wait_for(lambda: file.exists() and len(file.read_text().split()) == count, f"{count} numbers in {file}")
    return [int(pid) for pid in file.read_text().split()]


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_users_profile_is_resolved_as_that_user(home: Home) -> None:
    home.config(STATIC)
    with as_htcondors_user():
        assert shown(home.keys()) == ("AKIASTATIC", "s3cret", None)


def test_a_program_has_its_users_rights_and_cannot_regain_others(home: Home) -> None:
    home.process(
        f"exec > {home.path}/status 2>&1\n"
        "grep -E '^(Uid|Gid|Groups|CapPrm|CapEff):' /proc/self/status\n"
        "kill -0 1 && echo root\n"
        f"kill -0 {os.getpid()} && echo annexd\n"
        "cat /etc/shadow | head -c 1 | grep -q . && echo shadow\n"
        f"{sys.executable} -c 'import os; os.seteuid(0)' 2>/dev/null && echo seteuid"
    )
    with as_htcondors_user(), pytest.raises(NoKeys):
        home.keys()  # the program's output went to the file
    status = dict(line.split(":\t") for line in (home.path / "status").read_text().splitlines() if ":\t" in line)
    assert status["Uid"].split() == [str(NOBODY.pw_uid)] * 4
    assert status["Gid"].split() == [str(NOBODY.pw_gid)] * 4
    assert set(status["Groups"].split()) == {str(NOBODY.pw_gid)}
    assert {int(status[name], 16) for name in ("CapPrm", "CapEff")} == {0}
    lines = (home.path / "status").read_text().splitlines()
    assert not {"root", "annexd", "shadow", "seteuid"} & set(lines)


def test_htcondors_own_user_gains_no_root_rights_by_a_program(tmp_home: Path) -> None:
    """annexd's effective user is that user already, but a program must not regain the rights of its real user, root."""
    home = Home(tmp_home, CONDOR.pw_name).made()
    home.process(f"grep ^Uid /proc/self/status > {home.path}/status")
    with as_htcondors_user():
        assert home.keys().access_key_id == "ASIAPROGRAM"
    assert (home.path / "status").read_text().split()[1:] == [str(CONDOR.pw_uid)] * 4


def test_a_file_that_only_root_may_read_is_refused(home: Home) -> None:
    secret = home.write("roots", STATIC)
    os.chown(secret, 0, 0)
    with as_htcondors_user(), pytest.raises(NoKeys, match="cannot be opened: Permission denied"):
        home.keys(config_file=str(secret))


def test_a_link_leads_to_nothing_that_its_owner_may_not_read(home: Home) -> None:
    secret = home.write("roots", STATIC)
    os.chown(secret, 0, 0)
    (home.path / ".aws/config").symlink_to(secret)
    with as_htcondors_user(), pytest.raises(NoKeys, match="cannot be opened: Permission denied"):
        home.keys()


def test_a_program_can_neither_stop_nor_kill_its_supervisor_and_is_killed_with_all_its_processes(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requester_profiles, "RESOLVE_TIMEOUT_S", 15.0)
    supervisor = "$(awk '{print $4}' /proc/$PPID/stat)"
    home.process(
        f"(setsid sh -c '(setsid sh -c \"echo \\$\\$ >> {home.path}/pids; exec sleep 1000\" &)' &)\n"
        f"echo $$ >> {home.path}/pids\nkill -STOP {supervisor}; kill -9 {supervisor}; kill -STOP $PPID\nexec sleep 1000"
    )
    begun_s = time.monotonic()
    with as_htcondors_user(), pytest.raises(NoKeys, match="no answer within 15 s"):
        home.keys()
    assert time.monotonic() - begun_s < PATIENCE_S
    assert not [pid for pid in pids(home, 2) if is_alive(pid)]


def test_a_program_ends_with_annexd(home: Home) -> None:
    home.process(
        f"(setsid sh -c 'echo $$ >> {home.path}/pids; exec sleep 1000' &)\necho $$ >> {home.path}/pids\nexec sleep 1000"
    )
    annexd = subprocess.Popen([sys.executable, "-c", RESOLVE, str(home.path), str(CONDOR.pw_uid)])
    try:
        left = pids(home, 2)
    finally:
        annexd.send_signal(signal.SIGKILL)
        annexd.wait()
    sooner_s = requester_profiles.RESOLVE_TIMEOUT_S / 2  # sooner than the program's time-out
    wait_for(lambda: not any(map(is_alive, left)), f"the end of {left}", sooner_s)


def test_profiles_of_two_users_with_one_name_are_distinct(home: Home) -> None:
    home.config(STATIC)
    profiles = home.profiles()
    with as_htcondors_user():
        home.keys(profiles=profiles)
        with pytest.raises(NoKeys, match="cannot be opened"):
            profiles.resolve("games@annex.test", profile())


def test_one_users_program_delays_no_other_user(home: Home) -> None:
    home.process(f"while [ ! -e {home.path}/go ]; do sleep 0.05; done")
    keys = list[str]()
    slow = threading.Thread(target=lambda: keys.append(home.keys().access_key_id))
    slow.start()
    with pytest.raises(NoKeys, match="cannot be opened"):
        Home(home.path, "games").keys()
    assert slow.is_alive()
    home.write("go", "")
    slow.join(PATIENCE_S)
    assert keys == ["ASIAPROGRAM"]
