"""Privileges of a daemon started by root: like every HTCondor daemon it runs as HTCondor's user.

The real user ID stays root's, so that root's rights can be regained.  The effective user ID is `condor`'s, so that the
log, the daemon's files and every connection have that user's rights only.  Root's own files (signing keys, the host's
SSL key) are opened with root's file-system rights in a single thread: setfsuid is the only such switch that Linux
makes per thread.
"""

import contextlib
import ctypes
import os
import pwd
import re
from collections.abc import Iterator
from dataclasses import dataclass

from annexd.daemoncore.config.parameters import BadConfiguration, param
from annexd.daemoncore.program import current

ROOT = 0
CONDOR = "condor"
CONDOR_IDS = re.compile(r"\s*(\d{1,10})\.(\d{1,10})\s*")

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Ids:
    """HTCondor's user on this host."""

    uid: int
    gid: int
    groups: tuple[int, ...]


def started_by_root() -> bool:
    return os.getuid() == ROOT


def condor_ids() -> Ids:
    """Return CONDOR_IDS of the environment or the configuration, else the account `condor`.

    The order is that of init_condor_ids of uids.cpp.  Raises BadConfiguration.
    """
    text = os.environ.get("CONDOR_IDS") or param("CONDOR_IDS")
    if text is None:
        return _ids_of(
            CONDOR,
            f"{current().name} was started by root, but there is no account `condor` and CONDOR_IDS is not set: "
            "create the account or set CONDOR_IDS = uid.gid",
        )
    match = CONDOR_IDS.fullmatch(text)
    if match is None:
        raise BadConfiguration((f'CONDOR_IDS must have the form uid.gid, not "{text}"',))
    uid, gid = map(int, match.groups())
    try:
        name = pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        raise BadConfiguration((f"CONDOR_IDS is {text.strip()}, but no account has the uid {uid}",)) from None
    return Ids(uid, gid, tuple(os.getgrouplist(name, gid)))


def become_condor() -> None:
    """Switch to HTCondor's user for good if the process is root; see root_files().  Raises BadConfiguration."""
    if os.geteuid() != ROOT:
        return
    ids = condor_ids()
    os.setgroups(ids.groups)
    os.setegid(ids.gid)
    os.seteuid(ids.uid)


def own_user() -> str:
    """Return the name of the user that the daemon runs as."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return CONDOR


def become_root_again() -> None:
    """Switch back to root for good, in the outbound worker of a daemon that root started.

    HTCondor's bindings authenticate with root's tokens and keys, like a tool run by root, and switch users as needed.
    """
    if started_by_root():
        os.seteuid(ROOT)
        os.setegid(ROOT)


@contextlib.contextmanager
def root_files() -> Iterator[None]:
    """Open files with root's rights in this thread, if root started the daemon.  Do not await inside."""
    if not started_by_root():
        yield
        return
    _libc.setfsuid(ROOT)
    try:
        yield
    finally:
        _libc.setfsuid(os.geteuid())


def _ids_of(account: str, unless: str) -> Ids:
    try:
        found = pwd.getpwnam(account)
    except KeyError:
        raise BadConfiguration((unless,)) from None
    return Ids(found.pw_uid, found.pw_gid, tuple(os.getgrouplist(account, found.pw_gid)))
