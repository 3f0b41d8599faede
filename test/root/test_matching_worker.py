"""A daemon that root started evaluates jobs as nobody, and can still end whatever evaluates them."""

from __future__ import annotations

import json
import pwd
import subprocess
import sys

from test.bench.contenders import TOP

# The user IDs are annexd's: the real user is root, the effective one is HTCondor's, here `daemon`.
PROGRAM = """
import json, os, pwd, resource
from test.demand.ads import ENDLESS, job, machine
from test.demand.evaluators import Background, children, evaluators, rights

daemon = pwd.getpwnam("daemon")
os.setegid(daemon.pw_gid)
os.seteuid(daemon.pw_uid)
call = Background({"endless": job(**ENDLESS), "good": job()}, {"machine": machine()})
found = call.until(lambda: next(filter(None, map(rights, evaluators())), None))
matches = call.result()
print(json.dumps([found["Uid"].split(), found["Groups"].split(), found["CapPrm"], sorted(matches.jobs),
                  matches.faults, children(os.getpid()), [os.getuid(), os.geteuid() == daemon.pw_uid]]))
"""


def test_evaluators_are_nobody_and_end_with_the_call() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=TOP, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    uids, groups, rights, jobs, faults, left, daemon = json.loads(done.stdout)
    assert set(uids) == {str(pwd.getpwnam("nobody").pw_uid)}
    assert groups == []
    assert int(rights, 16) == 0
    assert jobs == ["good"]
    assert "takes more than" in faults["endless"]
    assert left == []
    assert daemon == [0, True]
