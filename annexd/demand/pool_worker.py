"""Query schedds and collectors for the data of demand, in a child process: see outbound_worker.

A large response takes seconds to arrive and to group, and parsing its JSON at once would block the daemon's event loop.
So the worker groups it, keeps it until the next query, and returns it in pages.
"""

import os
import re
import resource
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from annexd.condor import bindings
from annexd.daemoncore.pool import outbound_worker
from annexd.demand import job_groups, slot_shapes
from annexd.demand import photograph as photographs
from annexd.demand.idle_jobs import AD_LIFETIME_S

PAGE_CHARACTERS: Final = 200_000  # parsed in about 2 ms
MAX_BYTES: Final = 2 * 2**30  # memory limit, against queues of huge ads; 10,000 free slots take 340 MB
REAL: Final = "Offline =!= true"
SLOT: Final = re.compile(r"slot\d+(_\d+)?@")  # before the name of the machine's startd
OF_ONE_JOB: Final = frozenset({"clusterid", "procid", "globaljobid", "jobstatus", "enteredcurrentstatus"})
OF_SCHEDDS: Final = ("MyAddress", "DaemonStartTime", "LastHeardFrom", "ClassAdLifetime")
Row = Sequence[Any]

_pages: list[list[Row]] = []


def directory(collector: str) -> dict[str, Any]:
    """Return a row for each schedd of the pool, and for each that flocks here, and when the collector started."""
    schedds = bindings.query_kind("Schedd", collector, "true", ["Name", *OF_SCHEDDS])
    own = [_schedd_row(ad, "Name", None) for ad in schedds]
    names = {row[0] for row in own}
    flocking: dict[str, list[Any]] = defaultdict(list)
    for ad in bindings.query_kind("Submitter", collector, "true", ["Name", "ScheddName", *OF_SCHEDDS]):
        if (name := ad.get("ScheddName")) not in names:
            flocking[str(name)].append(ad)
    rows = own + [_flocking_row(ads) for ads in flocking.values()]
    valid = [row for row in rows if isinstance(row[0], str) and isinstance(row[1], str)]
    return {"started_s": _started_s(collector), "schedds": valid}


def _started_s(collector: str) -> float:
    """Return when the collector started, which it does not report.  If it has ads of others, the youngest counts."""
    ads = bindings.query_kind("Collector", collector, "true", ["MonitorSelfTime", "MonitorSelfAge"])
    return max((_number(ad, "MonitorSelfTime") - _number(ad, "MonitorSelfAge") for ad in ads), default=0.0)


def _number(ad: Any, name: str, default: float = 0.0) -> float:
    value = ad.get(name)
    return float(value) if isinstance(value, int | float) else default


def _schedd_row(ad: Any, name: str, submitters: list[str] | None) -> Row:
    """Return the fields of a ScheddAd."""
    expires_s = _number(ad, "LastHeardFrom") + _number(ad, "ClassAdLifetime", AD_LIFETIME_S)
    return [ad.get(name), ad.get("MyAddress"), _number(ad, "DaemonStartTime"), expires_s, submitters]


def _flocking_row(ads: Sequence[Any]) -> Row:
    """Return a schedd's row from the ads of its submitters, the newest of which counts."""
    names = [name for ad in ads if isinstance(name := ad.get("Name"), str)]
    newest = max(ads, key=lambda ad: _number(ad, "LastHeardFrom"))
    return _schedd_row(newest, "ScheddName", names)


def group_jobs(
    schedd: str,
    address: str,
    constraint: str,
    attributes: Sequence[str],
    machines: Sequence[str],
    clauses: Sequence[str],
    submitters: Sequence[str] | None,
) -> dict[str, Any]:
    """Group the jobs of a schedd by `attributes`, and by the job attributes that these ads of machines and clauses of
    offers read.

    A single clause adds nothing: all jobs of the response satisfy it.
    """
    of_clauses = [name for text in clauses for name in bindings.free_names(text)] if len(clauses) > 1 else []
    names = {name.lower(): name for name in (*job_groups.BASE, *attributes, *_read_of_jobs(machines), *of_clauses)}
    grouped = [name for key, name in names.items() if key not in OF_ONE_JOB]
    try:
        ads = bindings.group_jobs(address, constraint, grouped, job_groups.MAX_ASKED)
        found = job_groups.rows_of(schedd, ads, None if submitters is None else frozenset(submitters))
    except MemoryError:
        os._exit(1)  # as the bindings do when they run out of it: the daemon sees a dead worker
    return {"pages": _keep(found.rows), "left_out": found.left_out, "refers_to": sorted(found.refers_to)}


def users(address: str, constraint: str, limit: int) -> list[Row]:
    """Return the users of the jobs and their accounting groups, or null, without reading more of their content."""
    ads = bindings.group_jobs(address, constraint, ["User", "AccountingGroup"], limit)
    return [[bindings.plain(ad.get("User")), bindings.plain(ad.get("AccountingGroup"))] for ad in ads]


def free_slots(collector: str, attributes: Sequence[str]) -> dict[str, Any]:
    """Group the slots that a job could take now by these attributes, and by those in their own Requirements."""
    started_s = _started_s(collector)
    machines, offers = _machines(bindings.query_kind("Startd", collector, REAL, ["Name", "AnnexOffer"]))
    rows, left_out = slot_shapes.rows_of(bindings.query_kind("Startd", collector, slot_shapes.FREE, []), attributes)
    found = {"pages": _keep(rows), "left_out": left_out, "started_s": started_s}
    return found | {"machines": machines, "offers": offers}


def _machines(slots: Iterable[Any]) -> tuple[int, dict[str, int]]:
    """Return the number of machines, and of those of each offer, from the ads of their slots."""
    offers: dict[str, Any] = {}
    for ad in slots:
        if isinstance(name := ad.get("Name"), str):
            offers[SLOT.sub("", name)] = ad.get("AnnexOffer")
    return len(offers), dict(Counter(offer for offer in offers.values() if isinstance(offer, str)))


def photograph(collector: str, offer: str, start: str) -> str | None:
    """Return the ad of a machine of this offer that runs nothing, converted into that of a future machine."""
    return photographs.photograph(
        bindings.query_kind("Startd", collector, photographs.empty_machines(offer), []), start
    )


def page(number: int) -> list[Row]:
    """Return a page of the last response."""
    return _pages[number]


def _keep(rows: Iterable[Row]) -> int:
    """Keep a response for `page`; return the number of pages."""
    _pages[:] = _paged(rows)
    return len(_pages)


def _paged(rows: Iterable[Row]) -> Iterator[list[Row]]:
    current: list[Row] = []
    characters = 0
    for row in rows:
        current.append(row)
        characters += sum(len(each) for each in row if isinstance(each, str))
        if characters > PAGE_CHARACTERS:
            yield current
            current, characters = [], 0
    if current:
        yield current


def _read_of_jobs(machines: Sequence[str]) -> Iterator[str]:
    """Yield the attributes of jobs that the Start and Requirements of machines refer to."""
    for text in machines:
        ad: Any = bindings.parse_ad(text)
        for name in ("Start", "Requirements"):
            if (expression := bindings.found_in(ad, name)) is not None:
                yield from bindings.references(ad, expression)


CALLS: Mapping[str, Any] = {
    "directory": directory,
    "group_jobs": group_jobs,
    "users": users,
    "free_slots": free_slots,
    "page": page,
    "photograph": photograph,
}


def main(subsystem: str) -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = MAX_BYTES if hard == resource.RLIM_INFINITY else min(MAX_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    outbound_worker.main(subsystem, CALLS)
