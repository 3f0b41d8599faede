"""The model, checked at the end against the cloud's own record: what ran, its end of lease, and what is left.

annexd's replies are not trusted; they are only compared with the cloud's record.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from test.chaos.customers import Order
from test.cloud import Cloud

FINAL = ("Success", "Failure", "InvalidRequest")
CANCEL_FINAL = ("Success", "Failure", "InvalidState")  # InvalidState: the lease had already ended
CHANGE_FINAL = ("Success", "Failure", "InvalidState", "InvalidRequest")  # also: too late
FACTS = ("Result", "BulkRequestID", "AnnexID", "ClientToken")


@dataclass(frozen=True)
class Life:
    """The life of one instance."""

    instance_id: str
    annex_id: str
    began_s: float
    gone_s: float | None


@dataclass
class Verdict:
    """The result of a run; `violations` is empty when the model held."""

    violations: list[str] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)


def judge(cloud: Cloud, orders: list[Order], late_s: float) -> Verdict:
    """Judge a cloud in which everything has ended.  An instance may live up to `late_s` beyond its lease."""
    meter, audit = cloud.meter(), cloud.audit()
    annex_of = {
        each["fleet"]: annex
        for each in audit
        if each.get("effect") == "fleet requested"
        if (annex := (each["client_token"] or "").split("_")[0])
    }
    lives = [Life(each["id"], annex_of[each["fleet"]], each["began_s"], each["gone_s"]) for each in cloud.lives()]
    ends = {annex_id: line["lease_end"] for annex_id, line in meter["annexes"].items()}
    verdict = Verdict()
    verdict.numbers["unleased instance-seconds"] = meter["unleased"]["instance_seconds"]
    if meter["unleased"]["instance_seconds"]:
        verdict.violations.append(f"instances lived {meter['unleased']['instance_seconds']:.3f} s without a lease")
    _check_lives(verdict, lives, ends, late_s)
    _check_fleets(verdict, annex_of)
    _check_answers(verdict, orders, annex_of)
    _check_cancellations(verdict, orders, lives, late_s)
    _check_changes(verdict, orders, ends)
    _check_nothing_is_early(verdict, orders, lives, ends)
    _check_nothing_left(verdict, cloud)
    return verdict


def _check_lives(verdict: Verdict, lives: list[Life], ends: Mapping[str, float], late_s: float) -> None:
    gone = {life: life.gone_s - ends[life.annex_id] for life in lives if life.gone_s and life.annex_id in ends}
    verdict.violations += [
        f"{life.instance_id} of {life.annex_id} was gone only {seconds:.1f} s after its lease"
        for life, seconds in gone.items()
        if seconds > late_s
    ]
    verdict.numbers |= {
        "instances": len(lives),
        "s after its lease half of them were gone": round(median(gone.values()), 1) if gone else 0.0,
        "s after its lease the last one was gone": round(max(gone.values(), default=0.0), 1),
    }


def _check_fleets(verdict: Verdict, annex_of: Mapping[str, str]) -> None:
    counts: dict[str, int] = defaultdict(int)
    for annex_id in annex_of.values():
        counts[annex_id] += 1
    verdict.violations += [f"annex {annex_id} has {count} fleets" for annex_id, count in counts.items() if count > 1]
    verdict.numbers["fleets"] = len(annex_of)


def _check_answers(verdict: Verdict, orders: list[Order], annex_of: Mapping[str, str]) -> None:
    for order in orders:
        reported = {tuple(reply.get(fact) for fact in FACTS) for reply in order.replies}
        result, fleet, annex_id, _ = next(iter(reported), (None, None, None, None))
        if order.faults or result not in FINAL:
            verdict.violations.append(f"{order.command_id} was never answered: {order.faults or order.replies}")
        if len(reported) > 1:
            verdict.violations.append(f"{order.command_id} was answered differently: {reported}")
        if result == "Success" and annex_of.get(str(fleet)) != annex_id:
            verdict.violations.append(f"{order.command_id} was answered {fleet}, which is not its annex's fleet")
    results = [order.replies[0].get("Result") for order in orders if order.replies]
    verdict.numbers |= {
        "orders": len(orders),
        **{f"answered {each}": results.count(each) for each in FINAL},
        "answers": sum(len(order.replies) for order in orders),
        **{
            f"condor_annex {how}": number
            for how, number in sum((order.ends for order in orders), Counter[str]()).items()
        },
        "clients": sum(order.clients for order in orders),
    }
    orphans = set(annex_of.values()) - {reply.get("AnnexID") for order in orders for reply in order.replies}
    verdict.violations += [f"annex {annex_id} is nobody's" for annex_id in orphans]


def _check_cancellations(verdict: Verdict, orders: list[Order], lives: list[Life], late_s: float) -> None:
    """Check that the instances of a cancelled annex are gone no later than `late_s` after the cancellation."""
    cancelled: dict[str, float] = {}
    for asked in [order.cancellation for order in orders if order.cancellation]:
        result = asked.replies[0]["Result"] if asked.replies else None
        if result not in CANCEL_FINAL:
            verdict.violations.append(f"{asked.command_id} was never answered: {asked.faults or asked.replies}")
        if result == "Success":
            cancelled[asked.replies[0]["AnnexID"]] = asked.replies[0]["EndOfLease"]
    for life in lives:
        gone_s = float("inf") if life.gone_s is None else life.gone_s
        if gone_s > cancelled.get(life.annex_id, float("inf")) + late_s:
            late = f"{gone_s - cancelled[life.annex_id]:.1f} s"
            verdict.violations.append(f"{life.instance_id} of {life.annex_id} lived {late} after it was cancelled")
    verdict.numbers["cancelled"] = len(cancelled)


def _check_changes(verdict: Verdict, orders: list[Order], ends: Mapping[str, float]) -> None:
    """Check that every lease whose change was confirmed ends at the confirmed time."""
    moved = 0
    for asked in [order.change for order in orders if order.change]:
        reply = asked.replies[0] if asked.replies else {}
        if reply.get("Result") not in CHANGE_FINAL:
            verdict.violations.append(f"{asked.command_id} was never answered: {asked.faults or asked.replies}")
        if reply.get("Result") == "Success":
            moved += 1
            if ends.get(reply["AnnexID"]) != reply["EndOfLease"]:
                verdict.violations.append(
                    f"{reply['AnnexID']} was said to end at {reply['EndOfLease']}, and ends at "
                    f"{ends.get(reply['AnnexID'])}"
                )
    verdict.numbers["moved"] = moved


def _check_nothing_is_early(
    verdict: Verdict, orders: list[Order], lives: list[Life], ends: Mapping[str, float]
) -> None:
    """Check that annexes ordered successfully and not cancelled live until their end of lease."""
    kept = {
        order.replies[0]["AnnexID"]
        for order in orders
        if order.replies and order.replies[0]["Result"] == "Success" and order.cancellation is None
    }
    for life in lives:
        if life.annex_id in kept and life.gone_s is not None and life.gone_s < ends[life.annex_id]:
            early = f"{ends[life.annex_id] - life.gone_s:.1f} s"
            verdict.violations.append(f"{life.instance_id} of {life.annex_id} was gone {early} before its lease's end")


def _check_nothing_left(verdict: Verdict, cloud: Cloud) -> None:
    fleets = [fleet["id"] for fleet in cloud.fleets() if not fleet["state"].startswith("cancelled")]
    instances = [instance["id"] for instance in cloud.running_instances()]
    for what, left in {"fleets": fleets, "instances": instances}.items():
        if left:
            verdict.violations.append(f"{len(left)} {what} are left: {', '.join(left[:5])}")
