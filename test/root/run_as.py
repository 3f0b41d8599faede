"""Run a command as another account of this host, with that account's rights and no group besides its own."""

import pwd
import subprocess
from collections.abc import Mapping, Sequence


def run_as(
    account: pwd.struct_passwd, command: Sequence[str], env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=env,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=[],
        stdin=subprocess.DEVNULL,
    )
