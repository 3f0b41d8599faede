"""CA_QUERY_ANNEXES: list the annexes that annexd knows, without calling AWS.

No key is read and AWS is not called, so the reply comes at once, even if AWS or the keys fail.  Running instances are
shown as reconciliation saw them last, with the time of that look.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from annexd.annex.cost import cost_of
from annexd.annex.fleet.trouble import Trouble
from annexd.annex.index import AnnexIndex, AnnexRecord, Ordered
from annexd.annex.lease.lease import NOT_IN_TAGS
from annexd.annex.reconcile import ObservedAnnex
from annexd.annex.reply import ANSWERED, ReplyAd, json_text, reply, reply_of_error
from annexd.annex.request.ad_attributes import fault_of_reference
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.faults import InvalidRequest
from annexd.annex.request.request import check_command, command_id_of, own_of
from annexd.workflow import SUCCESS, Json, State

COMMAND: Final = "CA_QUERY_ANNEXES"
OWN: Final = frozenset(["command", "requestversion", "commandid", "annex"])
NEVER_S: Final = -1.0
SHOWN_S: Final = 3600  # seconds after its end for which an annex is shown by default
FAILED_SHOWN_S: Final = 86400  # seconds after its failure for which an order is shown by default
LONGEST_REASON: Final = 2000  # characters


@dataclass(frozen=True)
class Snapshot:
    """The annexes that reconciliation saw in one account, by ID, and when that look began (seconds since the epoch).

    `fault`: why no look has succeeded since, such as expired keys; at_s is NEVER_S if none ever did.
    """

    at_s: float
    annexes: Mapping[str, ObservedAnnex]
    fault: str = ""
    troubles: Mapping[str, Trouble] = field(default_factory=dict)  # by fleet ID


@dataclass(frozen=True)
class PoolCounts:
    """Machines of one annex in the collector: with a condor_master, with a slot, and with a claimed slot."""

    booted: int = 0
    joined: int = 0
    claimed: int = 0


@dataclass(frozen=True)
class PoolSnapshot:
    """Counts by annex ID, and when the collector was queried (seconds since the epoch; NEVER_S before the first time).

    `fault`: why it could not be queried since.
    """

    at_s: float = NEVER_S
    annexes: Mapping[str, PoolCounts] = field(default_factory=dict)
    claimed: frozenset[str] = frozenset()  # instance IDs of machines with a claimed slot
    fault: str = ""


def query_annexes(
    ad: Mapping[str, Any],
    owner: str,
    index: AnnexIndex,
    defaults: Defaults,
    now_s: float,
    looks: Mapping[str, Snapshot],
    pool: PoolSnapshot = PoolSnapshot(),
) -> ReplyAd:
    """Return Annexes: JSON, the results of `_known_annex` and `_seen_only`; `looks` are by AccountTarget.key."""
    try:
        annex = _reference_in(ad)
        mine = None if owner in defaults.super_users else owner
        known = index.called(annex, owner, of_all=mine is None)[::-1] if annex else _recent(index, now_s)
        lines = [_known_annex(one, index, now_s, looks) for one in known if mine in (None, one.owner)]
        lines += [line for line in _seen_only(index, now_s, looks, mine) if annex in (None, line["AnnexID"])]
        lines = [
            {**line, **_in_pool(line["AnnexID"], pool)} for line in lines if annex or _is_shown_by_default(line, now_s)
        ]
    except ANSWERED as error:
        return reply_of_error(error, command_id_of(ad), begun=False)
    return {**reply(SUCCESS), "Annexes": json_text(lines)}


def known_annexes(index: AnnexIndex, now_s: float, looks: Mapping[str, Snapshot], pool: PoolSnapshot) -> list[Json]:
    """Describe, from the journal, the annexes of all owners that -status shows if no annex is named.

    Failed orders are left out, since they are not annexes.  Raises JournalError.
    """
    lines = [_known_annex(one, index, now_s, looks) for one in _recent(index, now_s)]
    return [{**line, **_in_pool(line["AnnexID"], pool)} for line in lines if _is_an_annex(line, now_s)]


def _reference_in(ad: Mapping[str, Any]) -> str | None:
    check_command(ad, COMMAND)
    own = own_of(COMMAND, ad, OWN)
    annex = own.text("Annex", fault_of_reference)
    if own.faults:
        raise InvalidRequest(own.faults)
    return annex


def _recent(index: AnnexIndex, now_s: float) -> list[AnnexRecord]:
    unfinished = set(index.engine.unfinished())
    return [
        one
        for one in index.all()
        if index.end_s(one) > now_s - SHOWN_S
        or one.command_id in unfinished
        or (one.end_of_lease_s > now_s - FAILED_SHOWN_S and index.ordered(one).failed_s is not None)
    ]


def _is_shown_by_default(line: Json, now_s: float) -> bool:
    """Return whether it is shown by default: an annex, or an order that failed within a day."""
    failed_s = line["FailedTime"]
    return (failed_s is not None and failed_s > now_s - FAILED_SHOWN_S) or _is_an_annex(line, now_s)


def _is_an_annex(line: Json, now_s: float) -> bool:
    """Return whether it lives, is under way or still runs, or ended only a while ago."""
    under_way = line["State"] in ("ordering", "undoing", "cancelling")
    recent = line["State"] != "failed" and (line["EndOfLease"] or 0) > now_s - SHOWN_S
    troubled = line["Trouble"] and line["FailedTime"] is None
    return bool(under_way or recent or line["Instances"] or troubled)


def _known_annex(known: AnnexRecord, index: AnnexIndex, now_s: float, looks: Mapping[str, Snapshot]) -> Json:
    """Describe an annex of the journal."""
    ordered, cancellation = index.ordered(known), index.cancellation(known.annex_id)
    look = looks.get(ordered.account) if ordered.account else None
    fault = look.fault if look else ""
    if look is not None and look.at_s < max(index.requested_at_s(known), index.moved_at_s(known)):
        look = None  # it saw the state before
    seen = look.annexes.get(known.annex_id) if look else None
    end_s = seen.end_of_lease_s if seen and cancellation is None else None
    end_s = index.end_s(known) if end_s is None else int(end_s)
    word, fleet_id = _word(ordered, cancellation, end_s, now_s), ordered.fleet_id
    trouble = _trouble(look, index.fleet_ids(known.annex_id)) if look and word == "leased" else None
    return {
        "AnnexID": known.annex_id,
        "AnnexName": known.name,
        "Owner": known.owner,
        "CommandID": known.command_id,
        "BulkRequestID": fleet_id,
        "TargetCapacity": index.units(known) or ordered.units,
        "EndOfLease": end_s,
        "OrderedEndOfLease": known.end_of_lease_s,
        "State": "failed" if trouble and trouble.has_failed else word,
        "Trouble": trouble.text if trouble else _waiting(ordered, now_s) or ordered.failure[:LONGEST_REASON] or None,
        "FailedTime": None if ordered.failed_s is None else int(ordered.failed_s),
        **_seen(known.annex_id, look),
        **cost_of(index.usage(known), now_s),
        "SeenFault": fault or None,
    }


def _trouble(look: Snapshot, fleet_ids: Sequence[str]) -> Trouble | None:
    """Return the trouble of the newest fleet that has one; the annex has failed if all its fleets have."""
    found = [look.troubles[each] for each in reversed(fleet_ids) if each in look.troubles]
    if not found:
        return None
    has_failed = len(found) == len(fleet_ids) and all(each.has_failed for each in found)
    return replace(found[0], has_failed=has_failed)


def _word(ordered: Ordered, cancellation: State | None, end_s: float, now_s: float) -> str:
    """Return the state: ordering, undoing, leased, cancelling, cancelled, over, or failed."""
    if ordered.has_succeeded is None:
        return "undoing" if ordered.has_failed else "ordering"
    if not ordered.has_succeeded:
        return "failed"
    if cancellation is not None:
        return "cancelled" if cancellation.finished else "cancelling"
    return "leased" if now_s < end_s else "over"


def _waiting(ordered: Ordered, now_s: float) -> str | None:
    """Return the resource that an order waits for, and how long it has waited."""
    step = ordered.waiting
    if step is None:
        return None
    return f"waiting for AWS to know {step.waits_for}, for {max(0.0, now_s - step.waits_since_s):.0f} s now"


def _seen(annex_id: str, look: Snapshot | None) -> Json:
    """Return its instances that were not terminated at that look, and when the lease function last saw it, if ever."""
    if look is None:
        return dict.fromkeys(("Instances", "Running", "Launching", "SeenTime", "EnforcerSeenTime"))
    annex = look.annexes.get(annex_id)
    enforced_s = annex.enforcer_seen_s if annex else None
    return {
        "Instances": annex.instances if annex else 0,
        "Running": annex.running if annex else 0,
        "Launching": annex.is_launching if annex else False,
        "SeenTime": int(look.at_s),
        "EnforcerSeenTime": None if enforced_s is None else int(enforced_s),
    }


def _in_pool(annex_id: str, pool: PoolSnapshot) -> Json:
    """Return its machines in the pool; undefined before the first query of the collector."""
    fault = {"PoolFault": pool.fault or None}
    if pool.at_s == NEVER_S:
        return {**dict.fromkeys(("Booted", "Joined", "Claimed", "PoolSeenTime")), **fault}
    counts = pool.annexes.get(annex_id, PoolCounts())
    machines = {"Booted": counts.booted, "Joined": counts.joined, "Claimed": counts.claimed}
    return {**machines, "PoolSeenTime": int(pool.at_s), **fault}


def _seen_only(index: AnnexIndex, now_s: float, looks: Mapping[str, Snapshot], mine: str | None) -> Iterator[Json]:
    """Yield annexes that only the cloud knows: those of another annexd, or of a lost journal.  `mine`: of this owner
    only.
    """
    known = {one.annex_id for one in index.all()}
    shown: set[str] = set()
    for look in looks.values():
        for annex_id, one in look.annexes.items():
            if annex_id in known | shown or (mine is not None and one.owner != NOT_IN_TAGS.sub("_", mine)):
                continue
            shown.add(annex_id)
            end_s = None if one.end_of_lease_s is None else int(one.end_of_lease_s)
            trouble = look.troubles.get(str(one.fleet_id))
            yield {
                "SeenFault": look.fault or None,
                "AnnexID": annex_id, "AnnexName": None, "Owner": one.owner, "CommandID": None,
                "BulkRequestID": one.fleet_id, "TargetCapacity": None, "EndOfLease": end_s,
                "OrderedEndOfLease": one.ordered_end_s, "FailedTime": None,
                "Trouble": trouble.text if trouble else None,
                "State": "over" if end_s is not None and end_s <= now_s else "adopted", **_seen(annex_id, look),
                **cost_of(None, now_s),
            }  # fmt: skip
