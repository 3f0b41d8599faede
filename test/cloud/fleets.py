"""A truthful Spot Fleet: what moto's would need to be for a lease to be tested against it.

Everything follows from the request, the orders that came later and the time: nothing happens in the
background, so a test that asks twice at one instant gets one answer.
"""

from __future__ import annotations

import itertools
import json
import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from test.cloud.behaviour import Behaviour
from test.cloud.fleet_troubles import TROUBLES
from test.cloud.instances import FLEET_TAG, Instance, Timing
from test.cloud.launch import choose, tags_of, weight_of
from test.cloud.tags import TagLog

Effect = Callable[..., None]
GOOD_DAY = Behaviour()
CANCELLABLE = frozenset({"submitted", "active", "modifying"})


class IdempotentParameterMismatchError(Exception):
    """The client token was used before, with other parameters."""


@dataclass
class Fleet:
    """One Spot Fleet request; `config` is every field that arrived."""

    sequence: int
    fleet_id: str
    config: Mapping[str, Any]
    specifications: Sequence[Mapping[str, Any]]
    created_at_s: float
    valid_from_s: float
    valid_until_s: float
    target: float
    world: Behaviour = GOOD_DAY  # that it was requested in
    instances: list[Instance] = field(default_factory=list)
    is_short: bool = True
    cancelled_at_s: float | None = None
    terminates: bool = False
    tags: TagLog = field(init=False)  # its own, not those of its instances

    def __post_init__(self) -> None:
        groups = self.config.get("TagSpecifications") or []
        self.tags = TagLog({tag["Key"]: tag.get("Value", "") for group in groups for tag in group.get("Tags") or []})

    @property
    def trouble(self) -> str:
        """One of TROUBLES: what keeps it from starting instances."""
        return self.world.fleet_trouble

    @property
    def client_token(self) -> str | None:
        return self.config.get("ClientToken")

    @property
    def maintains(self) -> bool:
        return bool(self.config.get("Type", "maintain") == "maintain")  # AWS's default

    def state(self, now_s: float) -> str:
        if self.cancelled_at_s is None or now_s < self.cancelled_at_s:
            return "active" if now_s >= self.valid_from_s else "submitted"
        if all(instance.is_gone(now_s) for instance in self.instances):
            return "cancelled"
        return "cancelled_terminating" if self.terminates else "cancelled_running"

    def live(self) -> Iterator[Instance]:
        return (instance for instance in self.instances if instance.terminating_at_s is None)

    def fulfilled(self) -> float:
        return sum(instance.weight for instance in self.live())

    def fulfilled_on_demand(self) -> float:
        return float(sum(instance.weight for instance in self.live() if not instance.is_spot))

    def missing_on_demand(self) -> float:
        """How much of the On-Demand part is missing.  Only launch templates have one: CERTAIN, EC2 user guide."""
        if not self.config.get("LaunchTemplateConfigs"):
            return 0.0
        return float(self.config.get("OnDemandTargetCapacity") or 0) - self.fulfilled_on_demand()

    def takes_cancel(self, now_s: float, terminate: bool, second_cancel: str) -> bool:
        """Whether a cancellation succeeds; `second_cancel` is one of Behaviour's three."""
        state = self.state(now_s)
        is_second = terminate and state == "cancelled_running"
        return state in CANCELLABLE or (is_second and second_cancel != "refused")

    def cancel(self, at_s: float, terminate: bool) -> None:
        """That protected instances stay is the harder reading of what nobody tells."""
        self.cancelled_at_s, self.terminates = at_s, terminate
        for instance in list(self.live()) if terminate else ():
            if not instance.protected or self.world.cancel_ends_protected:
                instance.terminate(at_s)


