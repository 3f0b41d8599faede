"""Remove closed capacity from an order before it is sent, or report until when all of it is closed, and why.

It reads the config from which an order is made: a Spot Fleet request config, or EC2 Fleet's own request, which has the
same LaunchTemplateConfigs.  Pure.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from annexd.demand.breaker import ANY_TYPE, CapacityPoolKey, Closing

Part = Mapping[str, Any]
Closed = Mapping[CapacityPoolKey, Closing]
MOST_EXCLUDED: Final = 400  # botocore's EC2 model, InstanceRequirements.ExcludedInstanceTypes
UNKNOWN: Final = None  # a zone that only AWS knows


@dataclass(frozen=True)
class Places:
    """The places of machines: the zones of known subnets, and the place of launch specifications that name none.

    These get `subnets` from the daemon's configuration, or else AWS chooses among `zones`, those of the default VPC.
    If neither is known, a specification counts as closed while any zone of its type is.
    """

    zone_of: Mapping[str, str]
    subnets: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()


@dataclass(frozen=True)
class Narrowed:
    """The config that may be sent; None: all of it is closed until `until_s`, and `words` say why.

    `left_out`: a description of the closed parts.
    """

    config: Mapping[str, Any] | None
    left_out: tuple[str, ...] = ()
    until_s: float = 0.0
    words: str = ""


@dataclass(frozen=True)
class _Choice:
    """One way to start a machine: a part of the config in one place."""

    instance_type: str | None  # None: AWS or a launch template chooses it
    zone: str | None
    place: str | None  # its subnet or zone, as in the part
    member: str  # the member that names it: SubnetId or AvailabilityZone; empty: none


def narrowed(config: Part, closed: Closed, markets: Sequence[str], places: Places) -> Narrowed:
    """Return the config without the parts that are closed in all of these markets.

    If everything is closed in one of the markets, all of it counts as closed: a fleet of both would get only a part.
    """
    narrowing = _Narrowing(closed, tuple(markets), places)
    whole = dict(config)
    if "LaunchSpecifications" in whole:
        whole["LaunchSpecifications"] = narrowing.parts(whole["LaunchSpecifications"])
    if "LaunchTemplateConfigs" in whole:
        templates = [narrowing.template(each) for each in whole["LaunchTemplateConfigs"]]
        whole["LaunchTemplateConfigs"] = [each for each in templates if each is not None]
    for market in markets:
        if not narrowing.has_open(market):
            return _all_closed(narrowing.closings[market])
    left_out = tuple(dict.fromkeys(f"{pool}: {closing.reason}" for pool, closing in narrowing.left_out))
    return Narrowed({name: value for name, value in whole.items() if value != []}, left_out)


def _all_closed(closings: Sequence[tuple[CapacityPoolKey, Closing]]) -> Narrowed:
    pool, closing = min(closings, key=lambda each: each[1].until_s)
    at = datetime.fromtimestamp(closing.until_s, UTC)
    words = f"all its capacity is closed until {at:%Y-%m-%dT%H:%M:%SZ}, the first to open is {pool}: {closing.reason}"
    return Narrowed(None, until_s=closing.until_s, words=words)


class _Narrowing:
    """Narrows each part, and collects the closed capacity."""

    def __init__(self, closed: Closed, markets: tuple[str, ...], places: Places) -> None:
        self._markets, self._places = markets, places
        self._types = sorted({pool.instance_type for pool in closed} - {ANY_TYPE})
        self._closed: dict[tuple[str, str], list[tuple[CapacityPoolKey, Closing]]] = {}
        for pool, closing in closed.items():
            self._closed.setdefault((pool.instance_type, pool.market), []).append((pool, closing))
        self.left_out: list[tuple[CapacityPoolKey, Closing]] = []
        self.closings: dict[str, list[tuple[CapacityPoolKey, Closing]]] = {market: [] for market in markets}
        self._open = dict.fromkeys(markets, 0)

    def has_open(self, market: str) -> bool:
        """Return whether something is left; parts without any choice are left to AWS."""
        return self._open[market] > 0 or not self.closings[market]

    def parts(self, parts: Iterable[Part]) -> list[Part]:
        """Return launch specifications without closed capacity."""
        found = (self._part(each, list(_choices(each, self._places))) for each in parts)
        return [each for each in found if each is not None]

    def template(self, template: Part) -> Part | None:
        """Return an entry of LaunchTemplateConfigs; None if it is closed: without overrides it would request more."""
        given = template.get("Overrides") or [{}]
        anywhere = Places(self._places.zone_of)
        found = [self._part(each, list(_choices(each, anywhere))) for each in given]
        left = [each for each in found if each is not None]
        if not left:
            return None
        return {**template, "Overrides": left} if template.get("Overrides") else template

    def _part(self, part: Part, choices: Sequence[_Choice]) -> Part | None:
        left = [each for each in choices if self._is_open(each)]
        if not left:
            return None
        whole = dict(part)
        if "InstanceRequirements" in part:
            whole["InstanceRequirements"] = self._required(part["InstanceRequirements"], left)
        return whole if len(left) == len(choices) else _in_places(whole, left)

    def _is_open(self, choice: _Choice) -> bool:
        """Return whether it may be requested in one of the markets."""
        closings = {market: self._closing(choice, market) for market in self._markets}
        for market, closing in closings.items():
            if closing is None:
                self._open[market] += 1
            else:
                self.closings[market].append(closing)
        held = [each for each in closings.values() if each is not None]
        if len(held) < len(closings):
            return True
        self.left_out += held
        return False

    def _required(self, requirements: Part, choices: Sequence[_Choice]) -> Part:
        """Allow only the open types, or else exclude those that are closed in all these places."""
        if requirements.get("AllowedInstanceTypes"):
            return {**requirements, "AllowedInstanceTypes": _once(each.instance_type for each in choices)}
        shut = [each for each in self._types if all(self._is_shut(each, choice.zone) for choice in choices)]
        excluded = _once([*(requirements.get("ExcludedInstanceTypes") or ()), *shut])[:MOST_EXCLUDED]
        return {**requirements, "ExcludedInstanceTypes": excluded} if shut else requirements

    def _is_shut(self, instance_type: str, zone: str | None) -> bool:
        choice = _Choice(instance_type, zone, None, "")
        return all(self._closing(choice, market) for market in self._markets)

    def _closing(self, choice: _Choice, market: str) -> tuple[CapacityPoolKey, Closing] | None:
        """Return the closing that ends last among those that may apply to this choice."""
        of_type = self._closed.get((choice.instance_type or ANY_TYPE, market), [])
        of_all = self._closed.get((ANY_TYPE, market), []) if choice.instance_type else []
        holds = [each for each in (*of_type, *of_all) if choice.zone is None or each[0].zone in (None, choice.zone)]
        return max(holds, key=lambda each: each[1], default=None)


def _choices(part: Part, places: Places) -> Iterator[_Choice]:
    allowed = (part.get("InstanceRequirements") or {}).get("AllowedInstanceTypes") or [part.get("InstanceType")]
    for kind in allowed:
        yield from (_Choice(kind, zone, place, member) for zone, place, member in _places(part, places))


def _places(part: Part, places: Places) -> Iterator[tuple[str | None, str | None, str]]:
    """Yield the possible places of machines of this part: the zone, the subnet or zone as in the part, and which of the
    two that is.
    """
    placement = part.get("Placement") or {}
    interfaces = [each.get("SubnetId") for each in part.get("NetworkInterfaces") or ()]
    subnets = _listed(part.get("SubnetId"))
    zones = _listed(placement.get("AvailabilityZone") or part.get("AvailabilityZone"))
    says_id = "AvailabilityZoneId" in {*placement, *part}
    if not subnets and not zones and not interfaces and not says_id:
        subnets, zones = list(places.subnets), list(places.zones)
    if subnets:
        yield from ((places.zone_of.get(each), each, "SubnetId") for each in subnets)
    elif zones:
        yield from ((each, each, "AvailabilityZone") for each in zones)
    else:
        yield next((places.zone_of.get(each) for each in interfaces if each), UNKNOWN), None, ""


def _listed(value: object) -> list[str]:
    """Split a value: several have commas between them in botocore's EC2 model."""
    return str(value or "").replace(",", " ").split()


def _once(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def _in_places(part: Part, choices: Sequence[_Choice]) -> Part:
    """Return the part with only these of its several places."""
    named = ",".join(_once(str(each.place) for each in choices if each.place))
    if not named:
        return part
    if choices[0].member == "SubnetId":
        return {**part, "SubnetId": named}
    return {**part, "Placement": {**(part.get("Placement") or {}), "AvailabilityZone": named}}
