"""One command to annexd, until it is answered: whatever happens meanwhile, its sender keeps the CommandID.

An answer may be lost after annexd accepted the command: annexd was killed, restarted, or is silent.  So once a command
may have been sent, no later failure is the last word on it.  The same ad is sent again, which annexd carries out once,
to wherever annexd is found by then, while the time lasts; then its sender is told how to ask for what became of it.
A command that was never sent has changed nothing, and ends with the reason at once.
"""

import signal
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from annexd.tool import show
from annexd.tool.attempt import Attempt, Child, begin, outcome
from annexd.tool.command_line import full_name, is_option
from annexd.tool.errors import COMMUNICATION, SIGNALS, Interrupted, ToolError, ignore_signals
from annexd.tool.options import ToolOptions

TIMEOUT_S: Final = 900  # an order takes seconds; behind others, or while AWS throttles, minutes
FIRST_WORD_S: Final = 10.0  # of waiting, after which a person wants to know that something goes on
NEXT_WORD_S: Final = 30.0
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 5.0  # condor_master starts a daemon that ended again after about ten seconds
NAMES: Final = {
    "CA_BULK_REQUEST": "order",
    "CA_CANCEL_ANNEX": "cancellation",
    "CA_CHANGE_LEASE": "change of the lease",
}  # others change nothing


class SentCommand:
    """A command ad on its way; `arguments` are what its sender typed."""

    def __init__(self, options: ToolOptions, ad: dict[str, Any], arguments: Sequence[str]) -> None:
        self._options, self._ad, self._arguments = options, ad, arguments
        self._timeout_s = options.timeout_s or TIMEOUT_S
        self._end_s = time.monotonic() + self._timeout_s
        self._may_be_accepted = False
        self._told = False
        self._whom: str | None = None

    def answer(self) -> Mapping[str, Any]:
        """Return annexd's reply ad.  Raises ToolError when there is none, none in time, or a signal came."""
        try:
            return self._answer()
        except Interrupted as interrupted:
            raise self._interrupted(interrupted.status) from None
        finally:
            ignore_signals()  # what is left is to print what came of it

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
        """Return the answer, unless it is that annexd itself does not know yet."""
        if answer.get("Result") == "UnknownError" and "CommandID" in self._ad:
            raise ToolError(COMMUNICATION, str(answer.get("ErrorString")), self._how_to_ask())
        return answer

    def _attempt(self) -> Attempt:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        child = begin(self._options, self._ad, self._whom, explain=not self._may_be_accepted)
        in_time = False
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            in_time = self._wait(child)
        finally:
            attempt = self._ended(child)
        return attempt if in_time else attempt._replace(faults=(f"no answer came within {self._timeout_s:g} s",))

    def _wait(self, child: Child) -> bool:
        """Return whether the attempt ended in time; say now and then that it goes on."""
        began_s, pause_s = time.monotonic(), FIRST_WORD_S
        while not child.wait(max(0.0, min(pause_s, self._left_s()))):
            if self._left_s() <= 0:
                return False
            self._say_that_it_waits(time.monotonic() - began_s)
            pause_s = NEXT_WORD_S
        return True

    def _ended(self, child: Child) -> Attempt:
        """Keep what came of it also when a signal ends the attempt."""
        child.end()
        attempt = outcome(child)
        self._may_be_accepted = self._may_be_accepted or attempt.sent
        self._whom = attempt.whom if self._whom is None else self._whom
        return attempt

    def _left_s(self) -> float:
        return self._end_s - time.monotonic()

    # What its sender is told.

    @property
    def _name(self) -> str:
        return NAMES.get(str(self._ad["Command"]), "question")

    def _say_that_it_waits(self, waited_s: float) -> None:
        known = f" {self._ad['CommandID']}" if "CommandID" in self._ad else ""
        show.notes([f"waiting for annexd's answer to {self._name}{known} for {waited_s:.0f} s"])

    def _say_that_it_asks_again(self, attempt: Attempt) -> None:
        if self._told:
            return
        self._told = True
        known = f" by its command ID {self._ad['CommandID']}" if "CommandID" in self._ad else ""
        why = "annexd stops" if attempt.answer is not None else attempt.faults[0]
        show.notes([f"{why}; asking again{known}, for up to {self._left_s():.0f} s"])

    def _unanswered(self, attempt: Attempt) -> ToolError:
        if "CommandID" not in self._ad:
            return ToolError(COMMUNICATION, *attempt.faults, "nothing depends on it: ask again")
        return ToolError(
            COMMUNICATION,
            *attempt.faults,
            f"annexd may have accepted the {self._name}, and then completes it or undoes it",
            self._how_to_ask(),
        )

    def _interrupted(self, status: int) -> ToolError:
        if "CommandID" not in self._ad:
            return ToolError(status, "interrupted")
        if not self._may_be_accepted:
            return ToolError(status, f"interrupted before the {self._name} was sent: nothing was changed")
        words = f"interrupted; annexd may have accepted the {self._name}, and then goes on with it"
        return ToolError(status, words, self._how_to_ask())

    def _how_to_ask(self) -> str:
        """Say which command asks: the one that was typed, with the command ID."""
        import shlex

        which = ["-name", self._whom] if self._whom and self._options.name is None else []
        words = ["condor_annex", "-command-id", str(self._ad["CommandID"]), *which]
        return f"what became of it: {shlex.join([*words, *_without_command_id(self._arguments)])}"


def _without_command_id(arguments: Sequence[str]) -> list[str]:
    """Return the arguments but -command-id ID, which may be shortened and have its value attached."""
    kept: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, equals, _ = argument.partition("=")
        if is_option(argument) and full_name(name, []) == "command-id":
            if not equals:
                next(rest, None)
            continue
        kept.append(argument)
    return kept
