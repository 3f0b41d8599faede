"""The annexes that annexd knows from its journal, found by what people call them.

Nothing is kept here that the journal does not say: after a restart it is read again.
"""

import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from annexd.annex.steps.end_lease import EndLease
from annexd.annex.steps.request_spot_fleet import RequestSpotFleet
from annexd.workflow import SUCCESS, Engine, Json, State

CANCEL: Final = "cancel"  # the workflow of a cancellation
FLEET_STEP: Final = RequestSpotFleet.name
END_STEP: Final = EndLease.name


@dataclass(frozen=True)
class Known:
    """One annex, as it was ordered."""

    command_id: str
    annex_id: str
    owner: str
    name: str | None
    end_of_lease_s: int


@dataclass
class _Read:
    """How far the journal has been read, and what it said."""

    seq: int = 0
    fleets_seq: int = 0
    annexes: dict[str, Known] = field(default_factory=dict)  # by annex ID, oldest first
    fleets: dict[str, str] = field(default_factory=dict)  # Spot Fleet request ID: command ID
    cancels: dict[str, list[str]] = field(default_factory=dict)  # annex ID: command IDs, oldest first


class Roll:
    """Thread-safe; its methods raise JournalError."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.cancelling = threading.Lock()  # held while somebody finds no cancellation, and begins one
        self._lock = threading.Lock()
        self._read = _Read()

    def all(self) -> list[Known]:
        """Oldest first."""
        with self._lock:
            self._learn()
            return list(self._read.annexes.values())

    def called(self, reference: str, owner: str) -> list[Known]:
        """Those that it may mean, newest first: by annex ID, by Spot Fleet request ID, by the owner's own name."""
        annexes = self.all()[::-1]
        command_id = self._command_of(reference)
        by_id = [one for one in annexes if reference == one.annex_id or command_id == one.command_id]
        return by_id or [one for one in annexes if (one.owner, one.name) == (owner, reference)]

    def cancellation(self, annex_id: str) -> State | None:
        """The newest one that has not failed."""
        with self._lock:
            self._learn()
            command_ids = list(self._read.cancels.get(annex_id, ()))
        for state in map(self.engine.state, reversed(command_ids)):
            if state.finished is None or state.finished[0] == SUCCESS:
                return state
        return None

    def cancelled_ends(self) -> dict[str, float]:
        """When the leases end that were cut short, by annex ID."""
        with self._lock:
            self._learn()
            annex_ids = list(self._read.cancels)
        states = {annex_id: self.cancellation(annex_id) for annex_id in annex_ids}
        return {annex_id: state.results[END_STEP]["end_of_lease_s"] for annex_id, state in states.items()
                if state is not None and END_STEP in state.results}

    def forget(self, command_ids: Collection[str]) -> None:
        """Keep no more of what these commands were about."""
        gone = set(command_ids)
        with self._lock:
            read = self._read
            read.annexes = {key: one for key, one in read.annexes.items() if one.command_id not in gone}
            read.fleets = {key: each for key, each in read.fleets.items() if each not in gone}
            cancels = {key: [each for each in ids if each not in gone] for key, ids in read.cancels.items()}
            read.cancels = {key: ids for key, ids in cancels.items() if ids}

    def _command_of(self, fleet_id: str) -> str | None:
        with self._lock:
            self._read.fleets_seq, found = self.engine.results(FLEET_STEP, self._read.fleets_seq)
            self._read.fleets |= {str(one.get("spot_fleet_request_id")): each for each, one in found.items()}
            return self._read.fleets.get(fleet_id)

    def _learn(self) -> None:
        self._read.seq, states = self.engine.accepted(self._read.seq)
        for state in states:
            order = state.order or {}
            annex_id = str(order.get("annex_id"))
            if state.workflow == CANCEL:
                self._read.cancels.setdefault(annex_id, []).append(state.command_id)
            elif not state.workflow:
                self._read.annexes[annex_id] = _known(state, order)


def _known(state: State, order: Json) -> Known:
    name, end_s = order.get("annex_name"), order.get("end_of_lease_s")
    return Known(state.command_id, str(order.get("annex_id")), state.owner, str(name) if name else None,
                 end_s if isinstance(end_s, int) else 0)
