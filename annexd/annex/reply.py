"""Build the reply ad: the result of a request in HTCondor's terms (command_strings.h), without secrets."""

import json
from collections.abc import Mapping
from typing import Final, TypeAlias

from annexd.annex.request.faults import InvalidRequest
from annexd.annex.request.order import CancelOrder, ChangeOrder, FleetOrder, GrowOrder, ShrinkOrder
from annexd.annex.request.request import REQUEST_VERSION
from annexd.annex.steps.change_checks import LeaseRead, MachinesInformed
from annexd.annex.steps.check_lease_function import LeaseFunctionSeen
from annexd.annex.steps.end_fleets import FleetsEnded
from annexd.annex.steps.fewer_machines import Leaving
from annexd.annex.steps.read_templates import TemplatesRead
from annexd.annex.steps.request_fleet import FleetRequested
from annexd.workflow import FAILURE, SUCCESS, JournalError, NotOwner, Outcome, Paused, Refused, Retry

ReplyAd: TypeAlias = dict[str, bool | int | float | str | None]

INVALID_REQUEST: Final = "InvalidRequest"
INVALID_STATE: Final = "InvalidState"
NOT_AUTHORIZED: Final = "NotAuthorized"
UNKNOWN_ERROR: Final = "UnknownError"
RETRY_AFTER_S: Final = 1  # of an annexd that stops, and continues at its next start
ROLE_DENIED: Final = "iam:PassRole"  # which AWS's message names if these keys may not pass a role to EC2
OWN_ROLES: Final = (
    "; a role of your own needs that permission; if the file omits IamFleetRole and IamInstanceProfile, annexd uses "
    "those of condor_annex -setup"
)


class NotNow(Exception):
    """The request is valid, but cannot be carried out at present."""


class NoRoom(NotNow):
    """The budgets have room for only `capacity_left` units of it, possibly 0."""

    def __init__(self, text: str, capacity_left: int) -> None:
        super().__init__(text)
        self.capacity_left = capacity_left


ANSWERED: Final = (InvalidRequest, NotOwner, NotNow, Paused, JournalError, Retry, Refused)


def reply(result: str, error: str = "", *, command_id: str | None = None) -> ReplyAd:
    """Build a reply with only the result."""
    ad: ReplyAd = {
        "MyType": "Reply",
        "TargetType": "Command",
        "RequestVersion": REQUEST_VERSION,
        "Result": result,
    }
    if error:
        ad["ErrorString"] = _line(error)
    if command_id is not None:
        ad["CommandID"] = command_id
    return ad


def reply_of(outcome: Outcome) -> ReplyAd:
    """Build the reply to an order that has finished, or has failed and is not completely undone yet."""
    error = outcome.error or ("" if outcome.result != FAILURE else "no reason was recorded")
    error += OWN_ROLES if ROLE_DENIED in error else ""
    ad = reply(outcome.result, error, command_id=outcome.command_id)
    order, seen = outcome.order_as(FleetOrder), outcome.results.get(LeaseFunctionSeen)
    requested = outcome.results.get(FleetRequested)
    read = outcome.results.get(TemplatesRead)
    more = [each.warning for each in (seen, read) if each is not None and each.warning]
    notes = [*(order.notes if order else ()), *more]
    return ad | _known(
        {
            "BulkRequestID": requested.fleet_id if requested else None,
            "AnnexID": order.annex_id if order else None,
            "ClientToken": order.client_token if order else None,
            "EndOfLease": order.end_of_lease_s if order else None,
            "Warning": _line("; ".join(notes)) or None,
        }
    )


def reply_of_error(error: Exception, command_id: str | None, *, begun: bool) -> ReplyAd:
    """Build the reply to a request that was stopped by one of ANSWERED; `begun`: it was already in the journal."""
    match error:
        case InvalidRequest():
            return reply(INVALID_REQUEST, str(error), command_id=command_id)
        case NotOwner():
            return reply(NOT_AUTHORIZED, str(error))
        case NoRoom():
            return reply(INVALID_STATE, str(error), command_id=command_id) | {"CapacityLeft": error.capacity_left}
        case NotNow():
            return reply(INVALID_STATE, str(error), command_id=command_id)
        case Paused():
            message = f"{error}; ask again with this CommandID"
            return reply(UNKNOWN_ERROR, message, command_id=command_id) | {"RetryAfter": RETRY_AFTER_S}
        case JournalError(unknown=unknown):
            return reply(UNKNOWN_ERROR if begun or unknown else FAILURE, str(error), command_id=command_id)
        case Refused():
            return reply(error.result, str(error), command_id=command_id)
    return reply(FAILURE, str(error), command_id=command_id)


