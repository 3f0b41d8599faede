"""Print annexd's decisions about the pool's idle jobs: -offers, -demand and -why, as tables, lines or JSON."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from annexd.tool import show as say
from annexd.tool.errors import COMMUNICATION, NOT_FOUND, ToolError
from annexd.tool.options import ToolOptions
from annexd.tool.times import is_time, shown_distance, shown_time

OFFERS: Final = {
    "Offer": "Offer",
    "State": "State",
    "Machines": "Machines",
    "Coming": "InFlight",
    "Max": "Max",
    "Wanted": "Wanted",
    "CPUs": "Cpus",
    "Memory": "Memory",
    "GPUs": "GPUs",
    "$/hour": "Price",
    "From": "Source",
}
GROUPS: Final = ("Jobs", "User", "Schedd", "First", "Oldest", "State", "What")
RIGHT: Final = frozenset(["Machines", "Coming", "Max", "Wanted", "CPUs", "Memory", "GPUs", "$/hour", "Jobs"])
NONE: Final = "annexd has no offers: ANNEX_OFFERS in its configuration names them (docs/demand.md)"
MODES: Final = {
    "off": "ANNEX_DEMAND is off: annexd ignores idle jobs",
    "observe": "ANNEX_DEMAND is observe: nothing is ordered",
}
Demand = Mapping[str, Any]


def demand_in(ad: Mapping[str, Any]) -> Demand:
    """Return the demand in annexd's reply.  Raises ToolError for an invalid reply."""
    say.check(ad)
    try:
        found = json.loads(str(ad.get("Demand")))
    except ValueError as error:
        raise ToolError(COMMUNICATION, "annexd answered Success without Demand") from error
    return found if isinstance(found, dict) else {}


