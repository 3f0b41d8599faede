"""Orders on their way through the workflow: each in a thread of its own, as many at once as the knob says.

A client that goes away changes nothing here: what was accepted is the journal's.  What an earlier process left
unfinished is continued by the same code, and what is stuck is tried again for ever.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from annexd.annex.reply import reply_to_outcome, reply_to_refusal
from annexd.annex.request import BulkRequest, InvalidRequest
from annexd.annex.settings import Settings
from annexd.cedar.errors import PeerError
from annexd.daemon import log
from annexd.daemon.server import Call
from annexd.workflow.engine import Engine, NotOwner, Outcome, Paused
from annexd.workflow.journal import JournalError

Reply = Mapping[str, bool | int | float | str]
LATER_S = 60.0  # when the journal cannot be written: until the next try


class Orders:
    """Takes orders and carries them out; `changed` is called whenever the counts have changed."""

    def __init__(self, engine: Engine, settings: Settings, max_running: int, changed: Callable[[], None]) -> None:
        self.settings = settings
        self._engine = engine
        self._room = asyncio.Semaphore(max_running)
        self._changed = changed
        self._continuing: set[asyncio.Task[None]] = set()
        self._threads: set[threading.Thread] = set()

    def status(self) -> Reply:
        """The counts, for the daemon's ad."""
        counts = self._engine.counts()
        return {"AnnexRequests": counts.requests, "AnnexSuccesses": counts.successes,
                "AnnexFailures": counts.failures, "AnnexUnfinished": counts.unfinished, "AnnexStuck": counts.stuck}
