"""Intent, effect, result: the engine that carries an order through its steps, or undoes it.

Each turn of `run` folds the journal and makes the one next move.  A daemon that was killed therefore goes
on by the same code as one that was not.  Forward, the steps go in their order; after a failure they are
undone in reverse, and undo never passes a step of which anything may be left: the lease, which comes first,
goes last.
"""

import random as random_module
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from annexd.workflow.attempt_clock import AttemptClock
from annexd.workflow.journal import Journal
from annexd.workflow.keyed_lock import KeyedLock
from annexd.workflow.outcome import Counts, Outcome, outcome_of, stuck_words
from annexd.workflow.pruning import superfluous
from annexd.workflow.record import FAILURE, SUCCESS, Json, Kind, State, StepState, fold
from annexd.workflow.retry_policy import RetryPolicy
from annexd.workflow.step import Refused, Retry, Step, Wait, Workflow

T = TypeVar("T")


class NotOwner(Exception):
    """The command ID belongs to another user's request."""


class Paused(Exception):
    """The engine was told to stop; what is unfinished stays in the journal."""


class Engine:
    """Runs workflows of `steps` over `journal`.  Thread-safe, blocking; call it from worker threads.

    `others` are workflows of other steps, by the name that their orders have under "workflow".
    `now_s` and `wait` are the time: `wait(seconds)` returns early, and True, when the engine is paused.
    `steady_s` is a clock that nobody sets, such as time.monotonic, for what must have lasted some time.
    `tell(words)` hears once what a workflow begins to wait for.
    """

    def __init__(
        self,
        journal: Journal,
        steps: Sequence[Step],
        *,
        others: Mapping[str, Workflow] | None = None,
        pace: RetryPolicy | None = None,
        now_s: Callable[[], float] = time.time,
        steady_s: Callable[[], float] | None = None,
        wait: Callable[[float], bool] | None = None,
        random: Callable[[], float] = random_module.random,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._journal = journal
        self._workflows = {"": Workflow(tuple(steps)), **(others or {})}
        self._pace = pace or RetryPolicy()
        self._now_s = now_s
        self._since = AttemptClock(now_s, steady_s or now_s)
        self._paused = threading.Event()
        self._wait = wait or self._paused.wait
        self._random = random
        self._tell = tell
        self._started_seq = journal.last_seq()
        self._accepting = threading.Lock()
        self._turns = KeyedLock()
        self._tallying = threading.Lock()
        self._tally = Counter[bool]()  # finished requests by success, up to the record below: the journal only grows
        self._tallied_seq = 0
        self._counts_archive = True  # once: what is moved from now on was counted before

    def add(self, name: str, workflow: Workflow) -> None:
        """Carry out orders with this name under "workflow" by these steps, which may use this engine."""
        self._workflows[name] = workflow

    def find(self, command_id: str, owner: str) -> State | None:
        """The workflow with this ID, or None.  Raises NotOwner when it is somebody else's."""
        history = self._journal.history(command_id)
        if not history:
            return None
        state = fold(command_id, history)
        if state.owner != owner:
            raise NotOwner(f"CommandID {command_id} belongs to a request of another user")
        return state

    def accept(self, command_id: str, owner: str, order: Json, asked: str = "") -> State:
        """Make the order ours, durably; from here on it is carried out or undone whatever happens.

        `asked` tells what its sender asked for from anything else.  With an ID that is known the existing workflow is
        returned and `order` is not looked at.  Raises NotOwner.
        """
        with self._accepting:
            known = self.find(command_id, owner)
            if known is not None:
                return known
            self._journal.append(command_id, "", Kind.ACCEPTED, {"owner": owner, "order": order, "asked": asked})
        return self._fold(command_id)

    def run(self, command_id: str) -> Outcome:
        """Carry the workflow on until it is finished or stuck.  A second call for the same ID joins the
        first.

        Raises Paused, and JournalError when nothing can be written: then nothing more is done either.
        """
        with self._turns.take(command_id):
            return self._run(command_id)

    def run_if_free(self, command_id: str) -> Outcome | None:
        """The same; None, at once, while somebody else carries it on."""
        with self._turns.take_if_free(command_id) as is_held:
            return self._run(command_id) if is_held else None

    def _run(self, command_id: str) -> Outcome:
        state = self._fold(command_id)
        while True:
            retry_at_s = self._stuck_until_s(state)
            if state.finished or retry_at_s > self._now_s():
                return outcome_of(state, None if state.finished else retry_at_s)
            if self._paused.is_set():
                raise Paused(f"annexd stops; {command_id} goes on at its next start")
            self._move(state)
            state = self._fold_on(state)

    def change(self, command_id: str, changes: Json) -> None:
        """Change an order that is under way, as to other keys, and try at once what is stuck.  From any thread."""
        self._append_once(command_id, Kind.CHANGED, {"order": changes})

    def stop(self, command_id: str, error: str) -> None:
        """Take no further step of a workflow, and undo it; what is stuck is tried at once.  From any thread."""
        self._append_once(command_id, Kind.STOPPED, {"result": FAILURE, "error": error})

    def _append_once(self, command_id: str, kind: Kind, body: Json) -> None:
        history = self._journal.history(command_id)
        newest = [record.body for record in history if record.kind is kind][-1:]
        if history and newest != [body] and not fold(command_id, history).finished:
            self._journal.append(command_id, "", kind, body)

    def close(self, command_id: str, error: str) -> None:
        """Give a workflow up, with what may be left of it; it waits for a call that is under way."""
        with self._turns.take(command_id):
            state = self._fold(command_id)
            if not state.finished:
                self._finish(state, FAILURE, error)

    def pause(self) -> None:
        """Let every `run` end with Paused as soon as its current call to AWS has ended.  For good."""
        self._paused.set()

    def unfinished(self) -> tuple[str, ...]:
        """The IDs to `run` at start, oldest first."""
        return self._journal.unfinished()

    def unfinished_workflows(self) -> list[tuple[str, str]]:
        """The same, each with the name of its workflow."""
        return [(command_id, self._fold(command_id).workflow) for command_id in self._journal.unfinished()]

    def state(self, command_id: str) -> State:
        """All that the journal says of one workflow."""
        return self._fold(command_id)

    def accepted(self, after_seq: int = 0) -> tuple[int, list[State]]:
        """Every workflow as it was accepted, after the record with this number; and the number to go on from."""
        records = self._journal.of_kind(Kind.ACCEPTED, after_seq)
        states = [fold(record.command_id, [record]) for record in records]
        return max((record.seq for record in records), default=after_seq), [one for one in states if one.order]

    def results(self, step: str, after_seq: int = 0) -> tuple[int, dict[str, Json]]:
        """What this step came to, by command ID, in the same way."""
        records = self._journal.of_kind(Kind.DONE, after_seq)
        found = {record.command_id: record.body for record in records if record.step == step}
        return max((record.seq for record in records), default=after_seq), found

    def unfinished_orders(self) -> list[Json]:
        """The orders that are under way, or not all undone yet."""
        states = (self._fold(command_id) for command_id in self._journal.unfinished())
        return [state.order for state in states if state.order is not None]

    def move_to_archive(self, is_over: Callable[[State, float], bool]) -> list[str]:
        """Move those that `is_over(state, when it finished)`; return their command IDs.  Blocks."""
        ended: dict[str, bool] = {}
        for record in self._journal.of_kind(Kind.FINISHED):
            state = fold(record.command_id, self._journal.history(record.command_id))
            if not state.damage and is_over(state, record.at_s):
                ended[record.command_id] = record.body.get("result") == SUCCESS
        with self._tallying:
            self._count_finished()  # before they are gone
            return self._journal.move_to_archive(ended)

    def _count_finished(self) -> None:
        """Count those that finished since the last count; at first, those of the archive, too."""
        if self._counts_archive:
            self._tally.update(self._journal.archived())
            self._counts_archive = False
        for record in self._journal.of_kind(Kind.FINISHED, self._tallied_seq):
            self._tallied_seq = record.seq
            self._tally[record.body.get("result") == SUCCESS] += 1

    def counts(self) -> Counts:
        """Counted from the journal: they outlive the process."""
        with self._tallying:
            self._count_finished()
            failures, successes = self._tally[False], self._tally[True]
        unfinished = self._journal.unfinished()
        stuck = [state for state in map(self._fold, unfinished) if state.is_stuck]
        return Counts(
            requests=successes + failures + len(unfinished),
            successes=successes,
            failures=failures,
            unfinished=len(unfinished),
            stuck=len(stuck),
            stuck_reason=f"{stuck[0].command_id}: {stuck_words(stuck[0])}" if stuck else "",
        )

    def _fold(self, command_id: str) -> State:
        return self._checked(fold(command_id, self._journal.history(command_id)))

    def _fold_on(self, state: State) -> State:
        """What has become of it since."""
        newer = self._journal.newer(state.command_id, state.seq)
        return self._checked(fold(state.command_id, newer, state)) if newer else self._fold(state.command_id)

    def _checked(self, state: State) -> State:
        if state.damage:
            return state
        if state.workflow not in self._workflows:
            return replace(state, damage=f"this version of annexd has no workflow {state.workflow}")
        strangers = state.steps.keys() - {step.name for step in self._workflows[state.workflow].steps}
        if strangers:
            return replace(state, damage=f"this version of annexd has no step {', '.join(sorted(strangers))}")
        return state

    # The next move.

    def _move(self, state: State) -> None:
        if state.failure is not None:
            self._move_back(state)
            return
        for step in self._workflows[state.workflow].steps:
            if state.step(step.name).result is None:
                self._forward(state, step)
                return
        self._finish(state, SUCCESS, "")

    def _move_back(self, state: State) -> None:
        for step in reversed(self._workflows[state.workflow].steps):
            if state.step(step.name).needs_undo:
                self._backward(state, step)
                return
        self._finish(state, *(state.failure or (FAILURE, "")))

    def _finish(self, state: State, result: str, error: str) -> None:
        self._since.forget(state.command_id)
        self._journal.append(state.command_id, "", Kind.FINISHED, {"result": result, "error": error})

    # Forward.

    def _forward(self, state: State, step: Step) -> None:
        known = state.step(step.name)
        if known.deaths >= self._pace.max_deaths:
            self._fail(state, step, Refused(f"{step.name}: annexd died {known.deaths} times while doing it"))
            return
        try:
            order = state.order or {}
            intent = known.intent
            if intent is None:
                intent = _attempt(step.name, lambda: step.plan(order, state.results))
            self._journal.append(state.command_id, step.name, Kind.INTENT, intent if known.attempts == 0 else {})
            self._since.begin(state.command_id, step.name)
            result = _attempt(step.name, lambda: step.forward(order, intent))
        except Retry as error:
            self._ask_again(state, step, error)
        except Refused as error:
            if error.local and self._workflows[state.workflow].patient:
                self._ask_again(state, step, Retry(str(error), untouched=error.untouched))
            else:
                self._fail(state, step, error)
        else:
            self._journal.append(state.command_id, step.name, Kind.DONE, result)

    def _ask_again(self, state: State, step: Step, error: Retry) -> None:
        body = {"error": str(error), "untouched": error.untouched}
        waits_for = {"waits_for": error.wait.what} if error.wait else {}
        self._journal.append(state.command_id, step.name, Kind.UNKNOWN, {**body, **waits_for})
        known = self._fold_on(state).step(step.name)
        workflow = self._workflows[state.workflow]
        patient = workflow.patient
        if error.wait and not patient:
            self._wait_for(state, step, known, error, error.wait)
            return
        elapsed_s = self._now_s() - known.patience_from_s
        pause_s = self._pace.pause_s(known.attempts - 1, self._random)
        deadline_s = self._pace.patience_s if patient else self._pace.forward_deadline_s * workflow.deadlines
        if elapsed_s + pause_s <= deadline_s and known.attempts < self._pace.max_attempts:
            self._wait(pause_s)
        elif patient:
            self._get_stuck(state, known, error)
        else:
            words = f"{error}; gave up after {known.attempts} attempts in {elapsed_s:.0f} s"
            self._fail(state, step, Refused(words))

    def _wait_for(self, state: State, step: Step, known: StepState, error: Retry, wait: Wait) -> None:
        """Pause before the next try, the last of which comes when the time is over; then give up."""
        waited_s = self._now_s() - known.waits_since_s
        longest_s = min(wait.longest_s, self._pace.longest_wait_s)
        if known.waits_for != state.step(step.name).waits_for:
            self._tell(f"request {state.command_id} waits up to {longest_s:.0f} s for AWS to know {wait.what}: {error}")
        if waited_s < longest_s and known.attempts < self._pace.max_attempts:
            self._wait(min(self._pace.pause_s(known.attempts - 1, self._random), longest_s - waited_s))
        else:
            words = f"{error}; annexd waited {waited_s:.0f} s for AWS to know {wait.what}: {wait.next_step}"
            self._fail(state, step, Refused(words))

    def _fail(self, state: State, step: Step, error: Refused) -> None:
        body = {"result": error.result, "error": str(error), "untouched": error.untouched}
        self._journal.append(state.command_id, step.name, Kind.FAILED, body)

    # Backward.

    def _backward(self, state: State, step: Step) -> None:
        known = state.step(step.name)
        self._journal.append(state.command_id, step.name, Kind.UNDOING, {})
        try:
            order, intent = state.order or {}, known.intent or {}
            recorded_s = known.effective_at_s if step.shows_late else known.unsettled_at_s
            asked_at_s = self._since.moment_s(state.command_id, step.name, recorded_s)
            _attempt(step.name, lambda: step.backward(order, intent, asked_at_s))
        except Retry as error:
            self._undo_again(state, known, error)
        except Refused as error:
            self._get_stuck(state, known, error)
        else:
            self._journal.append(state.command_id, step.name, Kind.UNDONE, {})

    def _undo_again(self, state: State, known: StepState, error: Retry) -> None:
        """Some more times in this run, if it has not been stuck before; then it is the next run's."""
        now_s = self._now_s()
        pause_s = self._pace.pause_s(known.undo_attempts, self._random)
        patient = now_s + pause_s < (known.undo_began_at_s or now_s) + self._pace.undo_patience_s
        if known.stuck or not patient or known.undo_attempts >= self._pace.max_attempts:
            self._get_stuck(state, known, error)
        else:
            self._journal.append(state.command_id, known.name, Kind.UNKNOWN, {"error": str(error)})
            self._wait(pause_s)

    def _get_stuck(self, state: State, known: StepState, error: Exception) -> None:
        retry_at_s = self._now_s() + self._pace.stuck_pause_s(known.stuck, self._random)
        body = {"error": str(error), "retry_at_s": retry_at_s}
        self._journal.append(state.command_id, known.name, Kind.STUCK, body)
        if seqs := superfluous(state.command_id, self._journal.history(state.command_id)):
            self._journal.drop(seqs)

    def _stuck_until_s(self, state: State) -> float:
        """When the workflow may be tried again; 0 when it is not stuck."""
        if state.damage:
            return self._now_s() + self._pace.stuck_cap_s
        for step in state.steps.values():
            if state.failure and step.needs_undo and step.undo_deaths > 1:  # it may kill annexd, but not at each start
                return self._sane(step.undo_at_s + self._pace.stuck_pause_s(step.undo_deaths - 2, lambda: 1.0))
            if step in state.stuck_steps and step.stuck_seq > self._started_seq:  # an earlier annexd's is tried at once
                return self._sane(step.retry_at_s)
        return 0.0

    def _sane(self, retry_at_s: float) -> float:
        """No pause is longer than the longest: a clock that was set back is no reason to wait for a year."""
        return 0.0 if retry_at_s - self._now_s() > self._pace.stuck_cap_s else retry_at_s


def _attempt(name: str, act: Callable[[], T]) -> T:
    """The edge of a worker: whatever goes wrong inside a step is that order's failure, and no other's."""
    try:
        return act()
    except (Retry, Refused):
        raise
    except Exception as error:
        raise Refused(f"{name}: a fault of annexd: {type(error).__name__}: {error}") from error
