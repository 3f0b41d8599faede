"""The same as test/daemon/test_requester, for an annexd of a root-owned condor_master.  Needs root."""

import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from annexd.daemon.requester import CannotRead, RequesterFiles

FILES = RequesterFiles("annex.test")
NOBODY = pwd.getpwnam("nobody")
UNKNOWN_UID = 54321  # as a container platform gives them
READ_FOR_NOBODY = """
from annexd.daemon.requester import CannotRead, RequesterFiles
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
    with pytest.raises(CannotRead, match="does not belong"):
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


def test_an_annexd_whose_user_id_no_account_has_says_why_it_cannot_read() -> None:
    with pytest.raises(KeyError):
        pwd.getpwuid(UNKNOWN_UID)
    done = subprocess.run([sys.executable, "-c", READ_FOR_NOBODY], user=UNKNOWN_UID, group=UNKNOWN_UID, extra_groups=[],
                          capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (f"/etc/hostname cannot be opened as nobody: annexd runs as user ID {UNKNOWN_UID}, which no "
                           "account has; only root can take another user's rights\n")
