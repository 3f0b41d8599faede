"""Count and log the points of a running history, and choose their faults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

from test.histories.faults import Fault, Point, faults_at
from test.histories.timeline import START_S, Timeline

Fate: TypeAlias = Callable[[Point], str | None]  # the name of the fault at a point, if any


class Points:
    """The points that were reached, and their faults."""

    def __init__(self, timeline: Timeline, fate: Fate) -> None:
        self._timeline, self._fate = timeline, fate
        self._counts = Counter[str]()
        self._lasting: dict[tuple[str, str], tuple[Fault, float]] = {}
        self.met: list[Point] = []
        self.log: list[str] = []
        self.struck: list[tuple[Point, Fault]] = []

    def note(self, message: str) -> None:
        self.log.append(f"{self._timeline.now_s - START_S:9.1f} s  {message}")

    def meet(self, actor: str, place: str, what: str) -> Fault | None:
        """Count the point, and return its fault, if any."""
        self._counts[actor] += 1
        point = Point(actor, self._counts[actor], place, what)
        self.met.append(point)
        name = self._fate(point)
        if name is None:
            return self._still_lasting(point)
        fault = faults_at(point)[name]
        self.struck.append((point, fault))
        self.note(f"{point}  <- {name}")
        if fault.lasts_s:
            self._lasting[actor, place] = fault, self._timeline.now_s + fault.lasts_s
        return fault

    def _still_lasting(self, point: Point) -> Fault | None:
        fault, until_s = self._lasting.get((point.actor, point.place), (None, 0.0))
        if self._timeline.now_s >= until_s:
            fault = None
        self.note(f"{point}{f'  <- still {fault.way}' if fault else ''}")
        return fault
