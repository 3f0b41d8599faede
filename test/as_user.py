"""Run a command as an ordinary user when root starts it: HTCondor refuses to run as root.

    python -m test.as_user COMMAND [ARGUMENT...]

Any user but root just runs the command.  For root the user is `nobody`, with a temporary home of its own.  That user
cannot enter a virtual environment whose python lies below root's home, and condor_master would only report
`Create_Process failed`, so this program checks the access first and reports the cause.
"""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

USER = "nobody"
TOP = Path(__file__).resolve().parents[1]


def main() -> None:
    command = sys.argv[1:]
    if not command:
        sys.exit("usage: python -m test.as_user COMMAND [ARGUMENT...]")
    if os.geteuid() != 0:
        os.execvp(command[0], command)  # noqa: S606 - there is nothing for a shell to read
    user = pwd.getpwnam(USER)
    become(user)
    check_access()
    sys.exit(run(command, user))


def become(user: pwd.struct_passwd) -> None:
    os.setgroups([])
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)


def check_access() -> None:
    """End with one message when this user cannot run this Python or read the checkout."""
    for what, path, mode in (
        ("run the Python of this environment", Path(sys.executable).resolve(), os.R_OK | os.X_OK),
        ("read this checkout", TOP / "setup.cfg", os.R_OK),
        ("read this checkout", TOP / "annexd" / "__init__.py", os.R_OK),
    ):
        if not os.access(path, mode):
            closed = next((d for d in reversed(path.parents) if not os.access(d, os.X_OK)), path)
            sys.exit(
                f"The user {USER}, as which the tests and the demo run when root starts them, cannot {what}: "
                f"{closed} is closed to it.\n"
                "Keep the checkout where every user may enter, and its environment made by a Python that all "
                "may run: make clean venv PYTHON=/usr/bin/python3; or start this as an ordinary user."
            )


def run(command: Sequence[str], user: pwd.struct_passwd) -> int:
    """Return the command's exit status.  The command gets SIGINT from the terminal, and SIGTERM from this process."""
    with tempfile.TemporaryDirectory(prefix="annexd-home-", dir="/tmp") as home:
        own = {"HOME": home, "TMPDIR": home, "USER": user.pw_name, "LOGNAME": user.pw_name}
        environment = {**os.environ, **own, "PYTHONDONTWRITEBYTECODE": "1"}
        child = subprocess.Popen(command, env=environment)
        signal.signal(signal.SIGINT, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        status = child.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    main()
