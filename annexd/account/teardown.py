"""Everything away again, unless an annex lives: its lease would be disarmed, and nothing else would end it.

What stands in the way of the deletion, objects in the bucket, is removed first.  Run again, it goes on.
"""

import time
from collections.abc import Iterator
from typing import Final

from annexd.account import service_roles
from annexd.account.bucket import empty
from annexd.account.configuration import ConfigurationFile
from annexd.account.errors import AccountError, LivingAnnexes
from annexd.account.session import Session
from annexd.account.setup import Wanted, account_of
from annexd.account.stack import Say, Stack
from annexd.annex.survey import Survey, survey
from annexd.aws import Clients
from annexd.workflow import Refused, Retry

TRIES: Final = 2  # an object may come into the bucket between our look and CloudFormation's
BUCKET: Final = "Bucket"  # in the template
TOLD_AT_MOST: Final = 10


def tear_down(session: Session, wanted: Wanted, file: ConfigurationFile, say: Say) -> None:
    """Raises AccountError, and LivingAnnexes before anything is touched in any region."""
    file.check_writable()
    for region in wanted.regions:
        say(f"{region}: account {account_of(session, region)}, stack {wanted.stack_name}")
        refuse_while_annexes_live(session, region)
    for region in wanted.regions:
        tear_down_region(session, wanted, region, say)
    if set(file.sections()) <= set(wanted.regions):
        service_roles.remove(session.client("iam", wanted.regions[0]), say)
    for line in file.remove(list(wanted.regions)):
        say(line)


def tear_down_region(session: Session, wanted: Wanted, region: str, say: Say) -> None:
    deadline_s = time.monotonic() + wanted.timeout_s
    cloudformation = session.client("cloudformation", region)
    stack = Stack(cloudformation, wanted.stack_name, lambda line: say(f"{region}: {line}"), deadline_s)
    for tried in range(TRIES + 1):
        seen = stack.settled()
        if seen is None:
            say(f"{region}: the stack {wanted.stack_name} is gone" if tried else f"{region}: there is no such stack")
            return
        if tried == TRIES:
            break
        _empty_bucket(session, stack, region, say)
        refuse_while_annexes_live(session, region)
        stack.delete()
    raise AccountError(
        f"{region}: the stack {wanted.stack_name} could not be deleted",
        *stack.failures(),
        "mend that and run the same command again: it goes on from there",
    )


def _empty_bucket(session: Session, stack: Stack, region: str, say: Say) -> None:
    bucket = stack.physical_ids().get(BUCKET)
    if bucket and (deleted := empty(session.client("s3", region), bucket)):
        say(f"{region}: deleted {deleted} objects of the bucket {bucket}")


def refuse_while_annexes_live(session: Session, region: str) -> None:
    """Raises LivingAnnexes with every annex of which anything is left, whoever started it."""
    clients = Clients(
        session.client("ec2", region),
        session.client("events", region),
        session.client("lambda", region),
        lambda: session.client("s3", region),
        lambda: session.client("sts", region),
    )
    try:
        living = list(_living(survey(clients)))
    except (Retry, Refused) as error:
        raise AccountError(
            f"{region}: whether annexes live cannot be told: {error}",
            "nothing was done: without the lease function their instances would run for ever",
        ) from error
    if living:
        more = [f"... and {len(living) - TOLD_AT_MOST} more"] if len(living) > TOLD_AT_MOST else []
        raise LivingAnnexes(
            f"{region}: annexes live, and only the lease function ends them: nothing was done",
            *living[:TOLD_AT_MOST],
            *more,
            "wait for the end of their leases, or end them (condor_annex -cancel); their rules go within five minutes",
        )


def _living(seen: Survey) -> Iterator[str]:
    """A line for each annex."""
    occupied = {instance.fleet_id for instance in seen.instances}
    running = {fleet.annex_id for fleet in seen.fleets if fleet.launching or fleet.fleet_id in occupied}
    running |= {instance.annex_id for instance in seen.instances if instance.annex_id}
    owners = {instance.annex_id: instance.owner for instance in seen.instances}
    owners |= {fleet.annex_id: fleet.owner for fleet in seen.fleets}
    for annex_id in sorted(running | set(seen.rules)):
        rule = seen.rules.get(annex_id)
        end = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(rule.end_of_lease_s)) if rule else "unknown"
        whose = f" of {owners[annex_id]}" if owners.get(annex_id) else ""
        what = "runs" if annex_id in running else "has ended, its rule is still there"
        yield f"annex {annex_id}{whose} {what}; its lease ends at {end}"
