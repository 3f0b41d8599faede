"""Run -setup, -check-setup and -teardown: call annexd.account with the options, and convert its errors.

This is the only module of the tool that imports botocore (through annexd.account); main imports it only for these.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from annexd.account.changes import AccountChanges
from annexd.account.check import check
from annexd.account.checks.finding import FAULT, UNKNOWN, Finding
from annexd.account.checks.finding import OK as FINE
from annexd.account.configuration import KNOBS, NAME, ConfigurationFile, local_name
from annexd.account.errors import AccountError, LivingAnnexes, UnusableFile
from annexd.account.session import Session, key_files
from annexd.account.setup import TIMEOUT_S, Wanted, set_up
from annexd.account.teardown import tear_down
from annexd.account.template import STACK_NAME, max_lease_limits
from annexd.annex.request.lease_length import duration
from annexd.tool import show
from annexd.tool.errors import (
    ANNEXES_LIVE,
    BAD_FILE,
    CLOUD_FAILED,
    OK,
    SETUP_FAULTY,
    USAGE,
    Interrupted,
    ToolError,
)
from annexd.tool.key_options import check_pair
from annexd.tool.options import ToolOptions


def run(options: ToolOptions) -> int:
    """Raises ToolError."""
    changes = AccountChanges()
    try:
        status = _run_translated(options, changes)
    except ToolError as error:
        _show_changes(options, changes, error.status, error.faults)
        raise
    _show_changes(options, changes, status)
    return status


def _show_changes(options: ToolOptions, changes: AccountChanges, status: int, faults: Sequence[str] = ()) -> None:
    """Print what -setup or -teardown did with -json, also before a failure; -check-setup prints its own findings."""
    if options.json and not options.check_setup:
        account = {
            "command": "setup" if options.setup else "teardown",
            "exit_status": status,
            "faults": list(faults),
            "regions": list(changes.regions.values()),
            "changes": changes.made,
            "configuration_file": changes.file,
        }
        print(json.dumps(account, indent=2), flush=True)


def _run_translated(options: ToolOptions, changes: AccountChanges) -> int:
    """Run the task with its errors converted.  Raises ToolError for every failure."""
    try:
        return _run(options, changes)
    except LivingAnnexes as living:
        raise ToolError(ANNEXES_LIVE, *living.lines) from living
    except UnusableFile as unusable:
        raise ToolError(BAD_FILE, *unusable.lines) from unusable
    except AccountError as error:
        raise ToolError(CLOUD_FAILED, *error.lines) from error
    except Interrupted as interrupted:
        message = "interrupted; CloudFormation continues its work: run the same command again to continue"
        raise ToolError(interrupted.status, message) from None


def _run(options: ToolOptions, changes: AccountChanges) -> int:
    check_pair(options.public_key_file, options.secret_key_file, options.session_token_file)
    keys = key_files(options.public_key_file, options.secret_key_file, options.session_token_file)
    session = Session(options.profile, keys)
    wanted = Wanted(
        _regions(options, session),
        options.stack_name or STACK_NAME,
        options.timeout_s or TIMEOUT_S,
        _max_lease_s(options),
        options.cuts_leases,
        options.vpc_id,
        options.subnet_ids,
    )
    if options.check_setup:
        return _check(options, session, wanted)
    file = ConfigurationFile(options.output or _default_file())
    if options.setup:
        set_up(session, wanted, file, _say, changes)
    else:
        tear_down(session, wanted, file, _say, changes)
    return OK


def _say(line: str) -> None:
    show.notes([line])


def _check(options: ToolOptions, session: Session, wanted: Wanted) -> int:
    checks: Iterator[Finding] = check(session, wanted, _configured(options), options.target_capacity or 1)
    if options.output is None:
        checks = chain(checks, *(_asked_of_pool(options, region) for region in wanted.regions))
    findings: list[Finding] = []
    for finding in checks:
        findings.append(finding)
        if not options.json:
            print(finding.line(), flush=True)
    if options.json:
        print(json.dumps([finding._asdict() for finding in findings], indent=2))
    return OK if all(finding.is_ok for finding in findings) else SETUP_FAULTY


def _asked_of_pool(options: ToolOptions, region: str) -> Iterator[Finding]:
    from annexd.tool import running

    status = {True: FINE, False: FAULT, None: UNKNOWN}
    for answer in running.answers(options, local_name(region), KNOBS):
        yield Finding(region, answer.check, status[answer.is_well], answer.what, answer.repair)


def _regions(options: ToolOptions, session: Session) -> tuple[str, ...]:
    regions = options.region or tuple(region for region in [session.region()] if region)
    if not regions:
        raise ToolError(USAGE, "-region is missing, and your AWS configuration has none; example: -region us-east-1")
    unknown = [region for region in regions if not session.is_region(region)]
    if unknown:
        raise ToolError(USAGE, f"unknown region: {', '.join(unknown)}")
    return regions


def _max_lease_s(options: ToolOptions) -> int | None:
    """Return the value of -max-lease.  Raises ToolError for a value that CloudFormation would reject less clearly."""
    asked_s = options.max_lease_s
    if asked_s is not None:
        least_s, most_s, _ = max_lease_limits()
        if not least_s <= asked_s <= most_s:
            raise ToolError(
                USAGE,
                f"-max-lease must be from {duration(least_s)} (two runs of the lease function) to "
                f"{duration(most_s)}: the bucket deletes the machines' lease objects after that",
            )
    return asked_s


def _default_file() -> str:
    """Return the file's default path, in the last folder of LOCAL_CONFIG_DIR.

    HTCondor reads the folders in order, and the last definition wins.  Debian's package puts its own folder
    first (/usr/share/condor/config.d) and the administrator's last (/etc/condor/config.d).
    """
    from annexd.tool.bindings import param

    folders = (param("LOCAL_CONFIG_DIR") or "").replace(",", " ").split()
    if not folders:
        raise ToolError(USAGE, "-output FILE is missing: HTCondor's configuration does not define LOCAL_CONFIG_DIR")
    return str(Path(folders[-1]) / NAME)


def _configured(options: ToolOptions) -> Callable[[str], str | None]:
    """Return the look-up of configured values: in the -output file if given, otherwise in HTCondor's configuration."""
    if options.output is not None:
        return ConfigurationFile(options.output).settings().get
    from annexd.tool.bindings import param

    return param
