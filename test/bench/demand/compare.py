"""The comparison as lines of a table: each mix with several seeds under each rule, next to the limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Final

from test.bench.demand.limit import least_dollars
from test.bench.demand.mixes import MIXES
from test.bench.demand.rules import Annexd, cores_counted, third_of_need
from test.bench.demand.simulation import Outcome, simulate
from test.bench.demand.trace import Pool, Trace
from test.bench.demand.view import Rule

RULES: Final[Mapping[str, Callable[[], Rule]]] = {
    "annexd": Annexd,
    "annexd, CONFIRM = none": lambda: Annexd(asks_negotiator=False),
    "cores counted (Google)": lambda: cores_counted,
    "a third of the need (glideinWMS)": lambda: third_of_need,
}
OURS: Final = "annexd"
AIM: Final = 1.25


@dataclass(frozen=True)
class Result:
    """The result of one mix and rule, all seeds together; waiting times are in seconds, of jobs that ran."""

    mix: str
    rule: str
    dollars: float
    limit_dollars: float
    mean_s: float
    late_s: int  # 95th percentile
    machines: int
    never: int  # possible jobs that did not run

    @property
    def ratio(self) -> float:
        return self.dollars / self.limit_dollars

    def __str__(self) -> str:
        never = f"  {self.never} possible jobs never ran" if self.never else ""
        return (
            f"{self.mix:24}{self.rule:34}{self.dollars:10.2f} ${self.ratio:7.2f}{self.mean_s:8.0f}{self.late_s:8}"
            f"{self.machines:8}{never}"
        )


def promise_s(pool: Pool) -> int:
    """Return how long a job with a machine of its own waits under annexd, if the ghosts take one interval more."""
    return pool.promise_s + pool.interval_s


def results(mix: str, seeds: Sequence[int], rules: Mapping[str, Callable[[], Rule]] = RULES) -> Iterator[Result]:
    """Simulate a mix with all seeds under all rules, and yield the result of each rule."""
    traces = [MIXES[mix](seed) for seed in seeds]
    limit = sum(least_dollars(trace, promise_s(Pool())) for trace in traces)
    for name, make in rules.items():
        outcomes = [simulate(trace, make()) for trace in traces]
        yield _result(mix, name, traces, outcomes, limit)


def _result(mix: str, rule: str, traces: Sequence[Trace], outcomes: Sequence[Outcome], limit: float) -> Result:
    waited_s = sorted(waited_s for each in outcomes for waited_s in each.waited_s.values())
    possible = sum(len(list(trace.possible())) for trace in traces)
    return Result(
        mix,
        rule,
        sum(each.dollars for each in outcomes),
        limit,
        mean(waited_s),
        waited_s[len(waited_s) * 95 // 100],
        sum(each.machines.total() for each in outcomes),
        possible - sum(len(each.spans) for each in outcomes),
    )


def verdict(found: Sequence[Result]) -> Iterator[str]:
    """Yield lines on one mix: annexd's cost against the limit and the aim, its cost and waiting against each peer."""
    [ours] = [each for each in found if each.rule == OURS]
    kept = "kept" if ours.ratio <= AIM else "missed"
    yield f"cost {ours.ratio:.2f} of the limit (aim: at most {AIM}): {kept}"
    for peer in found:
        if not peer.rule.startswith(OURS):
            cost, waiting = ours.dollars / peer.dollars, ours.mean_s / peer.mean_s
            yield f"beside {peer.rule}: cost {cost:.2f}, mean waiting {waiting:.2f} of it"


def compare(seeds: int) -> None:
    print(f"\nOrdering machines for idle jobs, in virtual time: {seeds} seeds of each mix")
    print(f"{'':58}{'cost':>10}  {'of limit':>6}{'waits s':>8}{'95 %':>8}{'machines':>8}")
    for mix in MIXES:
        found = list(results(mix, range(1, seeds + 1)))
        for result in found:
            print(result, flush=True)
        for line in verdict(found):
            print(f"    {line}", flush=True)
