"""A small store that an engine acts on, and time that passes only by waiting.

It outlives an engine as AWS outlives annexd.  Failures are scripted by step, direction and moment: an error
before the effect is a call that never arrived, an error after it is a lost answer.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from annexd.workflow import Engine, Journal, Json, Kind, Results, RetryPolicy, Workflow

LEASE, TARGET, FLEET = "lease", "target", "fleet"
START_S = 1_800_000_000.0
OWNER = "alice@example.org"


@dataclass(frozen=True)
class Thing:
    """The content of an order."""

    thing: str
    padding: str = ""


@dataclass(frozen=True)
class ThingToEnd(Thing):
    """The content of an order to another workflow."""


@dataclass(frozen=True)
class PutIntent:
    thing: str
    after: tuple[str, ...]
    padding: str = ""


@dataclass(frozen=True)
class Placed:
    things: str
    padding: str = ""


class Crash(BaseException):
    """The process died: not even `except Exception` runs any more."""


@dataclass
class Store:
    """The things in the store, the calls made, and the scripted failures."""

    now_s: float = START_S
    things: set[tuple[str, str]] = field(default_factory=set)
    calls: Counter[str] = field(default_factory=Counter)
    script: dict[str, list[BaseException | None]] = field(default_factory=dict)
    billed_without_lease: bool = False
    time_stands_still: bool = False
    seen_asked_at_s: dict[str, float] = field(default_factory=dict)
    meanwhile: Callable[[], None] = lambda: None  # called in each pause

    def wait(self, seconds: float) -> bool:
        self.now_s += 0.0 if self.time_stands_still else seconds
        self.meanwhile()
        return False

    def clock(self) -> float:
        return self.now_s

    def meet(self, moment: str) -> None:
        """Raise the scripted failure of this moment: `<step> <direction> before|after`."""
        script = self.script.get(moment)
        error = script.pop(0) if script else None
        if error is not None:
            raise error

    def put(self, step: str, name: str) -> None:
        self.things.add((step, name))
        armed = {(LEASE, name), (TARGET, name)} <= self.things
        self.billed_without_lease |= step == FLEET and not armed

    def take(self, step: str, name: str) -> None:
        self.things.discard((step, name))
        self.billed_without_lease |= step != FLEET and (FLEET, name) in self.things


@dataclass(frozen=True)
class Put:
    """A step that puts the order's thing into the store, once, however often it runs."""

    store: Store
    name: str
    shows_late: bool = False
    intent_type: type[PutIntent] = PutIntent
    result_type: type[Placed] = Placed

    def plan(self, order: Thing, results: Results) -> PutIntent:
        self.store.meet(f"{self.name} plan")
        return PutIntent(order.thing, tuple(sorted(results.by_step)))

    def forward(self, order: Thing, intent: PutIntent) -> Placed:
        assert order.thing == intent.thing
        self.store.calls[f"{self.name} forward"] += 1
        self.store.meet(f"{self.name} forward before")
        self.store.put(self.name, intent.thing)
        self.store.meet(f"{self.name} forward after")
        return Placed(self.name)

    def backward(self, order: Thing, intent: PutIntent, asked_at_s: float) -> None:
        assert order.thing == intent.thing
        self.store.calls[f"{self.name} backward"] += 1
        self.store.seen_asked_at_s[self.name] = asked_at_s
        self.store.meet(f"{self.name} backward before")
        self.store.take(self.name, intent.thing)
        self.store.meet(f"{self.name} backward after")


def steps(store: Store) -> Workflow[Thing]:
    return Workflow(Thing, tuple(Put(store, name) for name in (LEASE, TARGET, FLEET)))


def engine(journal: Journal, store: Store, pace: RetryPolicy | None = None) -> Engine:
    """Return the engine of a newly started daemon, whose random pauses are always the longest."""
    return Engine(journal, steps(store), pace=pace, now_s=store.clock, wait=store.wait, random=lambda: 1.0)


class CrashingJournal(Journal):
    """Dies at the append number `at`, before or after the record is on the disk."""

    def __init__(self, *args: Any, at: int, written: bool, **more: Any) -> None:
        super().__init__(*args, **more)
        self._left, self._written = at, written

    def append(self, command_id: str, step: str, kind: Kind, body: Json, reserved: Json | None = None) -> None:
        self._left -= 1
        if self._left == 0 and not self._written:
            raise Crash
        super().append(command_id, step, kind, body, reserved)
        if self._left == 0:
            raise Crash
