"""The administrator's budgets: ANNEX_BUDGETS, and the knobs of each that it names."""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

import classad2

from annexd.annex.reservations import Rules
from annexd.budget.budget import Budget, Period
from annexd.budget.money import MICRO, rounded_down
from annexd.condor import bindings
from annexd.daemoncore.config.parameters import Parameters, is_expression, param

KNOBS: Final = (  # with the budget's name in place of NAME
    "ANNEX_BUDGET_NAME_DOLLARS",
    "ANNEX_BUDGET_NAME_PERIOD",
    "ANNEX_BUDGET_NAME_RATE",
    "ANNEX_BUDGET_NAME_APPLIES",
)
NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}", re.ASCII)
AMOUNT: Final = re.compile(r"\d{1,12}(\.\d{1,6})?", re.ASCII)
PERIODS: Final = {each.value: each for each in Period}


def read_budgets(look_up: Parameters) -> tuple[Budget, ...]:
    """Return the budgets, and add all faults to those of `look_up`."""
    names = look_up.words("ANNEX_BUDGETS")
    if wrong := [each for each in names if not NAME.fullmatch(each)]:
        look_up.faults.append(
            f"ANNEX_BUDGETS must name budgets by at most 32 letters, digits and _, with a letter first, "
            f"not {', '.join(wrong)}"
        )
        return ()
    if len({each.lower() for each in names}) < len(names):
        look_up.faults.append(f"ANNEX_BUDGETS names a budget twice: {', '.join(names)}")
    return tuple(_read(name, look_up) for name in names)


def _read(name: str, look_up: Parameters) -> Budget:
    dollars_knob, period_knob, rate_knob, applies_knob = (each.replace("NAME", name) for each in KNOBS)
    cap, rate = _amount(dollars_knob, look_up), _amount(rate_knob, look_up)
    period = look_up.text(period_knob).lower()
    if cap is None and rate is None:
        look_up.faults.append(f"{dollars_knob} or {rate_knob} is missing: a budget limits one of them, or both")
    if period not in PERIODS and (period or cap is not None):
        look_up.faults.append(f"{period_knob} must be one of {', '.join(PERIODS)}, not {period or 'empty'}")
    applies = look_up.text(applies_knob, "true")
    if not is_expression(applies):
        look_up.faults.append(f"{applies_knob} must be a ClassAd expression, not {applies}")
    return Budget(name, cap, PERIODS.get(period, Period.ONCE), rate, applies)


def _amount(knob: str, look_up: Parameters) -> int | None:
    """Return micro-dollars; None without the knob."""
    text = param(knob)
    if text is None:
        return None
    if not AMOUNT.fullmatch(text) or not Fraction(text):
        look_up.faults.append(f"{knob} must be dollars such as 5000 or 0.50, above 0, not {text}")
        return MICRO
    return rounded_down(Fraction(text))


def rules(budgets: tuple[Budget, ...]) -> Rules:
    """Return the budgets with a function that evaluates their APPLIES, by the newest user maps."""
    if budgets:
        bindings.reload_user_maps()
    return Rules(budgets, is_true)


def is_true(applies: str, ad: Mapping[str, Any]) -> bool:
    """Return whether a budget applies: not if the expression is undefined; if it is an error, the budget applies.

    A budget that cannot be evaluated must not let everybody spend.
    """
    try:
        value = bindings.evaluated(applies, ad)
    except classad2.ClassAdException:
        return True
    if isinstance(value, classad2.Value):
        return value is not classad2.Value.Undefined
    return bool(value) if isinstance(value, bool | int | float) else True
