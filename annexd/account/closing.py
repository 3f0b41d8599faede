"""Make sure that nothing needs the enforcer of a region, and that nothing will need it, before its stack is deleted.

An order checks the function, and requests its fleet a little later: between the two the account shows no annex.  So the
function is closed first, and the account is checked again once no order relies on an older check.
"""

from typing import Final

from annexd.account.annexes import annexes
from annexd.account.enforcer import Enforcer
from annexd.account.errors import AccountError, LivingAnnexes
from annexd.account.session import Session

MOST_LISTED: Final = 10


def refuse_while_annexes_live(session: Session, region: str, max_lease_s: float) -> None:
    """Raise LivingAnnexes with the remaining annexes of every pool."""
    try:
        living = annexes(session.client("ec2", region))
    except AccountError as error:
        raise AccountError(
            f"{region}: cannot determine whether annexes live: {error}",
            "nothing was deleted: only the lease function would end their instances",
        ) from error
    if living:
        raise LivingAnnexes(
            f"{region}: annexes live, and only the lease function ends them: nothing was deleted",
            *listed([annex.description(max_lease_s) for annex in living]),
            "wait until their leases end, or cancel them (condor_annex -cancel); they end within minutes",
        )


def listed(lines: list[str]) -> list[str]:
    """Return the first lines, and the number of the others."""
    more = len(lines) - MOST_LISTED
    return [*lines[:MOST_LISTED], *([f"... and {more} more"] if more > 0 else [])]


def close(session: Session, enforcer: Enforcer, max_lease_s: float) -> None:
    """Close the function, wait, and check again.  Any error, also LivingAnnexes, opens the function again."""
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
    """Raise AccountError if the function was opened since it was closed."""
    if enforcer.is_open():
        raise AccountError(
            f"{enforcer.region}: the lease function was opened again, perhaps by a -setup: the stack was not deleted",
            "run the same command again when nothing else changes the stack",
        )
