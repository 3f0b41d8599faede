"""Which options go together: what each thing that condor_annex does takes, and what it needs."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from annexd.tool.option_values import annex
from annexd.tool.options import spelled

ACCOUNT_TASKS: Final = ("setup", "check_setup", "teardown")
STATUS_TOO: Final = ("status", "file", "json", "pool", "name", "timeout_s", "debug")
KEY_FILES: Final = ("public_key_file", "secret_key_file", "session_token_file")
KEYS: Final = (*KEY_FILES, "profile")
CANCEL_TOO: Final = ("cancel", "forcex", "json", *KEYS, "pool", "name", "timeout_s", "command_id", "debug")
CHANGES: Final = ("extend_s", "until_s")
CHANGE_TOO: Final = ("file", "now", "json", *KEYS, "pool", "name", "timeout_s", "command_id", "debug")
WAIT_TOO: Final = ("goal", "file", "json", "pool", "name", "timeout_s", "debug")
OF_AN_ANNEX: Final = ("status", *CHANGES)  # the argument is an annex, not a file
INSTEAD: Final = {  # of an option that does not change a lease
    "lease_duration_s": "-extend DURATION says by how much, -until TIME until when",
    "annex_name": "name the annex behind the options, as in condor_annex -extend 2h NAME",
    "target_capacity": "only the end of an annex can be changed; order a second one",
    "cancel": "condor_annex -cancel ANNEX alone ends it now",
    "forcex": "it goes with -cancel",
}
ACCOUNT_WORDS: Final = "-setup, -check-setup or -teardown"
NETWORK: Final = ("vpc_id", "subnet_ids")
SETUP_ONLY: Final = ("max_lease_s", "cuts_leases", *NETWORK)
ACCOUNT_ONLY: Final = ("region", "stack_name", "output", *SETUP_ONLY)
ACCOUNT_TOO: Final = (*KEYS, "json", "target_capacity", "timeout_s", "debug")
CHECK_TOO: Final = ("pool", "name")  # which annexd is asked, too
OWNERS: Final = ("annex_owner", "no_owner")
USER_DATA: Final = ("user_data", "user_data_file", "default_user_data", "default_user_data_file")


def faults_of_all(values: dict[str, Any]) -> list[str]:
    if "status" in values:
        return _foreign(values, STATUS_TOO, "-status") + _faults_of_annex(values, "what follows -status")
    if "goal" in values and "lease_duration_s" not in values:
        return _faults_of_wait(values)
    return _faults_of_command(values) + _faults_of_two_sources(values)


def _faults_of_wait(values: dict[str, Any]) -> list[str]:
    """Of -wait without an order."""
    faults = _foreign(values, WAIT_TOO, "-wait", {"target_capacity": "with -lease-duration and a file it orders first"})
    if "file" not in values:
        faults.append("the annex is missing, as in condor_annex -wait ANNEX: condor_annex -status lists yours")
    return faults + _faults_of_annex(values, "what follows -wait")


def _faults_of_command(values: dict[str, Any]) -> list[str]:
    if any(field in values for field in ACCOUNT_TASKS):
        return _faults_of_task(values)
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


def _faults_of_annex(values: dict[str, Any], what: str) -> list[str]:
    """Of an annex in the file's place, if there is one."""
    text = values.get("file")
    try:
        annex("any" if text is None else text)
    except ValueError as error:
        return [f"{what} must be {error}, not {text!r}"]
    return []


def _faults_of_change(values: dict[str, Any]) -> list[str]:
    """Of -extend and -until."""
    first, *more = (spelled(field) for field in CHANGES if field in values)
    words = "-extend counts from the present end of the lease, -until names the new one"
    faults = [f"{first} and {more[0]} exclude each other: {words}"] if more else []
    faults += _foreign(values, (*CHANGES, *CHANGE_TOO), first, INSTEAD)
    if "now" in values and "until_s" not in values:
        faults.append("-now goes with -until: a lease that is extended never ends too soon")
    if "file" not in values:
        faults.append(f"the annex is missing, as in condor_annex {first} VALUE ANNEX: condor_annex -status lists yours")
    return faults + _faults_of_annex(values, "ANNEX")


def _foreign(
    values: dict[str, Any], known: Sequence[str], task: str, instead: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """Of options that the task does not take, each with what to do instead, where that is known."""
    given = {
        spelled(field) if field != "file" else values["file"]: instead.get(field)
        for field in values
        if field not in known
    }
    return [f"{each} cannot be used with {task}{f': {hint}' if hint else ''}" for each, hint in given.items() if each]


def _faults_of_task(values: dict[str, Any]) -> list[str]:
    """Of -setup, -check-setup and -teardown, which take neither a file nor what is a request's."""
    tasks = [spelled(field) for field in ACCOUNT_TASKS if field in values]
    faults = [f"{' and '.join(tasks)} exclude each other"] if len(tasks) > 1 else []
    pool = CHECK_TOO if "check_setup" in values else ()
    faults += _foreign(values, (*ACCOUNT_TASKS, *ACCOUNT_ONLY, *ACCOUNT_TOO, *pool), tasks[0])
    if "json" in values and "check_setup" not in values:
        faults.append(f"-json does not go with {tasks[0]}: it goes with -check-setup, which says what is there")
    if "setup" not in values:
        faults += [f"{spelled(field)} goes with -setup" for field in SETUP_ONLY if field in values]
    if "cuts_leases" in values and "max_lease_s" not in values:
        faults.append("-cut-leases goes with -max-lease")
    networks = [spelled(field) for field in NETWORK if field in values]
    if networks and len(values.get("region") or ()) > 1:
        faults.append(f"{' and '.join(networks)} can be of one region only: set up each with a command of its own")
    return faults


def _missing(values: dict[str, Any]) -> list[str]:
    faults = [f"{spelled(field)} goes with {ACCOUNT_WORDS}" for field in ACCOUNT_ONLY if field in values]
    if "forcex" in values:
        faults.append("-forcex goes with -cancel")
    if "now" in values:
        faults.append("-now goes with -until")
    if "lease_duration_s" not in values:
        faults.append("-lease-duration is missing: say for how long you want the instances")
    if "file" not in values:
        faults.append("the file is missing: the JSON config of a Spot Fleet or an EC2 Fleet, or - for standard input")
    return faults


def _excluding(values: dict[str, Any]) -> list[str]:
    """Of each of these groups one at most."""
    groups = [[field for field in group if field in values] for group in (USER_DATA, OWNERS)]
    return [f"{' and '.join(map(spelled, given))} exclude each other" for given in groups if len(given) > 1]
