"""-demand-config: the configuration of the negotiators that confirm demand, from this host's offers."""

import os
from collections.abc import Callable
from typing import Final

from annexd.annex.request.durations import DURATION, read_duration
from annexd.demand.demand_config import HEAD, demand_config, fault_of_jobs
from annexd.demand.ghost_negotiators import JobClause, faults_of_names
from annexd.tool import bindings, show
from annexd.tool.errors import BAD_FILE, USAGE, ToolError

Param = Callable[[str], str | None]
OURS: Final = HEAD.partition("\n")[0]  # beginning of a file that may be replaced


def write(file: str, param: Param) -> None:
    """Print the configuration, or write it into `file`.  Raises ToolError with all faults of the offers at once."""
    text = demand_config(_offers(param))
    if file in ("", "-"):
        print(text, end="", flush=True)
        return
    _replace(file, text)
    show.notes([f"{file} is written: it has a part for the central manager and one for annexd's host"])


def _offers(param: Param) -> dict[str, JobClause]:
    names = list(dict.fromkeys((param("ANNEX_OFFERS") or "").replace(",", " ").split()))
    wrong = faults_of_names(names)
    faults = list(wrong.values())
    if not names:
        faults = ["ANNEX_OFFERS is empty: name the offers there, as in ANNEX_OFFERS = small, gpu (docs/demand.md)"]
    offers = {name: _clause(name, param, faults) for name in names if name not in wrong}
    if faults:
        raise ToolError(USAGE, *faults)
    return offers


def _clause(name: str, param: Param, faults: list[str]) -> JobClause:
    default = JobClause()
    jobs = (param(f"ANNEX_OFFER_{name}_JOBS") or default.jobs).strip()
    if fault := fault_of_jobs(jobs):
        faults.append(f"ANNEX_OFFER_{name}_JOBS {fault}")
    elif not bindings.is_expression(jobs):
        faults.append(f"ANNEX_OFFER_{name}_JOBS must be a ClassAd expression over a job, not {jobs[:200]!r}")
    return JobClause(jobs, _idle_age_s(name, param, faults, default.idle_age_s))


def _idle_age_s(name: str, param: Param, faults: list[str], default_s: int) -> int:
    """Read the idle age as annexd does: a duration, or an expression with a number of seconds."""
    text = param(f"ANNEX_OFFER_{name}_IDLE_AGE")
    if text is None:
        return default_s
    try:
        return read_duration(text.strip())
    except ValueError:
        value = bindings.number(text) or 0
    if value < 1:
        faults.append(f"ANNEX_OFFER_{name}_IDLE_AGE must be {DURATION}, not {text!r}")
    return int(value)


def _replace(file: str, text: str) -> None:
    """Write a new file, or replace one of the same kind.  Raises ToolError."""
    try:
        if os.path.exists(file) and not _is_ours(file):
            raise ToolError(
                BAD_FILE, f"{file} is there already and is not -demand-config's: remove it, or name another"
            )
        with open(f"{file}.new", "w", encoding="utf-8") as opened:
            opened.write(text)
        os.replace(f"{file}.new", file)
    except OSError as error:
        raise ToolError(BAD_FILE, f"{file} cannot be written: {error.strerror}") from error


def _is_ours(file: str) -> bool:
    with open(file, encoding="utf-8", errors="replace") as opened:
        return opened.readline().rstrip("\n") == OURS