def reply_of_cancel(outcome: Outcome, *, again: bool) -> ReplyAd:
    """Build the reply to a cancellation; `again`: it is that of an earlier command."""
    order, ended = outcome.order_as(CancelOrder), outcome.results.get(FleetsEnded)
    if outcome.retry_at_s is not None:
        annex = f"annex {order.annex_id}" if order else "the annex"
        message = f"{annex} is not cancelled yet, and annexd keeps trying: {outcome.error}"
        ad = reply(UNKNOWN_ERROR, message, command_id=outcome.command_id)
    else:
        ad = reply(outcome.result, outcome.error, command_id=outcome.command_id)
    ad |= _known(
        {
            "AnnexID": order.annex_id if order else None,
            "BulkRequestID": order.subject.fleet_id if order else None,
            "EndOfLease": ended.end_of_lease_s if ended else None,
        }
    )
    if again and outcome.result == SUCCESS:
        ad["Warning"] = "it was cancelled before"
    return ad


def reply_of_change(outcome: Outcome) -> ReplyAd:
    """Build the reply to a change of a lease's end; its EndOfLease is the one that AWS showed then, if known."""
    order, read = outcome.order_as(ChangeOrder), outcome.results.get(LeaseRead)
    informed = outcome.results.get(MachinesInformed)
    end_s = (read.end_of_lease_s if outcome.result == SUCCESS else read.from_s) if read else None
    ad = reply(outcome.result, outcome.error, command_id=outcome.command_id)
    return ad | _known(
        {
            "AnnexID": order.annex_id if order else None,
            "BulkRequestID": order.subject.fleet_id if order else None,
            "EndOfLease": end_s if outcome.retry_at_s is None else None,
            "OrderedEndOfLease": order.subject.order.end_of_lease_s if order and order.subject.order else None,
            "Warning": _line(informed.warning) or None if informed else None,
        }
    )


def reply_of_growth(outcome: Outcome) -> ReplyAd:
    """Build the reply to a resize: BulkRequestID is the further fleet's, TargetCapacity the whole annex's."""
    order, requested = outcome.order_as(GrowOrder), outcome.results.get(FleetRequested)
    seen, is_done = outcome.results.get(LeaseFunctionSeen), outcome.result == SUCCESS
    ad = reply(outcome.result, outcome.error, command_id=outcome.command_id)
    return ad | _known(
        {
            "AnnexID": order.annex_id if order else None,
            "BulkRequestID": requested.fleet_id if requested and is_done else None,
            "ClientToken": order.further.client_token if order else None,
            "TargetCapacity": order.units if order and is_done else None,
            "AddedCapacity": _whole(order.further.units) if order and is_done else None,
            "EndOfLease": order.end_of_lease_s if order else None,
            "Warning": (_line(seen.warning) or None) if seen else None,
        }
    )


def reply_of_reduction(outcome: Outcome) -> ReplyAd:
    """Build the reply to a resize to fewer units: how many machines leave, and how many of these had jobs."""
    order, leaving = outcome.order_as(ShrinkOrder), outcome.results.get(Leaving)
    is_done = outcome.result == SUCCESS
    if outcome.retry_at_s is not None:
        message = f"the annex is not smaller yet, and annexd keeps trying: {outcome.error}"
        ad = reply(UNKNOWN_ERROR, message, command_id=outcome.command_id)
    else:
        ad = reply(outcome.result, outcome.error, command_id=outcome.command_id)
    return ad | _known(
        {
            "AnnexID": order.annex_id if order else None,
            "TargetCapacity": order.units if order and is_done else None,
            "LeavingMachines": len(leaving.instance_ids) if leaving and is_done else None,
            "BusyMachines": leaving.busy if leaving and order and is_done and not order.now else None,
            "EndOfLease": leaving.end_s if leaving else None,
        }
    )


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def json_text(value: object) -> str:
    """Write JSON without a backslash before a quote, which old ClassAds cannot distinguish from an end."""
    return json.dumps(value).replace("\\\\", "\\u005c").replace('\\"', "\\u0022")


def _known(facts: Mapping[str, str | int | None]) -> ReplyAd:
    return {name: value for name, value in facts.items() if value is not None}


def _line(text: str) -> str:
    """Return one line without a backslash before a quote, which old ClassAds cannot distinguish from an end."""
    return " ".join(text.split()).replace('\\"', '"')
