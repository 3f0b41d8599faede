"""Convert a schedd's response to a GroupBy query into groups of idle jobs, in the worker: nothing of a job is
evaluated.

Users write these ads.  So their number and size are bounded, and a user with very many kinds of jobs hides only jobs of
that user.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from annexd.condor import bindings
from annexd.demand.idle_jobs import MAX_AD_CHARACTERS, MAX_GROUPS, NO_AUTOCLUSTER, key_of
from annexd.demand.job_place import submitter_of

BASE: Final = (
    "AutoClusterId",
    "User",
    "AccountingGroup",
    "ConcurrencyLimits",
    "JobUniverse",
    "Requirements",
    "RequestCpus",
    "RequestMemory",
    "RequestDisk",
    "RequestGPUs",
)
SIGNIFICANT: Final = (
    "Requirements",
    "RequestCpus",
    "RequestMemory",
)  # in each pool with a machine, by its Requirements
ANSWERS_OWN: Final = (
    "Id",
    "JobIds",
    "JobCount",
    "AutoClusterId",
)  # added by JobAggregationResults::next (autocluster.cpp)
MAX_ASKED: Final = 20_000  # groups of a schedd
MAX_CHARACTERS: Final = 32_000_000  # of all ads of a schedd
MAX_NAMES: Final = 1_000
MAX_LIMIT: Final = 200  # characters of a concurrency limit's name
MAX_LIMITS: Final = 20  # of a job
MAX_SHOWN: Final = 5  # users whose jobs are left out
MAX_SUBMITTER: Final = 500  # characters: a user may call an accounting group anything, and reports repeat it


class GroupRow(NamedTuple):
    """A group as it crosses to the daemon, as a list of JSON; see IdleGroup."""

    autocluster: int
    user: str
    jobs: int
    first_job: str
    ad: str
    kind: str
    limits: Sequence[str]
    key: str = ""


@dataclass(frozen=True)
class JobRows:
    rows: Sequence[GroupRow]
    left_out: str | None
    refers_to: Set[str]  # attributes of machines


def rows_of(schedd: str, ads: Sequence[Any], submitters: Set[str] | None) -> JobRows:
    """Return the groups of a schedd's jobs, only of these submitters unless None."""
    names: dict[str, frozenset[str]] = {}  # of machines, by the text of Requirements
    rows = []
    for ad in ads:
        row = _row(ad)
        if row is not None and (submitters is None or row.user in submitters):
            rows.append(row)
            if len(names) < MAX_NAMES and len(row.ad) <= MAX_AD_CHARACTERS:
                _note_references(ad, names)
    small = [row for row in rows if len(row.ad) <= MAX_AD_CHARACTERS and len(row.user) <= MAX_SUBMITTER]
    kept = fairest(small)
    refers_to = sorted(frozenset().union(*names.values()))[:MAX_NAMES]
    return JobRows(list(_with_keys(schedd, kept)), _left_out(len(ads), rows, kept), frozenset(refers_to))


def fairest(rows: Iterable[GroupRow], most: int = MAX_GROUPS, characters: int = MAX_CHARACTERS) -> list[GroupRow]:
    """Return rows within the limits: each user's largest group, then each user's second one, and so on."""
    turns: Counter[str] = Counter()
    order: list[tuple[int, int, GroupRow]] = []
    for row in sorted(rows, key=lambda each: (-each.jobs, each.first_job)):
        order.append((turns[row.user], len(order), row))
        turns[row.user] += 1
    kept: list[GroupRow] = []
    for *_place, row in sorted(order):
        characters -= len(row.ad)
        if len(kept) == most or characters < 0:
            break
        kept.append(row)
    return kept


def _row(ad: Any) -> GroupRow | None:
    """Return the row of a group; None if it has no user, which no job lacks."""
    user, count, jobs = (bindings.plain(ad.get(name)) for name in ("User", "JobCount", "JobIds"))
    if not isinstance(user, str) or not isinstance(count, int) or not isinstance(jobs, str) or count < 1:
        return None
    autocluster = bindings.plain(ad.get("AutoClusterId"))
    number = autocluster if isinstance(autocluster, int) and autocluster > 0 else NO_AUTOCLUSTER
    kind = _digest("\n".join(str(bindings.found_in(ad, name)) for name in SIGNIFICANT))
    submitter = submitter_of(user, bindings.plain(ad.get("AccountingGroup")))
    for name in ANSWERS_OWN:
        if name in ad:
            del ad[name]
    limits = _limits(ad.get("ConcurrencyLimits"))
    return GroupRow(number, submitter, count, jobs.partition(" ")[0], repr(ad), kind, limits)


def _limits(value: object) -> list[str]:
    """Return the names in ConcurrencyLimits, without amounts; an expression is one name, and is not evaluated."""
    if value is None:
        return []
    found = bindings.plain(value)
    if not isinstance(found, str):
        return [str(value)[:MAX_LIMIT]]
    names = (each.partition(":")[0].strip().lower()[:MAX_LIMIT] for each in found.split(","))
    return list(dict.fromkeys(each for each in names if each))[:MAX_LIMITS]


def _note_references(ad: Any, names: dict[str, frozenset[str]]) -> None:
    requirements = bindings.found_in(ad, "Requirements")
    if requirements is not None and (text := str(requirements)) not in names:
        names[text] = frozenset(bindings.references(ad, requirements))


def _with_keys(schedd: str, rows: Sequence[GroupRow]) -> Iterator[GroupRow]:
    """Name each group; if autocluster and user are ambiguous, a digest of the ad is added."""
    groups = Counter((row.autocluster, row.user) for row in rows)
    for row in rows:
        base = key_of(schedd, row.autocluster, row.user)
        is_unique = row.autocluster != NO_AUTOCLUSTER and groups[row.autocluster, row.user] == 1
        yield row._replace(key=base if is_unique else f"{base}#{_digest(row.ad)}")


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=8).hexdigest()


def _left_out(answered: int, rows: Sequence[GroupRow], kept: Sequence[GroupRow]) -> str | None:
    """Describe the jobs of the response that are in no group."""
    missing: dict[str, int] = defaultdict(int)
    for row in rows:
        missing[row.user] += row.jobs
    for row in kept:
        missing[row.user] -= row.jobs
    most = sorted(missing.items(), key=lambda each: -each[1])
    texts = [f"{count} jobs of {user[:MAX_LIMIT]}" for user, count in most if count]
    if len(texts) > MAX_SHOWN:
        texts[MAX_SHOWN:] = [f"those of {len(texts) - MAX_SHOWN} more users"]
    texts += [f"kinds of jobs beyond {MAX_ASKED}"] if answered >= MAX_ASKED else []
    return ", ".join(texts) or None
