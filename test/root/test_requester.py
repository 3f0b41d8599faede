"""Requester files (see test/service/test_requester_files) with an annexd started by root.  Needs root."""

import os
import pwd
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import annexd.service.requester_files
from annexd.service.requester_files import CannotRead, RequesterFiles

FILES = RequesterFiles("annex.test")
NOBODY = pwd.getpwnam("nobody")
CONDOR = pwd.getpwnam("daemon")  # serves as HTCondor's user
PATIENCE_S = 30.0
STOP_MY_READERS = """
import os, signal
stopped = set()
while True:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                is_reader = b"packed_" b"folder" in file.read()
            while is_reader and pid not in stopped:
                try:
                    os.kill(int(pid), signal.SIGSTOP)
                except PermissionError:
                    continue
                stopped.add(pid)
                print(pid, flush=True)
        except OSError:
            continue
"""
UNKNOWN_UID = 54321  # as container platforms assign
READ_FOR_NOBODY = """
from annexd.service.requester_files import CannotRead, RequesterFiles
try:
    RequesterFiles("annex.test").read("nobody@annex.test", "/etc/hostname")
except CannotRead as error:
    print(error)
"""


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as home:  # pytest's own folders are closed to other users
        Path(home).chmod(0o711)
        yield Path(home)


def key_file(home: Path, uid: int, mode: int = 0o600) -> str:
    path = home / f"key{uid}"
    path.write_bytes(b"AKIA")
    os.chown(path, uid, NOBODY.pw_gid)
    path.chmod(mode)
    return str(path)


def test_root_reads_a_users_file_as_that_user(home: Path) -> None:
    assert FILES.read("nobody@annex.test", key_file(home, NOBODY.pw_uid)) == b"AKIA"


def test_root_reads_none_of_its_own_files_for_a_user(home: Path) -> None:
    with pytest.raises(CannotRead, match="Permission denied"):
        FILES.read("nobody@annex.test", key_file(home, 0))
    with pytest.raises(CannotRead, match="is not owned by"):
        FILES.read("nobody@annex.test", key_file(home, 0, 0o644))


def test_root_does_not_enter_a_folder_that_the_user_may_not_enter(home: Path) -> None:
    path = key_file(home, NOBODY.pw_uid)
    home.chmod(0o700)
    with pytest.raises(CannotRead, match="Permission denied"):
        FILES.read("nobody@annex.test", path)


def test_root_reads_a_folder_as_the_user_and_nothing_that_is_only_roots(home: Path) -> None:
    folder = home / "config"
    folder.mkdir(mode=0o755)
    (folder / "mine").write_bytes(b"\xffA = 1\n")
    (folder / "mine").chmod(0o644)
    assert FILES.read_folder("nobody@annex.test", str(folder)) == {"mine": b"\xffA = 1\n"}
    (folder / "roots").write_bytes(b"secret")
    (folder / "roots").chmod(0o600)
    with pytest.raises(CannotRead, match="'roots': Permission denied"):
        FILES.read_folder("nobody@annex.test", str(folder))


@pytest.fixture
def large_folder(home: Path) -> str:
    """Create a folder large enough that its reader can be stopped in time."""
    folder = home / "config"
    folder.mkdir(mode=0o755)
    for number in range(100):
        (folder / f"file{number}").write_bytes(bytes(10_000))
    return str(folder)


