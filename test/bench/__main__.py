"""`python -m test.bench [PART...]`: the cost of annexd and of HTCondor's own C++ programs, side by side in one run."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Mapping

from test.bench import (
    annexes,
    demand_decision,
    demand_jobs,
    demand_latency,
    growth,
    matching,
    memory,
    orders,
    rates,
    scale,
    soak,
    start,
)
from test.bench.demand import compare as policy
from test.bench.measure import NotMadeError
from test.bench.wire import RefusedError
from test.pool import NoHTCondorError, PoolError

PARTS: Mapping[str, tuple[str, Callable[[argparse.Namespace], None]]] = {
    "annexes": (
        "one annex alone, and several at once, against the C++ condor_annex",
        lambda asked: annexes.compare(asked.alone, asked.rounds, asked.annexes, asked.at_once),
    ),
    "orders": (
        "calls to AWS of an order by each API for fleets, and annexd's CPU time by its size",
        lambda asked: orders.compare(asked.orders),
    ),
    "rates": (
        "sessions and commands per second, and CPU time of each, against the C++ schedd",
        lambda asked: rates.compare(asked.seconds, asked.turns, asked.only),
    ),
    "start": ("from exec to ready", lambda asked: start.compare(asked.starts)),
    "memory": ("of cached sessions", lambda asked: memory.compare(asked.sessions)),
    "growth": ("start, memory and -status after very many annexes", lambda asked: growth.compare(asked.ended)),
    "scale": (
        "-status, -wait, ads and looks with 1,000 living annexes and 10,000 machines",
        lambda asked: scale.compare(asked.living, asked.watched, asked.asked),
    ),
    "demand-jobs": (
        "counting very many idle jobs and free slots",
        lambda asked: demand_jobs.compare(asked.idle, asked.kinds, asked.slots),
    ),
    "demand": (
        "comparing kinds of idle jobs with the machines of offers",
        lambda asked: matching.compare(asked.kinds, asked.offers),
    ),
    "demand-decision": (
        "a whole decision about very many idle jobs",
        lambda asked: demand_decision.compare(asked.idle, asked.kinds, asked.slots, asked.offers),
    ),
    "demand-latency": (
        "from a job's idle age to the accepted order of its machine, in a real pool",
        lambda asked: demand_latency.compare(asked.latencies),
    ),
    "soak": ("memory after very many commands", lambda asked: soak.compare(asked.commands)),
    "demand-policy": (
        "cost and waiting of jobs under annexd's and two peers' rules of ordering, in virtual time",
        lambda asked: policy.compare(asked.seeds),
    ),
}


def main() -> None:
    asked = _options()
    print(f"{os.cpu_count()} CPUs, Python {platform.python_version()}", flush=True)
    try:
        for name in asked.parts or PARTS:
            PARTS[name][1](asked)
    except (NoHTCondorError, PoolError, NotMadeError, RefusedError) as error:
        sys.exit(f"The comparison failed: {error}")


def _options() -> argparse.Namespace:
    lines = "".join(f"  {name:15}{what}\n" for name, (what, _part) in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m test.bench",
        description=__doc__,
        epilog=f"parts:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="of those below; all without one")
    for option, default, what in (
        ("--alone", 15, "annexes: pairs of one annex alone"),
        ("--rounds", 4, "annexes: pairs of rounds of several"),
        ("--annexes", 40, "annexes: in a round"),
        ("--at-once", 8, "annexes: at any time"),
        ("--orders", 11, "orders: of each size, by each API"),
        ("--turns", 3, "rates: of each daemon, for each figure"),
        ("--starts", 5, "start: of each daemon"),
        ("--sessions", 10_000, "memory: how many"),
        ("--ended", 100_000, "growth: how many annexes"),
        ("--living", 1000, "scale: how many annexes, of ten machines each"),
        ("--asked", 5, "scale: times of each command"),
        ("--watched", 180, "scale: seconds for which annexd's CPU time and calls are counted, twice"),
        ("--idle", 100_000, "demand-jobs, demand-decision: how many idle jobs"),
        ("--kinds", 2_000, "demand, demand-jobs, demand-decision: of different jobs"),
        ("--slots", 10_000, "demand-jobs, demand-decision: how many free slots"),
        ("--offers", 20, "demand, demand-decision: how many"),
        ("--latencies", 5, "demand-latency: jobs, without confirmation and with it"),
        ("--commands", 100_000, "soak: how many"),
        ("--seeds", 5, "demand-policy: traces of each mix"),
    ):
        parser.add_argument(option, type=_number, default=default, help=f"{what} (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.6, help="rates: of each turn (default: %(default)s)")
    parser.add_argument("--only", action="append", choices=rates.OPERATIONS, help="rates: this operation (repeatable)")
    asked = parser.parse_args()
    if unknown := [part for part in asked.parts if part not in PARTS]:
        parser.error(f"no such part: {' '.join(unknown)}")
    return asked


def _number(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a number above 0, not {text!r}")
    return int(text)


if __name__ == "__main__":
    main()
