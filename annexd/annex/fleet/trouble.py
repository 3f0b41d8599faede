"""Explain why an accepted fleet starts nothing, or less than was requested.

AWS accepts a fleet request before it tries anything.  Later failures appear only in the fleet's state, its
ActivityStatus and its history.  The history of only a few fleets is read at a time, within EC2's limits; what it says
about capacity is handed on.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any, Final

from annexd.annex.fleet.advice import DIED, GENERIC, NO_REASON, advice
from annexd.annex.fleet.capacity_news import FleetCapacity
from annexd.annex.fleet.endings import endings
from annexd.annex.fleet.history import ERROR, LONGEST_WORD, Event, events_of, lives, shortened
from annexd.annex.fleet.inventory import Fleet, Inventory
from annexd.annex.fleet.kinds import ENDED, TERMINATING
from annexd.workflow import Refused, Retry

MOST_ASKED: Final = 20  # fleets in one inventory, the newest
MOST_EXPLAINED: Final = 1000  # fleets: an account may have so many that run
RECENT_S: Final = 7200.0  # an older cause no longer applies, or AWS has repeated it
SETTLE_S: Final = 90.0  # a younger fleet without instances and without an error has no trouble yet
SHORT_LIFE_S: Final = 180.0  # machines that cannot join turn themselves off after 15 minutes
MOST_QUOTED: Final = 2
LONGEST_QUOTE: Final = 300
LONGEST_TEXT: Final = 1200
BAD_NEWS: Final = frozenset(  # events of type information
    {"launchSpecTemporarilyBlacklisted", "launchSpecUnusable", "fleetProgressHalted"}
)


@dataclass(frozen=True)
class Trouble:
    """The trouble of a fleet; `has_failed` means that it has started nothing and never will."""

    text: str
    has_failed: bool = False


@dataclass(frozen=True)
class HistoryNews:
    """The troubles by fleet ID, and what the histories that were read say about capacity."""

    troubles: Mapping[str, Trouble] = field(default_factory=dict)
    capacity: tuple[FleetCapacity, ...] = ()


@dataclass(frozen=True)
class History:
    """A fleet's history: bad news, newest first, the number of instances launched, and how many of them ended within
    SHORT_LIFE_S.
    """

    news: tuple[str, ...] = ()
    launched: int = 0
    died: int = 0
    was_ended: bool = False  # somebody cancelled it with its instances


def troubles_of(ec2: Any, inventory: Inventory, now_s: float, max_lease_s: float, busy: Set[str]) -> HistoryNews:
    """Return the troubles of annexes whose lease has not ended and that no workflow is `busy` with.

    An unreadable history is reported as such, and does not fail the inventory.
    """
    instances = Counter(instance.fleet_id for instance in inventory.instances)
    suspects = [
        fleet
        for fleet in inventory.fleets
        if fleet.annex_id not in busy
        and not fleet.is_cancelled
        and now_s < fleet.end_s(max_lease_s)
        and _is_short(fleet, instances[fleet.fleet_id])
    ]
    suspects.sort(key=lambda fleet: fleet.created_s or 0.0, reverse=True)
    judged = list(zip(suspects, _judgements(ec2, suspects[:MOST_EXPLAINED], instances, now_s), strict=False))
    return HistoryNews(
        {fleet.fleet_id: each.trouble for fleet, each in judged if each.trouble is not None},
        tuple(capacity for _, each in judged for capacity in each.capacity),
    )


@dataclass(frozen=True)
class _Judgement:
    trouble: Trouble | None
    capacity: tuple[FleetCapacity, ...] = ()


def _judgements(
    ec2: Any, suspects: Sequence[Fleet], instances: Mapping[str, int], now_s: float
) -> Iterator[_Judgement]:
    """Yield one for each fleet.  After AWS throttles or responds in an unknown shape, the rest waits."""
    why_not = ""
    for place, fleet in enumerate(suspects):
        if place == MOST_ASKED:
            why_not = why_not or f"it reads the history of only the {MOST_ASKED} newest fleets of an account"
        if why_not:
            yield _Judgement(_unexplained(fleet, why_not, now_s))
            continue
        try:
            yield _judgement(ec2, fleet, instances[fleet.fleet_id], now_s)
        except Refused as error:
            yield _Judgement(_unexplained(fleet, str(error), now_s))
        except Retry as error:
            why_not = str(error)
            yield _Judgement(_unexplained(fleet, why_not, now_s))


def _judgement(ec2: Any, fleet: Fleet, instances: int, now_s: float) -> _Judgement:
    events = events_of(ec2, fleet.fleet_id, _since_s(fleet, now_s))
    history, capacity = _history(events), (FleetCapacity.read(fleet.fleet_id, fleet.scope, events),)
    trouble = _judged(fleet, history, now_s)
    has_lost = history.launched > instances and not history.was_ended
    return _Judgement(_with_endings(trouble, endings(ec2, fleet)) if has_lost else trouble, capacity)


def _with_endings(trouble: Trouble | None, ended_text: str) -> Trouble | None:
    if not ended_text:
        return trouble
    return (
        Trouble(ended_text)
        if trouble is None
        else replace(trouble, text=f"{ended_text}; {trouble.text}"[:LONGEST_TEXT])
    )


def _is_short(fleet: Fleet, instances: int) -> bool:
    if fleet.state in ENDED and instances == 0:
        return True
    return fleet.activity == ERROR or (fleet.target is not None and (fleet.fulfilled or 0.0) < fleet.target)


def _since_s(fleet: Fleet, now_s: float) -> float:
    """Return the time since when a fleet's history matters."""
    created_s = fleet.created_s or 0.0
    return created_s if fleet.state in ENDED else max(created_s, now_s - RECENT_S)