@contextmanager
def user_who_stops_readers() -> Iterator[Callable[[threading.Thread], int | None]]:
    """Run a user who stops readers; yield a function that returns the next ID, or None if its thread ends."""
    pids = list[int]()
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", STOP_MY_READERS],
        user=NOBODY.pw_uid,
        group=NOBODY.pw_gid,
        extra_groups=[],
        cwd="/",
        stdout=subprocess.PIPE,
        bufsize=0,
    ) as user:
        assert user.stdout is not None
        stopped = user.stdout

        def next_one(reader: threading.Thread) -> int | None:
            while not select.select([stopped], [], [], 0.1)[0]:
                if not reader.is_alive():
                    return None
            pids.append(int(stopped.readline()))
            return pids[-1]

        try:
            yield next_one
        finally:
            user.kill()
            pids += map(int, stopped.read().split())  # readers that no test has fetched
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@contextmanager
def as_htcondors_user() -> Iterator[None]:
    """Run while only the real user ID is root's, as annexd does after become_condor."""
    os.seteuid(CONDOR.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


def reading(folder: str) -> tuple[threading.Thread, list[str]]:
    """Start a thread that reads the folder; return it with the list of its errors."""
    errors = list[str]()

    def read() -> None:
        try:
            FILES.read_folder("nobody@annex.test", folder)
        except CannotRead as error:
            errors.append(str(error))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread, errors


def state_of(pid: int) -> str:
    """Return the kernel's state letter: T if stopped, Z if ended or gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
    except OSError:
        return "Z"


def stopped_reader(
    folder: str, next_stopped: Callable[[threading.Thread], int | None]
) -> tuple[threading.Thread, list[str], int]:
    """Start reading(); return its result and the ID of its process, which the user stopped before it finished."""
    for _ in range(50):
        thread, errors = reading(folder)
        if (pid := next_stopped(thread)) is None:
            continue
        while (state := state_of(pid)) not in "TZ":
            time.sleep(0.01)
        if state == "T":
            return thread, errors, pid
        thread.join(PATIENCE_S)
    raise AssertionError("each reader finished before its user could stop it")


def refusal(user: str) -> str:
    with pytest.raises(CannotRead) as caught:
        FILES.read(f"{user}@annex.test", "/nowhere")
    return str(caught.value)


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_reader_stopped_by_its_user_costs_one_time_out_and_is_killed(
    large_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annexd.service.requester_files, "READ_TIMEOUT_S", 10.0)
    with user_who_stops_readers() as next_stopped, as_htcondors_user():
        thread, errors, pid = stopped_reader(large_folder, next_stopped)
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), "annexd still waits for the reader"
        assert errors == [f"{large_folder} could not be read within 10 s"]
        assert not is_alive(pid)


def test_a_user_whose_readers_hang_is_refused_at_once_and_others_are_not(large_folder: str) -> None:
    with user_who_stops_readers() as next_stopped, as_htcondors_user():
        readers = [stopped_reader(large_folder, next_stopped) for _ in range(2)]
        end_s = time.monotonic() + annexd.service.requester_files.READ_TIMEOUT_S
        while "processes that read files as nobody do not answer" not in refusal("nobody"):
            assert time.monotonic() < end_s
        begun_s = time.monotonic()
        assert "do not answer" in refusal("nobody")
        assert time.monotonic() - begun_s < annexd.service.requester_files.READ_TIMEOUT_S / 2, "nobody waits for them"
        assert "cannot be opened: No such file" in refusal("games")
    for thread, _, pid in readers:
        thread.join(PATIENCE_S)
        assert not is_alive(pid)
    assert "cannot be opened: No such file" in refusal("nobody")


def test_an_annexd_without_an_account_explains_why_it_cannot_read() -> None:
    with pytest.raises(KeyError):
        pwd.getpwuid(UNKNOWN_UID)
    done = subprocess.run(
        [sys.executable, "-c", READ_FOR_NOBODY],
        user=UNKNOWN_UID,
        group=UNKNOWN_UID,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"/etc/hostname cannot be opened as nobody: annexd runs as user ID {UNKNOWN_UID}, which no "
        "account has; only an annexd started by root can open files as another user\n"
    )


def test_a_burst_of_requests_of_one_user_occupies_few_places(large_folder: str) -> None:
    """All readers of the user are stopped, so further requests are refused before the hanging ones time out."""
    burst = annexd.service.requester_files.MAX_AT_ONCE + 6
    with user_who_stops_readers(), as_htcondors_user():
        threads = [reading(large_folder) for _ in range(burst)]
        end_s = time.monotonic() + annexd.service.requester_files.READ_TIMEOUT_S / 2
        while (hanging := sum(thread.is_alive() for thread, _ in threads)) > annexd.service.requester_files.MAX_AT_ONCE:
            assert time.monotonic() < end_s, f"{hanging} requests of one user wait for readers that do not answer"
            time.sleep(0.05)
    for thread, _ in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
