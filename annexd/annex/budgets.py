"""CA_QUERY_BUDGETS: the state of the administrator's budgets, from the journal alone."""

from collections.abc import Mapping
from typing import Any, Final

from annexd.annex.reply import ANSWERED, ReplyAd, json_text, reply, reply_of_error
from annexd.annex.request.faults import InvalidRequest, shown
from annexd.annex.request.request import check_command, command_id_of, own_of
from annexd.annex.reservations import Reservations
from annexd.budget.ledger import Account
from annexd.budget.money import decimal
from annexd.workflow import SUCCESS, Json

COMMAND: Final = "CA_QUERY_BUDGETS"
OWN: Final = frozenset(["command", "requestversion", "commandid", "budget"])
LONGEST_NAME: Final = 128


def query_budgets(ad: Mapping[str, Any], reservations: Reservations | None, now_s: float) -> ReplyAd:
    """Return Budgets: JSON, a list of the results of `line_of` for each budget, or for the one that Budget names."""
    try:
        name = _name_in(ad)
        lines = known_budgets(reservations, now_s) if reservations else []
    except ANSWERED as error:
        return reply_of_error(error, command_id_of(ad), begun=False)
    named = [each for each in lines if name is None or str(each["Name"]).lower() == name.lower()]
    return {**reply(SUCCESS), "Budgets": json_text(named)}


def known_budgets(reservations: Reservations, now_s: float) -> list[Json]:
    """Describe each budget.  Raises JournalError."""
    return [line_of(each) for each in reservations.accounts(now_s)]


def line_of(account: Account) -> Json:
    """Return the state of a budget; dollars are texts with six decimals, null means without a limit or an end."""
    budget, days = account.budget, account.days
    return {
        "Name": budget.name,
        "Dollars": _decimal(budget.cap),
        "Period": budget.period.value,
        "PeriodStart": days.begin_s,
        "PeriodEnd": days.end_s,
        "Spent": decimal(account.spent),
        "Reserved": decimal(account.reserved.money),
        "Left": _decimal(account.left),
        "Rate": _decimal(budget.rate),
        "RateReserved": decimal(account.reserved.rate),
        "RateLeft": _decimal(account.rate_left),
        "Annexes": account.annexes,
        "Applies": budget.applies,
    }


def _decimal(amount: int | None) -> str | None:
    return None if amount is None else decimal(amount)


def _name_in(ad: Mapping[str, Any]) -> str | None:
    check_command(ad, COMMAND)
    own = own_of(COMMAND, ad, OWN)
    name = own.text("Budget", lambda text: None if len(text) <= LONGEST_NAME else f"is no name: {shown(text)}")
    if own.faults:
        raise InvalidRequest(own.faults)
    return name
