"""Reconciliation: take the inventory of an account, report it, and warn.

It arms nothing: the lease of a fleet is part of the fleet, and the lease function ends it.  Only if that has not
happened after three of its runs, annexd ends the fleet itself, with the code that undoes an order.  Annexes that a
workflow of this annexd is busy with are left to it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

from annexd.annex.fleet.capacity_news import FleetCapacity
from annexd.annex.fleet.capacity_pool import Launch
from annexd.annex.fleet.inventory import (
    ENDING,
    RUNNING,
    Fleet,
    Instance,
    Inventory,
    cancel_fleet,
    take_inventory,
    terminate,
)
from annexd.annex.fleet.kinds import ENDED
from annexd.annex.fleet.trouble import Trouble, troubles_of
from annexd.annex.lease.heartbeat import Receipt
from annexd.annex.lease.lambda_runtime import warning as runtime_warning
from annexd.annex.lease.lease_code import warning_of
from annexd.annex.request.account_target import AccountTarget
from annexd.annex.steps import StepContext
from annexd.annex.steps.check_lease_function import lease_function_of
from annexd.aws import Clients, time_limit
from annexd.workflow import Refused, Retry

NEVER_S: Final = float("inf")
LOOK_S: Final = 300.0  # for one account, with everything that is ended there
OVERDUE_S: Final = 900.0  # three runs of the lease function
LONGEST_NAME: Final = 128  # of a runtime, in AWS's form


@dataclass(frozen=True)
class ObservedAnnex:
    """An annex that was alive: the end of its lease according to its fleet; when the lease function saw it last, or
    None.
    """

    annex_id: str
    owner: str
    fleet_id: str | None
    end_of_lease_s: float | None
    ordered_end_s: int | None
    instances: int  # not terminated
    enforcer_seen_s: float | None
    running: int = 0
    is_launching: bool = False


@dataclass(frozen=True)
class EnforcerReport:
    """The findings about the lease function: `fault` prevents orders from being carried out, `warning` does not."""

    receipt: Receipt | None = None
    fault: str = ""
    warning: str = ""


@dataclass(frozen=True)
class Report:
    """The result of reconciling one account; IDs are unique in all of AWS."""

    fleets: frozenset[str] = frozenset()  # that run or may launch
    instances: frozenset[str] = frozenset()
    overdue: frozenset[str] = frozenset()  # fleets
    ended: tuple[str, ...] = ()  # descriptions of what annexd ended itself
    faults: tuple[str, ...] = ()
    annexes: tuple[ObservedAnnex, ...] = ()
    enforcer: EnforcerReport = EnforcerReport()
    troubles: Mapping[str, Trouble] = field(default_factory=dict)  # by fleet ID
    launches: Mapping[str, tuple[Launch, ...]] = field(default_factory=dict)  # of running instances, by annex ID
    capacity: tuple[FleetCapacity, ...] = ()  # reports from histories


def reconcile(
    context: StepContext,
    target: AccountTarget,
    busy: Callable[[], Set[str]],
    cancelled: Callable[[], Mapping[str, float]] = dict,
    today: date | None = None,
) -> Report:
    """Reconcile one account.  Blocks.  Raises Retry or Refused if the account cannot be read.

    `busy` returns the annexes whose workflows are under way; `cancelled` the ends of leases that were cut short.
    `today`: for the warning about the end of a Python version's support.
    """
    with time_limit(LOOK_S):
        before, clients = busy(), context.access(target)
        enforcer = _look_at_enforcer(context, target, clients, today)
        inventory = take_inventory(clients.ec2)
        now_s, max_lease_s = context.aws_now_s(clients), _max_lease_s(enforcer)
        overdue = set(overdue_fleets(inventory, before | busy(), now_s, max_lease_s, cancelled()))
        found = troubles_of(clients.ec2, inventory, now_s, max_lease_s, before | busy())
        report = Report(
            frozenset(inventory.living()),
            frozenset(instance.instance_id for instance in inventory.instances),
            frozenset(overdue),
            annexes=tuple(_by_annex(_observed(inventory, enforcer.receipt, max_lease_s))),
            enforcer=enforcer,
            launches=_launches(inventory, now_s),
            troubles=found.troubles,
            capacity=found.capacity,
        )
        for fleet_id in sorted(overdue):
            report = _with_end_of(report, clients, inventory, fleet_id)
        return report


def _look_at_enforcer(
    context: StepContext, target: AccountTarget, clients: Clients, today: date | None
) -> EnforcerReport:
    arn = target.lease_function_arn
    try:
        enforcer = lease_function_of(context, target, clients, fresh=True)
    except (Retry, Refused) as error:
        return EnforcerReport(fault=str(error))
    runtime = str(enforcer.configuration.get("Runtime"))[:LONGEST_NAME]
    warnings = [warning_of(enforcer.receipt, arn), (today and runtime_warning(today, runtime)) or ""]
    if stuck := enforcer.receipt.stuck:
        first = ", ".join(each[:LONGEST_NAME] for each in enforcer.receipt.stuck_ids[:3])
        warnings.append(f"the lease function {arn} could not end {stuck} fleets or instances that are over: {first}")
    return EnforcerReport(enforcer.receipt, warning="; ".join(each for each in warnings if each))


def _max_lease_s(enforcer: EnforcerReport) -> float:
    longest_s = enforcer.receipt.max_lease_s if enforcer.receipt else None
    return float(longest_s or NEVER_S)  # if it is unknown, no lease is cut short for it


def overdue_fleets(
    inventory: Inventory, busy: Set[str], now_s: float, max_lease_s: float, cancelled: Mapping[str, float]
) -> Iterator[str]:
    """Yield the fleets that still live although three runs of the lease function had time to end them."""
    for fleet in inventory.living().values():
        end_s = min(fleet.end_s(max_lease_s), cancelled.get(fleet.annex_id, NEVER_S))
        if fleet.annex_id not in busy and end_s + OVERDUE_S < now_s:
            yield fleet.fleet_id
    for instance in inventory.unlisted():
        stamped_s = NEVER_S if instance.stamped_end_s is None else instance.stamped_end_s
        if instance.annex_id not in busy and stamped_s + OVERDUE_S < now_s:
            yield instance.fleet_id


def _with_end_of(report: Report, clients: Clients, inventory: Inventory, fleet_id: str) -> Report:
    state = next((fleet.state for fleet in inventory.fleets if fleet.fleet_id == fleet_id), "")
    running = [one.instance_id for one in inventory.instances if one.fleet_id == fleet_id and one.state != ENDING]
    if state in ENDED and not running:
        return report  # it is ending
    try:
        if state not in ENDED:
            _cancel(clients, fleet_id, is_shown=bool(state))
        if running:
            terminate(clients.ec2, running)
    except (Retry, Refused) as error:
        return replace(report, faults=(*report.faults, f"{fleet_id} is overdue: {error}"))
    message = f"{fleet_id} was overdue, since the lease function did not end it: annexd has ended it"
    return replace(report, ended=(*report.ended, message))


def _cancel(clients: Clients, fleet_id: str, *, is_shown: bool) -> None:
    """Cancel a fleet; if EC2 does not know one that it does not show either, its instances end all the same."""
    try:
        cancel_fleet(clients.ec2, fleet_id)
    except Retry:
        if is_shown:
            raise


def _launches(inventory: Inventory, now_s: float) -> dict[str, tuple[Launch, ...]]:
    annex_ids = {fleet.fleet_id: fleet.annex_id for fleet in inventory.fleets}
    found: dict[str, list[Launch]] = {}
    for one in inventory.instances:
        annex_id = annex_ids.get(one.fleet_id, one.annex_id)
        if annex_id and one.is_running:
            launched_s = now_s if one.launched_s is None else one.launched_s
            found.setdefault(annex_id, []).append(Launch(launched_s, one.pool))
    return {annex_id: tuple(launches) for annex_id, launches in found.items()}


def _by_annex(observed: Iterable[ObservedAnnex]) -> Iterator[ObservedAnnex]:
    """Add up the fleets of each annex, the oldest of which comes first."""
    found: dict[str, ObservedAnnex] = {}
    for one in observed:
        known = found.get(one.annex_id)
        found[one.annex_id] = one if known is None else _together(known, one)
    return iter(found.values())


def _together(known: ObservedAnnex, one: ObservedAnnex) -> ObservedAnnex:
    """Merge both into one annex: it ends with the fleet that ends last, and is safe once all its fleets are."""
    ends_s = [each.end_of_lease_s for each in (known, one) if each.end_of_lease_s is not None]
    seen_s = known.enforcer_seen_s, one.enforcer_seen_s
    return replace(
        known,
        end_of_lease_s=max(ends_s, default=None),
        instances=known.instances + one.instances,
        enforcer_seen_s=None if seen_s[0] is None or seen_s[1] is None else min(seen_s[0], seen_s[1]),
        running=known.running + one.running,
        is_launching=known.is_launching or one.is_launching,
    )


def _observed(inventory: Inventory, receipt: Receipt | None, max_lease_s: float) -> Iterator[ObservedAnnex]:
    instances = Counter(instance.fleet_id for instance in inventory.instances)
    running = Counter(instance.fleet_id for instance in inventory.instances if instance.state == RUNNING)
    for fleet in sorted(inventory.living().values(), key=lambda fleet: fleet.created_s or 0.0):
        yield ObservedAnnex(
            fleet.annex_id,
            fleet.owner,
            fleet.fleet_id,
            fleet.end_s(max_lease_s),
            fleet.ordered_end_s,
            instances[fleet.fleet_id],
            _seen_s(fleet, receipt),
            running[fleet.fleet_id],
            fleet.is_launching,
        )
    known = {fleet.annex_id for fleet in inventory.living().values()}
    strangers: dict[str, Instance] = {str(one.annex_id): one for one in inventory.unlisted()}
    for annex_id, one in strangers.items():
        if annex_id not in known:
            fleet_id = one.fleet_id
            yield ObservedAnnex(
                annex_id, one.owner, fleet_id, one.stamped_end_s, None, instances[fleet_id], None, running[fleet_id]
            )


def _seen_s(fleet: Fleet, receipt: Receipt | None) -> float | None:
    """Return when a complete run saw the fleet: the newest one looked at every fleet that existed before its tick."""
    if receipt is None or not receipt.is_complete or fleet.created_s is None or fleet.created_s >= receipt.at_s:
        return None
    return receipt.at_s
