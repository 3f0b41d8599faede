"""The stack of each region made, or brought to what it should be, and HTCondor told of it.

Run again, it does what is left to do: nothing, when all is as it should be.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from annexd.account import configuration, service_roles
from annexd.account.configuration import ConfigurationFile
from annexd.account.errors import AccountError
from annexd.account.session import Session, asking
from annexd.account.stack import STUCK, Say, Seen, Stack
from annexd.account.template import body, template

STACK_NAME: Final = "HTCondorAnnex"
TIMEOUT_S: Final = 900
TURNS: Final = 6  # delete what is half-made, create, update: none of it twice


@dataclass(frozen=True)
class Wanted:
    """Which stacks are meant."""

    regions: Sequence[str]
    stack_name: str = STACK_NAME
    timeout_s: int = TIMEOUT_S


def set_up(session: Session, wanted: Wanted, file: ConfigurationFile, say: Say) -> None:
    """Raises AccountError, with all that is done kept: the next run goes on from there."""
    file.check_writable()
    sections = {region: set_up_region(session, wanted, region, say) for region in wanted.regions}
    service_roles.make(session.client("iam", wanted.regions[0]), say)
    for line in file.add(sections):
        say(line)


def set_up_region(session: Session, wanted: Wanted, region: str, say: Say) -> dict[str, str]:
    """The knobs that tell HTCondor of it."""
    say(f"{region}: account {account_of(session, region)}, stack {wanted.stack_name}")
    deadline_s = time.monotonic() + wanted.timeout_s
    cloudformation = session.client("cloudformation", region)
    stack = Stack(cloudformation, wanted.stack_name, lambda line: say(f"{region}: {line}"), deadline_s)
    seen = made(stack)
    say(f"{region}: the stack {wanted.stack_name} is as it should be")
    return configuration.knobs(session, region, seen.outputs)


def account_of(session: Session, region: str) -> str:
    """Asked first: it needs no permission, and fails for whatever is wrong with the credentials."""
    with asking("GetCallerIdentity"):
        return str(session.client("sts", region).get_caller_identity()["Account"])


def made(stack: Stack) -> Seen:
    """The stack, once it is made of our template."""
    tried: set[str] = set()
    for _ in range(TURNS):
        seen = stack.settled()
        if seen is not None and seen.is_good and is_current(stack):
            return seen
        step = _next_step(seen)
        if step in tried:
            break
        if not _take(stack, step) and seen is not None:
            return seen
        # What we made and CloudFormation took back failed for a reason that the next try would meet, too.
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


def _take(stack: Stack, step: str) -> bool:
    """Whether there was anything to do."""
    match step:
        case "create":
            stack.create(body())
        case "update":
            return stack.update(body())
        case "roll back":
            stack.go_on_rolling_back()
        case _:
            stack.delete()
    return True


def _failure(stack: Stack, seen: Seen | None) -> AccountError:
    if seen is None:
        return AccountError(f"the stack {stack.name} vanished while it was made: somebody deletes it")
    return AccountError(
        f"the stack {stack.name} could not be made, it is {seen.status}",
        *stack.failures(),
        "CloudFormation takes back what it made of it: mend the cause, and run the same command again",
    )


def missing_outputs(outputs: Mapping[str, str]) -> list[str]:
    return [name for name in template()["Outputs"] if not outputs.get(name)]
