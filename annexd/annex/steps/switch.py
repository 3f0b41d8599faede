"""Suggest the other API if AWS refuses one of its two APIs for fleets.

annexd never switches by itself: people must decide how to deal with what the account, or its organization, does not
allow.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from annexd.annex.request.fleet_api import switch_hint
from annexd.aws.errors import is_api_refused
from annexd.workflow import Refused


@contextmanager
def with_switch_hint(api: str) -> Iterator[None]:
    """Run a call while adding the hint to a Refused without any effect, if AWS refused the API and not the order."""
    try:
        yield
    except Refused as error:
        cause = error.__cause__
        if not (error.untouched and isinstance(cause, Exception) and is_api_refused(cause)):
            raise
        message = f"{error}; {switch_hint(api)}"
        raise Refused(message, untouched=True, result=error.result, local=error.local) from cause
