"""A process to be killed: 64 threads order under one budget, as fast as they can, and report each accepted order."""

import sys
import threading
import uuid
from pathlib import Path

from annexd.annex.reply import NotNow
from annexd.annex.reservations import Reservations, Rules
from annexd.budget.budget import Budget
from annexd.budget.hold import Hold
from annexd.workflow import Journal
from test.annex.orders import fleet_order
from test.budget.steps import OWNER, Runs, engine_of, reservations_of

RATE = 1_000_003
ROOM = 40  # orders
BUDGET = Budget("physics", ROOM * RATE + RATE // 2)
THREADS = 64


def hold_of(begin_s: int) -> Hold:
    """Return a hold that amounts to RATE micro-dollars for one hour, which is the lease that `order` requests."""
    return Hold((BUDGET.key,), RATE, RATE, 0, begin_s, 0)


def order(reservations: Reservations, runs: Runs) -> bool:
    """Order one annex; return whether the budget allowed it."""
    name, now_s = uuid.uuid4().hex, int(runs.now_s)
    try:
        reservations.accept(name, OWNER, fleet_order(name, now_s + 3600), "", hold_of(now_s))
    except NotNow:
        return False
    return True


def _run(reservations: Reservations, runs: Runs) -> None:
    while order(reservations, runs):
        sys.stdout.write("accepted\n")
        sys.stdout.flush()


def main(path: Path) -> None:
    """Order until the budget is used up."""
    runs = Runs()
    _, reservations = reservations_of(engine_of(Journal(path), runs), runs, Rules((BUDGET,)))
    threads = [threading.Thread(target=_run, args=(reservations, runs)) for _ in range(THREADS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
