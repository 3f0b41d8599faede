"""Intent, effect, result: the engine carries an order through its steps, or undoes them.

Each turn of `run` folds the journal and makes exactly one next move.  So a daemon that was killed continues with the
same code as one that was not.  Steps go forward in order.  After a failure they are undone in reverse order, and undo
never passes a step that may have left something: the lease, which comes first, is undone last.
"""

import contextlib
import random as random_module
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple, TypeVar

from annexd.workflow.attempt_clock import AttemptClock
from annexd.workflow.fold import fold
from annexd.workflow.journal import Journal
from annexd.workflow.journal_health import JournalError
from annexd.workflow.json_form import Unreadable, from_json, to_json
from annexd.workflow.keyed_lock import KeyedLock
from annexd.workflow.outcome import Counts, Outcome, outcome_of, stuck_reason_of
from annexd.workflow.record import FAILURE, Ended, Json, Kind, State
from annexd.workflow.retry_policy import RetryPolicy
from annexd.workflow.step import Workflow, Workflows
from annexd.workflow.stepper import Stepper
from annexd.workflow.tally import Tally

T = TypeVar("T")


class NotOwner(Exception):
    """The command ID belongs to another user's request."""


class Accepted(NamedTuple):
    """When a command was accepted, and the number of that record."""

    seq: int
    command_id: str
    at_s: float


class Paused(Exception):
    """The engine is paused; unfinished workflows stay in the journal."""


