"""Create foreign resources in the same account: fleets that look similar to an annex's, or not at all.

Every history has them, and at its end each must be unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable

from test.cloud.fleets import Fleet, Fleets
from test.cloud.orders import fleet_config, specification

LOOKS = (  # an ID that is too long, an end in 1970, a random part that is too short, and no token
    "{id}-and-what-makes-it-much-too-long_{end}_0123456789abcdef",
    "{id}_0000000900_0123456789abcdef",
    "{id}_{end}_0123456789abcde",
    "",
)


def settle_in(fleets: Fleets, annex_id: str, end_s: int, *, unlisted: bool) -> list[Fleet]:
    """Create fleets with similar tokens and copies of our tags, and an unlisted one with a running instance."""
    now_s = fleets.clock()
    made = [_request(fleets, look.format(id=annex_id, end=end_s)) for look in LOOKS]
    for fleet in made:
        fleet.tags.change(now_s, _tags(annex_id, "htcondor:annex-cancelled"))
        fleet.instances[0].tags.change(now_s, _tags(annex_id, "htcondor:annex-fleet"))
    if unlisted:
        made.append(_request(fleets, ""))
        fleets.forget(made[-1].fleet_id)
    return made


def _tags(annex_id: str, key: str) -> dict[str, str | None]:
    """Return tags like those copied from an annex that is over."""
    stamp = {"htcondor:annex-id": annex_id, "htcondor:annex-lease-end": "2020-01-01T00:00:00Z"}
    return {**stamp, key: "sfr-00000000-0000-4000-8000-000000000000"}


def _request(fleets: Fleets, token: str) -> Fleet:
    spec = specification()
    config = fleet_config(1, LaunchSpecifications=[spec], Type="request")
    return fleets.request(config | ({"ClientToken": token} if token else {}), [spec])


def harmed(bystanders: Iterable[Fleet], now_s: float) -> list[str]:
    """Return a line for each bystander that was changed."""
    return [
        f"the foreign fleet with token {fleet.client_token!r} was touched"
        for fleet in bystanders
        if fleet.state(now_s) != "active" or [each.state(now_s) for each in fleet.instances] != ["running"]
    ]
