"""Read AWS's responses: a missing member, or one of a wrong type, is an error and never treated as "nothing".

An endpoint that responds `{}` to a query for fleets has not reported that none exist.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from botocore.exceptions import BotoCoreError

LONGEST_TEXT: Final = 2048  # of an ID, an ARN, a name: AWS's longest are ARNs
MAX_PAGES: Final = 1000
MAX_ROWS: Final = 100_000  # in one listing, and more than an account may have
PAGE: Final = {  # so that a page fits into bounds.MAX_ANSWER_BYTES
    "describe_spot_fleet_requests": {"MaxResults": 100},
    "describe_fleets": {"MaxResults": 100},
    "describe_instances": {"MaxResults": 300},
    "describe_spot_fleet_request_history": {"MaxResults": 1000},
    "describe_fleet_history": {"MaxResults": 1000},
    "filter_log_events": {"limit": 1000},
    "describe_spot_price_history": {"MaxResults": 1000},
    "get_products": {"MaxResults": 100},
}


class UnknownShape(BotoCoreError):  # type: ignore[misc]  # botocore has no types
    """A response of an unknown shape, so the effect of the call is unknown."""

    fmt = "{what}"


def value(answer: Any, name: str, kind: type | tuple[type, ...]) -> Any:
    """Return the member `name`, which must exist and have this type.  Raises UnknownShape."""
    found = answer.get(name) if isinstance(answer, Mapping) else None
    if not isinstance(found, kind) or (isinstance(found, bool) and kind is int):
        raise UnknownShape(what=f"the answer has no {name} as AWS documents it")
    return found


def text(answer: Any, name: str) -> str:
    """Return a text of at most LONGEST_TEXT characters.  Raises UnknownShape."""
    found = str(value(answer, name, str))
    if not 0 < len(found) <= LONGEST_TEXT:
        raise UnknownShape(what=f"{name} has {len(found)} characters")
    return found


def rows(answer: Any, name: str) -> list[Mapping[str, Any]]:
    """Return a list of structures, which may be empty but not missing.  Raises UnknownShape."""
    found = value(answer, name, list)
    if not all(isinstance(each, Mapping) for each in found):
        raise UnknownShape(what=f"{name} holds a value that is not a structure")
    return list(found)


def number(answer: Any, name: str) -> int:
    """Raises UnknownShape."""
    return int(value(answer, name, int))


def listed(
    client: Any, operation: str, name: str, *, next_page: str = "NextToken", **call: Any
) -> Iterator[Mapping[str, Any]]:
    """Yield the rows `name` of all pages of `operation` (as botocore's clients name it).  Raises AWS_ERRORS."""
    seen: set[str] = set()
    count = 0
    for _ in range(MAX_PAGES):
        page = getattr(client, operation)(**PAGE.get(operation, {}), **call)
        for row in rows(page, name):
            count += 1
            if count > MAX_ROWS:
                raise UnknownShape(what=f"there are more than {MAX_ROWS} {name}")
            yield row
        token = page.get(next_page)
        if not token:
            return
        if token in seen:
            raise UnknownShape(what="the same page came twice")
        seen.add(token)
        call[next_page] = token
    raise UnknownShape(what=f"{name} has more than {MAX_PAGES} pages")
