"""Check which options go together: what each task of condor_annex accepts and requires."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from annexd.tool.launch_rules import LAUNCH, faults_of_launch
from annexd.tool.option_values import annex
from annexd.tool.options import spelled

ACCOUNT_TASKS: Final = ("setup", "check_setup", "teardown")
STATUS_TOO: Final = ("status", "wide", "watch", "file", "json", "pool", "name", "timeout_s", "debug")
HISTORY_ONLY: Final = ("since_s", "limit", "by", "csv")
HISTORY_TOO: Final = ("history", "file", "json", *HISTORY_ONLY, "pool", "name", "timeout_s", "debug")
BUDGET_TOO: Final = ("budget", "file", "json", "pool", "name", "timeout_s", "debug")
DEMAND_TASKS: Final = ("offers", "demand", "why")
DEMAND_TOO: Final = ("json", "pool", "name", "timeout_s", "debug")
SWITCHES: Final = ("pause", "resume")
SWITCH_TOO: Final = ("json", "pool", "name", "timeout_s", "command_id", "debug")
DEMAND_CONFIG_TOO: Final = ("demand_config", "file", "debug")
METRICS_TOO: Final = ("metrics", "pool", "name", "timeout_s", "debug")
ALONE: Final = {"metrics": METRICS_TOO, "budget": BUDGET_TOO, "demand_config": DEMAND_CONFIG_TOO}
KEY_FILES: Final = ("public_key_file", "secret_key_file", "session_token_file")
KEYS: Final = (*KEY_FILES, "profile")
CANCEL_TOO: Final = ("cancel", "forcex", "json", *KEYS, "pool", "name", "timeout_s", "command_id", "debug")
CHANGES: Final = ("extend_s", "until_s")
CHANGE_TOO: Final = ("file", "now", "json", *KEYS, "pool", "name", "timeout_s", "command_id", "debug")
RESIZE_TOO: Final = ("resize_to", "now", "file", "json", *KEYS, "pool", "name", "timeout_s", "command_id", "debug")
WAIT_TOO: Final = ("goal", "file", "json", "pool", "name", "timeout_s", "debug")
OF_AN_ANNEX: Final = ("status", "history", "resize_to", *CHANGES)  # the argument is an annex, not a file
INSTEAD: Final = {  # hints for options that cannot be used with -extend and -until
    "lease_duration_s": "use -extend DURATION or -until TIME",
    "annex_name": "give the name after the options, as in condor_annex -extend 2h NAME",
    "target_capacity": "condor_annex -resize NUMBER ANNEX changes the size",
    "resize_to": "it is a command of its own",
    "cancel": "condor_annex -cancel ANNEX alone ends it now",
    "forcex": "it requires -cancel",
}
INSTEAD_OF_RESIZE: Final = {"target_capacity": "the number after -resize is the size"}
ACCOUNT_WORDS: Final = "-setup, -check-setup or -teardown"
NETWORK: Final = ("vpc_id", "subnet_ids")
SETUP_ONLY: Final = ("max_lease_s", "cuts_leases", *NETWORK)
ACCOUNT_ONLY: Final = ("region", "stack_name", "output", *SETUP_ONLY)
ACCOUNT_TOO: Final = (*KEYS, "json", "target_capacity", "timeout_s", "debug")
CHECK_TOO: Final = ("pool", "name")  # which annexd to query
QUOTE_NOT: Final = ("yes", "command_id", "goal", "save")
OWNERS: Final = ("annex_owner", "no_owner")
USER_DATA: Final = ("user_data", "user_data_file", "default_user_data", "default_user_data_file")


def faults_of_all(values: dict[str, Any]) -> list[str]:
    for field, fitting in ALONE.items():
        if field in values:
            faults = _foreign(values, fitting, spelled(field))
            return faults + (_faults_of_annex(values, "what follows -budget", "a name") if field == "budget" else [])
    if "history" in values:
        return _faults_of_history(values)
    for field in (*DEMAND_TASKS, *SWITCHES):
        if field in values:
            return _foreign(values, (field, *(DEMAND_TOO if field in DEMAND_TASKS else SWITCH_TOO)), spelled(field))
    if "status" in values:
        json = ["-watch and -json exclude each other: -wait -json prints a line at each change"]
        faults = json if {"watch", "json"} <= values.keys() else []
        return faults + _foreign(values, STATUS_TOO, "-status") + _faults_of_annex(values, "the annex after -status")
    if "goal" in values and "lease_duration_s" not in values:
        return _faults_of_wait(values)
    return _faults_of_command(values) + _faults_of_two_sources(values)


def _faults_of_history(values: dict[str, Any]) -> list[str]:
    faults = _foreign(values, HISTORY_TOO, "-history") + _faults_of_annex(values, "what follows -history")
    if "json" in values and "csv" in values:
        faults.append("-json and -csv exclude each other")
    return faults


def _faults_of_wait(values: dict[str, Any]) -> list[str]:
    """Return the faults of -wait without an order."""
    faults = _foreign(values, WAIT_TOO, "-wait", {"target_capacity": "with -lease-duration and a file it orders first"})
    if "file" not in values:
        faults.append("the annex is missing, as in condor_annex -wait ANNEX: condor_annex -status lists yours")
    return faults + _faults_of_annex(values, "the annex after -wait")


def _faults_of_command(values: dict[str, Any]) -> list[str]:
    if any(field in values for field in ACCOUNT_TASKS):
        return _faults_of_task(values)
    if "resize_to" in values and not any(field in values for field in CHANGES):
        return _faults_of_resize(values)
    if any(field in values for field in CHANGES):
        return _faults_of_change(values)
    if "cancel" in values:
        return _foreign(values, CANCEL_TOO, "-cancel")
    return _missing(values) + _excluding(values)


def _faults_of_two_sources(values: dict[str, Any]) -> list[str]:
    files = [spelled(field) for field in KEY_FILES if field in values]
    if files and "profile" in values:
        return [f"-profile and {files[0]} exclude each other: keys come from a profile or from files"]
    return []


def _faults_of_annex(values: dict[str, Any], what: str, expected: str = "") -> list[str]:
    """Return the faults of the annex argument, if there is one; `expected`: the kind of argument, if it is not an
    annex.
    """
    text = values.get("file")
    try:
        annex("any" if text is None else text)
    except ValueError as error:
        return [f"{what} must be {expected or error}, not {text!r}"]
    return []


def _faults_of_change(values: dict[str, Any]) -> list[str]:
    """Return the faults of -extend and -until."""
    first, *more = (spelled(field) for field in CHANGES if field in values)
    reason = "-extend counts from the current end of the lease, -until sets the new end"
    faults = [f"{first} and {more[0]} exclude each other: {reason}"] if more else []
    faults += _foreign(values, (*CHANGES, *CHANGE_TOO), first, INSTEAD)
    if "now" in values and "until_s" not in values:
        faults.append("-now requires -until: an extended lease never ends too soon")
    if "file" not in values:
        faults.append(f"the annex is missing, as in condor_annex {first} VALUE ANNEX: condor_annex -status lists yours")
    return faults + _faults_of_annex(values, "ANNEX")


def _faults_of_resize(values: dict[str, Any]) -> list[str]:
    faults = _foreign(values, RESIZE_TOO, "-resize", INSTEAD_OF_RESIZE)
    if "file" not in values:
        faults.append("the annex is missing, as in condor_annex -resize 20 ANNEX: condor_annex -status lists yours")
    return faults + _faults_of_annex(values, "ANNEX")


def _foreign(
    values: dict[str, Any], known: Sequence[str], task: str, instead: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """Return faults for options that the task does not accept, with a hint if there is one."""
    given = {
        spelled(field) if field != "file" else values["file"]: instead.get(field)
        for field in values
        if field not in known
    }
    return [f"{each} cannot be used with {task}{f': {hint}' if hint else ''}" for each, hint in given.items() if each]


def _faults_of_task(values: dict[str, Any]) -> list[str]:
    """Return the faults of -setup, -check-setup and -teardown, which take no file and no request options."""
    tasks = [spelled(field) for field in ACCOUNT_TASKS if field in values]
    faults = [f"{' and '.join(tasks)} exclude each other"] if len(tasks) > 1 else []
    pool = CHECK_TOO if "check_setup" in values else ()
    faults += _foreign(values, (*ACCOUNT_TASKS, *ACCOUNT_ONLY, *ACCOUNT_TOO, *pool), tasks[0])
    if "json" in values and "setup" in values and values.get("output") == "-":
        faults.append("-output - and -json exclude each other: both write to standard output; name the file")
    if "setup" not in values:
        faults += [f"{spelled(field)} requires -setup" for field in SETUP_ONLY if field in values]
    if "cuts_leases" in values and "max_lease_s" not in values:
        faults.append("-cut-leases requires -max-lease")
    networks = [spelled(field) for field in NETWORK if field in values]
    if networks and len(values.get("region") or ()) > 1:
        faults.append(f"{' and '.join(networks)} can only be used with one region: set up each region separately")
    return faults


def _missing(values: dict[str, Any]) -> list[str]:
    foreign = [field for field in ACCOUNT_ONLY if field in values and field not in LAUNCH]
    faults = [f"{spelled(field)} requires {ACCOUNT_WORDS}" for field in foreign]
    faults += [f"{spelled(field)} goes with -history" for field in HISTORY_ONLY if field in values]
    if "forcex" in values:
        faults.append("-forcex requires -cancel")
    if "now" in values:
        faults.append("-now requires -until or -resize")
    faults += [f"-{field} requires -status" for field in ("wide", "watch") if field in values]
    if "quote" in values:
        unfit = [spelled(each) for each in QUOTE_NOT if each in values]
        faults += [f"{each} cannot be used with -quote, which orders nothing" for each in unfit]
    if "lease_duration_s" not in values and "save" not in values:
        faults.append("-lease-duration is missing: give the time for which you want the instances")
    return faults + faults_of_launch(values)


def _excluding(values: dict[str, Any]) -> list[str]:
    """Return faults for options that exclude each other."""
    groups = [[field for field in group if field in values] for group in (USER_DATA, OWNERS)]
    return [f"{' and '.join(map(spelled, given))} exclude each other" for given in groups if len(given) > 1]
