"""`make histories`: run every fault at every point, then two at a time and seeds, for a given time.

Exits with 1 if the model was violated; each such history is printed with the command that replays it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator

from test.histories.catalog import HistoryRunner, one_fault, two_faults
from test.histories.courses import COURSES
from test.histories.history import Verdict


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m test.histories", description=__doc__)
    parser.add_argument("--replay", metavar="HISTORY", help="run this one again, and print all of it")
    parser.add_argument("--minutes", type=float, default=60.0, help="for two faults and for seeds, half each")
    parser.add_argument("--all-pairs", action="store_true", help="every two faults, however long it takes")
    parser.add_argument("--first-seed", type=int, default=0)
    return parser.parse_args()


def replay(runner: HistoryRunner, name: str) -> int:
    verdict = runner.play_again(name)
    print("\n".join(verdict.log))
    print(verdict if verdict.violations else f"{name}\n  the model held")
    return bool(verdict.violations)


class Tally:
    """Counts, times and prints."""

    def __init__(self) -> None:
        self.broken = 0

    def count(self, what: str, verdicts: Iterable[Verdict], budget_s: float = float("inf")) -> None:
        started_s, number = time.monotonic(), 0
        for verdict in verdicts:
            number += 1
            if verdict.violations:
                self.broken += 1
                print(verdict, flush=True)
            if time.monotonic() - started_s > budget_s:
                break
        print(f"{number:8} histories  {time.monotonic() - started_s:6.0f} s  {what}", flush=True)


def seeds(runner: HistoryRunner, first: int) -> Iterator[Verdict]:
    while True:
        yield runner.play_seed(first)
        first += 1


def main() -> int:
    asked = options()
    with HistoryRunner() as runner:
        if asked.replay:
            return replay(runner, asked.replay)
        tally = Tally()
        for course in COURSES.values():
            tally.count(f"one fault: {course.name}", map(runner.play, one_fault(runner, course)))
        half_s = float("inf") if asked.all_pairs else asked.minutes * 30
        tally.count("seeds", seeds(runner, asked.first_seed), asked.minutes * 30)
        tally.count("two faults", map(runner.play, two_faults(runner, COURSES.values())), half_s)
        print(f"{runner.played:8} histories in all, {tally.broken} broke the model")
        return bool(tally.broken)


if __name__ == "__main__":
    sys.exit(main())