def show_offers(ad: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the offers.  Raises ToolError."""
    demand = demand_in(ad)
    offers = demand.get("Offers") or []
    if as_json:
        print(json.dumps(offers, indent=2), flush=True)
        return
    if not offers:
        say.notes([NONE])
        return
    _print_table(list(OFFERS), [[_text(each.get(name)) for name in OFFERS.values()] for each in offers])
    lines = [f"{each['Offer']}: {each['Why']}" for each in offers if each.get("Why")]
    _print_footer(demand, [*lines, *_leases(demand)])


def show_demand(ad: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the groups of idle jobs, each with what happens to its jobs.  Raises ToolError."""
    demand = demand_in(ad)
    groups = demand.get("Groups") or []
    if as_json:
        print(json.dumps(demand, indent=2), flush=True)
        return
    if groups:
        _print_table(GROUPS, [row for each in groups for row in _rows(each, time.time())])
    else:
        say.notes(["there were no idle jobs that are old enough for any offer"])
    _print_footer(demand, _leases(demand))


def why(options: ToolOptions, ask: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
    """Print on one line why a job has no machine; `ask` queries annexd for a schedd's groups.  Raises ToolError."""
    schedd, _, job_id = str(options.why).rpartition("#")
    name, job = _job(options, schedd or None, job_id)
    demand = demand_in(ask({"Schedd": name}))
    text = _why(name, job_id, job, demand)
    if options.json:
        print(json.dumps({"Job": options.why, "Schedd": name, "Why": text}), flush=True)
    else:
        print(say.printable(text), flush=True)


def _job(options: ToolOptions, schedd: str | None, job_id: str) -> tuple[str, Mapping[str, Any]]:
    from annexd.demand.job_place import OF_A_JOB
    from annexd.tool import bindings

    try:
        name, job = bindings.job(options.pool, schedd, job_id, OF_A_JOB)
    except LookupError as error:
        raise ToolError(NOT_FOUND, f"{error}: condor_status -schedd lists them") from error
    except bindings.HTCondorException as error:
        raise ToolError(COMMUNICATION, f"schedd {schedd or 'of this host'} cannot be asked: {error}") from error
    if not job:
        raise ToolError(NOT_FOUND, f"schedd {name} has no job {job_id}: condor_q lists them")
    return name, job


def _why(schedd: str, job_id: str, job: Mapping[str, Any], demand: Demand) -> str:
    from annexd.demand.idle_jobs import NO_AUTOCLUSTER, key_of
    from annexd.demand.job_place import place_of

    ages = [each["IdleAge"] for each in demand.get("Offers") or () if each.get("IdleAge") is not None]
    if not ages:
        faults = [f"offer {each['Offer']} cannot be used: {each['Why']}" for each in demand.get("Offers") or ()]
        return "; ".join(faults) or NONE
    now_s = job.get("ServerTime")
    place = place_of(schedd, job, min(ages), now_s if is_time(now_s) else time.time())
    if place.group is None:
        return str(place.why_not)
    known = demand.get("Groups") or ()
    groups = [each for each in known if _is_of(each, place.group)]
    if not groups:  # its schedd has numbered its autocluster since annexd looked
        unnumbered = key_of(schedd, NO_AUTOCLUSTER, place.group.rpartition("#")[2])
        groups = [each for each in known if _is_of(each, unnumbered)]
    whole_id = job_id if "." in job_id else f"{job_id}.0"
    groups = [each for each in groups if each.get("FirstJob") == whole_id] or groups
    if len(groups) > 1:  # one autocluster of their schedd, but different groups for an offer
        return "one of these: " + "; ".join(_line(each, demand) for each in groups)
    if groups:
        return _line(groups[0], demand)
    mode = MODES.get(str(demand.get("Mode"))) if demand.get("Mode") == "off" else None
    faults = [str(each) for each in demand.get("Faults") or () if f"schedd {schedd}" in str(each)]
    wait = (
        f"annexd has not counted it yet, or no offer's JOBS is true for it: it looks every {demand.get('Interval')} s"
    )
    return mode or "; ".join(faults) or wait


def _is_of(group: Mapping[str, Any], key: str) -> bool:
    """Return whether a group has this key: jobs of one autocluster may be in several groups, whose keys begin alike."""
    return str(group.get("Group")) == key or str(group.get("Group")).startswith(f"{key}#")


def _line(group: Mapping[str, Any], demand: Demand) -> str:
    parts = [f"{_jobs(each['Jobs'])} like it: {each['State']}, {each['Text']}" for each in group["Parts"]]
    would = " (observed only: nothing is ordered)" if demand.get("Mode") == "observe" else ""
    return "; ".join(parts) + would


def switched(ad: Mapping[str, Any], *, as_json: bool) -> None:
    """Print that an offer is paused or resumed.  Raises ToolError unless it is."""
    say.check(ad)
    if as_json:
        print(json.dumps({name: ad.get(name) for name in ("Offer", "Paused", "CommandID")}), flush=True)
        return
    after = "paused: nothing more is ordered by it" if ad.get("Paused") else "resumed"
    print(f"Offer {ad.get('Offer')} is {after}", flush=True)


def _rows(group: Mapping[str, Any], now_s: float) -> Iterable[Sequence[str]]:
    """Return a row for each part; values common to all parts are in the first."""
    oldest_s = group.get("Oldest")
    age = shown_distance(oldest_s - now_s) if is_time(oldest_s) else "-"
    common = [_text(group.get(name)) for name in ("User", "Schedd", "FirstJob")] + [age]
    for number, part in enumerate(group["Parts"]):
        yield [_text(part["Jobs"]), *(common if not number else [""] * 4), _text(part["State"]), _text(part["Text"])]


def _leases(demand: Demand) -> list[str]:
    """Return a line for each annex of an offer whose lease is near its end."""
    return [_lease(each, str(demand.get("Mode"))) for each in demand.get("Leases") or () if is_time(each["EndOfLease"])]


def _lease(lease: Mapping[str, Any], mode: str) -> str:
    annex, end = f"{lease['Offer']}: annex {lease['AnnexID']}", shown_time(lease["EndOfLease"])
    if not is_time(lease["NewEndOfLease"]):
        return f"{annex} ends at {end}, and is not extended: {lease['Why']}"
    verb = "would be" if mode == "observe" else "is"
    return f"{annex} {verb} extended from {end} to {shown_time(lease['NewEndOfLease'])}"


def _print_footer(demand: Demand, lines: Sequence[str]) -> None:
    at_s = demand.get("Time")
    seen = [f"Decided {shown_distance(at_s - time.time())}"] if is_time(at_s) else ["Nothing has been decided yet"]
    word = MODES.get(str(demand.get("Mode")))
    footer = [*lines, *seen, *([word] if word else []), *map(str, demand.get("Faults") or ())]
    print("\n" + "\n".join(map(say.printable, footer)), flush=True)


def _print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    adjust: list[Callable[[str, int], str]] = [str.rjust if each in RIGHT else str.ljust for each in headings]
    for row in (headings, *rows):
        cells = (fit(cell, width) for fit, cell, width in zip(adjust, row, widths, strict=True))
        print(" ".join(cells).rstrip())
    sys.stdout.flush()


def _text(value: object) -> str:
    return "-" if value is None else say.printable(value)


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"
