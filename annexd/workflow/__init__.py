"""Orders that survive their daemon: the journal, the engine, and the interface of a step.

This package knows neither CEDAR nor AWS, and imports no other package of annexd.
"""

from annexd.workflow.engine import Engine, NotOwner, Paused
from annexd.workflow.fold import fold
from annexd.workflow.journal import Journal
from annexd.workflow.journal_health import JournalError
from annexd.workflow.json_form import Unreadable, from_json, to_json
from annexd.workflow.outcome import Counts, Outcome
from annexd.workflow.record import FAILURE, SUCCESS, Json, Kind, Record, Results, State, StepState
from annexd.workflow.retry_policy import RetryPolicy
from annexd.workflow.step import Nothing, Refused, Retry, Step, StepError, Wait, Workflow

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
    "Nothing",
    "Outcome",
    "Paused",
    "Record",
    "Refused",
    "Results",
    "Retry",
    "RetryPolicy",
    "State",
    "Step",
    "StepError",
    "StepState",
    "Unreadable",
    "Wait",
    "Workflow",
    "fold",
    "from_json",
    "to_json",
]
