"""Delete all that -setup created in a region, unless an annex of any pool lives there: nothing else would end it.

The lease function is closed first, so that no order comes between the check of the account and the deletion.  Objects
in the bucket, which would block the deletion, and launch templates that the function would have deleted are deleted
too.  Another run continues after an interruption.
"""

import time
from typing import Any, Final

from annexd.account import launch_templates, service_roles
from annexd.account.bucket import empty
from annexd.account.changes import DELETED, EMPTIED, AccountChanges, Changed
from annexd.account.closing import close, refuse_if_open, refuse_while_annexes_live
from annexd.account.configuration import ConfigurationFile
from annexd.account.enforcer import Enforcer
from annexd.account.errors import AccountError
from annexd.account.session import Session
from annexd.account.setup import Wanted, account_of
from annexd.account.stack import Say, Stack
from annexd.account.template import FUNCTION, max_lease_limits

TRIES: Final = 2  # an object may be put into the bucket between our check and CloudFormation's
BUCKET: Final = "Bucket"  # in the template


def tear_down(session: Session, wanted: Wanted, file: ConfigurationFile, say: Say, changes: AccountChanges) -> None:
    """Tear down all regions.  Raises AccountError, and LivingAnnexes before any change in any region."""
    file.check_writable()
    for region in wanted.regions:
        account = account_of(session, region)
        say(f"{region}: account {account}, stack {wanted.stack_name}")
        changes.found(region, account=account, stack=wanted.stack_name)
        refuse_while_annexes_live(session, region, _max_lease_s(session, wanted, region))
    gone = [region for region in wanted.regions if tear_down_region(session, wanted, region, say, changes)]
    if gone:
        names = ", ".join(service_roles.NAMES.values())
        say(f"kept {names}: they belong to the account, and other regions may need them")
    removed = file.remove(gone)
    changes.configured(file.path, removed.action)
    for line in removed.lines:
        say(line)


def tear_down_region(session: Session, wanted: Wanted, region: str, say: Say, changes: AccountChanges) -> bool:
    """Tear down a region; return whether annexes can no longer be ordered there: False if another stack has the lease
    function.
    """
    deadline_s, changed = time.monotonic() + wanted.timeout_s, changes.changed_in(region)
    cloudformation = session.client("cloudformation", region)
    stack = Stack(cloudformation, wanted.stack_name, lambda line: say(f"{region}: {line}"), deadline_s, changed)
    enforcer = Enforcer(session, region, say, changed)
    for tried in range(TRIES + 1):
        seen = stack.settled()
        if seen is None:
            say(f"{region}: the stack {wanted.stack_name} is deleted" if tried else f"{region}: there is no such stack")
            return not _has_another(enforcer, wanted, say)
        if tried == TRIES:
            break
        has_function = enforcer.is_of(stack)
        if has_function and not tried:
            close(session, enforcer, seen.max_lease_s)
        _empty_bucket(session.client("s3", region), stack, lambda line: say(f"{region}: {line}"), changed)
        if has_function:
            refuse_if_open(enforcer)
            _remove_templates(session, region, say, changed)
        stack.delete()
    raise AccountError(
        f"{region}: the stack {wanted.stack_name} could not be deleted",
        *stack.failures(),
        "annexd refuses orders here meanwhile: fix that and run the same command again, or -setup to undo it",
    )


def _has_another(enforcer: Enforcer, wanted: Wanted, say: Say) -> bool:
    other = enforcer.stack_name()
    if other:
        say(
            f"{enforcer.region}: the lease function {FUNCTION} and the configuration are kept: "
            f"the function belongs to the stack {other}, not to {wanted.stack_name}"
        )
    return other is not None


def _max_lease_s(session: Session, wanted: Wanted, region: str) -> int:
    seen = Stack(session.client("cloudformation", region), wanted.stack_name, say=print, deadline_s=0).look()
    return seen.max_lease_s if seen else max_lease_limits()[1]


def _remove_templates(session: Session, region: str, say: Say, changed: Changed) -> None:
    if removed := launch_templates.remove(session.client("ec2", region)):
        say(f"{region}: deleted {removed} launch templates of annexes that are gone")
        changed(DELETED, "launch templates", str(removed))


def _empty_bucket(s3: Any, stack: Stack, say: Say, changed: Changed) -> None:
    bucket = stack.physical_ids().get(BUCKET)
    if bucket and (deleted := empty(s3, bucket)):
        changed(EMPTIED, BUCKET, bucket)
        say(f"deleted {deleted} objects of the bucket {bucket}")
