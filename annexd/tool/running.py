"""What -check-setup asks the pool: does annexd run, has it read what -setup wrote, does the collector let machines in.

An account that is well makes no annex for an annexd that is down, or that runs with the configuration of yesterday, and
machines join no pool whose collector lacks config.d/80annex-machines.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from annexd.account.checks.finding import FAULT, OK, UNKNOWN, Finding
from annexd.account.configuration import KNOBS, local_name
from annexd.tool import bindings, locate
from annexd.tool.attempt import Child
from annexd.tool.errors import NOT_FOUND, ToolError
from annexd.tool.options import Options

ANNEXD: Final = "annexd"
MACHINES: Final = "machines"
ANSWER_S: Final = 40.0  # HTCondor's bindings give up a silent daemon after 20 s
REREAD_S: Final = 20.0  # after condor_reconfig, until annexd has the new values
PAUSE_S: Final = 0.5
MARK: Final = "ANNEX_HONEST"  # config.d/80annex-machines defines it
LISTS: Final = ("ALLOW_ADVERTISE_STARTD", "ALLOW_DAEMON")  # where a site may have let annexes' machines in otherwise
NEVER_READ: Final = "run condor_reconfig; condor_restart -subsystem annexd, if that does not help"
PUT_IT_THERE: Final = (
    "put config.d/80annex-machines into config.d on the central manager, and run condor_reconfig there"
)
Knobs = Mapping[str, str]


def findings(options: Options, region: str) -> Iterator[Finding]:
    yield _annexd(options, region)
    if _told(region, "ANNEX_DEFAULT_S3_BUCKET"):
        yield _machines(options, region)


def _told(region: str, knob: str) -> str | None:
    """What HTCondor's configuration says here: of an annexd of this region's own, or else of the default one."""
    return bindings.param(f"{local_name(region)}.{knob}") or bindings.param(knob)


def _annexd(options: Options, region: str) -> Finding:
    """Ask again while it differs: -check-setup may come right after condor_reconfig."""
    deadline_s = time.monotonic() + REREAD_S
    expected = {knob: value for knob in KNOBS if (value := _told(region, knob))}
    while True:
        found, faults = _asked(lambda: _address(options, region), KNOBS)
        if found is None:
            return Finding(region, ANNEXD, FAULT, faults[0], "; ".join(faults[1:]) or "condor_on -subsystem annexd")
        others = [knob for knob, value in expected.items() if found.get(knob) != value]
        if not others:
            return Finding(region, ANNEXD, OK, "it runs, with this configuration")
        if time.monotonic() > deadline_s:
            return Finding(region, ANNEXD, FAULT, f"it runs with other values of {', '.join(others)}", NEVER_READ)
        time.sleep(PAUSE_S)


def _machines(options: Options, region: str) -> Finding:
    found, faults = _asked(lambda: _collector(options), (MARK, *LISTS))
    if found is None:
        return Finding(region, MACHINES, UNKNOWN, faults[0], "; ".join(faults[1:]) or "ask the pool's administrator")
    if found.get(MARK) or any(_lets_in(found.get(name, "")) for name in LISTS):
        return Finding(region, MACHINES, OK, "the collector lets the machines of annexes in")
    return Finding(region, MACHINES, FAULT, "the collector does not let the machines of annexes in", PUT_IT_THERE)


def _lets_in(allowed: str) -> bool:
    return any(each == "*" or each.startswith(("annex-", "*/", "*@")) for each in allowed.replace(",", " ").split())


def _address(options: Options, region: str) -> str:
    """Of the annexd of this region's own, where -setup has defined one, or of the one that orders would go to."""
    name = local_name(region)
    file = bindings.param(f"{name}.ANNEXD_ADDRESS_FILE")
    if file is None or options.name is not None or options.pool is not None:
        return locate.found(options, None)[1]
    if (address := locate.address_in(file)) is None:
        start = f"DAEMON_LIST = $(DAEMON_LIST) {name} in a file of yours, and condor_restart -daemon master, start it"
        raise ToolError(NOT_FOUND, f"the annexd of this region, {name}, does not run on this machine", start)
    return address


def _collector(options: Options) -> str:
    ad = bindings.locate_collector(options.pool)
    if ad is None:
        raise ToolError(NOT_FOUND, "the collector was not found", "COLLECTOR_HOST names it, or -pool")
    return str(ad.get("MyAddress"))


def _asked(address_of: Callable[[], str], knobs: Sequence[str]) -> tuple[Knobs | None, Sequence[str]]:
    """Return what a running daemon has of these knobs, or why it did not tell.

    In a child: HTCondor's bindings may wait for long, and end the process.
    """
    child = Child(lambda write: write(_answer(address_of, knobs)))
    in_time = child.wait(ANSWER_S)
    child.end()
    match child.lines():
        case [[dict(found), _]]:
            return found, ()
        case [[None, list(faults)]]:
            return None, faults
    return None, ("HTCondor's bindings ended the process that asked" if in_time else "it gives no answer",)


def _answer(address_of: Callable[[], str], knobs: Sequence[str]) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    try:
        address = address_of()
    except ToolError as error:
        return None, error.faults
    except bindings.HTCondorException as error:
        return None, (f"the collector cannot be asked: {error}",)
    try:
        return bindings.remote_params(address, knobs), ()
    except bindings.HTCondorException as error:
        return None, (f"it does not tell its configuration at {address}: {error}", "condor_who shows whether it runs")
