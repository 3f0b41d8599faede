"""Send one command to annexd until it replies; the sender keeps the CommandID whatever happens meanwhile.

A reply may be lost after annexd accepted the command: annexd was killed, restarted, or is silent.  So once a command
may have been sent, no later failure is final.  The same ad is sent again until the timeout, to the address that annexd
has by then; annexd carries it out once.  After the timeout the sender gets the command that asks for the outcome.  A
command that was never sent has changed nothing, and fails at once with the reason.
"""

import signal
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from annexd.tool import show
from annexd.tool.attempt import Attempt, Child, begin, outcome
from annexd.tool.command_line import without
from annexd.tool.errors import COMMUNICATION, SIGNALS, Interrupted, ToolError, hold_signals
from annexd.tool.options import ToolOptions

TIMEOUT_S: Final = 900  # an order takes seconds; behind others, or while AWS throttles, minutes
FIRST_WORD_S: Final = 10.0  # first progress message
NEXT_WORD_S: Final = 30.0
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 5.0  # condor_master restarts a daemon after about ten seconds
NAMES: Final = {"CA_BULK_REQUEST": "order", "CA_CANCEL_ANNEX": "cancellation", "CA_CHANGE_LEASE": "change of the lease"}


class SentCommand:
    """A command ad being sent; `arguments` are what its sender typed."""

    def __init__(self, options: ToolOptions, ad: dict[str, Any], arguments: Sequence[str]) -> None:
        self._options, self._ad, self._arguments = options, ad, arguments
        self._timeout_s = options.timeout_s or TIMEOUT_S
        self._end_s = time.monotonic() + self._timeout_s
        self._may_be_accepted = False
        self._has_reported = False
        self._recipient: str | None = None

    def answer(self) -> Mapping[str, Any]:
        """Return annexd's reply ad.  Raises ToolError if none came in time, or after a signal."""
        try:
            return self._answer()
        except Interrupted as interrupted:
            raise self._interrupted(interrupted.status) from None
        finally:
            hold_signals()  # only the outcome remains to be printed

    def _answer(self) -> Mapping[str, Any]:
        pause_s = FIRST_PAUSE_S
        while True:
            attempt = self._attempt()
            if attempt.answer is not None and "RetryAfter" not in attempt.answer:
                return self._known(attempt.answer)
            if not self._may_be_accepted:
                raise ToolError(attempt.status, *attempt.faults)
            if self._left_s() <= pause_s:
                raise self._unanswered(attempt)
            self._say_that_it_asks_again(attempt)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _known(self, answer: dict[str, Any]) -> Mapping[str, Any]:
        """Return the reply, unless annexd itself does not know the outcome yet."""
        if answer.get("Result") == "UnknownError" and "CommandID" in self._ad:
            raise ToolError(COMMUNICATION, str(answer.get("ErrorString")), self._how_to_ask())
        return answer

    def _attempt(self) -> Attempt:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        child = begin(self._options, self._ad, self._recipient, explain=not self._may_be_accepted)
        in_time = False
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            in_time = self._wait(child)
        finally:
            attempt = self._ended(child)
        return attempt if in_time else attempt._replace(faults=(f"no answer came within {self._timeout_s:g} s",))

    def _wait(self, child: Child) -> bool:
        """Return whether the attempt ended in time; print progress meanwhile."""
        began_s, pause_s = time.monotonic(), FIRST_WORD_S
        while not child.wait(max(0.0, min(pause_s, self._left_s()))):
            if self._left_s() <= 0:
                return False
            self._say_that_it_waits(time.monotonic() - began_s)
            pause_s = NEXT_WORD_S
        return True

    def _ended(self, child: Child) -> Attempt:
        """Return the outcome, and keep it when a signal ends the attempt."""
        child.end()
        attempt = outcome(child)
        self._may_be_accepted = self._may_be_accepted or attempt.sent
        self._recipient = attempt.recipient if self._recipient is None else self._recipient
        return attempt

    def _left_s(self) -> float:
        return self._end_s - time.monotonic()

    # Messages to the sender.

    @property
    def _name(self) -> str:
        return NAMES.get(str(self._ad["Command"]), "question")

    def _say_that_it_waits(self, waited_s: float) -> None:
        known = f" {self._ad['CommandID']}" if "CommandID" in self._ad else ""
        show.notes([f"waiting for annexd's answer to {self._name}{known} for {waited_s:.0f} s"])

    def _say_that_it_asks_again(self, attempt: Attempt) -> None:
        if self._has_reported:
            return
        self._has_reported = True
        known = f" by its command ID {self._ad['CommandID']}" if "CommandID" in self._ad else ""
        why = "annexd stops" if attempt.answer is not None else attempt.faults[0]
        show.notes([f"{why}; asking again{known}, for up to {self._left_s():.0f} s"])

    def _unanswered(self, attempt: Attempt) -> ToolError:
        if "CommandID" not in self._ad:
            return ToolError(COMMUNICATION, *attempt.faults, "nothing was changed: try again")
        return ToolError(
            COMMUNICATION,
            *attempt.faults,
            f"annexd may have accepted the {self._name}, and then completes or undoes it",
            self._how_to_ask(),
        )

    def _interrupted(self, status: int) -> ToolError:
        if "CommandID" not in self._ad:
            return ToolError(status, "interrupted")
        if not self._may_be_accepted:
            return ToolError(status, f"interrupted before the {self._name} was sent: nothing was changed")
        message = f"interrupted; annexd may have accepted the {self._name}, and then continues it"
        return ToolError(status, message, self._how_to_ask())

    def _how_to_ask(self) -> str:
        """Return the command that queries the outcome: the typed one, with the command ID."""
        import shlex

        which = ["-name", self._recipient] if self._recipient and self._options.name is None else []
        words = ["condor_annex", "-command-id", str(self._ad["CommandID"]), *which]
        return f"to see the outcome: {shlex.join([*words, *without(self._arguments, ('command_id',))])}"
