"""CA_QUERY_HISTORY: who ordered which annexes, how they ended and how long their instances ran, the newest first.

It reads the journal and the archive, but no keys, and does not call AWS.  A reply is one page: its Next says where the
next page begins, so no reply and no look at the journal grows with the number of annexes.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from annexd.annex.cost import cost_of
from annexd.annex.index import AnnexIndex, AnnexRecord
from annexd.annex.reply import ANSWERED, ReplyAd, reply, reply_of_error
from annexd.annex.request.ad_attributes import AdAttributes, fault_of_reference
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.faults import InvalidRequest
from annexd.annex.request.order import FleetOrder
from annexd.annex.request.request import check_command, command_id_of, own_of
from annexd.annex.steps.request_fleet import FleetRequested
from annexd.annex.usage import usage_of
from annexd.workflow import SUCCESS, Json, State
from annexd.workflow.engine import Accepted

COMMAND: Final = "CA_QUERY_HISTORY"
OWN: Final = frozenset(["command", "requestversion", "commandid", "annex", "since", "before"])
PAGE: Final = 200  # annexes in a reply
LOOKS: Final = 500  # requests that are read from the disk at once
TIME_S: Final = 2.0  # for a page, which then ends early
LATEST: Final = 2**62
LONGEST_REASON: Final = 500  # characters
Annexes: TypeAlias = Mapping[str, AnnexRecord]  # by annex ID, those of the journal


@dataclass(frozen=True)
class _Query:
    annex: str | None
    owner: str | None  # None: everybody's
    since_s: int
    before_seq: int


def query_history(ad: Mapping[str, Any], owner: str, index: AnnexIndex, defaults: Defaults, now_s: float) -> ReplyAd:
    """Return History and Next.

    History: JSON, a list of the results of `_line` for each annex.  Next: Before of the next page, if there is more.
    """
    try:
        query = _query_in(ad, None if owner in defaults.super_users else owner)
        lines, next_seq = _page(query, index, now_s)
    except ANSWERED as error:
        return reply_of_error(error, command_id_of(ad), begun=False)
    more = {} if next_seq is None else {"Next": next_seq}
    # See status.query_annexes for the quotes.
    return {**reply(SUCCESS), "History": json.dumps(lines).replace('\\"', "\\u0022"), **more}


def _query_in(ad: Mapping[str, Any], owner: str | None) -> _Query:
    check_command(ad, COMMAND)
    own = own_of(COMMAND, ad, OWN)
    annex = own.text("Annex", fault_of_reference)
    since_s, before_seq = _number(own, "Since", 0), _number(own, "Before", LATEST)
    if own.faults:
        raise InvalidRequest(own.faults)
    return _Query(annex, owner, since_s, before_seq)


def _number(own: AdAttributes, name: str, default: int) -> int:
    value = own.value(name)
    if value is None:
        return default
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LATEST:
        return value
    own.faults.append(f"{name} must be 0 or a positive integer")
    return default


def _page(query: _Query, index: AnnexIndex, now_s: float) -> tuple[list[Json], int | None]:
    """Return lines, and the number of the record before which the next page begins; None at the end."""
    lines: list[Json] = []
    known = {each.annex_id: each for each in index.all()}
    seq, deadline_s = query.before_seq, time.monotonic() + TIME_S
    while accepted := index.engine.accepted_before(seq, LOOKS):
        for each in accepted:
            if each.at_s < query.since_s:
                return lines, None
            seq = each.seq
            line = _line(each, query, index, known, now_s)
            lines += [line] if line else []
            if len(lines) >= PAGE or time.monotonic() > deadline_s:
                return lines, seq
    return lines, None


def _line(accepted: Accepted, query: _Query, index: AnnexIndex, annexes: Annexes, now_s: float) -> Json | None:
    """Return an annex, or None for other requests and for annexes that the query excludes."""
    state = index.engine.state(accepted.command_id)
    order, requested, usage = state.order_as(FleetOrder), state.results.get(FleetRequested), usage_of(state)
    if order is None or query.owner not in (None, state.owner):
        return None
    known, fleet_id = annexes.get(order.annex_id), requested.fleet_id if requested else None
    further = index.fleet_ids(order.annex_id) if known else ()
    if query.annex not in (None, order.annex_id, order.annex_name, fleet_id, *further):
        return None
    ended, end_s = _end(state, order, index, known)
    return {
        "AnnexID": order.annex_id,
        "AnnexName": order.annex_name,
        "Owner": state.owner,
        "CommandID": state.command_id,
        "BulkRequestID": fleet_id,
        "TargetCapacity": (index.units(known) if known else None) or order.units,
        "OrderTime": int(accepted.at_s),
        "OrderedEndOfLease": order.end_of_lease_s,
        "EndOfLease": end_s,
        "State": ended or ("leased" if now_s < end_s else "over"),
        "Reason": state.finished[1][:LONGEST_REASON] or None if state.finished else None,
        "InstancesEnded": usage.ended if usage else None,
        "InstanceSeconds": round(usage.seconds(now_s)) if usage else None,
        "InstanceSecondsError": round(usage.error_s) if usage else None,
        **cost_of(usage, now_s),
    }


def _end(state: State, order: FleetOrder, index: AnnexIndex, known: AnnexRecord | None) -> tuple[str, int]:
    """Return how it ended, or what is under way, and its lease's end; "" while or after it was leased."""
    usage = usage_of(state)
    end_s = usage.end_s if usage else order.end_of_lease_s
    if state.finished is None:
        return "undoing" if state.failure else "ordering", end_s
    if state.finished[0] != SUCCESS:
        return "failed", end_s
    end_s = index.end_s(known) if known else end_s
    cancellation = index.cancellation(order.annex_id)
    if cancellation is not None:
        return "cancelled" if cancellation.finished else "cancelling", end_s
    return "cancelled" if usage and usage.cancelled else "", end_s
