"""Give checks one region through AWS clients, and cache AWS's responses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeVar

from annexd.account.checks.finding import FAULT, OK, UNKNOWN, Finding
from annexd.account.enforcer import Enforcer
from annexd.account.errors import AccountError
from annexd.account.session import Session, translate_aws_errors
from annexd.account.stack import Seen, Stack
from annexd.account.template import FUNCTION, MAX_LEASE, Deployed, max_lease_limits
from annexd.aws import errors
from annexd.aws.errors import AWS_ERRORS

Param = Callable[[str], str | None]
Answer = TypeVar("Answer")
AGAIN: Final = "condor_annex -setup creates it"
REMADE: Final = "condor_annex -setup creates it again, even while annexes live"
REOPEN: Final = "condor_annex -setup opens it again"
RECREATE: Final = "once no annex lives, replace it with condor_annex -teardown and -setup"


@dataclass(frozen=True)
class View:
    """One region, as the caller's credentials see it."""

    session: Session
    region: str
    wanted_stack: str
    param: Param
    vcpus: int
    deadline_s: float  # by time.monotonic(), for slow CloudFormation operations

    def client(self, service: str) -> Any:
        return self.session.client(service, self.region)

    @cached_property
    def identity(self) -> Mapping[str, str]:
        """Return the caller's Account and Arn."""
        with translate_aws_errors("GetCallerIdentity"):
            response: Mapping[str, str] = self.client("sts").get_caller_identity()
        return response

    @property
    def partition(self) -> str:
        return self.identity["Arn"].split(":")[1]

    @cached_property
    def enforcer(self) -> Enforcer:
        return Enforcer(self.session, self.region, lambda _: None)

    @cached_property
    def stack_name(self) -> str:
        """Return the name of the stack with the lease function; a region has only one."""
        return self.enforcer.stack_name() or self.wanted_stack

    @cached_property
    def stack(self) -> Stack:
        return Stack(self.client("cloudformation"), self.stack_name, lambda _: None, self.deadline_s)

    @cached_property
    def seen(self) -> Seen | None:
        return self.stack.look()

    @cached_property
    def visible(self) -> Seen | None:
        """Return the same, or None also if these credentials may not see it, for checks that do not require it."""
        try:
            return self.seen
        except AccountError:
            return None

    @cached_property
    def may_see_stack(self) -> bool:
        """Return whether these are credentials for -setup: those for orders need not see stacks."""
        try:
            return self.seen is None or bool(self.seen)
        except AccountError as error:
            return not (isinstance(error.__cause__, AWS_ERRORS) and errors.is_denied(error.__cause__))

    @cached_property
    def deployed(self) -> Deployed:
        """Return the template's resources with their names in this stack."""
        parameters = {MAX_LEASE: str(self.max_lease_s)}
        return Deployed(self.partition, self.identity["Account"], self.region, self.stack.physical_ids(), parameters)

    @property
    def max_lease_s(self) -> int:
        return self.seen.max_lease_s if self.seen else max_lease_limits()[2]

    @cached_property
    def function(self) -> Mapping[str, Any] | None:
        """Return the response of GetFunction; None if there is no function."""
        get: Callable[..., Mapping[str, Any]] = self.client("lambda").get_function
        return self.found("GetFunction", get, FunctionName=FUNCTION)

    @property
    def lease_function(self) -> Mapping[str, Any]:
        """Return the same, for checks that follow the one that reports its absence."""
        return self.function or {"Configuration": {}}

    def name(self, logical_id: str) -> str:
        """Return a physical ID; if the stack lacks the resource, a name that does not exist."""
        return self.deployed.physical_ids.get(logical_id, f"{self.stack_name}-{logical_id}-missing")

    def found(self, operation: str, call: Callable[..., Answer], **parameters: Any) -> Answer | None:
        """Return AWS's response, None for not found.  Raises AccountError for other errors."""
        with translate_aws_errors(operation):
            try:
                return call(**parameters)
            except AWS_ERRORS as error:
                if errors.is_not_found(error):
                    return None
                raise

    def ok(self, check: str, what: str) -> Finding:
        return Finding(self.region, check, OK, what)

    def fault(self, check: str, what: str, repair: str) -> Finding:
        return Finding(self.region, check, FAULT, what, repair)

    def unknown(self, check: str, what: str) -> Finding:
        return Finding(self.region, check, UNKNOWN, what, "ask the account's administrator, or get the setup policy")
