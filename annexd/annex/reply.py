"""The reply ad: what became of the request, in HTCondor's words (command_strings.h), and never a secret."""

from collections.abc import Mapping
from typing import Final, TypeAlias

from annexd.annex.request import REQUEST_VERSION
from annexd.workflow import FAILURE, Json, Outcome

ReplyAd: TypeAlias = dict[str, bool | int | float | str | None]

INVALID_REQUEST: Final = "InvalidRequest"
NOT_AUTHORIZED: Final = "NotAuthorized"
UNKNOWN_ERROR: Final = "UnknownError"


def reply(result: str, error: str = "", *, command_id: str | None = None) -> ReplyAd:
    """A reply that says only how it went."""
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
    """The answer to an order that is finished, or that failed and is not all undone yet."""
    error = outcome.error or ("" if outcome.result != FAILURE else "no reason was recorded")
    ad = reply(outcome.result, error, command_id=outcome.command_id)
    ad |= {name: value for name, value in _facts(outcome).items() if value is not None}
    notes = outcome.order.get("notes") or ()
    if notes:
        ad["Warning"] = _line("; ".join(map(str, notes)))
    return ad


def _facts(outcome: Outcome) -> Mapping[str, str | int | None]:
    results: Mapping[str, Json] = outcome.results
    order = outcome.order
    return {
        "BulkRequestID": results.get("request_spot_fleet", {}).get("spot_fleet_request_id"),
        "AnnexID": order.get("annex_id"),
        "ClientToken": order.get("client_token"),
        "RuleName": outcome.intents.get("put_rule", {}).get("rule_name"),
        "RuleARN": results.get("put_rule", {}).get("rule_arn"),
        "EndOfLease": order.get("end_of_lease_s"),
    }


def _line(text: str) -> str:
    """On one line, and without a backslash before a quote, which old ClassAds cannot tell from an end."""
    return " ".join(text.split()).replace('\\"', '"')
