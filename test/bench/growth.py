"""The cost of a journal with very many ended annexes, compared with an empty one: the start, memory and -status."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import median

from annexd.annex.expiry import is_over
from annexd.annex.fleet.access import KeyFiles
from annexd.annex.steps import StepContext, annex_steps
from annexd.annex.steps.check_lease_function import LeaseCheck, LeaseFunctionSeen
from annexd.annex.steps.create_template import TemplateIntent
from annexd.annex.steps.put_object import PutIntent
from annexd.annex.steps.read_templates import ReadIntent, TemplatesRead
from annexd.annex.steps.request_fleet import FleetIntent, FleetRequested
from annexd.workflow import SUCCESS, Engine, Journal, Json, Kind, Nothing, to_json
from annexd.workflow.journal import INSERT, _checksum
from test.annex.ads import OWNER
from test.annex.orders import fleet_order
from test.bench.contenders import TOP
from test.bench.daemons import OURS, Daemon, make_pool
from test.bench.start import POLL_S, off
from test.pool import Pool

REPEATS = 5
DAY_S = 86400
ORDER_BYTES = 4000  # the size of an order with two launch specifications
AT_ONCE = 1000  # annexes between two moves to the archive on a busy site
STEPS = {
    "check_lease_function": (LeaseCheck("arn", 1), LeaseFunctionSeen(0.0, 0.0, 1, "", "")),
    "read_templates": (ReadIntent(()), TemplatesRead((), "")),
    "put_object": (PutIntent(None, 1, 1, 0.0), Nothing()),
    "create_template": (TemplateIntent("", (), (), 1, 0.0), Nothing()),
    "request_fleet": (FleetIntent("token", 1, 1, 0.0), FleetRequested("sfr-1")),
}
READY_WITHIN_S = 60


@dataclass(frozen=True)
class Cost:
    """The cost of one journal: from exec to the address, a user's wait for -status, and private memory after that."""

    start_s: float
    status_s: float
    memory_mb: float


ROWS = (("start, s", "1.0 more"), ("-status, s", "0.5"), ("memory, MB", "30 more"))  # and their aims


def compare(annexes: int) -> None:
    """Raises PoolError."""
    print("", f"A journal that has seen {annexes} annexes, all of which ended long ago, and an empty one", sep="\n")
    with make_pool(shared_port=True) as pool:
        empty = cost(pool)
        fill(Path(pool.param("ANNEXD_COMMAND_STATE") or ""), annexes)
        full = cost(pool)
    for (what, aim), before, after in zip(ROWS, astuple(empty), astuple(full), strict=True):
        print(f"{what:12}{before:8.3f} empty {after:8.3f} full {after - before:+8.3f} (aim: {aim})", flush=True)


def cost(pool: Pool) -> Cost:
    """Turn the pool's own annexd off, and measure others that are started by hand."""
    off(pool, OURS)
    starts, waits, sizes = [], [], []
    for _ in range(REPEATS):
        address_file, begun_s = Path(pool.param("ANNEXD_ADDRESS_FILE") or ""), time.monotonic()
        with subprocess.Popen([pool.param("ANNEXD") or "", "-f"], env=pool.env, stdin=subprocess.DEVNULL) as process:
            while not address_file.exists() and time.monotonic() < begun_s + READY_WITHIN_S:
                time.sleep(POLL_S)
            starts.append(time.monotonic() - begun_s)
            waits.append(_status_s(pool))
            sizes.append(Daemon(OURS, "", process.pid).memory_kb / 1024)
            process.terminate()
        address_file.unlink(missing_ok=True)
    return Cost(median(starts), median(waits), median(sizes))


def _status_s(pool: Pool) -> float:
    begun_s = time.monotonic()
    command = [sys.executable, "-m", "annexd.tool.main", "-status"]
    subprocess.run(command, env=pool.env, cwd=TOP, check=True, capture_output=True)
    return time.monotonic() - begun_s


def fill(path: Path, annexes: int) -> None:
    """Write this many annexes that ended a month ago, as annexd does, and let it move them to its archive."""
    for first in range(0, annexes, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, annexes))
        journal = Journal(path)
        seq = journal.last_seq()
        journal.close()
        with sqlite3.connect(path) as database:
            database.executemany(INSERT, _rows(numbers, seq, time.time() - 40 * DAY_S))
        database.close()
        _move(path, len(numbers))


def _move(path: Path, annexes: int) -> None:
    journal, now_s = Journal(path), time.time()
    try:
        moved = Engine(journal, annex_steps(StepContext(KeyFiles(lambda *_: b"")))).move_to_archive(
            lambda state, at_s: is_over(state, at_s, now_s, lambda _: 0)
        )
        assert len(moved) == annexes, f"only {len(moved)} were moved"
    finally:
        journal.close()


def _rows(numbers: range, seq: int, at_s: float) -> Iterator[tuple[object, ...]]:
    for number in numbers:
        for step, kind, body in _records(f"annex-{number:020x}", int(at_s) + 3600):
            seq += 1
            row = (f"command-{number}", step, kind.value, json.dumps(body), at_s)
            yield (seq, *row, _checksum(seq, *row))


def _records(annex_id: str, end_of_lease_s: int) -> Iterator[tuple[str, Kind, Json]]:
    order = fleet_order(annex_id, end_of_lease_s, config={"SpotFleet": "x" * ORDER_BYTES})
    yield "", Kind.ACCEPTED, {"owner": OWNER, "workflow": "", "order": to_json(order), "asked": ""}
    for step, (intent, result) in STEPS.items():
        yield step, Kind.INTENT, to_json(intent)
        yield step, Kind.DONE, to_json(result)
    yield "", Kind.FINISHED, {"result": SUCCESS, "error": ""}
