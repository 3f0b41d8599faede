"""List the histories: every fault at every point, every pair of faults, and seeds.

The order of the pairs covers everything early, so that an hour tries some of each kind.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path

from test.histories.courses import Course
from test.histories.faults import Point, faults_at
from test.histories.history import AFTERWARDS_S, History, Stage, Verdict, play
from test.histories.seeds import Season


class HistoryRunner:
    """Runs histories one after another, in temporary folders, on a memory disk if one exists."""

    def __init__(self) -> None:
        memory = Path("/dev/shm")
        self._home = Path(tempfile.mkdtemp(prefix="annexd-histories-", dir=memory if memory.is_dir() else None))
        self.played = 0

    def play(self, history: History) -> Verdict:
        return self._with_home(lambda home: play(history, home))

    def play_stage(
        self, course: Course, begin: Callable[[Stage], None], plan: Mapping[tuple[str, int], str] | None = None
    ) -> Verdict:
        """Run a history that is defined in code: `begin` schedules its events."""

        def act(home: Path) -> Verdict:
            stage = Stage(course, History(course, plan or {}).fate, home)
            return stage.play(course.name, lambda: begin(stage), course.lease_s + AFTERWARDS_S)

        return self._with_home(act)

    def play_seed(self, seed: int) -> Verdict:
        return self._with_home(Season(seed).play)

    def play_again(self, name: str) -> Verdict:
        """Run the history with a verdict's name."""
        return (
            self.play_seed(int(name.removeprefix("seed ")))
            if name.startswith("seed ")
            else self.play(History.read(name))
        )

    def _with_home(self, act: Callable[[Path], Verdict]) -> Verdict:
        self.played += 1
        home = self._home / str(self.played)
        home.mkdir()
        try:
            return act(home)
        finally:
            shutil.rmtree(home)

    def close(self) -> None:
        shutil.rmtree(self._home, ignore_errors=True)

    def __enter__(self) -> HistoryRunner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def one_fault(runner: HistoryRunner, course: Course) -> Iterator[History]:
    """Yield the course with one fault, for every fault at every point."""
    yield from more_faults(History(course), runner.play(History(course)).met)


def more_faults(history: History, met: Iterable[Point]) -> Iterator[History]:
    """Yield `history` with one more fault, at each point after its last one."""
    last = max((_position(met, *key) for key in history.plan), default=-1)
    for position, point in enumerate(met):
        for name in faults_at(point) if position > last else ():
            yield replace(history, plan={**history.plan, (point.actor, point.number): name})


def _position(met: Iterable[Point], actor: str, number: int) -> int:
    return next(at for at, point in enumerate(met) if (point.actor, point.number) == (actor, number))


def two_faults(runner: HistoryRunner, courses: Iterable[Course]) -> Iterator[History]:
    """Yield all pairs of faults; each round adds one more second fault to each first one."""
    firsts = [history for course in courses for history in one_fault(runner, course)]
    random.Random(1).shuffle(firsts)  # noqa: S311  an order, not a secret
    met: dict[str, tuple[Point, ...]] = {}
    for turn in count():
        more = False
        for first in firsts:
            if turn == 0:
                met[str(first)] = runner.play(first).met
            if second := _second(first, met[str(first)], turn):
                more = True
                yield second
        if not more:
            return


def _second(first: History, met: tuple[Point, ...], turn: int) -> History | None:
    """Return `first` with its second fault of this round, or None if all were used."""
    seconds = list(more_faults(first, met))
    random.Random(str(first)).shuffle(seconds)  # noqa: S311
    return seconds[turn] if turn < len(seconds) else None
