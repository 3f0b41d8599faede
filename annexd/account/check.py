"""Run the checks of -check-setup, ordered so that the first fault explains later ones."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from annexd.account.checks import (
    access,
    bucket,
    configured,
    deployment,
    function,
    heartbeat,
    network,
    quotas,
    rights,
    roles,
    volumes,
)
from annexd.account.checks.finding import Finding
from annexd.account.checks.view import Param, View
from annexd.account.errors import AccountError
from annexd.account.session import Session
from annexd.account.setup import Wanted
from annexd.aws import errors
from annexd.aws.errors import AWS_ERRORS

Check = Callable[[View], Iterator[Finding]]

FIRST: Final = (access.credentials, access.clock)  # AWS accepts no other call without them
ACCOUNT: Final = (
    access.region,
    quotas.spot_quota,
    network.network,
    volumes.volumes,
    rights.right_to_order,
    rights.right_to_end,
)
STACK: Final = (deployment.stack,)
DEPLOYED: Final = (
    deployment.outputs,
    deployment.template,
    deployment.drift,
    roles.service_linked_roles,
    roles.roles,
    roles.profile,
    bucket.bucket,
    network.security_group,
    configured.knobs,
)
FUNCTION: Final = (function.lease_function,)
ITS_PARTS: Final = (
    function.its_code,
    function.its_settings,
    function.end_of_support,
    function.its_concurrency,
    function.its_calls,
    function.permission_for_events,
    heartbeat.rule,
    heartbeat.target,
    heartbeat.log_group,
    heartbeat.max_lease,
    heartbeat.heartbeat,
)


def check(session: Session, wanted: Wanted, param: Param, vcpus: int) -> Iterator[Finding]:
    """Yield findings as they come; changes nothing."""
    for region in wanted.regions:
        deadline_s = time.monotonic() + wanted.timeout_s
        yield from check_region(View(session, region, wanted.stack_name, param, vcpus, deadline_s))


def check_region(view: View) -> Iterator[Finding]:
    first = list(_findings(view, FIRST))
    yield from first
    if first[0].is_fault:
        return
    yield from _findings(view, ACCOUNT)
    stack = list(_findings(view, STACK))
    yield from stack
    if any(finding.status != "ok" for finding in stack):
        return
    yield from _findings(view, DEPLOYED)
    state = list(_findings(view, FUNCTION))
    yield from state
    if view.function is not None:
        yield from _findings(view, ITS_PARTS)


def _findings(view: View, checks: Sequence[Check]) -> Iterator[Finding]:
    for each in checks:
        try:
            yield from each(view)
        except AccountError as error:
            yield _could_not(view, each, error)


def _could_not(view: View, check: Check, error: AccountError) -> Finding:
    """Return a finding for a failed check: unknown if the credentials lack the permission, otherwise a fault."""
    name = check.__name__.replace("_", " ")
    cause = error.__cause__
    if isinstance(cause, AWS_ERRORS) and errors.is_denied(cause):
        return view.unknown(name, error.lines[0])
    return view.fault(name, error.lines[0], "; ".join(error.lines[1:]) or "try again")
