"""Read from AWS's messages which capacity it has just refused, and which it has taken back.

The sources are the events of a fleet's history, which name the instance type, sometimes the zone and never the market,
and the StateReason of instances.  AWS promises no wording, so unrecognised text is ignored.  Sources of each:
test/cloud/evidence.toml, docs/demand.md.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from annexd.annex.fleet.capacity_pool import CapacityPool, pool_in
from annexd.annex.fleet.endings import GONE, INTERRUPTED
from annexd.annex.fleet.history import ERROR, Event, lives, shortened
from annexd.annex.fleet.kinds import TERMINATING
from annexd.annex.request.markets import ON_DEMAND, SPOT, FleetScope
from annexd.annex.translate_aws_errors import translate_aws_errors
from annexd.aws import answers

LONGEST_REASON: Final = 290  # 300 with the mark for the part that is cut out
REPORTING_KINDS: Final = frozenset({ERROR, "information"})  # types of events
NO_ROOM: Final = "Server.InsufficientInstanceCapacity"  # StateReason, botocore's EC2 model
ZONE: Final = r"[a-z]{2,4}(?:-[a-z]{2,12}){1,2}-\d{1,2}(?:[a-z]|(?:-[a-z0-9]{1,6}){1,3})\b"  # local zones, too
KIND: Final = r"[a-z][a-z0-9-]{0,15}\.[a-z0-9-]{1,16}"
# "TYPE, IMAGE, SYSTEM[, ZONE]", at the beginning of a description or in quotation marks
SPECIFICATION: Final = re.compile(
    rf'(?:^|")(?P<kind>{KIND}), [^,":]{{1,64}}, [^,":]{{1,40}}(?:, (?P<zone>{ZONE}))?', re.ASCII
)
SUFFICIENT: Final = re.compile(rf"sufficient (?P<kind>{KIND}) capacity|instance type \((?P<other>{KIND})\)", re.ASCII)
# The requested zone is in parentheses; those that have capacity follow.
ASKED_ZONE: Final = re.compile(rf"Availability Zone(?: you requested)? \((?P<zone>{ZONE})\)", re.ASCII)
OF_SPOT: Final = re.compile(r"\bspot\b|MaxSpotInstanceCount|spotInstanceCountLimit", re.IGNORECASE)
OF_ON_DEMAND: Final = re.compile(r"on-demand|VcpuLimit|vCPU (capacity|limit)|InstanceLimitExceeded", re.IGNORECASE)
LIMITS: Final = re.compile(
    r"spotInstanceCountLimitExceeded|spot (max )?instance (max )?count|MaxSpotInstanceCount|VcpuLimit|vCPU limit"
    r"|more vCPU capacity|InstanceLimitExceeded",
    re.IGNORECASE,
)
NO_CAPACITY: Final = re.compile(
    r"Insufficient(Instance|Host)?Capacity|capacity-not-available|capacity-oversubscribed|Unfulfillable"
    r"|no Spot capacity|not have sufficient|insufficient (\w+ )?capacity|unable to fulfill capacity"
    r"|not supported in (the|your) requested Availability Zone|market price \$-",
    re.IGNORECASE,
)
AT: Final = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)", re.ASCII)  # in StateTransitionReason
MOST_TAKEN: Final = 10_000  # instances: an account may lose as many in an hour


@dataclass(frozen=True)
class CapacityNews:
    """A refusal at a time by AWS's clock.

    `instance_type` None: AWS names none.  `zone` None: AWS names none, so it may be any zone.  `markets`: the possible
    ones.  `is_limit`: the account has reached a limit; no capacity pool is empty.
    """

    instance_type: str | None
    zone: str | None
    markets: tuple[str, ...]
    at_s: float
    reason: str
    is_limit: bool


@dataclass(frozen=True)
class Taken:
    """An instance that AWS took back, or could not start for lack of capacity.  `at_s` None: AWS gives no time."""

    instance_id: str
    pool: CapacityPool
    at_s: float | None
    is_interruption: bool


@dataclass(frozen=True)
class FleetCapacity:
    """The reports about capacity from one reading of a fleet's history.

    `launched`: how many instances it has started.  `is_silent`: AWS gives no reason why the fleet has no more
    instances, and nobody ended it with its instances.
    """

    fleet_id: str
    scope: FleetScope
    refusals: tuple[CapacityNews, ...]
    launched: int
    is_silent: bool

    @classmethod
    def read(cls, fleet_id: str, scope: FleetScope, events: Sequence[Event]) -> Self:
        refusals = tuple(refusals_in(events, scope.markets))
        is_silent = not any(each.kind in REPORTING_KINDS or each.sub_type in TERMINATING for each in events)
        return cls(fleet_id, scope, refusals, len(lives(events, "launched")), is_silent)


def refusals_in(events: Iterable[Event], markets: tuple[str, ...]) -> Iterator[CapacityNews]:
    """Yield the refusals of capacity in events; `markets`: those of the fleet, for texts that name no market."""
    for event in events:
        text = f"{event.sub_type}: {event.about}" if event.about else event.sub_type
        is_limit = bool(LIMITS.search(text))
        if event.kind in REPORTING_KINDS and (is_limit or NO_CAPACITY.search(text)):
            kind, zone = _pool_in(event.about)
            why = event.about.rpartition("Error message:")[2].strip()
            reason = shortened(f"{event.sub_type}: {why}" if why else event.sub_type, LONGEST_REASON)
            yield CapacityNews(kind, zone, _markets_in(text, markets), event.at_s, reason, is_limit)


def _pool_in(text: str) -> tuple[str | None, str | None]:
    named, asked, sufficient = SPECIFICATION.search(text), ASKED_ZONE.search(text), SUFFICIENT.search(text)
    kind = (named and named["kind"]) or (sufficient and (sufficient["kind"] or sufficient["other"]))
    return kind or None, (named and named["zone"]) or (asked and asked["zone"]) or None


def _markets_in(text: str, markets: tuple[str, ...]) -> tuple[str, ...]:
    """Return the markets of an event.

    The sub-type spotFleetRequestConfigurationInvalid shows no market: On-Demand EC2 Fleets have it, too.
    """
    of_spot, of_on_demand = OF_SPOT.search(text), OF_ON_DEMAND.search(text)
    if bool(of_spot) == bool(of_on_demand):
        return markets
    return (SPOT,) if of_spot else (ON_DEMAND,)


def taken_back(ec2: Any) -> list[Taken]:
    """Return the account's instances that AWS took back within the hour in which it shows them.  One call a page.

    Other users' instances count as well: the pool is the same.  Raises Retry or Refused.
    """
    filters = [
        {"Name": "state-reason-code", "Values": [*sorted(INTERRUPTED), NO_ROOM]},
        {"Name": "instance-state-name", "Values": GONE},
    ]
    with translate_aws_errors("DescribeInstances"):
        return [
            _taken(seen)
            for reservation in answers.listed(ec2, "describe_instances", "Reservations", Filters=filters)
            for seen in answers.rows(reservation, "Instances")
        ][:MOST_TAKEN]


def _taken(seen: Mapping[str, Any]) -> Taken:
    reason = seen.get("StateReason")
    code = str(reason.get("Code")) if isinstance(reason, Mapping) else ""
    at_s = _time_in(str(seen.get("StateTransitionReason") or ""))
    return Taken(answers.text(seen, "InstanceId"), pool_in(seen), at_s, code in INTERRUPTED)


def _time_in(text: str) -> float | None:
    found = AT.search(text[: answers.LONGEST_TEXT])
    try:
        return datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp() if found else None
    except ValueError:
        return None
