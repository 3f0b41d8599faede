"""Check the pool for -check-setup: annexd runs, has read what -setup wrote, and the collector lets machines in.

A correct account is not enough: annexd may be down or run with an old configuration, and machines cannot join a pool
whose collector lacks config.d/80annex-machines.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from annexd.tool import bindings, locate
from annexd.tool.attempt import Child
from annexd.tool.errors import NOT_FOUND, ToolError
from annexd.tool.options import ToolOptions

ANNEXD: Final = "annexd"
MACHINES: Final = "machines"
ANSWER_S: Final = 40.0  # HTCondor's bindings give up on a silent daemon after 20 s
REREAD_S: Final = 20.0  # after condor_reconfig, until annexd has the new values
PAUSE_S: Final = 0.5
MARK: Final = "ANNEX_HONEST"  # config.d/80annex-machines defines it
LISTS: Final = ("ALLOW_ADVERTISE_STARTD", "ALLOW_DAEMON")  # where a site may authorize annexes' machines otherwise
NEVER_READ: Final = "run condor_reconfig; if that does not help, condor_restart -subsystem annexd"
PUT_IT_THERE: Final = "install config.d/80annex-machines on the central manager, and run condor_reconfig there"
Knobs = Mapping[str, str]


class Answer(NamedTuple):
    """The result of one check of the pool; `is_well` is None if the check was impossible."""

    check: str
    is_well: bool | None
    what: str
    repair: str = ""


def answers(options: ToolOptions, local_name: str, knobs: Sequence[str]) -> Iterator[Answer]:
    """Check annexd and the collector; `local_name`: a region's own annexd; `knobs`: what it must have read."""
    yield _annexd(options, local_name, knobs)
    if _knob(local_name, "ANNEX_DEFAULT_S3_BUCKET"):
        yield _machines(options)


def _knob(local_name: str, knob: str) -> str | None:
    """Return a configured value of this region's own annexd, or else of the default one."""
    return bindings.param(f"{local_name}.{knob}") or bindings.param(knob)


def _annexd(options: ToolOptions, local_name: str, knobs: Sequence[str]) -> Answer:
    """Check annexd, and retry while values differ: -check-setup may follow condor_reconfig at once."""
    deadline_s = time.monotonic() + REREAD_S
    expected = {knob: value for knob in knobs if (value := _knob(local_name, knob))}
    while True:
        found, faults = _asked(lambda: _address(options, local_name), knobs)
        if found is None:
            return Answer(ANNEXD, False, faults[0], "; ".join(faults[1:]) or "condor_on -subsystem annexd")
        others = [knob for knob, value in expected.items() if found.get(knob) != value]
        if not others:
            return Answer(ANNEXD, True, "it runs, with this configuration")
        if time.monotonic() > deadline_s:
            return Answer(ANNEXD, False, f"it runs with other values of {', '.join(others)}", NEVER_READ)
        time.sleep(PAUSE_S)


def _machines(options: ToolOptions) -> Answer:
    found, faults = _asked(lambda: _collector(options), (MARK, *LISTS))
    if found is None:
        return Answer(MACHINES, None, faults[0], "; ".join(faults[1:]) or "ask the pool's administrator")
    if found.get(MARK) or any(_lets_in(found.get(name, "")) for name in LISTS):
        return Answer(MACHINES, True, "the collector lets the machines of annexes in")
    return Answer(MACHINES, False, "the collector does not let the machines of annexes in", PUT_IT_THERE)


def _lets_in(allowed: str) -> bool:
    return any(each == "*" or each.startswith(("annex-", "*/", "*@")) for each in allowed.replace(",", " ").split())


def _address(options: ToolOptions, local_name: str) -> str:
    """Return the address of the region's own annexd if -setup defined one, otherwise of the one that orders go to."""
    file = bindings.param(f"{local_name}.ANNEXD_ADDRESS_FILE")
    if file is None or options.name is not None or options.pool is not None:
        return locate.found(options, None)[1]
    if (address := locate.address_in(file)) is None:
        start = (
            f"DAEMON_LIST = $(DAEMON_LIST) {local_name} in your own file, and condor_restart -daemon master, start it"
        )
        raise ToolError(NOT_FOUND, f"the annexd of this region, {local_name}, does not run on this machine", start)
    return address


def _collector(options: ToolOptions) -> str:
    ad = bindings.locate_collector(options.pool)
    if ad is None:
        raise ToolError(NOT_FOUND, "the collector was not found", "set COLLECTOR_HOST or use -pool")
    return str(ad.get("MyAddress"))


def _asked(address_of: Callable[[], str], knobs: Sequence[str]) -> tuple[Knobs | None, Sequence[str]]:
    """Return a running daemon's values of these knobs, or why it did not respond.

    Runs in a child: HTCondor's bindings may block for long, and may abort the process.
    """
    child = Child(lambda write: write(_answer(address_of, knobs)))
    in_time = child.wait(ANSWER_S)
    child.end()
    match child.lines():
        case [[dict(found), _]]:
            return found, ()
        case [[None, list(faults)]]:
            return None, faults
    return None, ("HTCondor's bindings aborted the query process" if in_time else "it does not answer",)


def _answer(address_of: Callable[[], str], knobs: Sequence[str]) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    try:
        address = address_of()
    except ToolError as error:
        return None, error.faults
    except bindings.HTCondorException as error:
        return None, (f"the collector cannot be queried: {error}",)
    try:
        return bindings.remote_params(address, knobs), ()
    except bindings.HTCondorException as error:
        return None, (f"it does not reveal its configuration at {address}: {error}", "condor_who shows whether it runs")
