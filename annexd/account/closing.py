"""Make sure that nothing needs the enforcer of a region, and that nothing will, before its stack is deleted.

An order looks at the function, and a little later asks for its fleet: a look at the account between the two shows no
annex.  So the function is closed first, and the account looked at again once no order relies on an older look.
"""

from typing import Final

from annexd.account.annexes import annexes
from annexd.account.enforcer import Enforcer
from annexd.account.errors import AccountError, LivingAnnexes
from annexd.account.session import Session

TOLD_AT_MOST: Final = 10


def refuse_while_annexes_live(session: Session, region: str, max_lease_s: float) -> None:
    """Raise LivingAnnexes with the annexes of every pool of which anything is left."""
    try:
        living = annexes(session.client("ec2", region))
    except AccountError as error:
        raise AccountError(
            f"{region}: whether annexes live cannot be told: {error}",
            "nothing was deleted: without the lease function nothing would end their instances",
        ) from error
    if living:
        raise LivingAnnexes(
            f"{region}: annexes live, and only the lease function ends them: nothing was deleted",
            *listed([annex.words(max_lease_s) for annex in living]),
            "wait for the end of their leases, or end them (condor_annex -cancel); they are gone a few minutes later",
        )


def listed(lines: list[str]) -> list[str]:
    """Return the first of many lines."""
    more = len(lines) - TOLD_AT_MOST
    return [*lines[:TOLD_AT_MOST], *([f"... and {more} more"] if more > 0 else [])]


def close(session: Session, enforcer: Enforcer, max_lease_s: float) -> None:
    """Close the function, wait, and look again.  Whatever is raised, LivingAnnexes too, the function is open again."""
    if enforcer.look() is None:
        return
    enforcer.close()
    try:
        enforcer.wait_for_orders()
        refuse_while_annexes_live(session, enforcer.region, max_lease_s)
    except BaseException:
        enforcer.open()
        raise


def refuse_if_open(enforcer: Enforcer) -> None:
    """Raise AccountError if somebody has opened the function since it was closed."""
    if enforcer.is_open():
        raise AccountError(
            f"{enforcer.region}: somebody opened the lease function again, perhaps a -setup: the stack was not deleted",
            "run the same command again, once nobody else works on the stack",
        )
