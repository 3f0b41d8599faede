"""Ask for confirmation of an expensive order: above ANNEX_CONFIRM_ABOVE dollars, and only if a person can answer.

The confirmed request is the one that is sent: if the file has no bounds of Spot prices, the order carries the quoted
ones.
"""

import sys
from collections.abc import Mapping
from typing import Any, Final

from annexd.tool import show
from annexd.tool.errors import COMMUNICATION, NOT_CONFIRMED, USAGE, ToolError
from annexd.tool.key_options import Param
from annexd.tool.options import ToolOptions

KNOB: Final = "ANNEX_CONFIRM_ABOVE"
YES: Final = ("y", "yes")


def is_interactive(options: ToolOptions) -> bool:
    """Return whether a person can answer; a command that was sent before was confirmed then."""
    asks = not options.yes and not options.command_id
    return asks and sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()


def limit(param: Param) -> float | None:
    """Return the dollars above which confirmation is required; None: never.  Raises ToolError."""
    text = param(KNOB)
    if text is None:
        return None
    try:
        dollars = float(text)
    except ValueError:
        dollars = -1.0
    if not 0 <= dollars < float("inf"):
        raise ToolError(
            USAGE, f"{KNOB} must be a number of dollars, not {text!r}: condor_config_val -v {KNOB} finds it"
        )
    return dollars


def bounds_confirmed(answer: Mapping[str, Any], above: float, option_names: Mapping[str, str]) -> dict[str, Any]:
    """Return additional attributes of the order: the quoted bounds.

    Raises ToolError if the order would be refused, or if it may cost more than `above` and is not confirmed.
    """
    from annexd.tool import quote

    show.check(answer, option_names)
    quoted = quote.quote_in(answer)
    try:
        total, bounds = quoted["Most"]["Total"], _bounds(quoted)
        if total is None or float(total) > above:
            _ask(quote.text(quoted), total, above)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ToolError(COMMUNICATION, quote.STRANGE) from error
    return {"PriceBounds": bounds} if bounds else {}


def _bounds(quoted: Mapping[str, Any]) -> list[str]:
    if not quoted["SpotUnits"]:
        return []
    unsent = (each for each in quoted["Pools"] if not each["PriceBoundIsSent"] and each["PriceBound"] is not None)
    return [f"{each['Path']}={each['PriceBound']}" for each in unsent if each["InstanceType"] is not None]


def _ask(text: str, total: str | None, above: float) -> None:
    """Ask on standard error: standard output is for the request ID."""
    print(text, file=sys.stderr)
    if total is None:
        message = "The maximum cost is unknown."
    else:
        message = f"It can cost ${float(total):.2f}, more than ${above:.2f} ({KNOB})."
    print(f"{message} Order it? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in YES:
        raise ToolError(NOT_CONFIRMED, "not confirmed: nothing was ordered; -yes orders without a question")
