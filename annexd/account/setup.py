"""Create or update the stack of each region, configure HTCondor for it, and wait for the enforcer's heartbeat.

Another run completes what is missing; it does nothing if everything is up to date.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from annexd.account import configuration, service_roles
from annexd.account.annexes import annexes
from annexd.account.changes import AccountChanges
from annexd.account.closing import close, listed
from annexd.account.configuration import ConfigurationFile
from annexd.account.enforcer import Enforcer, own_digest
from annexd.account.errors import AccountError, LivingAnnexes
from annexd.account.fresh import wait_until_known
from annexd.account.network import Network, Networks, network_in
from annexd.account.session import Session, translate_aws_errors
from annexd.account.stack import STUCK, Say, Seen, Stack
from annexd.account.template import (
    FUNCTION,
    LOGICAL_ID,
    MAX_LEASE,
    STACK_NAME,
    body,
    body_without_enforcer,
    max_lease_limits,
    template,
)
from annexd.annex.lease.lease import utc
from annexd.aws import remedy_of

TIMEOUT_S: Final = 900
TURNS: Final = 6  # delete an incomplete stack, create, update: each at most once


@dataclass(frozen=True)
class Wanted:
    """The selected stacks; for -setup also MaxLease (None: unchanged), whether it may cut leases, and the network
    (empty: unchanged, or the default VPC)."""

    regions: Sequence[str]
    stack_name: str = STACK_NAME
    timeout_s: int = TIMEOUT_S
    max_lease_s: int | None = None
    cuts_leases: bool = False
    vpc_id: str | None = None
    subnet_ids: Sequence[str] = ()

    @property
    def has_network(self) -> bool:
        return bool(self.vpc_id or self.subnet_ids)


def set_up(session: Session, wanted: Wanted, file: ConfigurationFile, say: Say, changes: AccountChanges) -> None:
    """Set up all regions.  Raises AccountError and keeps all completed work: the next run continues from there."""
    file.check_writable()
    setups = [RegionSetup(session, wanted, region, say, changes) for region in wanted.regions]
    for each in setups:
        each.begin()
    sections = {each.region: each.make() for each in setups}
    service_roles.make(session.client("iam", wanted.regions[0]), say, changes.changed_in(None))
    written = file.add(sections)
    changes.configured(file.path, written.action)
    for line in written.lines:
        say(line)
    for each in setups:
        each.wait_for_heartbeat()


class RegionSetup:
    """The -setup of one region."""

    def __init__(self, session: Session, wanted: Wanted, region: str, say: Say, changes: AccountChanges) -> None:
        self.region, self._changes = region, changes
        self._session, self._wanted = session, wanted
        self._say: Say = lambda line: say(f"{region}: {line}")
        self._enforcer = Enforcer(session, region, say, changes.changed_in(region))
        self._stack_name = wanted.stack_name
        self._max_lease_s = 0
        self._network = Network()
        self._profile_arn = ""

    def begin(self) -> None:
        """Find the function's stack.  Raises AccountError, before any change, for everything that would stop -setup."""
        account = account_of(self._session, self.region)
        self._stack_name = owner_of(self._enforcer) or self._wanted.stack_name
        self._say(f"account {account}, stack {self._stack_name}")
        self._changes.found(self.region, account=account, stack=self._stack_name)
        if not self._is_own:
            self._say(
                f"the stack {self._stack_name} has the lease function {FUNCTION}, and a region has only "
                f"one: this stack is used, and no stack {self._wanted.stack_name} is created"
            )
        self._enforcer.refuse_if_being_closed()
        seen = self._stack().look()
        before_s = seen.max_lease_s if seen else max_lease_limits()[2]
        self._max_lease_s = self._wanted.max_lease_s or before_s
        if self._max_lease_s < before_s:
            self._refuse_to_cut(before_s)
        if self._is_own:
            self._choose_network(seen)

    def make(self) -> dict[str, str]:
        """Create or update the region's stack, and return HTCondor's knobs for it."""
        stack = self._stack()
        if self._is_own:
            self._drop_what_is_left(stack)
            seen = made(stack, self._parameters, self._before_deletion)
        else:
            seen = self._used(stack)
        self._enforcer.open()
        self._say(f"the stack {stack.name} is up to date")
        self._profile_arn = seen.outputs["InstanceProfileARN"]
        settings = configuration.knobs(self._session, self.region, seen.outputs)
        self._changes.found(self.region, stack_id=seen.stack_id, settings=settings)
        return settings

    def wait_for_heartbeat(self) -> None:
        wait_until_known(self._session, self.region, self._profile_arn, self._say)
        self._enforcer.wait_for_heartbeat(self._max_lease_s, own_digest() if self._is_own else None)

    @property
    def _is_own(self) -> bool:
        return self._stack_name == self._wanted.stack_name

    @property
    def _parameters(self) -> dict[str, str]:
        return {MAX_LEASE: str(self._max_lease_s), **self._network.parameters}

    def _choose_network(self, seen: Seen | None) -> None:
        """Choose the machines' network, and refuse to change it while annexes use the security group."""
        before = network_in(seen.parameters if seen else {})
        networks = Networks(self._session.client("ec2", self.region), self.region)
        self._network = networks.wanted(self._wanted.vpc_id, self._wanted.subnet_ids, before)
        self._say(f"machines will run in {self._network.description()}")
        if seen is not None and seen.is_good and self._network.vpc_id != before.vpc_id:
            self._refuse_to_move(before)

    def _refuse_to_move(self, before: Network) -> None:
        found = annexes(self._session.client("ec2", self.region))
        if found:
            raise LivingAnnexes(
                f"{self.region}: machines of annexes run in {before.description()} and use its security group: nothing "
                "was changed",
                *listed([annex.description(self._max_lease_s) for annex in found]),
                "cancel them, or wait until they end",
            )

    def _stack(self) -> Stack:
        deadline_s = time.monotonic() + self._wanted.timeout_s
        cloudformation = self._session.client("cloudformation", self.region)
        changed = self._changes.changed_in(self.region)
        return Stack(cloudformation, self._stack_name, self._say, deadline_s, changed)

    def _drop_what_is_left(self, stack: Stack) -> None:
        """Remove the rest of a partly deleted enforcer from the stack, so that the whole enforcer is created again."""
        seen = stack.settled()
        ids = stack.physical_ids() if seen and seen.is_good else {}
        if LOGICAL_ID in ids and not self._enforcer.is_whole(ids.get("LeaseRole", "")):
            self._say("parts of the lease function's resources were deleted: all of them are created again")
            stack.update(body_without_enforcer(), self._parameters)
            stack.settled()

    def _used(self, stack: Stack) -> Seen:
        """Return another stack unchanged."""
        seen = stack.settled()
        if seen is None or not seen.is_good or missing_outputs(seen.outputs):
            state = "gone" if seen is None else f"{seen.status}, or incomplete"
            raise AccountError(
                f"{self.region}: the stack {stack.name} has the lease function, and is {state}",
                f"condor_annex -setup -stack-name {stack.name} completes it",
            )
        if self._max_lease_s != seen.max_lease_s:
            raise AccountError(
                f"{self.region}: -max-lease would change the stack {stack.name}",
                f"confirm this with -stack-name {stack.name}",
            )
        if self._wanted.has_network:
            raise AccountError(
                f"{self.region}: -vpc and -subnet would change the stack {stack.name}",
                f"confirm this with -stack-name {stack.name}",
            )
        return seen

    def _refuse_to_cut(self, before_s: int) -> None:
        """Raise LivingAnnexes with the annexes that a lower MaxLease ends earlier, unless -cut-leases is given."""
        found = annexes(self._session.client("ec2", self.region))
        ends = [(annex, annex.end_s(before_s) or 0, annex.end_s(self._max_lease_s) or 0) for annex in found]
        cut = [
            f"{annex.name()}: at {utc(after_s)} instead of {utc(now_s)}"
            for annex, now_s, after_s in ends
            if after_s < now_s
        ]
        if cut and not self._wanted.cuts_leases:
            raise LivingAnnexes(
                f"{self.region}: with {MAX_LEASE} {self._max_lease_s} s instead of {before_s} s annexes end earlier: "
                "nothing was changed",
                *listed(cut),
                "add -cut-leases to end them at these times, or wait until they end",
            )
        for line in cut:
            self._say(f"ends earlier: {line}")

    def _before_deletion(self, stack: Stack) -> None:
        """Protect a function on which annexes rely from the deletion of an incomplete stack."""
        if self._enforcer.is_of(stack):
            close(self._session, self._enforcer, self._max_lease_s)


