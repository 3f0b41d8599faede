"""Choose which of AWS's two APIs creates the fleet of an order: EC2 Fleet (CreateFleet) or Spot Fleet
(RequestSpotFleet).

The request chooses it (FleetAPI, condor_annex -fleet-api), or else its file, if that is EC2 Fleet's own JSON, or else
the administrator (ANNEX_FLEET_API).  annexd never falls back to the other API by itself: its cost, and what the
organization allows, may differ.
"""

from typing import Final

SPOT_FLEET: Final = "SpotFleet"
EC2_FLEET: Final = "EC2Fleet"
OPTIONS: Final = {EC2_FLEET: "ec2-fleet", SPOT_FLEET: "spot-fleet"}  # of -fleet-api, by the values of ANNEX_FLEET_API
EXPECTED: Final = "EC2Fleet or SpotFleet"
OF_EC2_FLEET: Final = frozenset({"targetcapacityspecification", "spotoptions", "ondemandoptions"})  # only it has them


def read_api(text: str) -> str | None:
    """Return the API that `EC2Fleet` or `ec2-fleet` names, in any case; None for anything else."""
    wanted = text.replace("-", "").lower()
    return next((api for api in OPTIONS if api.lower() == wanted), None)


def switch_hint(api: str) -> str:
    """Return a hint on how to order by the other API."""
    other = SPOT_FLEET if api == EC2_FLEET else EC2_FLEET
    name = "a Spot Fleet" if other == SPOT_FLEET else "an EC2 Fleet"
    return f"-fleet-api {OPTIONS[other]} (ANNEX_FLEET_API = {other}) orders {name} instead, if this account allows it"
