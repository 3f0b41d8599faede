"""Orders that survive their daemon: the journal, the engine, and what a step must be.

Knows neither CEDAR nor AWS, and imports nothing else of ours.
"""

from annexd.workflow.engine import Engine, NotOwner, Paused
from annexd.workflow.journal import Journal
from annexd.workflow.journal_health import JournalError
from annexd.workflow.outcome import Counts, Outcome
from annexd.workflow.record import FAILURE, SUCCESS, Json, Kind, Record, State, StepState, fold
from annexd.workflow.retry_policy import RetryPolicy
from annexd.workflow.step import Refused, Retry, Step, StepError, Wait, Workflow

__all__ = [
    "FAILURE",
    "SUCCESS",
    "Counts",
    "Engine",
    "Journal",
    "JournalError",
    "Json",
    "Kind",
    "NotOwner",
    "Outcome",
    "Paused",
    "Record",
    "Refused",
    "Retry",
    "RetryPolicy",
    "State",
    "Step",
    "StepError",
    "StepState",
    "Wait",
    "Workflow",
    "fold",
]