class Fleets:
    """The Spot Fleets of one region, and their instances."""

    def __init__(self, region: str, timing: Timing, clock: Callable[[], float], effect: Effect) -> None:
        self.region, self.timing, self.clock, self.effect = region, timing, clock, effect
        self.fleets: dict[str, Fleet] = {}
        self.instances: dict[str, Instance] = {}
        self._tokens: dict[str, tuple[str, str]] = {}
        self._numbers = itertools.count(1)

    def request(
        self, config: Mapping[str, Any], specifications: Sequence[Mapping[str, Any]], world: Behaviour = GOOD_DAY
    ) -> Fleet:
        """Start a fleet, or answer with the one that this very request has started before."""
        token, body = config.get("ClientToken"), json.dumps(config, sort_keys=True, default=str)
        if token in self._tokens:
            known, fleet_id = self._tokens[token]
            if known != body:
                raise IdempotentParameterMismatchError(token)
            if fleet_id in self.fleets:
                return self.fleets[fleet_id]
        fleet = self._new_fleet(config, specifications, world)
        if TROUBLES[fleet.trouble].cancels:
            fleet.cancel(fleet.created_at_s, terminate=False)
        if token:
            self._tokens[token] = (body, fleet.fleet_id)
        self.settle()
        return fleet

    def _new_fleet(
        self, config: Mapping[str, Any], specifications: Sequence[Mapping[str, Any]], world: Behaviour
    ) -> Fleet:
        now_s = self.clock()
        fleet = Fleet(
            sequence=next(self._numbers),
            fleet_id=f"sfr-{uuid.uuid4()}",
            config=config,
            specifications=specifications,
            created_at_s=now_s,
            valid_from_s=_seconds(config.get("ValidFrom"), now_s),
            valid_until_s=_seconds(config.get("ValidUntil"), float("inf")),
            target=float(config["TargetCapacity"]),
            world=world,
        )
        self.fleets[fleet.fleet_id] = fleet
        self.effect("fleet requested", fleet=fleet.fleet_id, client_token=fleet.client_token)
        return fleet

    def settle(self) -> float:
        """Let everything happen that is due by now; the time it was done for."""
        now_s = self.clock()
        for fleet in self.fleets.values():
            if fleet.cancelled_at_s is None and now_s >= fleet.valid_until_s + fleet.world.expiry_late_s:
                self._expire(fleet)
            if fleet.is_short and fleet.state(now_s) == "active":
                self._fill(fleet, now_s)
        return now_s

    def _expire(self, fleet: Fleet) -> None:
        fleet.cancel(fleet.valid_until_s, bool(fleet.config.get("TerminateInstancesWithExpiration")))
        self.effect("fleet expired", fleet=fleet.fleet_id, terminates=fleet.terminates)

    def _fill(self, fleet: Fleet, now_s: float) -> None:
        fleet.is_short = False
        strategy = fleet.config.get("AllocationStrategy") or "lowestPrice"  # AWS's default
        on_demand = fleet.missing_on_demand()
        plain = fleet.config.get("OnDemandAllocationStrategy") or "lowestPrice"
        most = TROUBLES[fleet.trouble].starts if fleet.trouble else None
        chosen = itertools.islice(choose(fleet.specifications, plain, on_demand), most)
        new = [self._launch(fleet, spec, now_s, False) for spec in chosen]
        missing, left = fleet.target - fleet.fulfilled(), None if most is None else most - len(new)
        chosen = itertools.islice(choose(fleet.specifications, strategy, missing), left)
        new += [self._launch(fleet, spec, now_s, True) for spec in chosen]
        for each in new if TROUBLES[fleet.trouble].dies else ():
            each.terminate(now_s)
        if new:
            self.effect("instances launched", fleet=fleet.fleet_id, count=len(new))

    def _launch(self, fleet: Fleet, specification: Mapping[str, Any], now_s: float, is_spot: bool) -> Instance:
        placement = specification.get("Placement") or {}
        own = {FLEET_TAG: fleet.fleet_id} if is_spot or fleet.world.on_demand_is_tagged else {}
        instance = Instance(
            sequence=len(self.instances) + 1,
            instance_id=f"i-{secrets.token_hex(8)}1",
            spot_request_id=f"sir-{secrets.token_hex(4)}",
            fleet_id=fleet.fleet_id,
            specification=specification,
            weight=weight_of(specification),
            tags=TagLog(tags_of(specification) | own),
            zone=placement.get("AvailabilityZone") or specification.get("AvailabilityZone") or f"{self.region}a",
            launched_at_s=now_s,
            timing=self.timing,
            is_spot=is_spot,
            protected=not is_spot and bool(specification.get("DisableApiTermination")),
        )
        self.instances[instance.instance_id] = instance
        fleet.instances.append(instance)
        return instance

    def cancel(self, fleet_id: str, terminate: bool, second_cancel: str = "acted-upon") -> tuple[str, str]:
        """Cancel one fleet; its state before and after."""
        fleet, now_s = self.fleets[fleet_id], self.settle()
        before = fleet.state(now_s)
        if before == "cancelled_running" and second_cancel == "no-effect":
            return before, before
        fleet.cancel(now_s, terminate)
        self.effect("fleet cancelled", fleet=fleet_id, terminates=terminate)
        return before, "cancelled_terminating" if terminate else "cancelled_running"

    def modify(self, fleet_id: str, target: float, terminate_excess: bool) -> None:
        """A new target capacity; fewer end instances only if asked to, as ExcessCapacityTerminationPolicy."""
        fleet = self.fleets[fleet_id]
        fleet.target, fleet.is_short = target, True
        excess = fleet.fulfilled() - target
        for instance in list(fleet.live()) if terminate_excess else ():
            if instance.weight > excess:
                break
            excess -= instance.weight
            instance.terminate(self.clock())
        self.settle()

    def forget(self, fleet_id: str) -> None:
        """As AWS does some 48 hours after the end of a fleet; instances, if there are any left, stay."""
        self.effect("fleet forgotten", fleet=fleet_id)
        del self.fleets[fleet_id]

    def terminate_unless_protected(self, instance_ids: Sequence[str]) -> list[str]:
        """End those in zones in which none of them is protected; return the protected ones.

        CERTAIN: EC2's API reference, TerminateInstances.
        """
        asked = [self.instances[instance_id] for instance_id in instance_ids]
        protected = [each for each in asked if each.protected and each.terminating_at_s is None]
        zones = {each.zone for each in protected}
        if ending := [each.instance_id for each in asked if each.zone not in zones]:
            self.terminate(ending)
        return [each.instance_id for each in protected]

    def terminate(self, instance_ids: Sequence[str]) -> None:
        """End instances by themselves: a fleet that maintains its capacity starts others."""
        now_s = self.settle()
        for instance_id in instance_ids:
            instance = self.instances[instance_id]
            instance.terminate(now_s)
            fleet = self.fleets.get(instance.fleet_id)
            if fleet is not None:
                fleet.is_short = fleet.is_short or fleet.maintains
        self.effect("instances terminated", count=len(instance_ids), instances=list(instance_ids[:20]))
        self.settle()


def _seconds(moment: Any, otherwise: float) -> float:
    return otherwise if moment is None else float(moment)
