"""A request becomes an order: everything that the steps need, as JSON for the journal, named and complete.

The Spot Fleet request config in it is the one that is sent, to the letter: AWS takes the same client
token with other parameters for a mistake, so nothing may be computed anew when it is sent again, perhaps
by a later version of annexd. No key stands in an order, only the paths of the requester's files.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from annexd.annex.join.join_config import join_order
from annexd.annex.lease import lease
from annexd.annex.lease.identifiers import leased_token, new_annex_id
from annexd.annex.request.request import BulkRequest
from annexd.workflow import Json

FLEET = "spot-fleet-request"
INSTANCE = "instance"


def new_order(
    request: BulkRequest,
    owner: str,
    *,
    accounts: Mapping[str, str] | None = None,
    new_id: Callable[[], str] = new_annex_id,
) -> Json:
    """The order for `owner` (user@domain), under a new annex ID.  `accounts`: see Defaults.accounts_of.

    Raises InvalidRequest.
    """
    annex_id = new_id()
    end_of_lease_s = request.end_of_lease_s
    client_token = leased_token(annex_id, end_of_lease_s)
    tags = lease.tags(annex_id, owner, end_of_lease_s, request.annex_name)
    return {
        "annex_id": annex_id,
        "owner": owner,
        "accounts": dict(accounts or {}),
        "annex_name": request.annex_name,
        "end_of_lease_s": end_of_lease_s,
        "valid_until_s": request.valid_until_s,
        "lease_function_arn": request.lease_function_arn,
        "endpoints": asdict(request.endpoints),
        **request.keys.as_order(),
        "tags": tags,
        "client_token": client_token,
        "config": _tagged({**request.config, "ClientToken": client_token}, tags),
        "notes": list(request.notes),
        "join": join_order(request.join, annex_id, owner, end_of_lease_s) if request.join else None,
    }


def _tagged(config: Json, tags: list[dict[str, str]]) -> Json:
    """With our tags on the fleet and on its instances, set in the request itself: never an untagged
    instance.

    For launch templates only the fleet's: AWS takes tags of instances from the template alone.
    """
    config["TagSpecifications"] = _with(config.get("TagSpecifications"), FLEET, tags)
    if "LaunchSpecifications" in config:
        config["LaunchSpecifications"] = [
            {**spec, "TagSpecifications": _with(spec.get("TagSpecifications"), INSTANCE, tags)}
            for spec in config["LaunchSpecifications"]
        ]
    return config


def _with(given: list[Mapping[str, Any]] | None, resource: str, tags: list[dict[str, str]]) -> list[Json]:
    """`given` tag specifications and ours, in one entry a type of resource: EC2 refuses two."""
    others = [dict(entry) for entry in given or () if entry.get("ResourceType") != resource]
    same = [tag for entry in given or () if entry.get("ResourceType") == resource for tag in entry.get("Tags", ())]
    return [*others, {"ResourceType": resource, "Tags": [*same, *tags]}]
