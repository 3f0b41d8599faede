"""AWS's paging: at most 1,000 items in a response, and an opaque token for the next page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Protocol, TypeVar

from moto.ec2.exceptions import EC2ClientError

MAX_PAGE = 1000


class Numbered(Protocol):
    sequence: int


N = TypeVar("N", bound=Numbered)


def page(
    items: Iterable[N],
    max_results: object,
    token: str | None,
    least: int = 1,
    drift: Callable[[], int] = lambda: 0,
    most: int = MAX_PAGE,
) -> tuple[list[N], str | None]:
    """Return the items after `token`, at most `max_results`, and the token of the rest.

    A token names the last returned item, so a list that changes in the meantime loses nothing.  `drift` is called if
    there is a next page; it returns the number of items by which that page begins too late.
    """
    size = _size(max_results, least, most)
    after = _read(token)
    found = list(islice((item for item in items if item.sequence > after), size + 1))
    if len(found) <= size:
        return found, None
    place = size - 1 + drift()
    last = found[place].sequence if place >= 0 else after
    return found[:size], base64.b64encode(f"after:{last}".encode()).decode()


def _size(max_results: object, least: int, most: int) -> int:
    if max_results is None:
        return most
    size = int(str(max_results))
    if not least <= size <= most:
        raise EC2ClientError(
            "InvalidParameterValue",
            f"Value ({size}) for parameter maxResults is invalid. Expecting {least} to {most}.",
        )
    return size


def _read(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(base64.b64decode(token, validate=True).decode().removeprefix("after:"))
    except (binascii.Error, ValueError) as error:
        raise EC2ClientError("InvalidNextToken", f"The token {token!r} is not valid.") from error