def owner_of(enforcer: Enforcer) -> str | None:
    """Return the stack that has the lease function; None if there is no function."""
    name = enforcer.stack_name()
    if name == "":
        raise AccountError(
            f"{enforcer.region}: the function {FUNCTION} exists, and AWS does not report its stack",
            "if you lack lambda:ListTags, get the setup policy; "
            "if it was created by hand, delete it once no annex lives",
        )
    return name


def account_of(session: Session, region: str) -> str:
    """Return the account ID.  Called first: it needs no permission, and fails with any fault of the credentials."""
    with translate_aws_errors("GetCallerIdentity"):
        return str(session.client("sts", region).get_caller_identity()["Account"])


def made(stack: Stack, parameters: Mapping[str, str], before_deletion: Callable[[Stack], None]) -> Seen:
    """Return the stack once it has our template."""
    tried: set[str] = set()
    for _ in range(TURNS):
        seen = stack.settled()
        if seen is not None and seen.is_good and is_current(stack) and seen.parameters == parameters:
            return seen
        step = _next_step(seen)
        if step in tried:
            break
        if step == "delete":
            before_deletion(stack)
        if not _take(stack, step, parameters) and seen is not None:
            return seen
        # If CloudFormation rolled back our creation, the next try would fail for the same reason.
        tried |= {step} if step in ("delete", "roll back") else {step, "delete"}
    raise _failure(stack, stack.look())


def is_current(stack: Stack) -> bool:
    return bool(stack.deployed_template() == template())


def _next_step(seen: Seen | None) -> str:
    if seen is None:
        return "create"
    if seen.is_good or seen.status == "UPDATE_FAILED":
        return "update"
    return "roll back" if seen.status == STUCK else "delete"


def _take(stack: Stack, step: str, parameters: Mapping[str, str]) -> bool:
    """Take one step, and return whether there was anything to do."""
    match step:
        case "create":
            stack.create(body(), parameters)
        case "update":
            return stack.update(body(), parameters)
        case "roll back":
            stack.go_on_rolling_back()
        case _:
            stack.delete()
    return True


def _failure(stack: Stack, seen: Seen | None) -> AccountError:
    if seen is None:
        return AccountError(f"the stack {stack.name} was deleted while it was being created")
    return AccountError(
        f"the stack {stack.name} could not be created or updated: {seen.status}",
        *(failures := stack.failures()),
        *(remedy for remedy in [remedy_of("; ".join(failures), "CreateStack")] if remedy),
        "CloudFormation rolls it back: fix the cause, and run the same command again",
    )


def missing_outputs(outputs: Mapping[str, str]) -> list[str]:
    """Return the missing outputs among those that every stack has; others depend on its parameters."""
    return [name for name, each in template()["Outputs"].items() if "Condition" not in each and not outputs.get(name)]
