"""Say how to order by the other API where AWS refuses one of its two APIs for fleets.

annexd never does so by itself: what the account, or its organization, does not allow is for people to decide.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from annexd.annex.request.fleet_api import switch_hint
from annexd.aws.errors import is_api_refused
from annexd.workflow import Refused


@contextmanager
def with_switch_hint(api: str) -> Iterator[None]:
    """Add it to what is Refused inside without any effect, if it is the API that was refused and not the order."""
    try:
        yield
    except Refused as error:
        cause = error.__cause__
        if not (error.untouched and isinstance(cause, Exception) and is_api_refused(cause)):
            raise
        message = f"{error}; {switch_hint(api)}"
        raise Refused(message, untouched=True, result=error.result, local=error.local) from cause
