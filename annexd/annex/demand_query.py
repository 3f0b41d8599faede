"""CA_QUERY_DEMAND: annexd's decisions about the pool's idle jobs, as of its last decision.  It queries nothing."""

from collections.abc import Mapping
from typing import Any, Final

from annexd.annex.reply import ANSWERED, ReplyAd, json_text, reply, reply_of_error
from annexd.annex.request.ad_attributes import LONGEST_TEXT
from annexd.annex.request.faults import InvalidRequest
from annexd.annex.request.request import check_command, command_id_of, own_of
from annexd.workflow import SUCCESS, Json

COMMAND: Final = "CA_QUERY_DEMAND"
OWN: Final = frozenset(["command", "requestversion", "commandid", "schedd", "autoclusterid", "user"])
FILTERS: Final = ("Schedd", "AutoclusterID", "User")


def query_demand(ad: Mapping[str, Any], demand: Json) -> ReplyAd:
    """Return Demand, a JSON text; its Groups are only those that Schedd, AutoclusterID and User in the ad name."""
    try:
        check_command(ad, COMMAND)
        own = own_of(COMMAND, ad, OWN)
        wanted = {name: own.value(name) for name in FILTERS if own.value(name) is not None}
        own.faults += [
            f"{name} must be a text or a number"
            for name, value in wanted.items()
            if not isinstance(value, str | int) or (isinstance(value, str) and len(value) > LONGEST_TEXT)
        ]
        if own.faults:
            raise InvalidRequest(own.faults)
    except ANSWERED as error:
        return reply_of_error(error, command_id_of(ad), begun=False)
    groups = [
        each
        for each in demand.get("Groups", ())
        if all(str(each[name]).lower() == str(value).lower() for name, value in wanted.items())
    ]
    return {**reply(SUCCESS), "Demand": json_text({**demand, "Groups": groups})}
