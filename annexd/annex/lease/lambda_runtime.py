"""The Python that the lease function runs on, and until when AWS supports it: the one place that says so.

The template deploys RUNTIME.  After the end of support AWS goes on invoking a function, without mending its
runtime, and a month or two later takes no new one, then no changed one.  So leases go on firing, but
whoever deploys late cannot.
"""

from datetime import date
from typing import Final

RUNTIME: Final = "python3.13"
SOURCE: Final = "https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html"  # read in November 2026
END_OF_SUPPORT: Final = {  # by runtime: a function that was deployed with another template may have another
    "python3.12": date(2028, 10, 31),
    "python3.13": date(2029, 6, 30),
    "python3.14": date(2029, 6, 30),
}
WARN_DAYS: Final = 180  # before the end


def days_left(today: date, runtime: str = RUNTIME) -> int | None:
    """Until the end of support; negative after it, None for a runtime that is not known here."""
    end = END_OF_SUPPORT.get(runtime)
    return None if end is None else (end - today).days


def warning(today: date, runtime: str = RUNTIME) -> str | None:
    """What an administrator should know now, and do; None while there is time."""
    left = days_left(today, runtime)
    if left is None or left > WARN_DAYS:
        return None
    when = f"ends on {END_OF_SUPPORT[runtime]}, in {left} days" if left >= 0 else f"ended on {END_OF_SUPPORT[runtime]}"
    what = f"AWS's support of {runtime}, on which the lease function runs,"
    return f"{what} {when}: deploy the template of a newer annexd"