def _history(events: Sequence[Event]) -> History:
    began, ended = lives(events, "launched"), lives(events, "terminated")
    died = sum(ended.get(each, float("inf")) - at_s <= SHORT_LIFE_S for each, at_s in began.items())
    was_ended = any(each.kind == "fleetRequestChange" and each.sub_type in TERMINATING for each in events)
    return History(tuple(_quotes(events)), len(began), died, was_ended)


def _quotes(events: Sequence[Event]) -> Iterator[str]:
    """Yield each bad news once, even if repeated for many launch specifications; AWS's summary only if nothing else
    exists.
    """
    quotes: dict[tuple[str, str], str] = {}
    for _, kind, sub_type, about in events:
        description = shortened(about, LONGEST_QUOTE)
        if kind == ERROR or sub_type in BAD_NEWS:
            quote = f"{sub_type or kind}: {description}" if description else sub_type or kind
            quotes.setdefault((sub_type, description.rpartition("Error message:")[2][-LONGEST_WORD:]), quote)
    reasons = [quote for (sub_type, _), quote in quotes.items() if sub_type != GENERIC]
    yield from (reasons or quotes.values())


def _judged(fleet: Fleet, history: History, now_s: float) -> Trouble | None:
    has_ended = fleet.state in ENDED
    if history.was_ended and history.launched:
        return None
    if history.died and history.died == history.launched and not (fleet.fulfilled and not has_ended):
        what = f"AWS has started {history.launched} instances, each of which ended within minutes"
        return Trouble(_text(what, history.news) if history.news else f"{what}; {DIED}", has_failed=has_ended)
    if (has_ended or fleet.is_one_time) and fleet.target is not None and history.launched >= fleet.target:
        return None  # all requested instances were launched; the missing ones have ended, as idle machines do
    if has_ended and history.launched == 0:
        return Trouble(_text(_ended_text(fleet, now_s), history.news), has_failed=True)
    if history.news:
        return Trouble(_text(_count_text(fleet), history.news))
    if has_ended:
        return None
    if fleet.activity == ERROR:
        return Trouble(_text(f"{_count_text(fleet)}; AWS reports an error that is not in its history yet", ()))
    return Trouble(f"{_count_text(fleet)}; {NO_REASON}") if _is_settled(fleet, now_s) else None


def _is_settled(fleet: Fleet, now_s: float) -> bool:
    return fleet.created_s is None or now_s - fleet.created_s >= SETTLE_S


def _unexplained(fleet: Fleet, error: str, now_s: float) -> Trouble | None:
    """Describe a fleet whose history is unreadable: whether it launched anything is unknown."""
    if fleet.state in ENDED or not (fleet.activity == ERROR or _is_settled(fleet, now_s)):
        return None
    return Trouble(f"{_count_text(fleet)}; annexd cannot read why: {error}"[:LONGEST_TEXT])


def _text(what: str, news: Sequence[str]) -> str:
    if not news:
        return what
    quoted = " | ".join(news[:MOST_QUOTED])
    return f"{what}; AWS says: {quoted}; that means: {advice(quoted)}"[:LONGEST_TEXT]


def _count_text(fleet: Fleet) -> str:
    has = "?" if fleet.fulfilled is None else f"{fleet.fulfilled:.10g}"
    asked = "" if fleet.target is None else f" of {fleet.target}"
    still = "starts no more" if fleet.state in ENDED else "is still trying"
    return f"AWS has started {has}{asked} and {still}"


def _ended_text(fleet: Fleet, now_s: float) -> str:
    if fleet.valid_until_s is not None and now_s >= fleet.valid_until_s:
        return (
            "AWS started nothing within the provisioning delay, and has stopped trying: order again, with more "
            "instance types, zones or a higher price"
        )
    if fleet.state == "failed":
        return f"the {fleet.kind.name} failed in AWS before anything was started: correct it and order again"
    return (
        f"the {fleet.kind.name} was cancelled before anything was started, by AWS (as it does beyond a quota) or "
        "by somebody in the account: order again when the reason is gone"
    )
