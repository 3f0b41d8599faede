"""What is in the same account and is not ours: fleets that only look like an annex's, or like nothing at all.

They are made for every history, and at its end each must be as it was.
"""

from __future__ import annotations

from collections.abc import Iterable

from test.cloud.fleets import Fleet, Fleets
from test.cloud.orders import fleet_config, specification

LOOKS = ("{id}2_0123456789abcdef", "{id}_2_0123456789abcdef", "{half}_0123456789abcdef", "")


def settle_in(fleets: Fleets, annex_id: str) -> list[Fleet]:
    """Fleets with look-alike tokens and copies of our tags, and one without a token."""
    return [_request(fleets, annex_id, look.format(id=annex_id, half=annex_id[:14])) for look in LOOKS]


def _request(fleets: Fleets, annex_id: str, token: str) -> Fleet:
    tags = [{"Key": "htcondor:annex-id", "Value": annex_id}]
    spec = specification(TagSpecifications=[{"ResourceType": "instance", "Tags": tags}])
    config = fleet_config(1, LaunchSpecifications=[spec], Type="request")
    return fleets.request(config | ({"ClientToken": token} if token else {}), [spec])


def harmed(bystanders: Iterable[Fleet], now_s: float) -> list[str]:
    """Those that somebody touched, in words."""
    return [
        f"the foreign fleet with token {fleet.client_token!r} was touched"
        for fleet in bystanders
        if fleet.state(now_s) != "active" or [each.state(now_s) for each in fleet.instances] != ["running"]
    ]
