"""An index of the annexes in the journal, by ID and name.

The index holds nothing that is not in the journal: after a restart the journal is read again.
"""

import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from annexd.annex.request.order import FleetOrder, GrowOrder, OfferSwitch, Order, OrderOnAnnex, ShrinkOrder
from annexd.annex.steps.change_checks import LeaseRead
from annexd.annex.steps.end_fleets import FleetsEnded
from annexd.annex.steps.fewer_machines import Leaving
from annexd.annex.steps.move_end import EndMoved, MoveEnd
from annexd.annex.steps.request_fleet import FleetRequested, RequestFleet
from annexd.annex.usage import Usage, usage_of
from annexd.workflow import SUCCESS, Engine, State, StepState

CANCEL: Final = "cancel"  # the workflow of a cancellation
CHANGE: Final = "change"  # that of a change of a lease's end
GROW: Final = "grow"  # that of a further fleet
SHRINK: Final = "shrink"  # that of fewer machines
SWITCH: Final = "switch"  # that of pausing or resuming an offer


@dataclass(frozen=True)
class AnnexRecord:
    """One annex, as it was ordered."""

    command_id: str
    annex_id: str
    owner: str
    name: str | None
    end_of_lease_s: int
    offer: str | None = None  # by which annexd ordered it for idle jobs
    made_at_s: int = 0  # when its lease began, if its machines join the pool
    drain_s: int = 0  # seconds before its end at which they drain


@dataclass(frozen=True)
class Ordered:
    """The outcome of an annex's order so far.  It is final once the order is finished."""

    account: str | None  # AccountTarget.key
    units: object
    fleet_id: str | None
    asked_at_s: float  # when the fleet was requested from AWS, or 0
    has_succeeded: bool | None  # None until it is finished
    has_failed: bool
    failed_s: float | None  # when its undo was complete, after a failure
    failure: str  # why
    waiting: StepState | None = None


@dataclass(frozen=True)
class _Move:
    """The outcome of a change: the new end, if it succeeded; the time of the call to AWS, or 0; the requested end once
    the present one was known, or 0.
    """

    end_s: int | None
    asked_at_s: float
    latest_s: int
    is_finished: bool


@dataclass(frozen=True)
class Moves:
    """The moves of an annex's end: how many, whether one is under way, and whether the last one shortened the lease."""

    number: int
    is_under_way: bool
    is_shortened: bool


@dataclass
class _Read:
    """How far the journal has been read, and the contents of that part."""

    seq: int = 0
    fleets_seq: int = 0
    annexes: dict[str, AnnexRecord] = field(default_factory=dict)  # by annex ID, oldest first
    fleets: dict[str, str] = field(default_factory=dict)  # fleet ID: command ID
    made: dict[str, str] = field(default_factory=dict)  # command ID: fleet ID
    cancels: dict[str, list[str]] = field(default_factory=dict)  # subject: command IDs, oldest first
    changes: dict[str, list[str]] = field(default_factory=dict)  # the same
    grown: dict[str, list[str]] = field(default_factory=dict)  # annex ID: the commands that change its size
    grows: dict[str, str] = field(default_factory=dict)  # such a command: annex ID
    moves: dict[str, _Move] = field(default_factory=dict)  # command ID of a change that is finished
    ordered: dict[str, Ordered] = field(default_factory=dict)  # command ID of an annex's order that is finished
    usages: dict[str, Usage | None] = field(default_factory=dict)  # by command ID
    paused: dict[str, str] = field(default_factory=dict)  # offer: who paused it
    latest_s: dict[str, int] = field(default_factory=dict)  # annex ID: the latest end that its order and changes name


