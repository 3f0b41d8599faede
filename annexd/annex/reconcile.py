"""Reconciliation: what is in the cloud is made to agree with the promise, whoever started it and whatever was lost.

An annexd on an empty disk takes over what an earlier one left.  A fleet without a lease gets one at once.  A fleet
whose lease is long over, since the lease function does not do its work, is ended from here; a rule whose lease
is over and that guards nothing is removed.  What a workflow of this annexd's is busy with is left to it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import asdict, dataclass, replace
from typing import Final

from annexd.annex.defaults import Defaults
from annexd.annex.identifiers import rule_name, target_id
from annexd.annex.joining import object_key
from annexd.annex.lease import tags
from annexd.annex.lending import own_endpoints
from annexd.annex.steps import World
from annexd.annex.steps.get_function import GetFunction
from annexd.annex.steps.put_object import PutObject
from annexd.annex.steps.put_rule import PutRule, ask_for_rule
from annexd.annex.steps.put_targets import PutTargets, ask_for_target
from annexd.annex.steps.request_spot_fleet import RequestSpotFleet
from annexd.annex.survey import Fleet, Rule, Survey, survey
from annexd.aws import account_of_function, time_limit
from annexd.workflow import Json, Refused, Retry

NEVER_S: Final = float("inf")
LOOK_S: Final = 300.0  # at one account, with all that is mended there
OVERDUE_S: Final = 900.0  # three calls of the lease function: it has had its chances


@dataclass(frozen=True)
class Place:
    """Where annexd may look, and with whose keys; `order` is as much of an order as Access needs.

    `bucket`: where annexes there have their configuration objects, if any has one.
    """

    order: Json
    lease_function_arn: str
    bucket: str | None = None

    @property
    def key(self) -> str:
        """Equal for the same keys, endpoints and account."""
        return repr((sorted(self.order.items()), account_of_function(self.lease_function_arn)))

    @property
    def access_order(self) -> Json:
        """What Access wants to know: also which account the keys have to be of."""
        return {**self.order, "lease_function_arn": self.lease_function_arn}


@dataclass(frozen=True)
class Arm:
    """This annex runs and has no lease, or a longer one than it should: it gets one that ends then."""

    annex_id: str
    owner: str
    end_of_lease_s: int
    config_object: tuple[str, str] | None = None  # as a lease that does not fire names it
    why: str = "ran without a lease: it has one now"


@dataclass(frozen=True)
class End:
    """This fleet is overdue."""

    fleet: Fleet


@dataclass(frozen=True)
class Remove:
    """This rule guards nothing any more."""

    rule: Rule


@dataclass(frozen=True)
class Sighting:
    """An annex that was alive; the end of its lease as its rule has it, or else its tags."""

    annex_id: str
    owner: str
    fleet_id: str | None
    end_of_lease_s: float | None
    instances: int


@dataclass(frozen=True)
class Report:
    """What was seen in one place and done there; ids are unique in all of AWS."""

    fleets: frozenset[str] = frozenset()  # that run, or may launch
    instances: frozenset[str] = frozenset()
    unleased: frozenset[str] = frozenset()  # annexes that ran without a lease
    overdue: frozenset[str] = frozenset()  # fleets
    orphan_rules: frozenset[str] = frozenset()
    mended: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    sightings: tuple[Sighting, ...] = ()


def place_of(order: Json) -> Place:
    """The place where an order is carried out."""
    keys = ("owner", "endpoints", "public_key_file", "secret_key_file")
    bucket = (order.get("join") or {}).get("bucket")
    accounts = {"accounts": order["accounts"]} if order.get("accounts") else {}
    return Place({key: order[key] for key in keys} | accounts, order["lease_function_arn"], bucket)


def own_place(defaults: Defaults, *, keyed: bool = False) -> Place | None:
    """Where annexd's own keys lead, if it lends them and knows a lease function; `keyed`: or whoever has others."""
    arn = defaults.lease_function_arn
    if arn is None or not (keyed or defaults.allow_default_credentials):
        return None
    keys = {"owner": "", "endpoints": asdict(own_endpoints(defaults)), "public_key_file": None, "secret_key_file": None}
    return Place(keys, arn, defaults.s3_bucket)


def reconcile(world: World, place: Place, busy: Callable[[], Set[str]],
              cancelled: Callable[[], Mapping[str, float]] = dict) -> Report:
    """Look at one place, and mend it.  Blocks.  Raises Retry or Refused when it cannot be looked at.

    `busy` gives the annexes whose workflows are under way; `cancelled` the ends of those leases that were cut short.
    """
    with time_limit(LOOK_S):
        return _reconciled(world, place, busy, cancelled)


