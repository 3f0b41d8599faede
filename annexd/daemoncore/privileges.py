"""Who a daemon is when root starts it: HTCondor's user in all it does, as every HTCondor daemon, and root only where it
must be.

The real user ID stays root's, so that root's rights can be had again; the effective one is `condor`'s, so that the
journal, the log and every connection are too, and nothing that goes wrong has more rights than that.  Root's own
files (signing keys, the host's SSL key) are opened by one thread at a time with root's rights to files and to nothing
else: setfsuid is the one switch that Linux makes for a thread alone.
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
    """CONDOR_IDS of the environment, else of the configuration, else the account `condor`, as init_condor_ids of
    uids.cpp.  Raises BadConfiguration.
    """
    text = os.environ.get("CONDOR_IDS") or param("CONDOR_IDS")
    if text is None:
        return _ids_of(
            CONDOR,
            f"root started {current().name}, and there is neither an account `condor` nor CONDOR_IDS: "
            "create the account, or set CONDOR_IDS = uid.gid",
        )
    match = CONDOR_IDS.fullmatch(text)
    if match is None:
        raise BadConfiguration((f'CONDOR_IDS must be a user ID, a dot and a group ID, not "{text}"',))
    uid, gid = map(int, match.groups())
    try:
        name = pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        raise BadConfiguration((f"CONDOR_IDS is {text.strip()}, and no account has the user ID {uid}",)) from None
    return Ids(uid, gid, tuple(os.getgrouplist(name, gid)))


def become_condor() -> None:
    """For good, but for what root_files() opens; nothing to do unless we are root still.  Raises BadConfiguration."""
    if os.geteuid() != ROOT:
        return
    ids = condor_ids()
    os.setgroups(ids.groups)
    os.setegid(ids.gid)
    os.seteuid(ids.uid)


def own_user() -> str:
    """The name of the user that the daemon is: HTCondor's user, or who started it."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return CONDOR


def become_root_again() -> None:
    """For good, where root started the daemon: only for the process that speaks for it with HTCondor's bindings.  They
    prove themselves with root's tokens and keys as a tool of root's does, and switch as they need.
    """
    if started_by_root():
        os.seteuid(ROOT)
        os.setegid(ROOT)


@contextlib.contextmanager
def root_files() -> Iterator[None]:
    """Open files with root's rights, in this thread; without effect unless root started us.  Not across an await."""
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
