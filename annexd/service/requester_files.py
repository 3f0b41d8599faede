"""Open a file, or the files of a folder, named in a request, with the requester's rights only.

A path in a request is untrusted.  It could name annexd's own secrets, another user's keys, a FIFO that never answers,
or a link that is changed between a check and its use.  So the file is opened once, by a process with the requester's
user ID and without following a final link, and all checks are made on the open descriptor.

This process belongs to the requester, who can stop it: see requester_slots.
"""

import base64
import json
import os
import pwd
import subprocess

from annexd.service import requester_standalone
from annexd.service.requester_slots import Slots, kill, python
from annexd.service.requester_standalone import (
    MAX_BYTES,
    MAX_FILES,
    MAX_FOLDER_BYTES,
    ROOT,
    CannotRead,
    read_folder,
    read_own_file,
)

__all__ = ["MAX_BYTES", "MAX_FILES", "MAX_FOLDER_BYTES", "CannotRead", "RequesterFiles", "groups_of", "is_self"]

READ_TIMEOUT_S = 20.0  # a hanging file server must not block a worker indefinitely
SLOW_S = 2.0  # a child normally answers in 0.1 s
MAX_SLOW = 2  # slow children of one user; that user's next request is refused at once
MAX_AT_ONCE = 8  # children of one user; the next request waits for up to SLOW_S
READER_SLOTS = Slots(at_once=MAX_AT_ONCE, slow_s=SLOW_S, max_slow=MAX_SLOW, wait_s=SLOW_S)

STANDALONE = requester_standalone.__file__
BECOME = (  # run by a child that becomes the requester
    "import runpy, sys; m = runpy.run_path(sys.argv[1]); uid, *groups = map(int, sys.argv[3].split(',')); "
    "m['become'](uid, groups); "
)
READ_STANDALONE = BECOME + "sys.stdout.buffer.write(m['read_own_file'](sys.argv[2], uid))"
READ_FOLDER_STANDALONE = BECOME + "sys.stdout.buffer.write(m['packed_folder'](sys.argv[2]))"


class RequesterFiles:
    """Reads files for authenticated users (`user@domain`) of this host's account domain, UID_DOMAIN."""

    def __init__(self, uid_domain: str) -> None:
        self._uid_domain = uid_domain

    def reconfigure(self, uid_domain: str) -> None:
        self._uid_domain = uid_domain

    def read(self, owner: str, path: str) -> bytes:
        """Read a file as `owner`.  Raises CannotRead."""
        account = self.account(owner)
        if is_self(account, path):
            return read_own_file(path, account.pw_uid)
        return _read_in_child(account, path, READ_STANDALONE)

    def read_folder(self, owner: str, path: str) -> dict[str, bytes]:
        """Read the files in a folder as `owner`; return them by name.  Raises CannotRead."""
        account = self.account(owner)
        if is_self(account, path):
            return read_folder(path)
        output = json.loads(_read_in_child(account, path, READ_FOLDER_STANDALONE))
        return {name: base64.b64decode(content) for name, content in output.items()}

    def account(self, owner: str) -> pwd.struct_passwd:
        """Return the account of `owner` (user@domain) on this host.  Raises CannotRead."""
        user, _, domain = owner.rpartition("@")
        if domain.lower() != self._uid_domain.lower():
            raise CannotRead(
                f"{owner} has no account on this host (UID_DOMAIN is {self._uid_domain}): "
                "key files cannot be opened for this user"
            )
        try:
            return pwd.getpwnam(user)
        except (KeyError, ValueError):  # ValueError: a name that no account can have
            raise CannotRead(
                f"{user!r} has no account on this host: key files cannot be opened for this user"
            ) from None


def is_self(account: pwd.struct_passwd, path: str) -> bool:
    """Return whether annexd runs as that account.  Raises CannotRead if it does not and cannot become it."""
    own_uid = os.geteuid()
    if account.pw_uid == ROOT:  # as HTCondor's daemons refuse to run anything as root (init_user_ids)
        raise CannotRead(
            f"{path} cannot be opened as {account.pw_name}: no request gets root's rights; order as an ordinary user"
        )
    if own_uid != account.pw_uid and os.getuid() != ROOT:
        raise CannotRead(
            f"{path} cannot be opened as {account.pw_name}: annexd runs as {_name_of(own_uid)}; only an annexd "
            "started by root can open files as another user"
        )
    return own_uid == account.pw_uid


def groups_of(account: pwd.struct_passwd) -> list[int]:
    """Return all of a user's groups, the primary one first."""
    return [account.pw_gid, *os.getgrouplist(account.pw_name, account.pw_gid)]


def _name_of(uid: int) -> str:
    """Return a user's name; in a container annexd may have a user ID without an account."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user ID {uid}, which no account has"


def _read_in_child(account: pwd.struct_passwd, path: str, program: str) -> bytes:
    who = ",".join(map(str, (account.pw_uid, *groups_of(account))))
    with READER_SLOTS.take(account.pw_uid) as slot:
        if slot is None:
            raise CannotRead(
                f"{path} is not opened: processes that read files as {account.pw_name} do not answer; find "
                "out what blocks them, then order again"
            )
        try:
            slot.child = child = python(program, STANDALONE, path, who)
        except (OSError, ValueError) as error:
            raise CannotRead(f"annexd cannot become {account.pw_name} to open {path}: {error}") from error
        try:
            output, stderr = child.communicate(timeout=READ_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            kill(child)
            raise CannotRead(f"{path} could not be read within {READ_TIMEOUT_S:g} s") from None
    if child.returncode != 0:
        raise CannotRead(_last_message(stderr) or f"{path} could not be read")
    return output


def _last_message(stderr: bytes) -> str:
    """Return the message of the exception that ended the child."""
    last = stderr.decode(errors="replace").strip().rpartition("\n")[2]
    return last.partition(": ")[2] or last
