"""A realistic fleet of either of AWS's two APIs, against which a lease can be tested; moto's does not suffice.

A fleet's state follows from its request, the later calls and the time.  Nothing happens in the background, so two calls
at one instant have the same response.
"""

from __future__ import annotations

import itertools
import json
import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from test.cloud.behaviour import Behaviour, Chosen
from test.cloud.capacity import INTERRUPTED, Capacity, Refusal
from test.cloud.filling import fill
from test.cloud.fleet_order import SPOT_FLEET, Api, Order
from test.cloud.fleet_troubles import TROUBLES
from test.cloud.instances import Instance, Timing
from test.cloud.launch import tags_of, weight_of
from test.cloud.launch_templates import LaunchTemplates
from test.cloud.prices import Market
from test.cloud.tags import TagLog

Effect = Callable[..., None]
GOOD_DAY = Behaviour()
LIVING = frozenset({"submitted", "active", "modifying"})  # the states in which either API accepts a cancellation


class IdempotentParameterMismatchError(Exception):
    """The client token was used before, with other parameters."""


@dataclass
class Fleet:
    """One fleet; `config` has every field that arrived, `order` is read from it."""

    sequence: int
    fleet_id: str
    api: Api
    config: Mapping[str, Any]
    order: Order
    specifications: Sequence[Mapping[str, Any]]
    created_at_s: float
    valid_from_s: float
    valid_until_s: float
    target: float
    behaviour: Behaviour = GOOD_DAY  # in force when it was requested
    instances: list[Instance] = field(default_factory=list)
    is_short: bool = True
    cancelled_at_s: float | None = None
    terminates: bool = False
    modified_at_s: float = float("-inf")  # the end of its last modification
    refusals: list[Refusal] = field(default_factory=list)  # for lack of capacity
    retry_at_s: float = float("-inf")  # after a refusal
    tags: TagLog = field(init=False)  # its own, not those of its instances

    def __post_init__(self) -> None:
        self.tags = TagLog(self.order.tags)

    @property
    def trouble(self) -> str:
        """Return one of TROUBLES, which keeps the fleet from starting instances."""
        return self.behaviour.fleet_trouble

    @property
    def client_token(self) -> str | None:
        return self.config.get("ClientToken")

    def state(self, now_s: float) -> str:
        if self.cancelled_at_s is None or now_s < self.cancelled_at_s:
            if now_s < self.valid_from_s:
                return "submitted"
            return "active" if now_s >= self.modified_at_s else "modifying"
        if all(instance.is_gone(now_s) for instance in self.instances):
            return self.api.ended
        return f"{self.api.ended}_terminating" if self.terminates else f"{self.api.ended}_running"

    def is_running_on(self, now_s: float) -> bool:
        """Return whether the fleet has ended but its instances have not."""
        return self.state(now_s) == f"{self.api.ended}_running"

    def forgotten_at_s(self, listed_s: float) -> float:
        """Return when AWS stops listing the fleet: `listed_s` after its end or its last instance's, if later."""
        if self.cancelled_at_s is None:
            return float("inf")
        ends_s = [instance.gone_at_s() for instance in self.instances]
        return max(float("inf") if end_s is None else end_s for end_s in [self.cancelled_at_s, *ends_s]) + listed_s

    def live(self) -> Iterator[Instance]:
        return (instance for instance in self.instances if instance.terminating_at_s is None)

    def fulfilled(self) -> float:
        return sum(instance.weight for instance in self.live())

    def fulfilled_on_demand(self) -> float:
        return float(sum(instance.weight for instance in self.live() if not instance.is_spot))

    def takes_cancel(self, now_s: float, terminate: bool, second_cancel: str) -> bool:
        """Return whether a cancellation succeeds; `second_cancel` is one of Behaviour's three."""
        is_second = terminate and self.is_running_on(now_s)
        return self.state(now_s) in LIVING or (is_second and second_cancel != "refused")

    def cancel(self, at_s: float, terminate: bool) -> None:
        """Cancel the fleet.  That protected instances stay is the harder reading: no source shows it."""
        self.cancelled_at_s, self.terminates = at_s, terminate
        for instance in list(self.live()) if terminate else ():
            if not instance.protected or self.behaviour.cancel_ends_protected:
                instance.terminate(at_s)


