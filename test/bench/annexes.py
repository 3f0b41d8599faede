"""condor_annex of annexd against HTCondor's own C++ one, in one run, on the same emulated AWS.

The two take turns, so that other load on the machine affects both, and ratios are computed pair by pair.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Sequence

from test.bench import report
from test.bench.contenders import OURS, PEER, Run, contenders, make_pool, with_the_peer
from test.bench.measure import (
    Bystanders,
    NotMadeError,
    Round,
    adopt_orphans,
    round_of,
    wall_s_of,
)
from test.bench.report import Pair
from test.cloud import Cloud
from test.pool import Pool
from test.pool.warden import members

BINDINGS = "import classad2, htcondor2"


def compare(alone: int, rounds: int, annexes: int, at_once: int) -> None:
    """Raises NoHTCondorError, PoolError, NotMadeError."""
    htcondor = with_the_peer()
    with Cloud(speed=0) as cloud, make_pool(cloud, htcondor) as pool:
        Bench(cloud, pool).run(alone, rounds, annexes, at_once)


class Bench:
    """The comparison in a running pool."""

    def __init__(self, cloud: Cloud, pool: Pool) -> None:
        adopt_orphans()
        self._cloud, self._pool = cloud, pool
        self._bystanders = Bystanders(tuple(members(str(pool.config_file))), (cloud.pid,))
        self._contenders = contenders(pool)
        self._numbers = itertools.count()
        self._fleets: set[str] = set()

    def run(self, alone: int, rounds: int, annexes: int, at_once: int) -> None:
        versions = "; ".join(f"{each.name}: {each.version}" for each in self._contenders)
        _say(["", f"condor_annex: {versions}"])
        self._pair(1, 1)  # both load now what they load at their first use
        self._cloud.clear_audit()
        self._show_alone([self._pair(1, 1) for _ in range(alone)])
        self._show_together([self._pair(annexes, at_once) for _ in range(rounds)], at_once)
        self._check_that_all_were_made()

    def _pair(self, annexes: int, at_once: int) -> Pair:
        ours, peer = (
            round_of(each, [next(self._numbers) for _ in range(annexes)], at_once, self._bystanders)
            for each in self._contenders
        )
        self._fleets |= {made.fleet for each in (ours, peer) for made in each.made}
        return Pair(ours, peer)

    def _show_alone(self, pairs: Sequence[Pair]) -> None:
        answered_at_s = [each["time"] for each in self._cloud.audit() if each["kind"] == "call"]
        bindings = Run([sys.executable, "-c", BINDINGS], self._pool.env)
        bindings_s = [wall_s_of(bindings) for _ in pairs]
        _say(["", f"One annex alone, {len(pairs)} pairs", *report.alone(pairs), *report.cpu(pairs)])
        _say([*report.strangers(pairs), *_rows(report.wall_row, pairs)])
        phases = [[report.phases(each.made[0], answered_at_s) for each in side] for side in _sides(pairs)]
        _say(report.phases_row(name, each) for name, each in zip((OURS, PEER), phases, strict=True))
        _say([report.bindings_row(OURS, bindings_s)])
        _say(_rows(report.cpu_row, pairs))

    def _show_together(self, pairs: Sequence[Pair], at_once: int) -> None:
        annexes = len(pairs[0].ours.made)
        _say(["", f"{at_once} at once, {len(pairs)} pairs of rounds of {annexes}", *report.together(pairs)])
        _say([*report.cpu(pairs), *report.strangers(pairs)])
        _say([*_rows(report.rate_row, pairs), *_rows(report.cpu_row, pairs)])

    def _check_that_all_were_made(self) -> None:
        there = {fleet["id"] for fleet in self._cloud.fleets()}
        if there != self._fleets:
            raise NotMadeError(f"the cloud has {len(there)} fleets, the commands reported {len(self._fleets)}")
        _say(["", f"The cloud has the {len(there)} fleets that the commands reported, and no other."])


def _sides(pairs: Sequence[Pair]) -> tuple[list[Round], list[Round]]:
    return [pair.ours for pair in pairs], [pair.peer for pair in pairs]


def _rows(row: Callable[[str, Sequence[Round]], str], pairs: Sequence[Pair]) -> list[str]:
    return [row(name, side) for name, side in zip((OURS, PEER), _sides(pairs), strict=True)]


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, flush=True)
