"""Make the moves of a workflow: a step forward, its undo, the pauses between attempts, and the end.

Each move begins with its record in the journal and ends with another, so that a daemon that was killed between the two
finds in the journal that the effect is unknown.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from annexd.workflow.attempt_clock import AttemptClock
from annexd.workflow.fold import fold
from annexd.workflow.journal import Journal
from annexd.workflow.json_form import from_json, to_json
from annexd.workflow.pruning import superfluous
from annexd.workflow.record import FAILURE, SUCCESS, Json, Kind, State, StepState
from annexd.workflow.retry_policy import RetryPolicy
from annexd.workflow.step import Refused, Retry, Step, Wait, Workflows

T = TypeVar("T")


class Stepper:
    """Moves the workflows in `journal`, each one move at a time; see Engine for the arguments.

    `since` remembers when attempts began.
    """

    def __init__(
        self,
        journal: Journal,
        workflows: Workflows,
        *,
        pace: RetryPolicy,
        now_s: Callable[[], float],
        since: AttemptClock,
        wait: Callable[[float], bool],
        random: Callable[[], float],
        report: Callable[[str], None],
    ) -> None:
        self._journal, self._workflows = journal, workflows
        self._pace, self._now_s, self._since = pace, now_s, since
        self._wait, self._random, self._report = wait, random, report
        self._started_seq = journal.last_seq()

    def fold(self, command_id: str) -> State:
        """Return the state of a workflow, from its whole history."""
        return fold(command_id, self._journal.history(command_id), self._workflows)

    def fold_on(self, state: State) -> State:
        """Return the state after the records that were written since."""
        newer = self._journal.newer(state.command_id, state.seq)
        return fold(state.command_id, newer, self._workflows, state) if newer else self.fold(state.command_id)

    def move(self, state: State) -> None:
        """Make the next move: a step, its undo, or the end.  Raises JournalError."""
        if state.failure is not None:
            self._move_back(state)
            return
        for step in self._workflows.named(state.workflow).steps:
            if state.step(step.name).result is None:
                self._forward(state, step)
                return
        self.finish(state, SUCCESS, "")

    def _move_back(self, state: State) -> None:
        for step in reversed(self._workflows.named(state.workflow).steps):
            if state.step(step.name).needs_undo:
                self._backward(state, step)
                return
        self.finish(state, *(state.failure or (FAILURE, "")))

    def finish(self, state: State, result: str, error: str) -> None:
        """End a workflow, and anything left of it."""
        self._since.forget(state.command_id)
        is_left = result != SUCCESS and state.may_be_left
        body = {"result": result, "error": error, "workflow": state.workflow, "may_be_left": is_left}
        self._journal.append(state.command_id, "", Kind.FINISHED, body)

    def _forward(self, state: State, step: Step[Any, Any, Any]) -> None:
        known = state.step(step.name)
        if known.deaths >= self._pace.max_deaths:
            self._fail(state, step, Refused(f"{step.name}: annexd died {known.deaths} times while doing it"))
            return
        try:
            intent, body = known.intent, Json()
            if intent is None:
                body = _attempt(step.name, lambda: to_json(step.plan(state.order, state.results)))
                intent = _attempt(step.name, lambda: from_json(step.intent_type, body))  # as read after a restart
            self._journal.append(state.command_id, step.name, Kind.INTENT, body)
            self._since.begin(state.command_id, step.name)
            result = _attempt(step.name, lambda: to_json(step.forward(state.order, intent)))
        except Retry as error:
            self._retry_forward(state, step, error)
        except Refused as error:
            if error.local and self._workflows.named(state.workflow).patient:
                self._retry_forward(state, step, Retry(str(error), untouched=error.untouched))
            else:
                self._fail(state, step, error)
        else:
            self._journal.append(state.command_id, step.name, Kind.DONE, result)

    def _retry_forward(self, state: State, step: Step[Any, Any, Any], error: Retry) -> None:
        body = {"error": str(error), "untouched": error.untouched}
        waits_for = {"waits_for": error.wait.what} if error.wait else {}
        self._journal.append(state.command_id, step.name, Kind.UNKNOWN, {**body, **waits_for})
        known = self.fold_on(state).step(step.name)
        workflow = self._workflows.named(state.workflow)
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
            self._mark_stuck(state, known, error)
        else:
            reason = f"{error}; gave up after {known.attempts} attempts in {elapsed_s:.0f} s"
            self._fail(state, step, Refused(reason))

    def _wait_for(self, state: State, step: Step[Any, Any, Any], known: StepState, error: Retry, wait: Wait) -> None:
        """Pause before the next attempt, the last of which comes when the time is over; then give up."""
        waited_s = self._now_s() - known.waits_since_s
        longest_s = min(wait.longest_s, self._pace.longest_wait_s)
        if known.waits_for != state.step(step.name).waits_for:
            self._report(
                f"Request {state.command_id} waits up to {longest_s:.0f} s for AWS to know {wait.what}: {error}"
            )
        if waited_s < longest_s and known.attempts < self._pace.max_attempts:
            self._wait(min(self._pace.pause_s(known.attempts - 1, self._random), longest_s - waited_s))
        else:
            message = f"{error}; annexd waited {waited_s:.0f} s for AWS to know {wait.what}: {wait.next_step}"
            self._fail(state, step, Refused(message))

    def _fail(self, state: State, step: Step[Any, Any, Any], error: Refused) -> None:
        body = {"result": error.result, "error": str(error), "untouched": error.untouched}
        self._journal.append(state.command_id, step.name, Kind.FAILED, body)

    def _backward(self, state: State, step: Step[Any, Any, Any]) -> None:
        known = state.step(step.name)
        self._journal.append(state.command_id, step.name, Kind.UNDOING, {})
        try:
            recorded_s = known.effective_at_s if step.shows_late else known.unsettled_at_s
            asked_at_s = self._since.moment_s(state.command_id, step.name, recorded_s)
            _attempt(step.name, lambda: step.backward(state.order, known.intent, asked_at_s))
        except Retry as error:
            self._retry_undo(state, known, error)
        except Refused as error:
            self._mark_stuck(state, known, error)
        else:
            self._journal.append(state.command_id, step.name, Kind.UNDONE, {})

    def _retry_undo(self, state: State, known: StepState, error: Retry) -> None:
        """Retry the undo within this run, unless it was stuck before or has taken too long; then get stuck."""
        now_s = self._now_s()
        pause_s = self._pace.pause_s(known.undo_attempts, self._random)
        patient = now_s + pause_s < (known.undo_began_at_s or now_s) + self._pace.undo_patience_s
        if known.stuck or not patient or known.undo_attempts >= self._pace.max_attempts:
            self._mark_stuck(state, known, error)
        else:
            self._journal.append(state.command_id, known.name, Kind.UNKNOWN, {"error": str(error)})
            self._wait(pause_s)

    def _mark_stuck(self, state: State, known: StepState, error: Exception) -> None:
        retry_at_s = self._now_s() + self._pace.stuck_pause_s(known.stuck, self._random)
        body = {"error": str(error), "retry_at_s": retry_at_s}
        self._journal.append(state.command_id, known.name, Kind.STUCK, body)
        if seqs := superfluous(state.command_id, self._journal.history(state.command_id)):
            self._journal.drop(seqs)

    def stuck_until_s(self, state: State) -> float:
        """Return when the workflow may be retried; 0 if it is not stuck."""
        if state.damage:
            return self._now_s() + self._pace.stuck_cap_s
        for step in state.steps.values():
            if state.failure and step.needs_undo and step.undo_deaths > 1:  # an undo must not kill annexd at each start
                return self._plausible(step.undo_at_s + self._pace.stuck_pause_s(step.undo_deaths - 2, lambda: 1.0))
            # After a restart it is retried at once.
            if step in state.stuck_steps and step.stuck_seq > self._started_seq:
                return self._plausible(step.retry_at_s)
        return 0.0

    def _plausible(self, retry_at_s: float) -> float:
        """Ignore a retry time beyond the longest pause: the clock was set back."""
        return 0.0 if retry_at_s - self._now_s() > self._pace.stuck_cap_s else retry_at_s


def _attempt(name: str, act: Callable[[], T]) -> T:
    """Call `act` at the edge of a worker: an unexpected error in a step fails that order only."""
    try:
        return act()
    except (Retry, Refused):
        raise
    except Exception as error:
        raise Refused(f"{name}: internal error: {type(error).__name__}: {error}") from error