class AnnexIndex:
    """Thread-safe; its methods raise JournalError."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.changing = threading.Lock()  # held from the search for a cancellation until one, or a change, begins
        self._lock = threading.Lock()
        self._read = _Read()

    def all(self) -> list[AnnexRecord]:
        """Return the annexes, oldest first."""
        with self._lock:
            self._learn()
            return list(self._read.annexes.values())

    def called(self, reference: str, owner: str, *, of_all: bool = False) -> list[AnnexRecord]:
        """Return the annexes that it may mean, newest first: by annex ID, by fleet ID, by owner and name.

        `of_all`: if the owner has no annex of this name, include those of all other owners, as a super user sees them
        in -status.
        """
        annexes = self.all()[::-1]
        command_id = self._command_of(reference)
        by_id = [one for one in annexes if reference == one.annex_id or command_id == one.command_id]
        named = [one for one in annexes if one.name == reference]
        return by_id or [one for one in named if one.owner == owner] or (named if of_all else [])

    def ordered(self, known: AnnexRecord) -> Ordered:
        """Return the outcome of an annex's order; a finished order is read only once, since a thousand annexes may
        live.
        """
        with self._lock:
            kept = self._read.ordered.get(known.command_id)
        if kept is not None:
            return kept
        ordered = _ordered(self.engine.state(known.command_id))
        if ordered.has_succeeded is not None:
            with self._lock:
                self._read.ordered[known.command_id] = ordered
        return ordered

    def usage(self, known: AnnexRecord) -> Usage | None:
        """Return the newest record of an annex's usage; None before its instances were seen.  Read once."""
        with self._lock:
            if known.command_id in self._read.usages:
                return self._read.usages[known.command_id]
        usage = usage_of(self.engine.state(known.command_id))
        with self._lock:
            return self._read.usages.setdefault(known.command_id, usage)

    def note_usage(self, command_id: str, usage: Usage) -> None:
        """Record the observed usage of an annex's instances."""
        self.engine.note_usage(command_id, usage)
        with self._lock:
            self._read.usages[command_id] = usage

    def cancellation(self, subject: str) -> State | None:
        """Return the newest cancellation of this annex (Subject.key) that has not failed, or None."""
        with self._lock:
            self._learn()
            command_ids = list(self._read.cancels.get(subject, ()))
        for state in map(self.engine.state, reversed(command_ids)):
            if state.finished is None or state.finished[0] == SUCCESS:
                return state
        return None

    def resizes(self, annex_id: str) -> list[str]:
        """Return the command IDs that changed its size, oldest first."""
        with self._lock:
            self._learn()
            return list(self._read.grown.get(annex_id, ()))

    def grows(self, annex_id: str) -> list[str]:
        """Return the commands that gave it a further fleet, or may still do so."""
        states = map(self.engine.state, self.resizes(annex_id))
        return [each.command_id for each in states if each.workflow == GROW and not each.is_undone]

    def fleet_ids(self, annex_id: str) -> tuple[str, ...]:
        """Return the fleets that were created for it, the oldest first."""
        with self._lock:
            self._learn()
            known, grown = self._read.annexes.get(annex_id), self._read.grown.get(annex_id, ())
            self._read_fleets()
            made = [self._read.made.get(each) for each in (*([known.command_id] if known else []), *grown)]
            return tuple(fleet_id for fleet_id in made if fleet_id is not None)

    def leaving(self, annex_id: str) -> tuple[str, ...]:
        """Return the instances that were asked to leave when it was made smaller."""
        reductions = [self.engine.state(each).results.get(Leaving) for each in self.resizes(annex_id)]
        return tuple(instance_id for each in reductions if each is not None for instance_id in each.instance_ids)

    def units(self, known: AnnexRecord) -> int | None:
        """Return its size, if it was changed since its order."""
        for state in map(self.engine.state, reversed(self.resizes(known.annex_id))):
            order = state.order_as(GrowOrder) or state.order_as(ShrinkOrder)
            if order is not None and state.finished is not None and state.finished[0] == SUCCESS:
                return order.units
        return None

    def requested_at_s(self, known: AnnexRecord) -> float:
        """Return when its newest fleet was requested, or 0."""
        resized = [self.engine.state(each) for each in self.resizes(known.annex_id)]
        return max([self.ordered(known).asked_at_s, *(each.step(RequestFleet.name).asked_at_s for each in resized)])

    def earlier_changes(self, subject: str, command_id: str) -> list[str]:
        """Return the command IDs of the changes of this annex that were accepted before this one, oldest first."""
        with self._lock:
            self._learn()
            changes = self._read.changes.get(subject, [])
        return changes[: changes.index(command_id)] if command_id in changes else list(changes)

    def end_s(self, known: AnnexRecord) -> int:
        """Return the end of the lease as annexd last set it: cut short, moved, or as ordered."""
        cancellation = self.cancellation(known.annex_id)
        if cancellation is not None and (ended := cancellation.results.get(FleetsEnded)) is not None:
            return ended.end_of_lease_s
        ends = (self._move(each).end_s for each in reversed(self.earlier_changes(known.annex_id, "")))
        return next((end_s for end_s in ends if end_s is not None), known.end_of_lease_s)

    def moved_at_s(self, known: AnnexRecord) -> float:
        """Return the time of annexd's last call that moves its end; 0 if there was none."""
        changes = self.earlier_changes(known.annex_id, "")
        return max((self._move(each).asked_at_s for each in changes), default=0.0)

    def moves(self, known: AnnexRecord) -> "Moves":
        """Return the moves of its end so far, by anybody."""
        found = [self._move(each) for each in self.earlier_changes(known.annex_id, "")]
        ends = (known.end_of_lease_s, *(each.end_s for each in found if each.end_s is not None))
        return Moves(len(found), not all(each.is_finished for each in found), ends[-1] < max(ends))

    def latest_end_s(self, annex_id: str) -> int:
        """Return the latest end that annexd may have caused, also by a change that failed; 0 if it knows none."""
        with self._lock:
            self._learn()
            latest_s = self._read.latest_s.get(annex_id, 0)
        changes = self.earlier_changes(annex_id, "")
        return max([latest_s, *(self._move(each).latest_s for each in changes)])

    def paused_offers(self) -> dict[str, str]:
        """Return the offers that are paused, each with who paused it."""
        with self._lock:
            self._learn()
            return dict(self._read.paused)

    def cancelled_ends(self) -> dict[str, float]:
        """Return the ends of leases that were cut short, of annexes of the journal, by annex ID."""
        with self._lock:
            self._learn()
            annex_ids = self._read.cancels.keys() & self._read.annexes.keys()
        states = {annex_id: self.cancellation(annex_id) for annex_id in annex_ids}
        return {
            annex_id: ended.end_of_lease_s
            for annex_id, state in states.items()
            if state is not None and (ended := state.results.get(FleetsEnded)) is not None
        }

    def forget(self, command_ids: Collection[str]) -> None:
        """Forget everything about these commands."""
        gone = set(command_ids)
        with self._lock:
            read = self._read
            read.annexes = {key: one for key, one in read.annexes.items() if one.command_id not in gone}
            read.fleets = {key: each for key, each in read.fleets.items() if each not in gone}
            read.cancels, read.changes = _without(gone, read.cancels), _without(gone, read.changes)
            read.grown = _without(gone, read.grown)
            read.moves = {key: each for key, each in read.moves.items() if key not in gone}
            read.ordered = {key: each for key, each in read.ordered.items() if key not in gone}
            read.usages = {key: each for key, each in read.usages.items() if key not in gone}
            read.made = {key: each for key, each in read.made.items() if key not in gone}
            read.grows = {key: each for key, each in read.grows.items() if key not in gone}
            read.latest_s = {
                key: end_s for key, end_s in read.latest_s.items() if key in read.annexes or key in read.changes
            }

    def order_of(self, fleet_id: str) -> State | None:
        """Return the order that this fleet was made for, if it is one of the journal's."""
        command_id = self._command_of(fleet_id)
        return None if command_id is None else self.engine.state(command_id)

    def _move(self, command_id: str) -> _Move:
        """Return the outcome of a change; a finished change is read only once: one annex may have thousands."""
        with self._lock:
            kept = self._read.moves.get(command_id)
        if kept is not None:
            return kept
        state = self.engine.state(command_id)
        moved, read = state.results.get(EndMoved), state.results.get(LeaseRead)
        has_moved = moved is not None and state.finished is not None and state.finished[0] == SUCCESS
        end_s = moved.end_of_lease_s if moved and has_moved else None
        is_finished = state.finished is not None
        move = _Move(end_s, state.step(MoveEnd.name).asked_at_s, read.end_of_lease_s if read else 0, is_finished)
        if is_finished:
            with self._lock:
                self._read.moves[command_id] = move
        return move

    def _command_of(self, fleet_id: str) -> str | None:
        """Return the order of the annex that has this fleet."""
        with self._lock:
            self._learn()
            command_id = self._read_fleets().get(fleet_id)
            known = self._read.annexes.get(self._read.grows.get(command_id or "", ""))
            return known.command_id if known else command_id

    def _read_fleets(self) -> dict[str, str]:
        self._read.fleets_seq, found = self.engine.results(FleetRequested, self._read.fleets_seq)
        self._read.fleets |= {requested.fleet_id: each for each, requested in found.items()}
        self._read.made |= {each: requested.fleet_id for each, requested in found.items()}
        return self._read.fleets

    def _learn(self) -> None:
        self._read.seq, states = self.engine.accepted(self._read.seq)
        for state in states:
            if (switch := state.order_as(OfferSwitch)) is not None:
                self._read.paused.pop(switch.offer, None)
                self._read.paused |= {switch.offer: state.owner} if switch.paused else {}
            order = state.order_as(Order)
            if isinstance(order, OrderOnAnnex):
                known = self._read.cancels if state.workflow == CANCEL else self._read.changes
                known.setdefault(order.subject.key, []).append(state.command_id)
            if isinstance(order, GrowOrder | ShrinkOrder):
                self._read.grown.setdefault(order.annex_id, []).append(state.command_id)
                self._read.grows[state.command_id] = order.annex_id
            if isinstance(order, FleetOrder):
                self._read.annexes[order.annex_id] = _known(state, order)
            if order is not None and state.workflow != CANCEL:
                latest_s = self._read.latest_s.get(order.annex_id, 0)
                self._read.latest_s[order.annex_id] = max(latest_s, order.end_of_lease_s)


