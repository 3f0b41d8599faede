"""Orders that survive their daemon: the journal, the engine, and the interface of a step.

This package knows neither CEDAR nor AWS, and imports no other package of annexd.
"""

from annexd.workflow.engine import Engine, NotOwner, Paused
from annexd.workflow.journal import Journal
from annexd.workflow.journal_health import JournalError
from annexd.workflow.outcome import Counts, Outcome
from annexd.workflow.record import FAILURE, SUCCESS, Json, Kind, Record, State, StepState, fold
from annexd.workflow.retry_policy import RetryPolicy
from annexd.workflow.step import Refused, Retry, Step, StepError, Workflow

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
    "Workflow",
    "fold",
]