class Fleets:
    """The fleets of one region by both APIs, their instances, and the launch templates that they use."""

    def __init__(
        self,
        region: str,
        timing: Timing,
        clock: Callable[[], float],
        effect: Effect,
        chosen: Chosen | None = None,
    ) -> None:
        self.region, self.timing, self.clock, self.effect = region, timing, clock, effect
        self.chosen = chosen or Chosen(Behaviour())
        self.templates, self.market, self.capacity = LaunchTemplates(clock), Market(), Capacity()
        self.fleets: dict[str, Fleet] = {}
        self.instances: dict[str, Instance] = {}
        self._tokens: dict[tuple[str, str], tuple[str, str]] = {}  # (API, token) -> (request, fleet)
        self._numbers = itertools.count(1)

    def known(self, config: Mapping[str, Any], api: Api) -> Fleet | None:
        """Return the fleet that an identical request has started before.

        CERTAIN for both APIs: EC2 API reference, "Ensuring idempotency"; seen for CreateFleet in
        github.com/runs-on/runs-on/issues/251.
        """
        token = config.get("ClientToken")
        if not token or (api.prefix, token) not in self._tokens:
            return None
        body, fleet_id = self._tokens[api.prefix, token]
        if body != _body(config):
            raise IdempotentParameterMismatchError(token)
        return self.fleets.get(fleet_id)

    def request(
        self,
        config: Mapping[str, Any],
        specifications: Sequence[Mapping[str, Any]],
        behaviour: Behaviour = GOOD_DAY,
        api: Api = SPOT_FLEET,
    ) -> Fleet:
        """Start a fleet, or return the one that an identical request has started before."""
        if known := self.known(config, api):
            return known
        fleet = self._new_fleet(config, specifications, behaviour, api)
        if TROUBLES[fleet.trouble].cancels:
            fleet.cancel(fleet.created_at_s, terminate=False)
        if token := config.get("ClientToken"):
            self._tokens[api.prefix, token] = (_body(config), fleet.fleet_id)
        self.settle()
        return fleet

    def _new_fleet(
        self, config: Mapping[str, Any], specifications: Sequence[Mapping[str, Any]], behaviour: Behaviour, api: Api
    ) -> Fleet:
        now_s, order = self.clock(), api.read(config)
        fleet = Fleet(
            sequence=next(self._numbers),
            fleet_id=f"{api.prefix}{uuid.uuid4()}",
            api=api,
            config=config,
            order=order,
            specifications=specifications,
            created_at_s=now_s,
            valid_from_s=_seconds(order.valid_from_s, now_s),
            valid_until_s=_seconds(order.valid_until_s, float("inf")),
            target=order.target,
            behaviour=behaviour,
        )
        self.fleets[fleet.fleet_id] = fleet
        self.effect("fleet requested", fleet=fleet.fleet_id, client_token=fleet.client_token)
        return fleet

    def settle(self) -> float:
        """Carry out everything that is due by now; return the time it was done for."""
        now_s, listed_s = self.clock(), self.chosen.now.listed_s
        for each in list(self.capacity.taken_back(self.instances.values())):
            self._interrupt(each, now_s)
        for fleet in list(self.fleets.values()):
            if fleet.cancelled_at_s is None and now_s >= fleet.valid_until_s + fleet.behaviour.expiry_late_s:
                self._expire(fleet)
            for each in list(fleet.live()) if self.market.spot else ():
                if (at_s := self.market.interrupted_at_s(each, now_s)) is not None:
                    self._interrupt(each, at_s)
            if fleet.is_short and fleet.state(now_s) == "active" and now_s >= fleet.retry_at_s:
                self._fill(fleet, now_s)
            if (fleet.cancelled_at_s or now_s) + listed_s < now_s and fleet.forgotten_at_s(listed_s) < now_s:
                self.forget(fleet.fleet_id)
        return now_s

    def _expire(self, fleet: Fleet) -> None:
        fleet.cancel(fleet.valid_until_s, fleet.order.terminates_at_expiry)
        self.effect("fleet expired", fleet=fleet.fleet_id, terminates=fleet.terminates)

    def _interrupt(self, instance: Instance, at_s: float) -> None:
        instance.terminate(at_s, INTERRUPTED)
        fleet = self.fleets.get(instance.fleet_id)
        if fleet is not None:
            fleet.is_short = fleet.is_short or fleet.order.maintains
        self.effect("instance interrupted", fleet=instance.fleet_id, instance=instance.instance_id)

    def _fill(self, fleet: Fleet, now_s: float) -> None:
        new = fill(self, fleet, now_s)
        for each in new if TROUBLES[fleet.trouble].dies else ():
            each.terminate(now_s)
        if new:
            self.effect("instances launched", fleet=fleet.fleet_id, count=len(new))

    def launch(self, fleet: Fleet, specification: Mapping[str, Any], now_s: float, is_spot: bool) -> Instance:
        reserved = {fleet.api.instance_tag: fleet.fleet_id} if is_spot or fleet.behaviour.on_demand_is_tagged else {}
        instance = Instance(
            sequence=len(self.instances) + 1,
            instance_id=f"i-{secrets.token_hex(8)}1",
            spot_request_id=f"sir-{secrets.token_hex(4)}",
            fleet_id=fleet.fleet_id,
            specification=specification,
            weight=weight_of(specification),
            tags=TagLog({**tags_of(specification), **fleet.order.instance_tags, **reserved}),
            zone=self.zone_of(specification),
            launched_at_s=now_s,
            timing=self.timing,
            is_spot=is_spot,
            protected=not is_spot and bool(specification.get("DisableApiTermination")),
        )
        self.instances[instance.instance_id] = instance
        fleet.instances.append(instance)
        return instance

    def zone_of(self, specification: Mapping[str, Any]) -> str:
        placement = specification.get("Placement") or {}
        return str(placement.get("AvailabilityZone") or specification.get("AvailabilityZone") or f"{self.region}a")

    def cancel(self, fleet_id: str, terminate: bool, second_cancel: str = "acted-upon") -> tuple[str, str]:
        """End one fleet; return its state before and after."""
        fleet, now_s = self.fleets[fleet_id], self.settle()
        before = fleet.state(now_s)
        if fleet.is_running_on(now_s) and second_cancel == "no-effect":
            return before, before
        fleet.cancel(now_s, terminate)
        self.effect("fleet cancelled", fleet=fleet_id, terminates=terminate)
        return before, f"{fleet.api.ended}_terminating" if terminate else f"{fleet.api.ended}_running"

    def modify(self, fleet_id: str, target: float, terminate_excess: bool) -> None:
        """Set a new target capacity; end excess instances only on request, as ExcessCapacityTerminationPolicy does."""
        fleet = self.fleets[fleet_id]
        fleet.target, fleet.is_short = target, True
        fleet.modified_at_s = self.clock() + self.chosen.now.modify_s
        excess = fleet.fulfilled() - target
        for instance in list(fleet.live()) if terminate_excess else ():
            if instance.weight > excess:
                break
            excess -= instance.weight
            instance.terminate(self.clock())
        self.settle()

    def forget(self, fleet_id: str) -> None:
        """Forget a fleet, as AWS does some 48 hours after its end; any remaining instances stay."""
        self.effect("fleet forgotten", fleet=fleet_id)
        del self.fleets[fleet_id]

    def terminate_unless_protected(self, instance_ids: Sequence[str]) -> list[str]:
        """End the instances in zones without a protected one; return the protected ones.

        CERTAIN: EC2's API reference, TerminateInstances.
        """
        asked = [self.instances[instance_id] for instance_id in instance_ids]
        protected = [each for each in asked if each.protected and each.terminating_at_s is None]
        zones = {each.zone for each in protected}
        if ending := [each.instance_id for each in asked if each.zone not in zones]:
            self.terminate(ending)
        return [each.instance_id for each in protected]

    def terminate(self, instance_ids: Sequence[str], reason: str = "") -> None:
        """End single instances; a fleet that maintains its capacity starts others."""
        now_s = self.settle()
        for instance_id in instance_ids:
            instance = self.instances[instance_id]
            instance.terminate(now_s, reason)
            fleet = self.fleets.get(instance.fleet_id)
            if fleet is not None:
                fleet.is_short = fleet.is_short or fleet.order.maintains
        self.effect("instances terminated", count=len(instance_ids), instances=list(instance_ids[:20]))
        self.settle()


def _body(config: Mapping[str, Any]) -> str:
    return json.dumps(config, sort_keys=True, default=str)


def _seconds(moment: Any, otherwise: float) -> float:
    return otherwise if moment is None else float(moment)
