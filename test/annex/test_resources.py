"""Files that come with annexd."""

import subprocess
import sys

FIRST_USE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from annexd.annex.resources import shipped

def look(_):
    together.wait()
    return shipped("lambda", "lease.py")

sys.setswitchinterval(1e-6)
together = Barrier(32)
with ThreadPoolExecutor(32) as pool:
    assert None not in pool.map(look, range(32))
"""


def test_the_first_look_may_be_of_many_threads() -> None:
    """When two orders came right after a start, an AttributeError in sysconfig made one of them fail."""
    done = subprocess.run([sys.executable, "-c", FIRST_USE], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
