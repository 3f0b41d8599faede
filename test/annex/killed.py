"""Kill the core of annexd with SIGKILL at an append, in a process of its own.

The process is forked from one that has imported everything and has no threads (see test/conftest.py).
"""

import os
import signal
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from annexd.workflow import Journal
from test.annex.site import Site
from test.cloud import Cloud

LONGEST_S: Final = 60.0


class _Killed(Journal):
    """A journal that kills its process as soon as a certain record is on disk."""

    left = 0

    def append(self, *record: Any) -> None:
        super().append(*record)
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def kill(site: Site, command: str, at: int) -> None:
    """Run a daemon that orders, or carries out a command on the annex `physics`, and dies at its record number `at`."""
    life = get_context("forkserver").Process(target=_live, args=(site.cloud.url, site.arn, site.home, at, command))
    life.start()
    life.join(LONGEST_S)
    assert life.exitcode == -signal.SIGKILL, f"{command} ended by {life.exitcode}"


def _live(url: str, arn: str, home: Path, at: int, command: str) -> None:
    cloud = Cloud()
    cloud.url = url
    site = Site(cloud, arn, home)
    journal = _Killed(home / "command_state", now_s=site.now_s)
    journal.left = at
    site.journal = lambda *_: journal  # type: ignore[method-assign]
    acts: dict[str, Callable[[], object]] = {
        "order": site.order,
        "extend": partial(site.change, "physics", LeaseExtension=600),
        "cancel": partial(site.cancel, "physics"),
        "grow": partial(site.resize, "physics", 5),
    }
    acts[command]()