def _known(state: State, order: FleetOrder) -> AnnexRecord:
    join = order.join
    made_at_s, drain_s = (join.made_at_s, join.drain_s) if join else (0, 0)
    named = state.command_id, order.annex_id, state.owner, order.annex_name
    return AnnexRecord(*named, order.end_of_lease_s, order.offer_name, made_at_s, drain_s)


def _ordered(state: State) -> Ordered:
    order, requested = state.order_as(FleetOrder), state.results.get(FleetRequested)
    is_undone = state.finished is not None and state.finished[0] != SUCCESS
    return Ordered(
        account=order.target.key if order else None,
        units=order.units if order else None,
        fleet_id=requested.fleet_id if requested else None,
        asked_at_s=state.step(RequestFleet.name).asked_at_s,
        has_succeeded=None if state.finished is None else state.finished[0] == SUCCESS,
        has_failed=bool(state.failure),
        failed_s=state.finished_at_s if is_undone else None,
        failure=state.finished[1] if state.finished and is_undone else "",
        waiting=state.waiting,
    )


def _without(gone: set[str], commands: dict[str, list[str]]) -> dict[str, list[str]]:
    left = {annex_id: [each for each in ids if each not in gone] for annex_id, ids in commands.items()}
    return {annex_id: ids for annex_id, ids in left.items() if ids}
