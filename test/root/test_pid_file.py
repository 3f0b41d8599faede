"""-pidfile and -kill by root in a folder where others write, who cannot redirect root to another file or process."""

import os
import pwd
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from annexd.daemoncore.process.pid_file import CannotStop, stop_other

NOBODY = pwd.getpwnam("nobody")
SECRET = "what root keeps\n"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Create a folder owned by HTCondor's user, as LOG is."""
    with tempfile.TemporaryDirectory() as name:
        os.chown(name, NOBODY.pw_uid, NOBODY.pw_gid)
        yield Path(name)


@pytest.fixture
def victim(folder: Path) -> Iterator[Path]:
    """Create a file of root's, and a link to it in `folder`."""
    with tempfile.NamedTemporaryFile(mode="w") as file:
        file.write(SECRET)
        file.flush()
        (folder / "pid").symlink_to(file.name)
        yield Path(file.name)


def annexd(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run annexd as root, by hand and without a pool; -runfor ends it after 0.01 minutes."""
    environment = {
        "CONDOR_CONFIG": "ONLY_ENV",
        "PATH": os.environ["PATH"],
        "_CONDOR_LOG": str(folder),
        "_CONDOR_SPOOL": str(folder),
        "_CONDOR_VALID_SPOOL_FILES": "journal*",
        "_CONDOR_ANNEXD_COMMAND_STATE": str(folder / "journal"),
        "_CONDOR_CONDOR_IDS": f"{NOBODY.pw_uid}.{NOBODY.pw_gid}",
    }
    return subprocess.run(
        [sys.executable, "-m", "annexd.service.main", *flags],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_in_the_background_root_writes_no_pid_file_through_a_link(folder: Path, victim: Path) -> None:
    started = annexd(folder, "-pidfile", str(folder / "pid"), "-runfor", "0.01")
    assert victim.read_text() == SECRET
    assert started.returncode == 1
    assert f"failed to write -pidfile {folder}/pid: " in started.stderr


def test_root_stops_no_process_named_by_a_link_or_a_users_file(folder: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            (folder / "users").write_text(str(other.pid))
            os.chown(folder / "users", 1, 1)
            (folder / "link").symlink_to("users")
            for name in ("users", "link"):
                with pytest.raises(CannotStop):
                    stop_other(folder / name)
            assert other.poll() is None
        finally:
            other.send_signal(signal.SIGKILL)
