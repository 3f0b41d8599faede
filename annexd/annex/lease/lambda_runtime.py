"""The Python runtime of the lease function and the end of AWS's support for it, defined only here.

The template deploys RUNTIME.  After the end of support AWS still invokes a function, without patching the runtime.  A
month or two later it rejects new functions, then changes to existing ones.  So leases still end, but a late
deployment fails.
"""

from datetime import date
from typing import Final

RUNTIME: Final = "python3.13"
SOURCE: Final = "https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html"  # read in November 2026
END_OF_SUPPORT: Final = {  # by runtime; another template may have deployed another one
    "python3.12": date(2028, 10, 31),
    "python3.13": date(2029, 6, 30),
    "python3.14": date(2029, 6, 30),
}
WARN_DAYS: Final = 180  # before the end


def days_left(today: date, runtime: str = RUNTIME) -> int | None:
    """Return the days until the end of support; negative after it, None for an unknown runtime."""
    end = END_OF_SUPPORT.get(runtime)
    return None if end is None else (end - today).days


def warning(today: date, runtime: str = RUNTIME) -> str | None:
    """Return a warning with the next step for the administrator; None while there is time."""
    left = days_left(today, runtime)
    if left is None or left > WARN_DAYS:
        return None
    when = f"ends on {END_OF_SUPPORT[runtime]}, in {left} days" if left >= 0 else f"ended on {END_OF_SUPPORT[runtime]}"
    what = f"AWS's support of {runtime}, on which the lease function runs,"
    return f"{what} {when}: deploy the template of a newer annexd"
