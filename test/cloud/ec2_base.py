"""The base of every acting part of EC2: the fleets of the requested region, and the behaviour chosen for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response

from test.cloud.behaviour import Behaviour, Chosen
from test.cloud.capacity import in_pools
from test.cloud.faults import Faults
from test.cloud.fleet_order import SPOT_FLEET, Api
from test.cloud.fleets import Fleet, Fleets
from test.cloud.instances import Instance
from test.cloud.views import ACCOUNT


class Acting(EC2Response):  # type: ignore[misc]  # moto has no types
    """test.cloud.ec2.install sets `regions`, `faults` and `chosen`; moto creates an object for every request."""

    regions: defaultdict[str, Fleets]
    faults: ClassVar[Faults] = Faults()
    chosen: ClassVar[Chosen] = Chosen(Behaviour())

    @property
    def _fleets(self) -> Fleets:
        return self.regions[self.region if self.current_account == ACCOUNT else f"{self.region} elsewhere"]

    def _parameters(self) -> dict[str, Any]:
        """Return the parameters of the call; a DryRun ends here, after the check of permissions.

        CERTAIN: every operation's own text.
        """
        self.error_on_dryrun()
        parameters: dict[str, Any] = self.normalized_request.environ["cloud.request"].parameters()
        return parameters

    def _pools_of(self, specifications: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return one specification for each pool, with its zone if its subnet is known."""
        named = any("SubnetId" in each for each in specifications)
        subnets = self.ec2_backend.describe_subnets() if named else ()
        zones = {each.id: each.availability_zone for each in subnets}
        return [pool for each in specifications for pool in in_pools(each, zones)]

    def _as_of_s(self, operation: str) -> float:
        """Return the moment that a Describe call shows: EC2 promises only eventual consistency."""
        return self._fleets.settle() - self._lag_s(operation)

    def _lag_s(self, operation: str) -> float:
        return self.faults.lag_s(operation)

    def _is_of_moto(self, instance_ids: Sequence[str]) -> bool:
        """Return whether any of these was started by RunInstances, which stays moto's."""
        known = self.ec2_backend.describe_instances() if instance_ids else []
        return any(each.id in instance_ids for reservation in known for each in reservation.instances)

    def _fleet(self, fleet_id: str, as_of_s: float = float("inf"), api: Api = SPOT_FLEET) -> Fleet:
        """Return a fleet of this API; each API knows only its own fleets."""
        fleet = self._fleets.fleets.get(fleet_id)
        if fleet is None or fleet.api is not api or fleet.created_at_s > as_of_s:
            raise EC2ClientError(api.not_found, f"The {api.resource} ID '{fleet_id}' does not exist")
        return fleet

    def _instance(self, instance_id: str) -> Instance:
        return self._all_of([instance_id])[0]

    def _all_of(self, instance_ids: Sequence[str]) -> list[Instance]:
        """Return all of these instances, or raise an error that names every unknown one.

        CERTAIN: github.com/getmoto/moto/issues/4903.
        """
        unknown = ", ".join(each for each in instance_ids if each not in self._fleets.instances)
        if unknown:
            subject, verb = ("IDs", "do") if ", " in unknown else ("ID", "does")
            raise EC2ClientError("InvalidInstanceID.NotFound", f"The instance {subject} '{unknown}' {verb} not exist")
        return [self._fleets.instances[each] for each in instance_ids]