class Engine:
    """Runs workflows over `journal`.  Thread-safe, blocking; call it from worker threads.

    `workflow` has no name in the journal; `others` have one, and `add` adds more of them.  An order goes to the
    workflow of its type.
    `now_s` and `wait` are the time: `wait(seconds)` returns early, and True, when the engine is paused.
    `steady_s` is a clock that nobody sets, such as time.monotonic, for measuring durations.  `report(message)` is
    called once when a workflow begins to wait.
    """

    def __init__(
        self,
        journal: Journal,
        workflow: Workflow[Any],
        *,
        others: Mapping[str, Workflow[Any]] | None = None,
        pace: RetryPolicy | None = None,
        now_s: Callable[[], float] = time.time,
        steady_s: Callable[[], float] | None = None,
        wait: Callable[[float], bool] | None = None,
        random: Callable[[], float] = random_module.random,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._journal = journal
        self._workflows = Workflows({"": workflow, **(others or {})})
        self._now_s = now_s
        self._paused = threading.Event()
        self._stepper = Stepper(
            journal,
            self._workflows,
            pace=pace or RetryPolicy(),
            now_s=now_s,
            since=AttemptClock(now_s, steady_s or now_s),
            wait=wait or self._paused.wait,
            random=random,
            report=report,
        )
        self._accepting = threading.Lock()
        self._turns = KeyedLock()
        self._tally = Tally(journal)

    def add(self, name: str, workflow: Workflow[Any]) -> None:
        """Carry out orders of this workflow's type by its steps, which may use this engine."""
        self._workflows.add(name, workflow)

    def find(self, command_id: str, owner: str) -> State | None:
        """Return the workflow with this ID, or None.  Raises NotOwner if it belongs to another user."""
        history = self._journal.history(command_id)
        if not history:
            return None
        state = fold(command_id, history, self._workflows)
        if state.owner != owner:
            raise NotOwner(f"CommandID {command_id} belongs to a request of another user")
        return state

    def accept(
        self, command_id: str, owner: str, order: object, asked: str = "", reserved: object | None = None
    ) -> State:
        """Take responsibility for the order, durably; from then on it is carried out or undone whatever happens.

        `asked` is a digest of the sender's request; what is `reserved` is written with the order.  For a known ID the
        existing workflow is returned and `order` is ignored.  Raises NotOwner.
        """
        with self._accepting:
            known = self.find(command_id, owner)
            if known is not None:
                return known
            workflow = self._workflows.name_for(order)
            body = {"owner": owner, "workflow": workflow, "order": to_json(order), "asked": asked}
            beside = {} if reserved is None else {"reserved": to_json(reserved)}
            self._journal.append(command_id, "", Kind.ACCEPTED, body, **beside)
        return self._stepper.fold(command_id)

    def run(self, command_id: str) -> Outcome:
        """Run the workflow until it is finished or stuck; a concurrent call for the same ID waits for the first.

        Raises Paused, and JournalError if the journal cannot be written: then nothing more is done.
        """
        with self._turns.take(command_id):
            return self._run(command_id)

    def run_if_free(self, command_id: str) -> Outcome | None:
        """Run the workflow as `run` does, or return None at once if another thread runs it."""
        with self._turns.take_if_free(command_id) as is_held:
            return self._run(command_id) if is_held else None

    def _run(self, command_id: str) -> Outcome:
        state = self._stepper.fold(command_id)
        while True:
            retry_at_s = self._stepper.stuck_until_s(state)
            if state.finished or retry_at_s > self._now_s():
                return outcome_of(state, None if state.finished else retry_at_s)
            if self._paused.is_set():
                raise Paused(f"annexd is shutting down; {command_id} will continue at its next start")
            self._stepper.move(state)
            state = self._stepper.fold_on(state)

    def change(self, command_id: str, order: object) -> None:
        """Replace the workflow's order, such as for other keys, and retry what is stuck at once.  Thread-safe."""
        self._append_once(command_id, Kind.CHANGED, {"order": to_json(order)})

    def stop(self, command_id: str, error: str) -> None:
        """Stop a workflow and undo it, retrying what is stuck at once.  Thread-safe."""
        self._append_once(command_id, Kind.STOPPED, {"result": FAILURE, "error": error})

    def _append_once(self, command_id: str, kind: Kind, body: Json) -> None:
        history = self._journal.history(command_id)
        newest = [record.body for record in history if record.kind is kind][-1:]
        if history and newest != [body] and not fold(command_id, history).finished:
            self._journal.append(command_id, "", kind, body)

    def close(self, command_id: str, error: str) -> None:
        """Give up a workflow, and anything left of it, once its current call has ended."""
        with self._turns.take(command_id):
            state = self._stepper.fold(command_id)
            if not state.finished:
                self._stepper.finish(state, FAILURE, error)

    def pause(self) -> None:
        """Make every `run` raise Paused as soon as its current call to AWS has ended.  The engine cannot be resumed."""
        self._paused.set()

    def unfinished(self) -> tuple[str, ...]:
        """Return the command IDs to `run` at start, oldest first."""
        return self._journal.unfinished()

    def unfinished_workflows(self) -> list[tuple[str, str]]:
        """Return the unfinished command IDs, each with the name of its workflow."""
        return [(command_id, self._stepper.fold(command_id).workflow) for command_id in self._journal.unfinished()]

    def state(self, command_id: str) -> State:
        """Return the state of one workflow."""
        return self._stepper.fold(command_id)

    def accepted(self, after_seq: int = 0) -> tuple[int, list[State]]:
        """Return the newest record number, and the workflows accepted after `after_seq` as they were accepted."""
        records = self._journal.of_kind(Kind.ACCEPTED, after_seq)
        states = [fold(record.command_id, [record], self._workflows) for record in records]
        readable = [state for state in states if state.order is not None]
        return max((record.seq for record in records), default=after_seq), readable

    def accepted_before(self, seq: int, limit: int) -> list[Accepted]:
        """Return the workflows accepted before this record, the newest first, from journal and archive."""
        records = self._journal.before(Kind.ACCEPTED, seq, limit)
        return [Accepted(record.seq, record.command_id, record.at_s) for record in records]

    def note_usage(self, command_id: str, usage: object) -> None:
        """Record the observed usage of a workflow, if the journal has it; it replaces the one noted before."""
        history = self._journal.newer(command_id, 0)
        if history:
            self._journal.append(command_id, "", Kind.USAGE, to_json(usage))
            if older := [record.seq for record in history if record.kind is Kind.USAGE]:
                self._journal.drop(older)

    def reserved(self, kind: type[T], after_seq: int = 0) -> tuple[int, list[tuple[str, T]]]:
        """Return the newest record number, and the unsettled reservations of commands since `after_seq`.

        Raises JournalError for an unreadable record: a reservation must not be forgotten.
        """
        records = self._journal.of_kind(Kind.RESERVED, after_seq)
        try:
            found = [(record.command_id, from_json(kind, record.body)) for record in records]
        except Unreadable as error:
            next_step = "restore it from a backup; until then nothing can be ordered under a budget"
            raise JournalError("the journal does not say what is reserved", str(error), next_step) from error
        return max((record.seq for record in records), default=after_seq), found

    def spent(self) -> dict[tuple[str, int], int]:
        """Return the settled amounts, by name and day."""
        return self._journal.spent()

    def settle(
        self, command_id: str, settled: Collection[str], at_day: int, spent: int, amounts: Mapping[str, int]
    ) -> None:
        """Record that these commands have cost `amounts` on this day, and no longer hold a reservation.

        `spent` is kept in the history of `command_id`.
        """
        body = {"spent": spent, "day": at_day, "amounts": dict(amounts), "commands": sorted(settled)}
        self._journal.settle(command_id, body, settled, {(name, at_day): each for name, each in amounts.items()})

    def results(self, kind: type[T], after_seq: int = 0) -> tuple[int, dict[str, T]]:
        """Return the newest record number, and all steps' results of this type since `after_seq`, by command ID."""
        records, steps = self._journal.of_kind(Kind.DONE, after_seq), self._workflows.steps_with(kind)
        found = {}
        for record in records:
            if record.step in steps:
                with contextlib.suppress(Unreadable):  # the engine reports it when it continues that order
                    found[record.command_id] = from_json(kind, record.body)
        return max((record.seq for record in records), default=after_seq), found

    def unfinished_orders(self, kind: type[T]) -> list[T]:
        """Return the orders of this type that are under way, or not completely undone yet."""
        states = (self._stepper.fold(command_id) for command_id in self._journal.unfinished())
        return [order for state in states if (order := state.order_as(kind)) is not None]

    def move_to_archive(self, is_over: Callable[[State, float], bool]) -> list[str]:
        """Archive workflows for which `is_over(state, time of finish)`; return their command IDs.  Blocks."""
        ended: dict[str, Ended] = {}
        for record in self._journal.of_kind(Kind.FINISHED):
            state = self._stepper.fold(record.command_id)
            if not state.damage and is_over(state, record.at_s):
                ended[record.command_id] = Ended.of(record.body)
        return self._tally.move_to_archive(ended)

    def counts(self) -> Counts:
        """Count from the journal: the numbers outlive the process."""
        ended = self._tally.counted()
        successes = sum(number for each, number in ended.items() if each.success)
        failures = sum(ended.values()) - successes
        unfinished = list(map(self._stepper.fold, self._journal.unfinished()))
        stuck = [state for state in unfinished if state.is_stuck]
        return Counts(
            requests=successes + failures + len(unfinished),
            successes=successes,
            failures=failures,
            unfinished=len(unfinished),
            stuck=len(stuck),
            stuck_reason=f"{stuck[0].command_id}: {stuck_reason_of(stuck[0])}" if stuck else "",
            ended=ended,
            unfinished_of=Counter(state.workflow for state in unfinished),
            undoing=sum(state.failure is not None for state in unfinished),
        )