def _reconciled(world: World, place: Place, busy: Callable[[], Set[str]],
                cancelled: Callable[[], Mapping[str, float]]) -> Report:
    before, clients = busy(), world.access(place.access_order)
    seen = survey(clients)
    mends = list(mends_of(seen, before | busy(), world.aws_now_s(clients), cancelled()))
    report = _report(seen, mends)
    for mend in mends:
        try:
            report = replace(report, mended=(*report.mended, _mend(world, place, mend)))
            if isinstance(mend, Arm) and cancelled().get(mend.annex_id, mend.end_of_lease_s) < mend.end_of_lease_s:
                now_s = int(world.aws_now_s(clients))  # it was cancelled meanwhile
                _mend(world, place, replace(mend, end_of_lease_s=now_s))
        except (Retry, Refused) as error:
            report = replace(report, faults=(*report.faults, str(error)))
    return report


def mends_of(seen: Survey, busy: Set[str], now_s: float,
             cancelled: Mapping[str, float]) -> Iterator[Arm | End | Remove]:
    """What is to be done about it."""
    alive = seen.alive()
    for annex_id, (owner, end_of_lease_s) in alive.items():
        rule = seen.rules.get(annex_id)
        if annex_id in busy:
            continue
        if rule is None or not rule.armed:
            end_s = int(max(min(end_of_lease_s or now_s, cancelled.get(annex_id, NEVER_S)), now_s))
            yield Arm(annex_id, owner, end_s, rule.config_object if rule else None)
        elif annex_id in cancelled and rule.end_of_lease_s > now_s:
            yield Arm(annex_id, owner, int(now_s), rule.config_object, "was cancelled: its lease ends again")
        elif rule.end_of_lease_s + OVERDUE_S < now_s:
            yield from (End(fleet) for fleet in seen.fleets if fleet.annex_id == annex_id)
    for rule in seen.rules.values():
        over = rule.end_of_lease_s + OVERDUE_S < now_s
        if over and rule.pure and rule.annex_id not in alive and rule.annex_id not in busy:
            yield Remove(rule)


def _report(seen: Survey, mends: list[Arm | End | Remove]) -> Report:
    alive = seen.alive()
    return Report(
        frozenset(fleet.fleet_id for fleet in seen.fleets if fleet.annex_id in alive),
        frozenset(instance.instance_id for instance in seen.instances),
        frozenset(mend.annex_id for mend in mends if isinstance(mend, Arm)),
        frozenset(mend.fleet.fleet_id for mend in mends if isinstance(mend, End)),
        frozenset(mend.rule.annex_id for mend in mends if isinstance(mend, Remove)),
        sightings=tuple(_sightings(seen)),
    )


def _sightings(seen: Survey) -> Iterator[Sighting]:
    fleet_of = {fleet.annex_id: fleet.fleet_id for fleet in seen.fleets}
    annex_of = {fleet.fleet_id: fleet.annex_id for fleet in seen.fleets}
    instances = Counter(annex_of.get(one.fleet_id, one.annex_id) for one in seen.instances)
    for annex_id, (owner, end_s) in seen.alive().items():
        rule = seen.rules.get(annex_id)
        yield Sighting(annex_id, owner, fleet_of.get(annex_id), rule.end_of_lease_s if rule else end_s,
                       instances[annex_id])


def _mend(world: World, place: Place, mend: Arm | End | Remove) -> str:
    match mend:
        case Arm():
            return _arm(world, place, mend)
        case End():
            return _end(world, place, mend.fleet)
        case Remove():
            return _remove(world, place, mend.rule)


def _arm(world: World, place: Place, mend: Arm) -> str:
    annex_id, end_s = mend.annex_id, mend.end_of_lease_s
    GetFunction(world).forward(place.access_order, {"function_arn": place.lease_function_arn})
    events = world.access(place.access_order).events
    ask_for_rule(events, annex_id, end_s, tags(annex_id, mend.owner, end_s))
    config_object = mend.config_object or ((place.bucket, object_key(annex_id)) if place.bucket else None)
    ask_for_target(events, annex_id, end_s, place.lease_function_arn, config_object)
    return f"annex {annex_id} of {mend.owner} {mend.why}, until {end_s}"


def _end(world: World, place: Place, fleet: Fleet) -> str:
    """Cancelling takes its time: what is left is seen, and ended, at the next look."""
    words = f"{fleet.fleet_id} of annex {fleet.annex_id} outlived its lease, the lease function does not work"
    try:
        RequestSpotFleet(world).backward(place.access_order, {"client_token": fleet.client_token}, 0.0)
    except Retry as error:
        return f"{words}: {error}"
    return f"{words}: it is ended"


def _remove(world: World, place: Place, rule: Rule) -> str:
    """With the annex's object, which nobody would delete any more."""
    name = rule_name(rule.annex_id)
    bucket, key = rule.config_object or (None, None)
    if key == object_key(rule.annex_id):
        owner = account_of_function(place.lease_function_arn)
        PutObject(world).backward(place.access_order, {"bucket": bucket, "key": key, "bucket_owner": owner}, 0.0)
    PutTargets(world).backward(place.access_order, {"rule_name": name, "target_id": target_id(rule.annex_id)}, 0.0)
    PutRule(world).backward(place.access_order, {"rule_name": name}, 0.0)
    return f"rule {name}, whose lease is over and which guarded nothing, is removed"
