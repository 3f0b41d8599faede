"""A real HTCondor for tests and the demo: the one on PATH, or else Debian's packages beside the system.

Nothing is installed: the packages are unpacked into a directory of the checkout that git ignores, and run with their
own C library, so the machine's release does not matter.  Otherwise every test of the daemon would need an administrator
to install HTCondor first.

    python -m test.pool [--series 25|23] [--debian-only]      prints the prefix of bin, sbin and the rest
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from test.pool import debian
from test.pool.debian import FetchError

TOP = Path(__file__).resolve().parents[2]
CACHE = TOP / ".cache"
# Debian's suite that holds each series (November 2026: 25.14.1 and 23.9.6).
SUITES = {"25": "sid", "23": "trixie"}
VERSION = re.compile(r"\$CondorVersion: ([0-9.]+)")
LIBEXEC = ("libexec/condor", "lib/condor/libexec", "libexec")  # Debian 25, Debian 23, tarballs
VERSION_TIMEOUT_S = 20


class NoHTCondorError(Exception):
    """HTCondor is neither installed nor can be fetched; the message says what is missing and what to do."""


@dataclass(frozen=True)
class HTCondor:
    """The directories of one HTCondor installation."""

    version: str
    bin: Path
    sbin: Path
    lib: Path
    libexec: Path

    def executable(self, name: str) -> Path:
        """Return the path of a tool or daemon; raise NoHTCondorError if this installation lacks it."""
        for directory in (self.bin, self.sbin, self.libexec):
            if (directory / name).exists():
                return directory / name
        raise NoHTCondorError(f"HTCondor {self.version} below {self.sbin.parent} lacks {name}")

    @classmethod
    def below(cls, prefix: Path) -> HTCondor | None:
        """Return the installation with this prefix (such as /usr); None if there is none or it does not run."""
        libexec = _first(prefix, LIBEXEC, holding="condor_shared_port")
        version = _version(prefix / "bin" / "condor_version")
        if libexec is None or version is None:
            return None
        lib = prefix / "lib" / "condor"
        return cls(version, prefix / "bin", prefix / "sbin", lib if lib.exists() else prefix / "lib", libexec)


def find(series: str = "25", *, on_path: bool = True) -> HTCondor:
    """Return the HTCondor of a series, from PATH, from the cache, or fetched now (about ten seconds, 90 MB).

    Raises NoHTCondorError, whose message is for the user who started the test or the demo.
    """
    return (_on_path(series) if on_path else None) or _cached(series) or _fetch(series)


def _on_path(series: str) -> HTCondor | None:
    master = shutil.which("condor_master")
    found = HTCondor.below(Path(master).parent.parent) if master else None
    return found if found and found.version.startswith(f"{series}.") else None


def _cached(series: str) -> HTCondor | None:
    for directory in sorted(CACHE.glob(f"htcondor-{series}.*"), reverse=True):
        found = HTCondor.below(directory / "usr")
        if found:
            return found
    return None


def _fetch(series: str) -> HTCondor:
    try:
        with _locked():
            return _cached(series) or _unpack(series)
    except (FetchError, OSError) as error:
        raise NoHTCondorError(
            f"HTCondor {series}.x is not on PATH and could not be fetched from Debian's packages: {error}\n"
            "Install HTCondor 25 so that condor_master is on PATH (https://htcondor.org/downloads), or run "
            "'make htcondor' on a Debian-like machine with apt-get, as a user who may write to "
            f"{CACHE}."
        ) from error


@contextmanager
def _locked() -> Iterator[None]:
    """Run while no other process fetches in this checkout; the lock ends with the process that holds it."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "htcondor.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _unpack(series: str) -> HTCondor:
    """Fetch into a scratch directory, and rename the finished tree atomically to the name that _cached looks for."""
    scratch = CACHE / "fetching"
    shutil.rmtree(scratch, ignore_errors=True)  # left by an interrupted fetch: this process holds the lock
    scratch.mkdir()
    unpacked = debian.unpack("condor", SUITES[series], scratch)
    home = CACHE / f"htcondor-{unpacked.version}"
    debian.relocate(unpacked.tree, home)
    shutil.rmtree(home, ignore_errors=True)  # if it exists, it does not run
    unpacked.tree.rename(home)
    shutil.rmtree(scratch)
    found = HTCondor.below(home / "usr")
    if found is None or not found.version.startswith(f"{series}."):
        raise FetchError(f"{home} holds no HTCondor {series}.x that runs; try its condor_version")
    return found


def _first(prefix: Path, candidates: Sequence[str], *, holding: str) -> Path | None:
    return next((prefix / name for name in candidates if (prefix / name / holding).exists()), None)


def _version(program: Path) -> str | None:
    """Return condor_version's output, or None if it cannot be run."""
    environment = {**os.environ, "CONDOR_CONFIG": "ONLY_ENV"}
    try:
        done = subprocess.run(
            [program], env=environment, capture_output=True, text=True, timeout=VERSION_TIMEOUT_S, check=False
        )
    except OSError:  # its loader is missing: the checkout was moved
        return None
    version = VERSION.search(done.stdout)
    return version.group(1) if done.returncode == 0 and version else None
